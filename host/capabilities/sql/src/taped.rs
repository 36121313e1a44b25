//! A store whose statements go through the tape of an invocation: noted while it is recorded, answered from the tape
//! when it runs again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use cloudware_capability::{Tape, bytes_from_json};
use cloudware_instance_db::{Description, Mode, Outcome, Request, RowSet, Value, Worked};
use cloudware_types::TableAccess;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value as Json, json};

use crate::{Scope, SqlError, SqlStore, SqlTransaction};

/// Why a call can't be repeated whose data is filtered or masked: what was decided is not among its host calls.
const DECIDED_BY_OTHERS: &str = "other extensions decide about the data that it uses";

/// A store behind a tape.
pub(crate) struct TapedSql {
    store: Arc<dyn SqlStore>,
    tape: Arc<Tape>,
    /// Transactions that were begun, which are known by their numbers.
    transactions: AtomicU64,
}

impl TapedSql {
    pub(crate) fn new(store: Arc<dyn SqlStore>, tape: Arc<Tape>) -> Self {
        Self {
            store,
            tape,
            transactions: AtomicU64::new(0),
        }
    }
}

#[async_trait]
impl SqlStore for TapedSql {
    async fn query(&self, scope: &Scope, request: Request) -> Worked<RowSet> {
        let asked = asked(&request, None);
        let live = self.store.query(scope, request);
        let (write, read) = (outcome(write_rows), answer(read_rows));
        self.tape
            .exchange("sql.query", asked, live, write, read)
            .await
    }

    async fn execute(&self, scope: &Scope, request: Request) -> Worked<Outcome> {
        let asked = asked(&request, None);
        let live = self.store.execute(scope, request);
        let (write, read) = (outcome(plain), answer(parsed));
        self.tape
            .exchange("sql.execute", asked, live, write, read)
            .await
    }

    async fn describe(
        &self,
        scope: &Scope,
        statement: Arc<str>,
        time_max: Duration,
    ) -> Worked<Description> {
        let asked = json!({ "statement": &*statement });
        let live = self.store.describe(scope, statement, time_max);
        let (write, read) = (outcome(plain), answer(parsed));
        self.tape
            .exchange("sql.describe", asked, live, write, read)
            .await
    }

    async fn examine(
        &self,
        scope: &Scope,
        statement: (Arc<str>, Arc<[Arc<str>]>),
        time_max: Duration,
    ) -> Worked<Vec<TableAccess>> {
        self.tape.end(DECIDED_BY_OTHERS);
        self.store.examine(scope, statement, time_max).await
    }

    async fn begin(&self, scope: &Scope, mode: Mode) -> Worked<Box<dyn SqlTransaction>> {
        let number = self.transactions.fetch_add(1, Ordering::Relaxed) + 1;
        let word = match mode {
            Mode::Read => "read",
            Mode::Write => "write",
        };
        let asked = json!({ "mode": word, "transaction": number });
        let live = self.store.begin(scope, mode);
        let answered = |_: &Json| Some(Box::new(Closed) as Box<dyn SqlTransaction>);
        let (write, read) = (outcome(|_| json!(number)), answer(answered));
        let begun = self
            .tape
            .exchange("sql.begin", asked, live, write, read)
            .await;
        begun.map(|transaction| {
            Box::new(TapedTransaction {
                transaction,
                number,
                tape: Arc::clone(&self.tape),
            }) as Box<dyn SqlTransaction>
        })
    }
}

/// A transaction behind a tape.
struct TapedTransaction {
    transaction: Box<dyn SqlTransaction>,
    number: u64,
    tape: Arc<Tape>,
}

#[async_trait]
impl SqlTransaction for TapedTransaction {
    async fn query(&mut self, request: Request) -> Worked<RowSet> {
        let asked = asked(&request, Some(self.number));
        let live = self.transaction.query(request);
        let (write, read) = (outcome(write_rows), answer(read_rows));
        self.tape
            .exchange("sql.transaction.query", asked, live, write, read)
            .await
    }

    async fn execute(&mut self, request: Request) -> Worked<Outcome> {
        let asked = asked(&request, Some(self.number));
        let live = self.transaction.execute(request);
        let (write, read) = (outcome(plain), answer(parsed));
        self.tape
            .exchange("sql.transaction.execute", asked, live, write, read)
            .await
    }

    async fn examine(
        &mut self,
        statement: (Arc<str>, Arc<[Arc<str>]>),
        time_max: Duration,
    ) -> Worked<Vec<TableAccess>> {
        self.tape.end(DECIDED_BY_OTHERS);
        self.transaction.examine(statement, time_max).await
    }

    async fn commit(self: Box<Self>) -> Worked<()> {
        let Self {
            transaction,
            number,
            tape,
        } = *self;
        let asked = json!({ "transaction": number });
        let live = transaction.commit();
        let (write, read) = (outcome(plain), answer(parsed));
        tape.exchange("sql.transaction.commit", asked, live, write, read)
            .await
    }

    async fn rollback(self: Box<Self>) -> Worked<()> {
        let Self {
            transaction,
            number,
            tape,
        } = *self;
        let asked = json!({ "transaction": number });
        let live = transaction.rollback();
        let (write, read) = (outcome(plain), answer(parsed));
        tape.exchange("sql.transaction.rollback", asked, live, write, read)
            .await
    }
}

/// Stands for the transaction where the tape answers in its place.
struct Closed;

#[async_trait]
impl SqlTransaction for Closed {
    async fn query(&mut self, _request: Request) -> Worked<RowSet> {
        Worked::refused(SqlError::Closed)
    }

    async fn execute(&mut self, _request: Request) -> Worked<Outcome> {
        Worked::refused(SqlError::Closed)
    }

    async fn examine(
        &mut self,
        _statement: (Arc<str>, Arc<[Arc<str>]>),
        _time_max: Duration,
    ) -> Worked<Vec<TableAccess>> {
        Worked::refused(SqlError::Closed)
    }

    async fn commit(self: Box<Self>) -> Worked<()> {
        Worked::refused(SqlError::Closed)
    }

    async fn rollback(self: Box<Self>) -> Worked<()> {
        Worked::refused(SqlError::Closed)
    }
}

/// A statement as it is noted. Its bounds are what is left of the invocation's limits, which says nothing of it.
fn asked(request: &Request, transaction: Option<u64>) -> Json {
    let parameters: Vec<_> = request.parameters.iter().map(write_value).collect();
    let mut asked = json!({ "statement": &*request.statement, "parameters": parameters });
    if let Some(number) = transaction {
        asked["transaction"] = json!(number);
    }
    asked
}

/// Notes what a call gave and how long the database worked for it.
fn outcome<T>(write: impl FnOnce(&T) -> Json + Send) -> impl FnOnce(&Worked<T>) -> Json + Send {
    |worked| {
        let nanoseconds = u64::try_from(worked.worked.as_nanos()).unwrap_or(u64::MAX);
        match &worked.result {
            Ok(value) => json!({ "worked_ns": nanoseconds, "ok": write(value) }),
            // What it says is for the operator of the platform alone.
            Err(SqlError::Unavailable(_)) => {
                json!({ "worked_ns": nanoseconds, "err": SqlError::Unavailable(String::new()) })
            }
            Err(error) => json!({ "worked_ns": nanoseconds, "err": error }),
        }
    }
}

/// What [`outcome`] noted.
fn answer<T>(
    read: impl FnOnce(&Json) -> Option<T> + Send,
) -> impl FnOnce(&Json) -> Option<Worked<T>> + Send {
    |json| {
        let result = match json.get("ok") {
            Some(value) => Ok(read(value)?),
            None => Err(parsed(json.get("err")?)?),
        };
        Some(Worked {
            worked: Duration::from_nanos(json["worked_ns"].as_u64()?),
            result,
        })
    }
}

fn plain<T: Serialize>(value: &T) -> Json {
    json!(value)
}

fn parsed<T: DeserializeOwned>(json: &Json) -> Option<T> {
    T::deserialize(json).ok()
}

fn write_rows(set: &RowSet) -> Json {
    let row = |row: &Vec<Value>| row.iter().map(write_value).collect::<Json>();
    json!({
        "columns": set.columns,
        "rows": set.rows.iter().map(row).collect::<Json>(),
        "written": set.written,
    })
}

fn read_rows(json: &Json) -> Option<RowSet> {
    let row = |row: &Json| row.as_array()?.iter().map(read_value).collect();
    Some(RowSet {
        columns: parsed(&json["columns"])?,
        rows: json["rows"]
            .as_array()?
            .iter()
            .map(row)
            .collect::<Option<_>>()?,
        // Absent from what hosts recorded that did not count it.
        written: json["written"].as_u64().unwrap_or(0),
        // Asked for only where others decide, which is not recorded.
        origins: Vec::new(),
    })
}

/// A cell. Numbers with a fraction are noted as texts, because not every reader of JSON gives back the same one.
fn write_value(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(yes) => json!(yes),
        Value::Integer(number) => json!(number),
        Value::Real(number) => json!({ "real": format!("{number:?}") }),
        Value::Text(text) => json!(text),
        Value::Blob(bytes) => json!({ "blob": cloudware_capability::bytes_to_json(bytes) }),
    }
}

fn read_value(json: &Json) -> Option<Value> {
    match json {
        Json::Null => Some(Value::Null),
        Json::Bool(yes) => Some(Value::Boolean(*yes)),
        Json::Number(number) => number.as_i64().map(Value::Integer),
        Json::String(text) => Some(Value::Text(text.clone())),
        Json::Object(members) => match (members.get("real"), members.get("blob")) {
            (Some(real), _) => real.as_str()?.parse().ok().map(Value::Real),
            (None, Some(blob)) => bytes_from_json(blob).map(Value::Blob),
            (None, None) => None,
        },
        Json::Array(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_they_were() {
        let values = [
            Value::Null,
            Value::Boolean(true),
            Value::Integer(i64::MIN),
            Value::Real(0.1 + 0.2),
            Value::Real(f64::INFINITY),
            Value::Real(-0.0),
            Value::Text("1".to_owned()),
            Value::Blob(b"1".to_vec()),
            Value::Blob(vec![0xff, 0]),
        ];
        for value in values {
            let text = write_value(&value).to_string();
            let json: Json = serde_json::from_str(&text).unwrap();
            assert_eq!(read_value(&json).unwrap(), value, "{text}");
        }
    }

    #[test]
    fn failures_are_what_they_were_and_say_nothing_of_the_host() {
        let noted = outcome(plain::<Outcome>)(&Worked::refused(SqlError::Busy));
        let read = answer(parsed::<Outcome>)(&noted).unwrap();
        assert_eq!(read.result, Err(SqlError::Busy));
        let error = SqlError::Unavailable("/var/lib/cloudware".to_owned());
        let noted = outcome(plain::<Outcome>)(&Worked::refused(error));
        assert!(!noted.to_string().contains("/var/lib"), "{noted}");
    }
}
