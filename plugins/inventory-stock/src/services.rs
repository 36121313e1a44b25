//! What other apps of the instance may ask: stock levels (`inventory:stock/levels`).

use cloudware_sdk::{StorageFailure, clock::Timestamp, sql};

use crate::{
    bindings::exports::inventory::stock::levels::{Failure, Guest, Level},
    levels,
};

/// The most levels of one answer.
const LEVELS_MAX: i64 = 200;

/// The implementation of the exported interfaces.
struct Services;

#[cfg(target_arch = "wasm32")]
crate::bindings::export!(Services with_types_in crate::bindings);

impl Guest for Services {
    fn of_item(sku: String, after: Option<u64>) -> Result<Vec<Level>, Failure> {
        let filter = levels::Filter {
            sku: Some(sku),
            // No level has an id beyond the largest.
            after: after.map(|id| i64::try_from(id).unwrap_or(i64::MAX)),
            ..levels::Filter::default()
        };
        let levels = levels::select(filter, LEVELS_MAX)?;
        Ok(levels.into_iter().map(Level::from).collect())
    }
}

impl From<levels::Level> for Level {
    fn from(level: levels::Level) -> Self {
        Self {
            id: level.id.unsigned_abs(),
            location: level.location,
            batch: level.batch,
            expires_on: level.expires_on,
            received_at: Timestamp::from_milliseconds(level.received_ms).to_string(),
            quantity: level.quantity.unsigned_abs(),
            version: level.version.unsigned_abs(),
        }
    }
}

impl From<sql::Error> for Failure {
    fn from(error: sql::Error) -> Self {
        match error {
            sql::Error::Storage(StorageFailure::Busy) => Self::Busy,
            error => {
                eprintln!("stock levels can't be read: {error}");
                Self::Unavailable
            }
        }
    }
}
