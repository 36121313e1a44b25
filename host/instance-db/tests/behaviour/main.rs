//! What the private database promises, tried from outside on real files.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod bombs;
mod calls;
mod fairness;
mod files;
mod fixture;
mod isolation;
mod migrations;
mod property;
mod within;
mod written;
