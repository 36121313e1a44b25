//! Misuse of the order in which a response is made.

use wasip2::{
    http::types::{Fields, OutgoingBody, OutgoingResponse, ResponseOutparam},
    io::streams::OutputStream,
};

/// Sets a response and gives its body.
fn answer(out: ResponseOutparam) -> OutgoingBody {
    let response = OutgoingResponse::new(Fields::new());
    let body = response.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(response));
    body
}

/// Sends a whole response.
fn respond(out: ResponseOutparam) {
    let body = answer(out);
    let stream = body.write().expect("the stream is taken once");
    let _ = stream.blocking_write_and_flush(b"done");
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

/// Finishes the body while its stream is still open, and goes on writing to the stream.
#[inline(never)]
pub fn write_after_finish(out: ResponseOutparam) {
    let body = answer(out);
    let stream = body.write().expect("the stream is taken once");
    let _ = stream.blocking_write_and_flush(b"done");
    let _ = OutgoingBody::finish(body, None);
    let _ = stream.blocking_write_and_flush(b"more");
}

/// Writes more than the stream has said that it takes.
#[inline(never)]
pub fn write_unasked(out: ResponseOutparam) {
    let body = answer(out);
    let stream: OutputStream = body.write().expect("the stream is taken once");
    let _ = stream.write(&vec![b'x'; 1 << 20]);
}

/// Leaves the body neither finished nor closed.
pub fn unfinished(out: ResponseOutparam) {
    let body = answer(out);
    let stream = body.write().expect("the stream is taken once");
    let _ = stream.blocking_write_and_flush(b"half");
    std::mem::forget(stream);
    std::mem::forget(body);
}

/// Sends a whole response and computes for ever.
#[inline(never)]
pub fn loop_after_response(out: ResponseOutparam) {
    respond(out);
    let mut state = 1_u64;
    loop {
        state = std::hint::black_box(state.wrapping_mul(31));
    }
}

/// Sends a whole response and traps.
#[inline(never)]
pub fn trap_after_response(out: ResponseOutparam) {
    respond(out);
    core::arch::wasm32::unreachable()
}

/// Sets ever more headers.
#[inline(never)]
pub fn header_flood(out: ResponseOutparam) {
    let fields = Fields::new();
    for number in 0_u64.. {
        let _ = fields.append(&format!("x-flood-{number}"), &[b'x'; 100]);
    }
    ResponseOutparam::set(out, Ok(OutgoingResponse::new(fields)));
}
