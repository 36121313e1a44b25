//! Misuse of the host's time and resources. Nothing is inlined, so that a stop names the function.

use cloudware_sdk::http::{Request, Response};
use wasip2::{clocks::monotonic_clock, http::types::Fields, random::random::get_random_bytes};

use crate::number;

/// Waits for a number of milliseconds without computing.
#[inline(never)]
pub fn sleep(request: Request) -> Response {
    let milliseconds = number(&request, "ms").unwrap_or(0);
    monotonic_clock::subscribe_duration(milliseconds.saturating_mul(1_000_000)).block();
    Response::text(format!("slept {milliseconds}"))
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
