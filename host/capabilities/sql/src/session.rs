//! What an invocation has of the capability: its open transactions, and what it may still use of its
//! limits.

use std::{collections::HashMap, sync::Arc, time::Duration};

use cloudware_capability::{Invocation, LimitReached, UsageSink};
use cloudware_instance_db::{Abandoned, OnAbandoned, Request, Value, Worked};
use cloudware_types::{Dimension, Meter, Meters};
use wasmtime::component::ResourceTableError;

use crate::{
    NAME, Scope, SqlError, SqlStore, SqlTransaction, gate::Gate, limits::TRANSACTIONS_MAX,
};

/// The state of one invocation. Transactions are kept here and not in the table of handles, so that
/// they end with the request also where a warm sandbox keeps a handle.
pub(crate) struct Session {
    pub(crate) store: Arc<dyn SqlStore>,
    pub(crate) scope: Scope,
    pub(crate) gate: Gate,
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

/// Bytes that the name of a column takes beside its text.
const COLUMN_BYTES: usize = size_of::<String>() + 16;

impl StatementHandle {
    /// Bytes that the host holds for it.
    pub(crate) fn bytes(&self) -> u64 {
        let column = |name: &String| COLUMN_BYTES + name.len();
        let columns: usize = self.columns.iter().map(column).sum();
        (self.text.len() + columns) as u64
    }
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
            gate: Gate::Unknown,
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
    let chain = invocation.chain();
    let usage = invocation.usage().cloned();
    let session = invocation
        .state::<Session>(NAME)
        .ok_or_else(|| Failure::Trap(wasmtime::Error::msg("the capability sql is not granted")))?;
    session.scope.invocation = chain;
    if session.scope.on_abandoned.is_none() {
        session.scope.on_abandoned = usage.map(meter_abandoned);
    }
    Ok(session)
}

/// Meters the work for calls that end with the invocation: it has been metered itself when they have ended.
fn meter_abandoned(usage: Arc<dyn UsageSink>) -> OnAbandoned {
    OnAbandoned::new(move |abandoned: Abandoned| {
        let mut meters = Meters::default();
        let worked = abandoned.worked.as_nanos();
        meters[Meter::SqlNanoseconds] = u64::try_from(worked).unwrap_or(u64::MAX);
        meters[Meter::SqlRowsRead] = abandoned.rows_read;
        meters[Meter::SqlRowsWritten] = abandoned.rows_written;
        usage.add(&meters);
    })
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
    pass(invocation, &parameters)?;
    let left = |meter, dimension| {
        let max = invocation.limit(dimension);
        max.saturating_sub(invocation.meters()[meter])
    };
    Ok(Request {
        statement,
        parameters,
        rows_read_max: left(Meter::SqlRowsRead, Dimension::SqlRowsRead),
        rows_written_max: left(Meter::SqlRowsWritten, Dimension::SqlRowsWritten),
        time_max: time_left(invocation),
        access: None,
    })
}

/// Counts values that a call holds until it has returned.
pub(crate) fn pass<'a>(
    invocation: &mut Invocation,
    values: impl IntoIterator<Item = &'a Value>,
) -> Result<(), Failure> {
    let value = |value: &Value| match value {
        Value::Text(text) => text.len(),
        Value::Blob(bytes) => bytes.len(),
        _ => 0,
    };
    let bytes = values
        .into_iter()
        .map(|one| size_of::<Value>() + value(one))
        .sum();
    invocation.memory.pass(bytes).map_err(Failure::Trap)
}

/// How long the database may still work for the invocation, a little more than nothing: so that
/// the statement that exceeds the limit is seen to exceed it.
pub(crate) fn time_left(invocation: &Invocation) -> Duration {
    let used = Duration::from_nanos(invocation.meters()[Meter::SqlNanoseconds]);
    let max = Duration::from_millis(invocation.limit(Dimension::SqlTime));
    max.saturating_sub(used) + Duration::from_millis(1)
}

/// Rows that a call gave and changed.
#[derive(Clone, Copy, Default)]
pub(crate) struct Rows {
    pub(crate) read: u64,
    pub(crate) written: u64,
}

/// Charges what a call used, its time and the rows it gave or changed, and ends it.
pub(crate) fn settle<T>(
    invocation: &mut Invocation,
    worked: Worked<T>,
    rows: impl FnOnce(&T) -> Rows,
) -> Result<T, Failure> {
    let value = settle_within(invocation, worked, rows)?;
    invocation.leave();
    Ok(value)
}

/// As [`settle`], in the midst of a call.
pub(crate) fn settle_within<T>(
    invocation: &mut Invocation,
    worked: Worked<T>,
    rows: impl FnOnce(&T) -> Rows,
) -> Result<T, Failure> {
    let in_time = invocation.charge_sql_time(worked.worked);
    let error = match worked.result {
        Ok(value) => {
            // What was done is counted, whichever limit ends the run for it.
            let Rows { read, written } = rows(&value);
            let read = invocation.charge(Meter::SqlRowsRead, Dimension::SqlRowsRead, read);
            let max = Dimension::SqlRowsWritten;
            let written = invocation.charge(Meter::SqlRowsWritten, max, written);
            in_time.and(read).and(written)?;
            return Ok(value);
        }
        Err(error) => error,
    };
    if matches!(error, SqlError::RowsReadExceeded) {
        // The database has read one row more than it might.
        let max = invocation.limit(Dimension::SqlRowsRead);
        let left = max.saturating_sub(invocation.meters()[Meter::SqlRowsRead]);
        invocation.count(Meter::SqlRowsRead, left.saturating_add(1));
    }
    in_time?;
    match error {
        SqlError::RowsReadExceeded => Err(exceeded(invocation, Dimension::SqlRowsRead)),
        SqlError::RowsWrittenExceeded => Err(exceeded(invocation, Dimension::SqlRowsWritten)),
        SqlError::TimeExceeded => Err(exceeded(invocation, Dimension::SqlTime)),
        other => Err(other.into()),
    }
}

/// The database ended a call at the limit, so that how far it would have gone is not known.
fn exceeded(invocation: &mut Invocation, dimension: Dimension) -> Failure {
    let max = invocation.limit(dimension);
    let used = max.saturating_add(1);
    invocation.reached(dimension, used, max).into()
}
