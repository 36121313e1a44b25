//! Where it is metered what a run has used.

use std::fmt;

use cloudware_types::Meters;

/// Takes readings of a run's meters. A run is metered when it ends; what is found only later to have been used for it,
/// because others worked on for a moment, comes here as a reading of its own.
pub trait UsageSink: fmt::Debug + Send + Sync + 'static {
    /// Adds a reading. Called on any thread: must not block.
    fn add(&self, meters: &Meters);
}
