//! Misuse of the order in which a response is made.

use std::str::FromStr;

use wasip2::{
    clocks::monotonic_clock,
    http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam},
    io::streams::OutputStream,
};

/// Sets a response and gives its body.
fn answer(response: OutgoingResponse, out: ResponseOutparam) -> OutgoingBody {
    let body = response.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(response));
    body
}

/// Sends a whole response.
fn respond(response: OutgoingResponse, out: ResponseOutparam) {
    let body = answer(response, out);
    let stream = body.write().expect("the stream is taken once");
    let _ = stream.blocking_write_and_flush(b"done");
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

/// Finishes the body while its stream is still open, and goes on writing to the stream.
#[inline(never)]
pub fn write_after_finish(out: ResponseOutparam) {
    let body = answer(OutgoingResponse::new(Fields::new()), out);
    let stream = body.write().expect("the stream is taken once");
    let _ = stream.blocking_write_and_flush(b"done");
    let _ = OutgoingBody::finish(body, None);
    let _ = stream.blocking_write_and_flush(b"more");
}

/// Writes more than the stream has said that it takes.
#[inline(never)]
pub fn write_unasked(out: ResponseOutparam) {
    let body = answer(OutgoingResponse::new(Fields::new()), out);
    let stream: OutputStream = body.write().expect("the stream is taken once");
    let _ = stream.write(&vec![b'x'; 1 << 20]);
}

/// Leaves the body neither finished nor closed.
pub fn unfinished(out: ResponseOutparam) {
    let body = answer(OutgoingResponse::new(Fields::new()), out);
    let stream = body.write().expect("the stream is taken once");
    let _ = stream.blocking_write_and_flush(b"half");
    std::mem::forget(stream);
    std::mem::forget(body);
}

/// Sends a whole response and computes for ever.
#[inline(never)]
pub fn loop_after_response(target: &str, out: ResponseOutparam) {
    match target.contains('?') {
        true => respond(declared(target), out),
        false => respond(OutgoingResponse::new(Fields::new()), out),
    }
    endless()
}

fn endless() -> ! {
    let mut state = 1_u64;
    loop {
        state = std::hint::black_box(state.wrapping_mul(31));
    }
}

/// Reads the beginning of the request's body, sees that no more has come, and computes for ever.
#[inline(never)]
pub fn loop_after_chunk(request: &IncomingRequest) {
    let body = request.consume().expect("the body is taken once");
    let stream = body.stream().expect("the stream is taken once");
    let _ = stream.blocking_read(100);
    let _ = stream.read(100);
    endless()
}

/// Reads the beginning of the request's body, and sleeps for ever with the rest unread.
#[inline(never)]
pub fn sleep_after_chunk(request: &IncomingRequest) {
    let body = request.consume().expect("the body is taken once");
    let stream = body.stream().expect("the stream is taken once");
    let _ = stream.blocking_read(100);
    monotonic_clock::subscribe_duration(u64::MAX).block();
}

/// Sends a head and the beginning of a body, waits, and computes for ever.
#[inline(never)]
pub fn loop_after_head(target: &str, out: ResponseOutparam) {
    let response = OutgoingResponse::new(Fields::new());
    let _ = response.set_status_code(parameter(target, "status"));
    let body = response.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("the stream is taken once");
    let _ = stream.blocking_write_and_flush(b"begun");
    let wait: u64 = parameter(target, "ms");
    monotonic_clock::subscribe_duration(wait * 1_000_000).block();
    endless()
}

/// A response that declares the length of its body.
fn declared(target: &str) -> OutgoingResponse {
    let length: u64 = parameter(target, "length");
    let length = length.to_string().into_bytes();
    let headers = Fields::from_list(&[("content-length".into(), length)]);
    OutgoingResponse::new(headers.expect("the header is valid"))
}

/// Makes the body while the status allows none, and sends one all the same.
pub fn late_status(target: &str, out: ResponseOutparam) {
    let response = declared(target);
    let _ = response.set_status_code(304);
    let body = response.body().expect("the body is taken once");
    let _ = response.set_status_code(200);
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("the stream is taken once");
    let _ = stream.blocking_write_and_flush(&[b'x'; 100]);
    for _ in 1..parameter::<u32>(target, "pieces") {
        // What is there leaves while nothing more comes.
        monotonic_clock::subscribe_duration(20_000_000).block();
        let _ = stream.blocking_write_and_flush(&[b'x'; 100]);
    }
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

/// Declares the length of a body that it does not send.
pub fn head_alone(target: &str, out: ResponseOutparam) {
    let response = declared(target);
    let _ = response.set_status_code(parameter(target, "status"));
    let body = response.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(response));
    let _ = OutgoingBody::finish(body, None);
}

/// A parameter of the query.
fn parameter<T: FromStr>(target: &str, name: &str) -> T {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let found = pairs.find(|(key, _)| *key == name);
    found
        .and_then(|(_, value)| value.parse().ok())
        .expect("the query has the parameter")
}

/// Sends a whole response and traps.
#[inline(never)]
pub fn trap_after_response(out: ResponseOutparam) {
    respond(OutgoingResponse::new(Fields::new()), out);
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
