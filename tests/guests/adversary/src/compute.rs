//! Misuse of CPU, memory and stack, and the ways to end. Nothing is inlined, so that a stop names the
//! function.

use std::hint::black_box;

use cloudware_sdk::http::{Request, Response};

use crate::{host::pause, number};

const PAGE_BYTES: usize = 65_536;

/// A few instructions that the compiler can't leave out.
fn round(state: u64) -> u64 {
    black_box(
        state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1),
    )
}

/// Computes for ever.
#[inline(never)]
pub fn endless(_request: Request) -> Response {
    let mut state = 1;
    loop {
        state = round(state);
    }
}

/// Computes for a number of rounds.
#[inline(never)]
pub fn spin(request: Request) -> Response {
    let iterations = number(&request, "iterations").unwrap_or(1_000);
    let state = (0..iterations).fold(1, |state, _| round(state));
    Response::text(format!("{iterations} {state}"))
}

/// Takes memory until the host gives no more, then traps as an allocation failure does.
#[inline(never)]
pub fn grow(_request: Request) -> Response {
    let mut kept = Vec::new();
    loop {
        kept.push(touched(1 << 20));
        black_box(&kept);
    }
}

/// Takes a number of bytes, writes to every page, and keeps them for a while.
#[inline(never)]
pub fn touch(request: Request) -> Response {
    let bytes = number(&request, "bytes").unwrap_or(0);
    let memory = touched(usize::try_from(bytes).unwrap_or(usize::MAX));
    pause(number(&request, "ms").unwrap_or(0));
    Response::text(format!("touched {}", memory.len()))
}

fn touched(bytes: usize) -> Vec<u8> {
    let mut memory = vec![0; bytes];
    for page in memory.chunks_mut(PAGE_BYTES) {
        page[0] = 1;
    }
    black_box(memory)
}

/// Calls itself for ever.
#[inline(never)]
pub fn deep_recursion(_request: Request) -> Response {
    Response::text(descend(1).to_string())
}

/// Keeps nothing in memory, so that it is the host's stack that ends.
#[inline(never)]
fn descend(depth: u64) -> u64 {
    if depth == u64::MAX {
        return depth;
    }
    // What follows the call keeps it from becoming a loop.
    descend(depth + 1).rotate_left(3) ^ depth
}

/// Ends by an unreachable instruction.
#[inline(never)]
pub fn trap(_request: Request) -> Response {
    core::arch::wasm32::unreachable()
}

/// Ends by a panic, after a number of rounds.
#[inline(never)]
pub fn panic(request: Request) -> Response {
    let iterations = number(&request, "iterations").unwrap_or(0);
    black_box((0..iterations).fold(1, |state, _| round(state)));
    panic!("the adversary panics because it was asked to")
}

/// Ends the way a program does.
#[inline(never)]
pub fn exit(_request: Request) -> Response {
    std::process::exit(3)
}
