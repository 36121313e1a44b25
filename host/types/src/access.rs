//! Access to the tables that an app declares: what a statement does with them, and the conditions under which it may.
//! Between the database, which knows the statement, and the hooks, which decide.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::hook::{UnknownWord, words};

/// The extension point that is asked before an app touches a table that it declares.
pub const BEFORE_ACCESS: &str = "before-access";

/// The extension point that is asked with what a statement gives of such a table.
pub const AFTER_ACCESS: &str = "after-access";

words! {
    /// What a statement does with a table.
    Operation "operation" {
        /// Looks at its rows.
        Read "read",
        /// Adds rows.
        Insert "insert",
        /// Changes rows.
        Update "update",
        /// Removes rows.
        Delete "delete",
    }
}

words! {
    /// How a column is compared with values. A comparison with null is never true.
    Comparison "comparison" {
        /// Equal.
        Eq "eq",
        /// Not equal.
        Ne "ne",
        /// Less.
        Lt "lt",
        /// Less or equal.
        Le "le",
        /// Greater.
        Gt "gt",
        /// Greater or equal.
        Ge "ge",
        /// Null; without values.
        IsNull "is-null",
        /// Not null; without values.
        IsNotNull "is-not-null",
        /// Equal to one of the values.
        InList "in-list",
    }
}

/// A value of SQL: a parameter, a cell, or what a column is compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum SqlValue {
    /// NULL.
    Null,
    /// Kept as 0 or 1; a cell is one where its column is declared BOOLEAN.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A floating-point number. NaN is kept as NULL.
    Real(f64),
    /// UTF-8 text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl SqlValue {
    /// Bytes of a text or a blob, 0 for others.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Blob(bytes) => bytes.len(),
            _ => 0,
        }
    }
}

/// A condition on a row of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The column.
    pub column: String,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what: as many as [`Comparison::takes`] says.
    pub values: Vec<SqlValue>,
}

/// What a statement does with one table that the app declares.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TableAccess {
    /// The table, as the app declares it.
    pub table: Arc<str>,
    /// What is done.
    pub operation: Operation,
    /// Every column of the table, in order.
    pub columns: Arc<[String]>,
    /// The columns that are read, sorted.
    pub read: Vec<String>,
    /// The columns that are written, sorted; all of them for an insert.
    pub written: Vec<String>,
}

/// An access with the conditions that a row must fulfil, all of them.
#[derive(Clone, Debug, PartialEq)]
pub struct FilteredAccess {
    /// What is done.
    pub access: TableAccess,
    /// The conditions; none where every row may be touched.
    pub conditions: Vec<Condition>,
}

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultColumn {
    /// Its name in the result.
    pub name: String,
    /// Table and column that it shows as they are; `None` where it is computed.
    pub origin: Option<(String, String)>,
}

impl Comparison {
    /// Whether it can be made with so many values.
    #[must_use]
    pub fn takes(self, values: usize) -> bool {
        match self {
            Self::IsNull | Self::IsNotNull => values == 0,
            Self::InList => true,
            _ => values == 1,
        }
    }
}
