//! Micro-benches of the parts that every request goes through, and of checks that run for each package or
//! statement. They show which part a change made slower; what it means for people is in `cloudware bench`.

#![allow(clippy::unwrap_used, reason = "a bench that fails says so")]

mod engine;
mod packages;
mod routing;
mod statements;

use criterion::{criterion_group, criterion_main};

criterion_group!(
    parts,
    routing::lookup,
    engine::limits,
    engine::admission,
    engine::rate,
    engine::sandbox,
    packages::verify,
    statements::guard,
);
criterion_main!(parts);
