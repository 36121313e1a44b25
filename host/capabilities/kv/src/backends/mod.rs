//! Where key-value data can be kept.

mod embedded;

pub use embedded::EmbeddedKv;
