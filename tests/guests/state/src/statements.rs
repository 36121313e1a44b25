//! SQL as the request asks for it.

use cloudware_sdk::{
    http::{Problem, Request, Response},
    params,
    sql::{self, ConstraintKind, Rows, Transaction, Value},
};
use serde::Deserialize;
use serde_json::json;

use crate::{number, refusal};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    statement: String,
    #[serde(default)]
    parameters: Vec<serde_json::Value>,
    #[serde(default)]
    how: How,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
enum How {
    #[default]
    Query,
    Execute,
    Prepared,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    #[serde(default)]
    mode: Mode,
    statements: Vec<Statement>,
    #[serde(default)]
    end: End,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    #[default]
    Write,
    Read,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
enum End {
    #[default]
    Commit,
    Rollback,
}

/// Why a script ended without its transaction being committed.
enum Ended {
    /// As asked, with the results so far.
    AsAsked(Vec<serde_json::Value>),
    Refused(sql::Error),
}

impl From<sql::Error> for Ended {
    fn from(error: sql::Error) -> Self {
        Self::Refused(error)
    }
}

/// Runs the statement of the query for its rows.
pub fn query(request: Request) -> Response {
    let statement = request.query("statement").unwrap_or_default();
    answer(sql::query(&statement, &[]).map(|rows| rows_as_json(&rows)))
}

/// Runs the statement of the body.
pub fn run(request: Request) -> Result<Response, Problem> {
    let statement: Statement = request.json()?;
    let parameters = values(statement.parameters);
    let text = &statement.statement;
    Ok(answer(match statement.how {
        How::Query => sql::query(text, &parameters).map(|rows| rows_as_json(&rows)),
        How::Execute => sql::execute(text, &parameters).map(outcome_as_json),
        How::Prepared => run_prepared(text, &parameters),
    }))
}

fn run_prepared(text: &str, parameters: &[Value]) -> Result<serde_json::Value, sql::Error> {
    let statement = sql::prepare(text)?;
    let result = if statement.columns().is_empty() {
        outcome_as_json(statement.execute(parameters)?)
    } else {
        rows_as_json(&statement.query(parameters)?)
    };
    Ok(json!({"parameters": statement.parameter_count(), "result": result}))
}

/// Runs the statements of the body in one transaction.
pub fn transaction(request: Request) -> Result<Response, Problem> {
    let script: Script = request.json()?;
    let work = |tx: &Transaction| -> Result<Vec<serde_json::Value>, Ended> {
        let results = script
            .statements
            .into_iter()
            .map(|statement| run_in(tx, statement))
            .collect::<Result<Vec<_>, _>>()?;
        match script.end {
            End::Commit => Ok(results),
            // The SDK rolls back when the work gives an error.
            End::Rollback => Err(Ended::AsAsked(results)),
        }
    };
    let result = match script.mode {
        Mode::Write => sql::transaction(work),
        Mode::Read => sql::snapshot(work),
    };
    Ok(match result {
        Ok(results) | Err(Ended::AsAsked(results)) => Response::json(&results),
        Err(Ended::Refused(error)) => refused(&error),
    })
}

fn run_in(tx: &Transaction, statement: Statement) -> Result<serde_json::Value, sql::Error> {
    let parameters = values(statement.parameters);
    let text = &statement.statement;
    match statement.how {
        How::Query => tx.query(text, &parameters).map(|rows| rows_as_json(&rows)),
        How::Execute => tx.execute(text, &parameters).map(outcome_as_json),
        How::Prepared => {
            let statement = sql::prepare(text)?;
            if statement.columns().is_empty() {
                statement.execute_in(tx, &parameters).map(outcome_as_json)
            } else {
                let rows = statement.query_in(tx, &parameters)?;
                Ok(rows_as_json(&rows))
            }
        }
    }
}

/// Keeps a write transaction open for a while and commits it.
pub fn hold(request: Request) -> Response {
    let milliseconds = number(&request, "ms").unwrap_or(0);
    let result = sql::transaction(|tx| {
        let outcome = tx.execute("INSERT INTO probe_rows (number) VALUES (?)", params![1])?;
        wasip2::clocks::monotonic_clock::subscribe_duration(milliseconds.saturating_mul(1_000_000))
            .block();
        Ok::<_, sql::Error>(outcome)
    });
    answer(result.map(outcome_as_json))
}

/// Begins transactions within each other and ends none before the last has begun.
pub fn leak(request: Request) -> Response {
    fn nest(left: u64) -> Result<(), sql::Error> {
        sql::snapshot(|_| if left > 1 { nest(left - 1) } else { Ok(()) })
    }
    let count = number(&request, "count").unwrap_or(1);
    answer(nest(count).map(|()| json!({"begun": count})))
}

/// Keeps ever more prepared statements, each with so much text.
pub fn keep(request: Request) -> Response {
    let bytes = number(&request, "bytes").unwrap_or(1);
    let text = format!(
        "SELECT '{}'",
        "x".repeat(usize::try_from(bytes).unwrap_or(0))
    );
    loop {
        match sql::prepare(&text) {
            Ok(statement) => std::mem::forget(statement),
            Err(error) => return refused(&error),
        }
    }
}

/// Writes three rows and reads two.
pub fn write_and_read() {
    let rows = "INSERT INTO probe_rows (label) VALUES ('x'), ('y'), ('z')";
    sql::execute(rows, &[]).expect("rows are written");
    let read = sql::query("SELECT label FROM probe_rows LIMIT 2", &[]).expect("rows are read");
    drop(read);
}

fn answer(result: Result<serde_json::Value, sql::Error>) -> Response {
    match result {
        Ok(value) => Response::json(&value),
        Err(error) => refused(&error),
    }
}

fn refused(error: &sql::Error) -> Response {
    let kind = match error {
        sql::Error::Statement(_) => "statement",
        sql::Error::Parameters(_) => "parameters",
        sql::Error::Denied(_) => "denied",
        sql::Error::Constraint(violation) => match violation.kind {
            ConstraintKind::Unique => "constraint-unique",
            ConstraintKind::NotNull => "constraint-not-null",
            ConstraintKind::Check => "constraint-check",
            ConstraintKind::ForeignKey => "constraint-foreign-key",
            ConstraintKind::Other => "constraint-other",
        },
        sql::Error::ReadOnly => "read-only",
        sql::Error::Closed => "closed",
        sql::Error::Storage(failure) => storage_kind(*failure),
        _ => "other",
    };
    refusal(kind, error.to_string())
}

/// The word for a storage failure.
pub fn storage_kind(failure: cloudware_sdk::StorageFailure) -> &'static str {
    match failure {
        cloudware_sdk::StorageFailure::Busy => "busy",
        cloudware_sdk::StorageFailure::Full => "full",
        cloudware_sdk::StorageFailure::Unavailable => "unavailable",
    }
}

fn outcome_as_json(outcome: sql::Outcome) -> serde_json::Value {
    json!({"affected": outcome.affected, "last_insert_id": outcome.last_insert_id})
}

fn rows_as_json(rows: &Rows) -> serde_json::Value {
    let cells = |row: &sql::Row| row.cells().iter().map(cell_as_json).collect::<Vec<_>>();
    let list: Vec<_> = rows.into_iter().map(cells).collect();
    json!({"columns": rows.columns(), "rows": list})
}

fn cell_as_json(cell: &Value) -> serde_json::Value {
    match cell {
        Value::Null => serde_json::Value::Null,
        Value::Boolean(value) => json!(value),
        Value::Integer(value) => json!(value),
        Value::Real(value) => json!(value),
        Value::Text(value) => json!(value),
        Value::Blob(bytes) => json!({"blob": bytes}),
    }
}

/// JSON parameters as SQL values; an array of numbers is a blob.
fn values(parameters: Vec<serde_json::Value>) -> Vec<Value> {
    parameters
        .into_iter()
        .map(|parameter| match parameter {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(value) => Value::Boolean(value),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(integer) => Value::Integer(integer),
                None => Value::Real(number.as_f64().unwrap_or_default()),
            },
            serde_json::Value::String(text) => Value::Text(text),
            other => serde_json::from_value(other).map_or(Value::Null, Value::Blob),
        })
        .collect()
}
