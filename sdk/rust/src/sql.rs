//! SQL on the private database of the instance.
//!
//! An app owns the tables whose names begin with its namespace; its migrations create them. The
//! dialect is that of SQLite 3. A committed write is durable.
//!
//! ```no_run
//! use cloudware_sdk::{params, sql};
//!
//! # fn main() -> Result<(), sql::Error> {
//! let rows = sql::query("SELECT sku, quantity FROM stock_levels WHERE quantity < ?", params![5])?;
//! for row in &rows {
//!     let (sku, quantity): (String, i64) = (row.get("sku")?, row.get("quantity")?);
//! }
//! sql::transaction(|tx| {
//!     tx.execute("UPDATE stock_levels SET quantity = quantity - 1 WHERE id = ?", params![7])?;
//!     tx.execute("INSERT INTO stock_movements (level) VALUES (?)", params![7])?;
//!     Ok::<_, sql::Error>(())
//! })?;
//! # Ok(())
//! # }
//! ```

mod error;
mod row;
mod value;

pub use error::{ConstraintKind, Error, Violation};
pub use row::{ColumnError, ColumnIndex, FromRow, Row, Rows};
pub use value::{FromValue, Value};

use crate::bindings::sql::cloudware::sql::database as binding;

/// The parameters of a statement: `params![sku, 5, None::<String>]`. Each may be anything that
/// converts into a [`sql::Value`](crate::sql::Value).
#[macro_export]
macro_rules! params {
    ($($parameter:expr),* $(,)?) => {
        &[$($crate::sql::Value::from($parameter)),*] as &[$crate::sql::Value]
    };
}

/// What a changing statement did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Rows inserted, updated or deleted.
    pub affected: u64,
    /// The rowid of the statement's last insert; 0 where it inserted nothing.
    pub last_insert_id: i64,
}

/// Runs a statement that gives rows. Changes are made and committed, if it makes any.
///
/// # Errors
/// Every [`Error`] except [`Error::Closed`] and [`Error::ReadOnly`].
pub fn query(statement: &str, parameters: &[Value]) -> Result<Rows, Error> {
    Ok(binding::query(statement, parameters)?.into())
}

/// Runs a statement that gives at most one row; further rows are dropped.
///
/// # Errors
/// As [`query`].
pub fn query_one(statement: &str, parameters: &[Value]) -> Result<Option<Row>, Error> {
    Ok(query(statement, parameters)?.into_first())
}

/// Runs a statement that gives no rows, and commits it.
///
/// # Errors
/// As [`query`].
pub fn execute(statement: &str, parameters: &[Value]) -> Result<Outcome, Error> {
    Ok(binding::execute(statement, parameters)?.into())
}

/// Runs `work` in a transaction that reads and changes; one at a time per instance, others wait.
/// Commits when `work` gives `Ok`, and undoes everything when it gives `Err`.
///
/// Key-value data is in the same database: writing it inside `work` would wait for the transaction that
/// is waiting for it, and fails as busy at once. So does what a hook writes that is asked inside `work`.
///
/// # Errors
/// What `work` gave, or why the transaction could not begin or commit.
pub fn transaction<T, E: From<Error>>(
    work: impl FnOnce(&Transaction) -> Result<T, E>,
) -> Result<T, E> {
    run(binding::Mode::Write, work)
}

/// Runs `work` in a transaction that sees one consistent state and changes nothing; any number run
/// at the same time.
///
/// # Errors
/// As [`transaction`]; a change inside gives [`Error::ReadOnly`].
pub fn snapshot<T, E: From<Error>>(
    work: impl FnOnce(&Transaction) -> Result<T, E>,
) -> Result<T, E> {
    run(binding::Mode::Read, work)
}

fn run<T, E: From<Error>>(
    mode: binding::Mode,
    work: impl FnOnce(&Transaction) -> Result<T, E>,
) -> Result<T, E> {
    let transaction = Transaction(binding::begin(mode).map_err(Error::from)?);
    // Dropping the transaction rolls back, which covers the early return.
    let value = work(&transaction)?;
    transaction.0.commit().map_err(Error::from)?;
    Ok(value)
}

/// Compiles a statement for running it several times.
///
/// # Errors
/// [`Error::Statement`], [`Error::Denied`], [`Error::Storage`].
pub fn prepare(statement: &str) -> Result<Statement, Error> {
    Ok(Statement(binding::prepare(statement)?))
}

/// Statements that take effect together or not at all. See [`transaction`] and [`snapshot`].
#[derive(Debug)]
pub struct Transaction(binding::Transaction);

impl Transaction {
    /// Runs a statement that gives rows.
    ///
    /// # Errors
    /// Every [`Error`]; the transaction stays open and the statement had no effect.
    pub fn query(&self, statement: &str, parameters: &[Value]) -> Result<Rows, Error> {
        Ok(self.0.query(statement, parameters)?.into())
    }

    /// Runs a statement that gives at most one row; further rows are dropped.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub fn query_one(&self, statement: &str, parameters: &[Value]) -> Result<Option<Row>, Error> {
        Ok(self.query(statement, parameters)?.into_first())
    }

    /// Runs a statement that gives no rows.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub fn execute(&self, statement: &str, parameters: &[Value]) -> Result<Outcome, Error> {
        Ok(self.0.execute(statement, parameters)?.into())
    }
}

/// A compiled statement. See [`prepare`].
#[derive(Debug)]
pub struct Statement(binding::Statement);

impl Statement {
    /// The names of the columns that it gives; empty for one that gives no rows.
    #[must_use]
    pub fn columns(&self) -> Vec<String> {
        self.0.columns()
    }

    /// How many parameters it takes.
    #[must_use]
    pub fn parameter_count(&self) -> u32 {
        self.0.parameter_count()
    }

    /// Runs it for its rows.
    ///
    /// # Errors
    /// As [`query`].
    pub fn query(&self, parameters: &[Value]) -> Result<Rows, Error> {
        Ok(self.0.query(parameters, None)?.into())
    }

    /// Runs it for its effect.
    ///
    /// # Errors
    /// As [`execute`].
    pub fn execute(&self, parameters: &[Value]) -> Result<Outcome, Error> {
        Ok(self.0.execute(parameters, None)?.into())
    }

    /// Runs it for its rows within a transaction.
    ///
    /// # Errors
    /// As [`Transaction::query`].
    pub fn query_in(&self, transaction: &Transaction, parameters: &[Value]) -> Result<Rows, Error> {
        Ok(self.0.query(parameters, Some(&transaction.0))?.into())
    }

    /// Runs it for its effect within a transaction.
    ///
    /// # Errors
    /// As [`Transaction::execute`].
    pub fn execute_in(
        &self,
        transaction: &Transaction,
        parameters: &[Value],
    ) -> Result<Outcome, Error> {
        Ok(self.0.execute(parameters, Some(&transaction.0))?.into())
    }
}

impl From<binding::Outcome> for Outcome {
    fn from(outcome: binding::Outcome) -> Self {
        Self {
            affected: outcome.affected,
            last_insert_id: outcome.last_insert_id,
        }
    }
}
