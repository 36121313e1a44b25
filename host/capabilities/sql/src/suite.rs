//! What every backend must do. A backend's test calls [`run`] with a way to open it, each time anew, over
//! the same data, and a way to bring a schema into an instance. Panics with what was wrong.

use std::{future::Future, sync::Arc, time::Duration};

use cloudware_instance_db::{ConstraintKind, Mode, Outcome, Request, RowSet, Value, Worked};
use cloudware_types::{InstanceId, Migration, RunChain};

use crate::{Scope, SqlError, SqlStore, SqlTransaction};

/// How many tasks compete for one row.
const RIVALS: usize = 200;

const SCHEMA: &str = "
    CREATE TABLE stock_items (
        id INTEGER PRIMARY KEY,
        sku TEXT NOT NULL UNIQUE,
        amount INTEGER NOT NULL DEFAULT 0 CHECK (amount >= 0),
        version INTEGER NOT NULL DEFAULT 1,
        fragile BOOLEAN
    );
    CREATE TABLE stock_moves (
        id INTEGER PRIMARY KEY,
        item INTEGER NOT NULL REFERENCES stock_items (id),
        note TEXT
    );
";

/// A backend under test.
pub trait Fixture: Send + Sync {
    /// Opens the backend over the same data as before.
    fn open(&self) -> Arc<dyn SqlStore>;

    /// Applies an app's schema to an instance.
    fn migrate(&self, scope: &Scope, migration: Migration) -> impl Future<Output = ()> + Send;
}

/// Checks a backend.
pub async fn run(fixture: impl Fixture) {
    let store = fixture.open();
    let bench = Bench {
        fixture: &fixture,
        store: &store,
    };
    values_come_back_as_they_were(&bench).await;
    outcomes_say_what_was_done(&bench).await;
    parameters_must_fit(&bench).await;
    broken_constraints_are_named(&bench).await;
    a_transaction_is_all_or_nothing(&bench).await;
    a_reader_sees_one_moment(&bench).await;
    a_refused_statement_leaves_its_transaction_open(&bench).await;
    an_update_on_condition_has_one_winner(&bench).await;
    apps_and_instances_are_apart(&bench).await;
    bounds_of_a_call_hold(&bench).await;
    a_full_storage_refuses(&bench).await;
    acknowledged_is_durable(&fixture).await;
}

struct Bench<'f, F> {
    fixture: &'f F,
    store: &'f Arc<dyn SqlStore>,
}

impl<F: Fixture> Bench<'_, F> {
    /// A new instance with the schema of the app `stock`.
    async fn scope(&self) -> Scope {
        let scope = scope_of(InstanceId::generate(), "stock");
        self.fixture.migrate(&scope, migration(SCHEMA)).await;
        scope
    }
}

fn scope_of(instance: InstanceId, namespace: &str) -> Scope {
    Scope {
        instance,
        app: namespace
            .parse()
            .expect("the suite's namespaces are app names too"),
        weight: 100,
        namespace: namespace.parse().expect("the suite's namespaces are valid"),
        storage_bytes_max: 64 << 20,
        invocation: RunChain::NOBODY,
        on_abandoned: None,
    }
}

fn migration(up: &str) -> Migration {
    Migration {
        version: 1,
        name: "first".into(),
        up: up.into(),
        down: None,
    }
}

fn request(statement: &str, parameters: &[Value]) -> Request {
    Request {
        statement: statement.into(),
        parameters: parameters.to_vec(),
        rows_read_max: 10_000,
        rows_written_max: 10_000,
        time_max: Duration::from_secs(10),
        access: None,
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

async fn execute(store: &dyn SqlStore, scope: &Scope, statement: &str) -> Outcome {
    let worked = store.execute(scope, request(statement, &[])).await;
    worked
        .result
        .unwrap_or_else(|error| panic!("{statement}: {error}"))
}

async fn query(store: &dyn SqlStore, scope: &Scope, statement: &str) -> RowSet {
    let worked = store.query(scope, request(statement, &[])).await;
    worked
        .result
        .unwrap_or_else(|error| panic!("{statement}: {error}"))
}

async fn number(store: &dyn SqlStore, scope: &Scope, statement: &str) -> i64 {
    match query(store, scope, statement).await.rows.as_slice() {
        [row] if matches!(row[..], [Value::Integer(_)]) => match row[0] {
            Value::Integer(number) => number,
            _ => unreachable!("just matched"),
        },
        other => panic!("{statement} gave {other:?}"),
    }
}

async fn begin(store: &dyn SqlStore, scope: &Scope, mode: Mode) -> Box<dyn SqlTransaction> {
    let begun = store.begin(scope, mode).await;
    begun.result.expect("a transaction begins")
}

fn done<T>(worked: Worked<T>) -> T {
    worked.result.expect("the statement succeeds")
}

fn refused<T>(worked: Worked<T>) -> SqlError {
    match worked.result {
        Ok(_) => panic!("the statement was not refused"),
        Err(error) => error,
    }
}

async fn values_come_back_as_they_were<F: Fixture>(bench: &Bench<'_, F>) {
    let scope = bench.scope().await;
    let values = [
        Value::Null,
        Value::Integer(i64::MIN),
        Value::Real(-0.5),
        text("a'b\"ö\u{1F4E6}\0c"),
        Value::Blob(vec![0, 255, 39]),
    ];
    let asked = request("SELECT ?1 AS n, ?2, ?3, ?4, ?5", &values);
    let set = done(bench.store.query(&scope, asked).await);
    assert_eq!(set.columns[0], "n");
    assert_eq!(set.rows, [values.to_vec()]);
    for fragile in [Value::Boolean(true), Value::Boolean(false), Value::Null] {
        let set_to = request(
            "INSERT INTO stock_items (id, sku, fragile) VALUES (1, 'a', $1)
             ON CONFLICT (id) DO UPDATE SET fragile = excluded.fragile",
            std::slice::from_ref(&fragile),
        );
        done(bench.store.execute(&scope, set_to).await);
        let set = query(&**bench.store, &scope, "SELECT fragile FROM stock_items").await;
        assert_eq!(set.rows, [[fragile]]);
    }
}

async fn outcomes_say_what_was_done<F: Fixture>(bench: &Bench<'_, F>) {
    let scope = bench.scope().await;
    let store = &**bench.store;
    let insert = "INSERT INTO stock_items (id, sku) VALUES (40, 'a'), (41, 'b')";
    let outcome = execute(store, &scope, insert).await;
    assert_eq!((outcome.affected, outcome.last_insert_id), (2, 41));
    let outcome = execute(store, &scope, "UPDATE stock_items SET amount = 5").await;
    assert_eq!((outcome.affected, outcome.last_insert_id), (2, 0));
    let outcome = execute(store, &scope, "DELETE FROM stock_items WHERE id = 7").await;
    assert_eq!((outcome.affected, outcome.last_insert_id), (0, 0));
    let returning = "INSERT INTO stock_items (sku) VALUES ('c') RETURNING id, sku";
    let set = query(store, &scope, returning).await;
    assert_eq!(set.rows, [[Value::Integer(42), text("c")]]);
    assert_eq!(
        number(store, &scope, "SELECT count(*) FROM stock_items").await,
        3
    );
    let empty = query(store, &scope, "SELECT sku FROM stock_items WHERE id = 0").await;
    assert_eq!(
        (empty.columns, empty.rows.len()),
        (vec!["sku".to_owned()], 0)
    );
    let with_rows = store.execute(&scope, request("SELECT 1", &[])).await;
    assert!(matches!(refused(with_rows), SqlError::Statement(_)));
    let without = store
        .query(&scope, request("DELETE FROM stock_items", &[]))
        .await;
    assert!(matches!(refused(without), SqlError::Statement(_)));
    assert_eq!(
        number(store, &scope, "SELECT count(*) FROM stock_items").await,
        3
    );
}

async fn parameters_must_fit<F: Fixture>(bench: &Bench<'_, F>) {
    let scope = bench.scope().await;
    let two = [Value::Integer(1), Value::Integer(2)];
    for statement in ["SELECT $2 - $1", "SELECT ?2 - ?1", "SELECT -? + ?"] {
        let set = done(bench.store.query(&scope, request(statement, &two)).await);
        assert_eq!(set.rows, [[Value::Integer(1)]], "{statement}");
    }
    for (statement, given) in [
        ("SELECT ?", &two[..]),
        ("SELECT ?, ?", &two[..1]),
        ("SELECT :name", &two[..1]),
        ("SELECT $1, ?", &two[..]),
    ] {
        let refusal = refused(bench.store.query(&scope, request(statement, given)).await);
        assert!(
            matches!(refusal, SqlError::Parameters(_)),
            "{statement}: {refusal:?}"
        );
    }
    let time = Duration::from_secs(5);
    let described = bench.store.describe(
        &scope,
        "SELECT id, sku FROM stock_items WHERE id = $3".into(),
        time,
    );
    let description = done(described.await);
    assert_eq!(description.columns, ["id", "sku"]);
    assert_eq!(description.parameter_count, 3);
}

async fn broken_constraints_are_named<F: Fixture>(bench: &Bench<'_, F>) {
    let scope = bench.scope().await;
    execute(
        &**bench.store,
        &scope,
        "INSERT INTO stock_items (id, sku) VALUES (1, 'a')",
    )
    .await;
    for (statement, kind, subject) in [
        (
            "INSERT INTO stock_items (sku) VALUES ('a')",
            ConstraintKind::Unique,
            "stock_items.sku",
        ),
        (
            "INSERT INTO stock_items (id, sku) VALUES (1, 'b')",
            ConstraintKind::Unique,
            "stock_items.id",
        ),
        (
            "INSERT INTO stock_items (sku) VALUES (NULL)",
            ConstraintKind::NotNull,
            "stock_items.sku",
        ),
        (
            "UPDATE stock_items SET amount = -1",
            ConstraintKind::Check,
            "amount",
        ),
        (
            "INSERT INTO stock_moves (item) VALUES (99)",
            ConstraintKind::ForeignKey,
            "",
        ),
    ] {
        let refusal = refused(bench.store.execute(&scope, request(statement, &[])).await);
        let SqlError::Constraint(violation) = refusal else {
            panic!("{statement}: {refusal:?}");
        };
        assert_eq!(violation.kind, kind, "{statement}");
        assert!(
            violation.subject.contains(subject),
            "{statement}: {violation:?}"
        );
    }
}

async fn a_transaction_is_all_or_nothing<F: Fixture>(bench: &Bench<'_, F>) {
    let scope = bench.scope().await;
    let store = &**bench.store;
    let insert = |sku: &str| request("INSERT INTO stock_items (sku) VALUES (?)", &[text(sku)]);
    let count = "SELECT count(*) FROM stock_items";
    let mut kept = begin(store, &scope, Mode::Write).await;
    done(kept.execute(insert("a")).await);
    done(kept.execute(insert("b")).await);
    let inside = done(kept.query(request(count, &[])).await);
    assert_eq!(inside.rows, [[Value::Integer(2)]]);
    assert_eq!(
        number(store, &scope, count).await,
        0,
        "others see nothing of it yet"
    );
    done(kept.commit().await);
    assert_eq!(number(store, &scope, count).await, 2);
    let mut undone = begin(store, &scope, Mode::Write).await;
    done(undone.execute(insert("c")).await);
    done(undone.rollback().await);
    let mut dropped = begin(store, &scope, Mode::Write).await;
    done(dropped.execute(insert("d")).await);
    drop(dropped);
    execute(store, &scope, "INSERT INTO stock_items (sku) VALUES ('e')").await;
    assert_eq!(
        number(store, &scope, count).await,
        3,
        "neither c nor d is there"
    );
}

async fn a_reader_sees_one_moment<F: Fixture>(bench: &Bench<'_, F>) {
    let scope = bench.scope().await;
    let store = &**bench.store;
    let count = || request("SELECT count(*) FROM stock_items", &[]);
    let mut reader = begin(store, &scope, Mode::Read).await;
    execute(store, &scope, "INSERT INTO stock_items (sku) VALUES ('a')").await;
    assert_eq!(
        done(reader.query(count()).await).rows,
        [[Value::Integer(0)]]
    );
    let change = request("INSERT INTO stock_items (sku) VALUES ('b')", &[]);
    assert_eq!(refused(reader.execute(change).await), SqlError::ReadOnly);
    let hidden = request(
        "INSERT INTO stock_items (sku) VALUES ('b') RETURNING id",
        &[],
    );
    assert_eq!(refused(reader.query(hidden).await), SqlError::ReadOnly);
    assert_eq!(
        done(reader.query(count()).await).rows,
        [[Value::Integer(0)]]
    );
    done(reader.commit().await);
    assert_eq!(
        done(store.query(&scope, count()).await).rows,
        [[Value::Integer(1)]]
    );
}

async fn a_refused_statement_leaves_its_transaction_open<F: Fixture>(bench: &Bench<'_, F>) {
    let scope = bench.scope().await;
    let store = &**bench.store;
    let mut open = begin(store, &scope, Mode::Write).await;
    done(
        open.execute(request(
            "INSERT INTO stock_items (id, sku) VALUES (1, 'a')",
            &[],
        ))
        .await,
    );
    for statement in [
        "INSERT INTO stock_items (sku) VALUES ('x'), ('a')",
        "INSERT INTO nothing VALUES (1)",
        "SELEKT 1",
        "COMMIT",
        "SAVEPOINT x",
    ] {
        refused(open.execute(request(statement, &[])).await);
    }
    done(
        open.execute(request("INSERT INTO stock_items (sku) VALUES ('b')", &[]))
            .await,
    );
    done(open.commit().await);
    let skus = query(store, &scope, "SELECT sku FROM stock_items ORDER BY id").await;
    assert_eq!(skus.rows, [[text("a")], [text("b")]]);
    let mut ended = begin(store, &scope, Mode::Write).await;
    let ending = request(
        "INSERT OR ROLLBACK INTO stock_items (id, sku) VALUES (1, 'z')",
        &[],
    );
    assert!(matches!(
        refused(ended.execute(ending).await),
        SqlError::Constraint(_)
    ));
    let after = ended.query(request("SELECT 1", &[])).await;
    assert_eq!(refused(after), SqlError::Closed);
}

async fn an_update_on_condition_has_one_winner<F: Fixture>(bench: &Bench<'_, F>) {
    let scope = bench.scope().await;
    let insert = "INSERT INTO stock_items (id, sku, amount) VALUES (1, 'last', 1)";
    execute(&**bench.store, &scope, insert).await;
    let tasks: Vec<_> = (0..RIVALS)
        .map(|_| {
            let (store, scope) = (Arc::clone(bench.store), scope.clone());
            let pick = request(
                "UPDATE stock_items SET amount = amount - 1, version = version + 1
                 WHERE id = 1 AND version = $1",
                &[Value::Integer(1)],
            );
            tokio::spawn(async move { store.execute(&scope, pick).await })
        })
        .collect();
    let mut winners = 0;
    for task in tasks {
        winners += done(task.await.expect("no task panics")).affected;
    }
    assert_eq!(winners, 1);
    let left = "SELECT amount FROM stock_items";
    assert_eq!(number(&**bench.store, &scope, left).await, 0);
}

async fn apps_and_instances_are_apart<F: Fixture>(bench: &Bench<'_, F>) {
    let scope = bench.scope().await;
    let store = &**bench.store;
    execute(
        store,
        &scope,
        "INSERT INTO stock_items (sku) VALUES ('secret')",
    )
    .await;
    let other_app = scope_of(scope.instance, "sales");
    let own = migration("CREATE TABLE sales_orders (id INTEGER PRIMARY KEY, sku TEXT)");
    bench.fixture.migrate(&other_app, own).await;
    for statement in [
        "SELECT sku FROM stock_items",
        "SELECT count(*) FROM stock_items",
        "DELETE FROM stock_items",
        "INSERT INTO sales_orders (sku) SELECT sku FROM stock_items",
        "UPDATE sales_orders SET sku = (SELECT sku FROM stock_items)",
    ] {
        let refusal = match store
            .query(&other_app, request(statement, &[]))
            .await
            .result
        {
            Err(SqlError::Statement(text)) if text.contains("execute") => {
                refused(store.execute(&other_app, request(statement, &[])).await)
            }
            Err(refusal) => refusal,
            Ok(set) => panic!("{statement} gave {set:?}"),
        };
        assert!(
            matches!(refusal, SqlError::Denied(_)),
            "{statement}: {refusal:?}"
        );
    }
    let elsewhere = bench.scope().await;
    assert_eq!(
        number(store, &elsewhere, "SELECT count(*) FROM stock_items").await,
        0
    );
    assert_eq!(
        number(store, &scope, "SELECT count(*) FROM stock_items").await,
        1
    );
}

async fn bounds_of_a_call_hold<F: Fixture>(bench: &Bench<'_, F>) {
    let scope = bench.scope().await;
    let store = &**bench.store;
    let numbers = |count: u64| {
        format!(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) SELECT i FROM n"
        )
    };
    let mut few = request(&numbers(100), &[]);
    few.rows_read_max = 99;
    assert_eq!(
        refused(store.query(&scope, few).await),
        SqlError::RowsReadExceeded
    );
    let mut insert = request(
        &format!("INSERT INTO stock_items (sku) {}", numbers(100)),
        &[],
    );
    insert.rows_written_max = 99;
    assert_eq!(
        refused(store.execute(&scope, insert).await),
        SqlError::RowsWrittenExceeded
    );
    assert_eq!(
        number(store, &scope, "SELECT count(*) FROM stock_items").await,
        0
    );
    let mut endless = request(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
        &[],
    );
    endless.time_max = Duration::from_millis(100);
    let worked = store.query(&scope, endless).await;
    assert!(
        worked.worked < Duration::from_secs(5),
        "{:?}",
        worked.worked
    );
    assert_eq!(refused(worked), SqlError::TimeExceeded);
}

async fn a_full_storage_refuses<F: Fixture>(bench: &Bench<'_, F>) {
    let mut scope = bench.scope().await;
    scope.storage_bytes_max = 1 << 20;
    let store = &**bench.store;
    let insert = "INSERT INTO stock_items (sku) VALUES (hex(randomblob(100000)))";
    let mut kept = 0;
    let refusal = loop {
        match store.execute(&scope, request(insert, &[])).await.result {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
        assert!(kept < 100, "a storage of 1 MiB took {kept} rows of 200 kB");
    };
    assert_eq!(refusal, SqlError::Full);
    assert_eq!(
        number(store, &scope, "SELECT count(*) FROM stock_items").await,
        kept
    );
    execute(store, &scope, "DELETE FROM stock_items").await;
    execute(store, &scope, insert).await;
}

async fn acknowledged_is_durable<F: Fixture>(fixture: &F) {
    let store = fixture.open();
    let scope = scope_of(InstanceId::generate(), "stock");
    fixture.migrate(&scope, migration(SCHEMA)).await;
    execute(
        &*store,
        &scope,
        "INSERT INTO stock_items (sku) VALUES ('a')",
    )
    .await;
    let mut open = begin(&*store, &scope, Mode::Write).await;
    done(
        open.execute(request("INSERT INTO stock_items (sku) VALUES ('b')", &[]))
            .await,
    );
    done(open.commit().await);
    drop(store);
    let store = fixture.open();
    assert_eq!(
        number(&*store, &scope, "SELECT count(*) FROM stock_items").await,
        2
    );
}
