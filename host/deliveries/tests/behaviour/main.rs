//! What deliveries promise, tried on real files with a clock that only the test moves.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod endpoint;
mod fixture;
mod outbox;
mod people;
mod restart;
mod webhook;
mod worker;
