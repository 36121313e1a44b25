//! Misuse of the host's time and resources. Nothing is inlined, so that a stop names the function.

use cloudware_sdk::http::{Request, Response};
use wasip2::{
    clocks::monotonic_clock,
    http::types::{Fields, Method, OutgoingRequest},
    random::random::get_random_bytes,
};

use crate::number;

/// Waits for a number of milliseconds without computing.
#[inline(never)]
pub fn sleep(request: Request) -> Response {
    let milliseconds = number(&request, "ms").unwrap_or(0);
    pause(milliseconds);
    Response::text(format!("slept {milliseconds}"))
}

/// Waits for so many milliseconds.
pub fn pause(milliseconds: u64) {
    monotonic_clock::subscribe_duration(milliseconds.saturating_mul(1_000_000)).block();
}

/// Keeps ever more resources open.
#[inline(never)]
pub fn handles(request: Request) -> Response {
    let count = number(&request, "count").unwrap_or(u64::MAX);
    for _ in 0..count {
        std::mem::forget(Fields::new());
    }
    Response::text(format!("kept {count}"))
}

/// Keeps ever more lists of headers, each with nearly as much as one may have.
#[inline(never)]
pub fn kept_fields(_request: Request) -> Response {
    loop {
        let fields = Fields::new();
        let _ = fields.append("x-large", &[b'x'; 60_000]);
        std::mem::forget(fields);
    }
}

/// Keeps so many empty lists of headers, and fills them when all are there.
#[inline(never)]
pub fn filled_fields(request: Request) -> Response {
    let count = number(&request, "count").unwrap_or(0);
    let kept: Vec<_> = (0..count).map(|_| Fields::new()).collect();
    for fields in &kept {
        let _ = fields.set("x-large", &[vec![b'x'; 60_000]]);
    }
    Response::text(format!("filled {}", kept.len()))
}

/// Keeps ever more lists of headers that had as many values as they may, and have none.
#[inline(never)]
pub fn emptied_fields(_request: Request) -> Response {
    let many = vec![Vec::new(); 1_600];
    loop {
        let fields = Fields::new();
        let _ = fields.set("x-many", &many);
        let _ = fields.delete("x-many");
        std::mem::forget(fields);
    }
}

/// Keeps ever more requests that are not sent, each with as much of a body as is taken ahead.
#[inline(never)]
pub fn kept_requests(_request: Request) -> Response {
    loop {
        let request = OutgoingRequest::new(Fields::new());
        if let Ok(body) = request.body() {
            if let Ok(stream) = body.write() {
                while let Ok(room @ 1..) = stream.check_write() {
                    let _ = stream.write(&vec![b'x'; usize::try_from(room).unwrap_or(1)]);
                }
            }
            std::mem::forget(body);
        }
        std::mem::forget(request);
    }
}

/// Gives a request a method and an authority of so many bytes.
#[inline(never)]
pub fn long_names(request: Request) -> Response {
    let bytes = number(&request, "bytes").unwrap_or(0);
    let long = "X".repeat(usize::try_from(bytes).unwrap_or(0));
    let request = OutgoingRequest::new(Fields::new());
    let method = request.set_method(&Method::Other(long.clone()));
    let authority = request.set_authority(Some(&long));
    let told = [method, authority].map(|taken| match taken {
        Ok(()) => "taken",
        Err(()) => "refused",
    });
    Response::text(told.join(" "))
}

/// Hands the host long texts that it refuses, for ever.
#[inline(never)]
pub fn long_names_again(request: Request) -> Response {
    let bytes = number(&request, "bytes").unwrap_or(0);
    let long = "X".repeat(usize::try_from(bytes).unwrap_or(0));
    let request = OutgoingRequest::new(Fields::new());
    let method = Method::Other(long);
    loop {
        let _ = std::hint::black_box(request.set_method(&method));
    }
}

/// Calls a cheap host function again and again.
#[inline(never)]
pub fn calls(request: Request) -> Response {
    let count = number(&request, "count").unwrap_or(u64::MAX);
    let mut last = 0;
    for _ in 0..count {
        last = monotonic_clock::now();
    }
    Response::text(format!("called {count}, last {last}"))
}

/// Lets the host work, and computes next to nothing by itself.
#[inline(never)]
pub fn random(request: Request) -> Response {
    let bytes = number(&request, "bytes").unwrap_or(1);
    loop {
        std::hint::black_box(get_random_bytes(bytes));
    }
}
