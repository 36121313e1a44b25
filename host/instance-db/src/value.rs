//! Values and rows as they cross the border to a guest.

use std::sync::Arc;

use cloudware_types::ResultColumn;
use serde::{Deserialize, Serialize};

/// A parameter or a cell.
pub use cloudware_types::SqlValue as Value;

use crate::AccessRules;

/// The rows that a query gave.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct RowSet {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The rows, each with a cell for every column.
    pub rows: Vec<Vec<Value>>,
    /// Rows inserted, updated or deleted, also by triggers and for foreign keys.
    pub written: u64,
    /// Where the columns come from, where the request has rules for access.
    pub origins: Vec<ResultColumn>,
}

/// What a changing statement did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Rows inserted, updated or deleted by the statement itself.
    pub affected: u64,
    /// The same with those of triggers and foreign keys. Absent from what hosts recorded that did not count them.
    #[serde(default)]
    pub written: u64,
    /// Rowid of the last insert of this statement; 0 where it inserted nothing.
    pub last_insert_id: i64,
}

/// What a statement takes and gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Names of the columns that it gives; empty for one that gives no rows.
    pub columns: Vec<String>,
    /// Parameters that it takes.
    pub parameter_count: u32,
}

/// One statement of an app with its parameters and bounds.
#[derive(Clone, Debug)]
pub struct Request {
    /// The text.
    pub statement: Arc<str>,
    /// The parameters in order.
    pub parameters: Vec<Value>,
    /// Rows that it may give; more is [`crate::Error::RowsReadExceeded`].
    pub rows_read_max: u64,
    /// Rows that it may insert, update or delete, triggers and foreign keys included; more is
    /// [`crate::Error::RowsWrittenExceeded`].
    pub rows_written_max: u64,
    /// Time that the database may work; more is [`crate::Error::TimeExceeded`].
    pub time_max: std::time::Duration,
    /// What it may do with tables whose use is decided about, as [`crate::Database::examine`] found it.
    pub access: Option<Arc<AccessRules>>,
}
