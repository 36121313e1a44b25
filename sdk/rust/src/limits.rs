//! What this run may still use (`cloudware:limits`), so that an app can do less before the host stops it: answer
//! with fewer rows, or leave the rest to the next page.
//!
//! ```no_run
//! use cloudware_sdk::limits;
//!
//! if limits::remaining("sql-statements").is_some_and(|left| left < 10) {
//!     // Leave the rest to the next page.
//! }
//! ```

use crate::bindings::limits::cloudware::limits::limits;

/// One limit of this run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Its name in quotas and explanations, such as `fuel` or `sql-time`.
    pub name: String,
    /// The unit of the numbers: `fuel`, `bytes`, `ms`, or empty for a number of things.
    pub unit: String,
    /// What the run has used so far.
    pub used: u64,
    /// The most that it may use. Beyond it the host ends the run.
    pub max: u64,
}

impl Limit {
    /// What is left.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.max.saturating_sub(self.used)
    }
}

impl From<limits::Limit> for Limit {
    fn from(limit: limits::Limit) -> Self {
        Self {
            name: limit.name,
            unit: limit.unit,
            used: limit.used,
            max: limit.max,
        }
    }
}

/// One limit by its name; `None` for a name that is not a limit of a single run, or one that is not counted
/// while the run goes on.
#[must_use]
pub fn get(name: &str) -> Option<Limit> {
    limits::get(name).map(Limit::from)
}

/// What is left of a limit, in its unit; `None` as for [`get`].
#[must_use]
pub fn remaining(name: &str) -> Option<u64> {
    get(name).map(|limit| limit.remaining())
}

/// Every limit that is counted while the run goes on.
#[must_use]
pub fn all() -> Vec<Limit> {
    limits::all().into_iter().map(Limit::from).collect()
}
