//! Where SQL can run.

mod embedded;

pub use embedded::EmbeddedSql;
