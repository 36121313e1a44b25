//! What the end-to-end tests share: a platform that runs as a process of its own, the ways to reach it
//! (command line, REST, sites, raw bytes), and packages, built from source or spoilt on purpose.
//!
//! The tests are in `tests/e2e` and belong to the crate of the binary, which they run. This crate knows
//! nothing of the host beside its public words.

mod binary;
mod cli;
mod endpoint;
mod flood;
mod guests;
mod http;
mod in_flight;
mod mutation;
mod package;
mod platform;
mod raw;
mod setup;
mod wait;

pub use binary::Binary;
pub use cli::{Cli, Ran};
pub use endpoint::{Endpoint, Message};
pub use flood::Flood;
pub use guests::Source;
pub use http::{Answer, Http, Pending, content_digest};
pub use in_flight::InFlight;
pub use mutation::Mutations;
pub use package::{Entry, Package, archive_of, component};
pub use platform::{Options, Platform};
pub use raw::{RawAnswer, exchange, exchange_parts, send_unread};
pub use wait::{eventually, within};

/// The binary under test; to be called from a test of its crate.
#[macro_export]
macro_rules! binary {
    () => {
        $crate::Binary::at(env!("CARGO_BIN_EXE_cloudware"))
    };
}
