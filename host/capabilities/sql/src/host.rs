//! `cloudware:sql/database`.

use std::sync::Arc;

use cloudware_capability::{CapabilityLinker, Invocation};
use cloudware_instance_db::{ConstraintKind, Mode, Outcome, RowSet, Value};
use wasmtime::component::{HasData, Resource};

use crate::{
    SqlError, gate,
    session::{
        Failure, Rows, StatementHandle, TransactionHandle, charge_statement, pass, session, settle,
        settle_within, time_left,
    },
};

mod bindings {
    wasmtime::component::bindgen!({
        path: ["../../../wit/types", "../../../wit/sql"],
        world: "cloudware:sql/imports",
        imports: { default: async | trappable },
        with: {
            "cloudware:sql/database.transaction": crate::session::TransactionHandle,
            "cloudware:sql/database.statement": crate::session::StatementHandle,
        },
        trappable_error_type: { "cloudware:sql/database.error" => crate::session::Failure },
    });
}

use bindings::cloudware::{
    sql::database::{self, Host, HostStatement, HostTransaction},
    types::failures::StorageFailure,
};

pub(crate) fn link(linker: &mut CapabilityLinker) -> wasmtime::Result<()> {
    database::add_to_linker::<_, InvocationData>(linker, |invocation| invocation)
}

struct InvocationData;

impl HasData for InvocationData {
    type Data<'a> = &'a mut Invocation;
}

impl Host for Invocation {
    async fn query(
        &mut self,
        statement: String,
        parameters: Vec<database::Value>,
    ) -> Result<database::RowSet, Failure> {
        query(self, "sql.query", (statement.into(), parameters), None).await
    }

    async fn execute(
        &mut self,
        statement: String,
        parameters: Vec<database::Value>,
    ) -> Result<database::Outcome, Failure> {
        execute(self, "sql.execute", (statement.into(), parameters), None).await
    }

    async fn begin(
        &mut self,
        mode: database::Mode,
    ) -> Result<Resource<TransactionHandle>, Failure> {
        self.enter("sql.begin")?;
        let mode = match mode {
            database::Mode::Read => Mode::Read,
            database::Mode::Write => Mode::Write,
        };
        let state = session(self)?;
        state.check_room()?;
        let begun = state.store.begin(&state.scope, mode).await;
        let transaction = settle(self, begun, |_| Rows::default())?;
        let handle = session(self)?.keep(transaction);
        Ok(self.table.push(handle)?)
    }

    async fn prepare(&mut self, statement: String) -> Result<Resource<StatementHandle>, Failure> {
        self.enter("sql.prepare")?;
        let text: Arc<str> = statement.into();
        let time_max = time_left(self);
        let state = session(self)?;
        let described = state
            .store
            .describe(&state.scope, Arc::clone(&text), time_max)
            .await;
        let description = settle(self, described, |_| Rows::default())?;
        let statement = StatementHandle {
            text,
            columns: description.columns,
            parameter_count: description.parameter_count,
        };
        let held = self.memory.hold(statement.bytes());
        held.map_err(Failure::Trap)?;
        Ok(self.table.push(statement)?)
    }

    fn convert_error(&mut self, failure: Failure) -> wasmtime::Result<database::Error> {
        let refusal = match failure {
            // The call is not left: the stop says that the guest was in it.
            Failure::Trap(error) => return Err(error),
            Failure::Refused(refusal) => refusal,
        };
        self.leave();
        Ok(match refusal {
            SqlError::Statement(text) => database::Error::Statement(text),
            SqlError::Parameters(text) => database::Error::Parameters(text),
            SqlError::Denied(text) => database::Error::Denied(text),
            SqlError::Constraint(violation) => database::Error::Constraint(database::Violation {
                kind: match violation.kind {
                    ConstraintKind::Unique => database::ConstraintKind::Unique,
                    ConstraintKind::NotNull => database::ConstraintKind::NotNull,
                    ConstraintKind::Check => database::ConstraintKind::Check,
                    ConstraintKind::ForeignKey => database::ConstraintKind::ForeignKey,
                    ConstraintKind::Other => database::ConstraintKind::Other,
                },
                subject: violation.subject,
            }),
            SqlError::ReadOnly => database::Error::ReadOnly,
            SqlError::Closed => database::Error::Closed,
            SqlError::Busy => database::Error::Storage(StorageFailure::Busy),
            SqlError::Full => {
                self.note_full();
                database::Error::Storage(StorageFailure::Full)
            }
            SqlError::Unavailable(_) => database::Error::Storage(StorageFailure::Unavailable),
            // These end the invocation where they occur.
            SqlError::RowsReadExceeded | SqlError::RowsWrittenExceeded | SqlError::TimeExceeded => {
                return Err(wasmtime::Error::from(refusal));
            }
        })
    }
}

impl HostTransaction for Invocation {
    async fn query(
        &mut self,
        transaction: Resource<TransactionHandle>,
        statement: String,
        parameters: Vec<database::Value>,
    ) -> Result<database::RowSet, Failure> {
        let call = (statement.into(), parameters);
        query(self, "sql.transaction.query", call, Some(&transaction)).await
    }

    async fn execute(
        &mut self,
        transaction: Resource<TransactionHandle>,
        statement: String,
        parameters: Vec<database::Value>,
    ) -> Result<database::Outcome, Failure> {
        let call = (statement.into(), parameters);
        execute(self, "sql.transaction.execute", call, Some(&transaction)).await
    }

    async fn commit(&mut self, transaction: Resource<TransactionHandle>) -> Result<(), Failure> {
        self.enter("sql.transaction.commit")?;
        let number = self.table.get(&transaction)?.number();
        let open = session(self)?.take(number).ok_or(SqlError::Closed)?;
        let committed = open.commit().await;
        settle(self, committed, |()| Rows::default())
    }

    async fn rollback(&mut self, transaction: Resource<TransactionHandle>) -> Result<(), Failure> {
        self.enter("sql.transaction.rollback")?;
        let number = self.table.get(&transaction)?.number();
        let open = session(self)?.take(number).ok_or(SqlError::Closed)?;
        let undone = open.rollback().await;
        settle(self, undone, |()| Rows::default())
    }

    async fn drop(&mut self, transaction: Resource<TransactionHandle>) -> wasmtime::Result<()> {
        let number = self.table.delete(transaction)?.number();
        if let Ok(session) = session(self) {
            drop(session.take(number));
        }
        Ok(())
    }
}

impl HostStatement for Invocation {
    async fn columns(
        &mut self,
        statement: Resource<StatementHandle>,
    ) -> wasmtime::Result<Vec<String>> {
        Ok(self.table.get(&statement)?.columns.clone())
    }

    async fn parameter_count(
        &mut self,
        statement: Resource<StatementHandle>,
    ) -> wasmtime::Result<u32> {
        Ok(self.table.get(&statement)?.parameter_count)
    }

    async fn query(
        &mut self,
        statement: Resource<StatementHandle>,
        parameters: Vec<database::Value>,
        within: Option<Resource<TransactionHandle>>,
    ) -> Result<database::RowSet, Failure> {
        let text = Arc::clone(&self.table.get(&statement)?.text);
        let call = (text, parameters);
        query(self, "sql.statement.query", call, within.as_ref()).await
    }

    async fn execute(
        &mut self,
        statement: Resource<StatementHandle>,
        parameters: Vec<database::Value>,
        within: Option<Resource<TransactionHandle>>,
    ) -> Result<database::Outcome, Failure> {
        let text = Arc::clone(&self.table.get(&statement)?.text);
        let call = (text, parameters);
        execute(self, "sql.statement.execute", call, within.as_ref()).await
    }

    async fn drop(&mut self, statement: Resource<StatementHandle>) -> wasmtime::Result<()> {
        let statement = self.table.delete(statement)?;
        self.memory.release(statement.bytes());
        Ok(())
    }
}

/// Text and parameters as they come from the guest; the database bounds the length of the text and the
/// number of parameters before it looks at either.
type Call = (Arc<str>, Vec<database::Value>);

/// The transaction of a handle.
fn number(
    invocation: &Invocation,
    handle: Option<&Resource<TransactionHandle>>,
) -> Result<Option<u64>, Failure> {
    match handle {
        None => Ok(None),
        Some(handle) => Ok(Some(invocation.table.get(handle)?.number())),
    }
}

async fn query(
    invocation: &mut Invocation,
    name: &'static str,
    (statement, parameters): Call,
    within: Option<&Resource<TransactionHandle>>,
) -> Result<database::RowSet, Failure> {
    let parameters = parameters.into_iter().map(Into::into).collect();
    let mut request = charge_statement(invocation, name, statement, parameters)?;
    let within = number(invocation, within)?;
    gate::pass(invocation, &mut request, within).await?;
    let rules = request.access.clone();
    let worked = match within {
        None => {
            let state = session(invocation)?;
            state.store.query(&state.scope, request).await
        }
        Some(number) => {
            let transaction = session(invocation)?.transaction(number)?;
            transaction.query(request).await
        }
    };
    let set = settle_within(invocation, worked, |set: &RowSet| Rows {
        read: set.rows.len() as u64,
        written: set.written,
    })?;
    let set = gate::mask(invocation, rules.as_deref(), set).await?;
    pass(invocation, set.rows.iter().flatten())?;
    invocation.leave();
    let cells = |row: Vec<Value>| row.into_iter().map(Into::into).collect();
    Ok(database::RowSet {
        columns: set.columns,
        rows: set.rows.into_iter().map(cells).collect(),
    })
}

async fn execute(
    invocation: &mut Invocation,
    name: &'static str,
    (statement, parameters): Call,
    within: Option<&Resource<TransactionHandle>>,
) -> Result<database::Outcome, Failure> {
    let parameters = parameters.into_iter().map(Into::into).collect();
    let mut request = charge_statement(invocation, name, statement, parameters)?;
    let within = number(invocation, within)?;
    gate::pass(invocation, &mut request, within).await?;
    let worked = match within {
        None => {
            let state = session(invocation)?;
            state.store.execute(&state.scope, request).await
        }
        Some(number) => {
            let transaction = session(invocation)?.transaction(number)?;
            transaction.execute(request).await
        }
    };
    let outcome = settle(invocation, worked, |outcome: &Outcome| Rows {
        read: 0,
        written: outcome.written,
    })?;
    Ok(database::Outcome {
        affected: outcome.affected,
        last_insert_id: outcome.last_insert_id,
    })
}

impl From<database::Value> for Value {
    fn from(value: database::Value) -> Self {
        match value {
            database::Value::Null => Self::Null,
            database::Value::Boolean(yes) => Self::Boolean(yes),
            database::Value::Integer(number) => Self::Integer(number),
            database::Value::Real(number) => Self::Real(number),
            database::Value::Text(text) => Self::Text(text),
            database::Value::Blob(bytes) => Self::Blob(bytes),
        }
    }
}

impl From<Value> for database::Value {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Boolean(yes) => Self::Boolean(yes),
            Value::Integer(number) => Self::Integer(number),
            Value::Real(number) => Self::Real(number),
            Value::Text(text) => Self::Text(text),
            Value::Blob(bytes) => Self::Blob(bytes),
        }
    }
}
