//! What an invocation has of the capability: its open transactions, and what it may still use of its
//! limits.

use std::{collections::HashMap, sync::Arc, time::Duration};

use cloudware_capability::{Invocation, LimitReached};
use cloudware_instance_db::{Request, Value, Worked};
use cloudware_types::{Dimension, Meter};
use wasmtime::component::ResourceTableError;

use crate::{NAME, Scope, SqlError, SqlStore, SqlTransaction, limits::TRANSACTIONS_MAX};

/// The state of one invocation. Transactions are kept here and not in the table of handles, so that
/// they end with the request also where a warm sandbox keeps a handle.
pub(crate) struct Session {
    pub(crate) store: Arc<dyn SqlStore>,
    pub(crate) scope: Scope,
    transactions: HashMap<u64, Box<dyn SqlTransaction>>,
    next: u64,
}

/// What a guest's handle of a transaction stands for.
pub struct TransactionHandle {
    number: u64,
}

/// What a guest's handle of a compiled statement stands for.
pub struct StatementHandle {
    pub(crate) text: Arc<str>,
    pub(crate) columns: Vec<String>,
    pub(crate) parameter_count: u32,
}

/// How a call ends early: with a refusal that the guest sees, or by ending the invocation.
#[derive(Debug)]
pub enum Failure {
    /// The guest sees it.
    Refused(SqlError),
    /// The invocation ends.
    Trap(wasmtime::Error),
}

impl From<SqlError> for Failure {
    fn from(error: SqlError) -> Self {
        Self::Refused(error)
    }
}

impl From<LimitReached> for Failure {
    fn from(error: LimitReached) -> Self {
        Self::Trap(error.into())
    }
}

impl From<ResourceTableError> for Failure {
    fn from(error: ResourceTableError) -> Self {
        Self::Trap(error.into())
    }
}

impl Session {
    pub(crate) fn new(store: Arc<dyn SqlStore>, scope: Scope) -> Self {
        Self {
            store,
            scope,
            transactions: HashMap::new(),
            next: 0,
        }
    }

    /// Whether one more transaction may be begun.
    pub(crate) fn check_room(&self) -> Result<(), SqlError> {
        if self.transactions.len() < TRANSACTIONS_MAX {
            return Ok(());
        }
        Err(SqlError::Statement(format!(
            "{TRANSACTIONS_MAX} transactions are open already; commit or drop one first"
        )))
    }

    pub(crate) fn keep(&mut self, transaction: Box<dyn SqlTransaction>) -> TransactionHandle {
        self.next += 1;
        self.transactions.insert(self.next, transaction);
        TransactionHandle { number: self.next }
    }

    pub(crate) fn transaction(
        &mut self,
        handle: u64,
    ) -> Result<&mut Box<dyn SqlTransaction>, SqlError> {
        self.transactions.get_mut(&handle).ok_or(SqlError::Closed)
    }

    pub(crate) fn take(&mut self, handle: u64) -> Option<Box<dyn SqlTransaction>> {
        self.transactions.remove(&handle)
    }
}

impl TransactionHandle {
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

/// The invocation's session.
pub(crate) fn session(invocation: &mut Invocation) -> Result<&mut Session, Failure> {
    // Unique while the invocation runs, and the same for every capability that it calls.
    let number = Arc::as_ptr(invocation.progress()).addr() as u64;
    let session = invocation
        .state::<Session>(NAME)
        .ok_or_else(|| Failure::Trap(wasmtime::Error::msg("the capability sql is not granted")))?;
    session.scope.invocation = number;
    Ok(session)
}

/// Counts and charges a statement, and bounds it by what is left of the invocation's limits.
pub(crate) fn charge_statement(
    invocation: &mut Invocation,
    call: &'static str,
    statement: Arc<str>,
    parameters: Vec<Value>,
) -> Result<Request, Failure> {
    invocation.enter(call)?;
    invocation.charge(Meter::SqlStatements, Dimension::SqlStatements, 1)?;
    let rows_used = invocation.meters()[Meter::SqlRows];
    let rows_max = invocation.limits().get(Dimension::SqlRows);
    Ok(Request {
        statement,
        parameters,
        rows_max: rows_max.saturating_sub(rows_used),
        time_max: time_left(invocation),
    })
}

/// How long the database may still work for the invocation, a little more than nothing: so that
/// the statement that exceeds the limit is seen to exceed it.
pub(crate) fn time_left(invocation: &Invocation) -> Duration {
    let used = Duration::from_nanos(invocation.meters()[Meter::SqlNanoseconds]);
    let max = Duration::from_millis(invocation.limits().get(Dimension::SqlTime));
    max.saturating_sub(used) + Duration::from_millis(1)
}

/// Charges what a call used: its time, and the rows it gave or changed.
pub(crate) fn settle<T>(
    invocation: &mut Invocation,
    worked: Worked<T>,
    rows: impl FnOnce(&T) -> u64,
) -> Result<T, Failure> {
    invocation.charge_sql_time(worked.worked)?;
    match worked.result {
        Ok(value) => {
            invocation.charge(Meter::SqlRows, Dimension::SqlRows, rows(&value))?;
            invocation.leave();
            Ok(value)
        }
        Err(SqlError::RowsExceeded) => {
            let max = invocation.limits().get(Dimension::SqlRows);
            Err(invocation.reached(Dimension::SqlRows, max + 1, max).into())
        }
        Err(SqlError::TimeExceeded) => {
            let max = invocation.limits().get(Dimension::SqlTime);
            Err(invocation.reached(Dimension::SqlTime, max + 1, max).into())
        }
        Err(other) => Err(other.into()),
    }
}
