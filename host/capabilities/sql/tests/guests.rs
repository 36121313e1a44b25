//! Guests reach SQL, are held to their limits, and leave nothing open.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use cloudware_instance_db::{Config, InstanceDbs};
use cloudware_sql::Sql;
use cloudware_types::{Class, DesiredInstance, Dimension, Meter, Migration, StopCause};
use guest::{Ended, Guest, install, instance, limits, run};

#[path = "../../guest.rs"]
mod guest;

const WIT: &[&str] = &["../../../wit/types", "../../../wit/sql"];

const SCHEMA: &str = "CREATE TABLE stock_items (id INTEGER PRIMARY KEY, amount INTEGER UNIQUE)";

/// Statements are at fixed places: each is as long as the number behind it in the calls. Results are
/// written to 4096: the tag first, then the payload.
const DATA: &str = r#"
    (data (i32.const 0) "DELETE FROM stock_items")
    (data (i32.const 64) "INSERT INTO stock_items (amount) VALUES ($1)")
    (data (i32.const 128) "SELECT amount FROM stock_items")
    (data (i32.const 192) "SELECT * FROM cw_kv")
    (data (i32.const 256) "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n")
    (data (i32.const 384) "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n")
    ;; A parameter: the third case, a whole number, 7.
    (data (i32.const 512) "\02\00\00\00\00\00\00\00\07\00\00\00\00\00\00\00")
"#;

const IMPORTS: &str = r#"
    (import "cloudware:sql/database@0.1.0" "query" (func $query (param i32 i32 i32 i32 i32)))
    (import "cloudware:sql/database@0.1.0" "execute" (func $execute (param i32 i32 i32 i32 i32)))
    (import "cloudware:sql/database@0.1.0" "begin" (func $begin (param i32 i32)))
    (import "cloudware:sql/database@0.1.0" "prepare" (func $prepare (param i32 i32 i32)))
    (import "cloudware:sql/database@0.1.0" "[method]transaction.execute" (func $tx_execute (param i32 i32 i32 i32 i32 i32)))
    (import "cloudware:sql/database@0.1.0" "[method]transaction.commit" (func $commit (param i32 i32)))
    (import "cloudware:sql/database@0.1.0" "[resource-drop]transaction" (func $tx_drop (param i32)))
    (import "cloudware:sql/database@0.1.0" "[method]statement.parameter-count" (func $count (param i32) (result i32)))
    (import "cloudware:sql/database@0.1.0" "[method]statement.execute" (func $st_execute (param i32 i32 i32 i32 i32 i32)))
"#;

const STORY: &str = r#"
    (func (export "run") (result i32) (local $tx i32) (local $statement i32) (local $n i32)
        (call $execute (i32.const 0) (i32.const 23) (i32.const 0) (i32.const 0) (i32.const 4096))
        (if (i32.load8_u (i32.const 4096)) (then (return (i32.const 1))))
        (call $execute (i32.const 64) (i32.const 44) (i32.const 512) (i32.const 1) (i32.const 4096))
        (if (i32.load8_u (i32.const 4096)) (then (return (i32.const 2))))
        (if (i64.ne (i64.load (i32.const 4104)) (i64.const 1)) (then (return (i32.const 3))))
        ;; The same again breaks a constraint, the fourth case, of the first kind.
        (call $execute (i32.const 64) (i32.const 44) (i32.const 512) (i32.const 1) (i32.const 4096))
        (if (i32.ne (i32.load8_u (i32.const 4104)) (i32.const 3)) (then (return (i32.const 4))))
        ;; What a dropped transaction deleted is still there: one row, one cell, the number 7.
        (call $begin (i32.const 1) (i32.const 4096))
        (if (i32.load8_u (i32.const 4096)) (then (return (i32.const 5))))
        (local.set $tx (i32.load (i32.const 4100)))
        (call $tx_execute (local.get $tx) (i32.const 0) (i32.const 23) (i32.const 0) (i32.const 0) (i32.const 4096))
        (if (i32.load8_u (i32.const 4096)) (then (return (i32.const 6))))
        ;; While it is open, a write beside it is refused at once with busy, and does not wait for itself.
        (call $execute (i32.const 0) (i32.const 23) (i32.const 0) (i32.const 0) (i32.const 4096))
        (if (i32.ne (i32.load8_u (i32.const 4104)) (i32.const 6)) (then (return (i32.const 7))))
        (call $tx_drop (local.get $tx))
        (call $query (i32.const 128) (i32.const 30) (i32.const 0) (i32.const 0) (i32.const 4096))
        (if (i32.load8_u (i32.const 4096)) (then (return (i32.const 8))))
        (if (i32.ne (i32.load (i32.const 4112)) (i32.const 1)) (then (return (i32.const 9))))
        (if (i64.ne (i64.load offset=8 (i32.load (i32.load (i32.const 4108)))) (i64.const 7)) (then (return (i32.const 10))))
        ;; A transaction that has ended says so: closed, the sixth case.
        (call $begin (i32.const 1) (i32.const 4096))
        (if (i32.load8_u (i32.const 4096)) (then (return (i32.const 11))))
        (local.set $tx (i32.load (i32.const 4100)))
        (call $commit (local.get $tx) (i32.const 4096))
        (if (i32.load8_u (i32.const 4096)) (then (return (i32.const 12))))
        (call $commit (local.get $tx) (i32.const 4096))
        (if (i32.ne (i32.load8_u (i32.const 4100)) (i32.const 5)) (then (return (i32.const 13))))
        ;; Another's table is denied, the third case.
        (call $query (i32.const 192) (i32.const 19) (i32.const 0) (i32.const 0) (i32.const 4096))
        (if (i32.ne (i32.load8_u (i32.const 4100)) (i32.const 2)) (then (return (i32.const 14))))
        ;; A compiled statement knows its parameters, and is held to the same constraint.
        (call $prepare (i32.const 64) (i32.const 44) (i32.const 4096))
        (if (i32.load8_u (i32.const 4096)) (then (return (i32.const 15))))
        (local.set $statement (i32.load (i32.const 4100)))
        (if (i32.ne (call $count (local.get $statement)) (i32.const 1)) (then (return (i32.const 16))))
        (call $st_execute (local.get $statement) (i32.const 512) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 4096))
        (if (i32.ne (i32.load8_u (i32.const 4104)) (i32.const 3)) (then (return (i32.const 17))))
        ;; Eight transactions at a time, and not one more; the last writes and is left open.
        (loop $more
            (call $begin (i32.eq (local.get $n) (i32.const 7)) (i32.const 4096))
            (if (i32.load8_u (i32.const 4096)) (then (return (i32.const 18))))
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $more (i32.lt_u (local.get $n) (i32.const 8))))
        (local.set $tx (i32.load (i32.const 4100)))
        (call $begin (i32.const 0) (i32.const 4096))
        (if (i32.ne (i32.load8_u (i32.const 4096)) (i32.const 1)) (then (return (i32.const 19))))
        (if (i32.load8_u (i32.const 4100)) (then (return (i32.const 20))))
        (call $tx_execute (local.get $tx) (i32.const 0) (i32.const 23) (i32.const 0) (i32.const 0) (i32.const 4096))
        (if (i32.load8_u (i32.const 4096)) (then (return (i32.const 21))))
        (i32.const 0))
"#;

struct Bench {
    databases: Arc<InstanceDbs>,
    sql: Sql,
    instance: DesiredInstance,
    _dir: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let databases = InstanceDbs::new(Config {
            dir: dir.path().to_owned(),
            ..Config::default()
        })
        .unwrap();
        let instance = instance();
        let step = Migration {
            version: 1,
            name: "first".into(),
            up: SCHEMA.into(),
            down: None,
        };
        let namespace = "stock".parse().unwrap();
        let storage = instance.limits.get(Dimension::Storage);
        databases
            .migrate(instance.id, &namespace, vec![step], 1, storage)
            .await
            .unwrap();
        Self {
            sql: Sql::new(Arc::clone(&databases)),
            databases,
            instance,
            _dir: dir,
        }
    }

    async fn run(&self, function: &str, limited: Option<(Dimension, u64)>) -> Ended {
        let mut install = install();
        if let Some((dimension, value)) = limited {
            install.limits = limits(dimension, value);
        }
        let code = format!("{IMPORTS}{function}{DATA}");
        let guest = Guest {
            wit: WIT,
            imports: "import cloudware:sql/database@0.1.0;",
            code: &code,
        };
        run(&self.sql, &self.instance, &install, &guest).await
    }
}

/// A guest that makes one call of `query` and returns the tag of its result.
fn one_query(place: u32, bytes: u32) -> String {
    format!(
        r#"(func (export "run") (result i32)
            (call $query (i32.const {place}) (i32.const {bytes}) (i32.const 0) (i32.const 0) (i32.const 4096))
            (i32.load8_u (i32.const 4096)))"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_uses_everything_and_leaves_nothing_open() {
    let bench = Bench::new().await;
    // Each of the two runs leaves transactions open; the second could not write if they stayed.
    let ended = bench.run(STORY, None).await;
    assert_eq!(ended.result, Ok(0), "{ended:?}");
    assert_eq!(bench.databases.open_count(), 1);
    let ended = bench.run(STORY, None).await;
    assert_eq!(ended.result, Ok(0), "{ended:?}");
}

#[tokio::test]
async fn limits_of_time_rows_and_statements_stop_the_guest() {
    let bench = Bench::new().await;
    let ended = bench
        .run(&one_query(256, 85), Some((Dimension::SqlTime, 50)))
        .await;
    assert!(ended.result.is_err());
    assert!(
        matches!(ended.stop, Some(StopCause::Limit { limit, used, max: 50 }) if used > 50 && limit.dimension() == Dimension::SqlTime),
        "{ended:?}"
    );
    let ended = bench
        .run(&one_query(384, 80), Some((Dimension::SqlRowsRead, 10)))
        .await;
    let stop = StopCause::limit(Dimension::SqlRowsRead, Class::Request, 11, 10);
    assert_eq!(ended.stop, Some(stop));
    assert_eq!(ended.meters[Meter::SqlRowsRead], 11, "as the stop says");
    let ended = bench
        .run(&one_query(128, 30), Some((Dimension::SqlStatements, 0)))
        .await;
    let stop = StopCause::limit(Dimension::SqlStatements, Class::Request, 1, 0);
    assert_eq!(ended.stop, Some(stop));
}

#[tokio::test]
async fn an_install_without_a_namespace_is_not_bound() {
    use cloudware_capability::Capability;
    let bench = Bench::new().await;
    for (namespace, reason) in [(None, "[database]"), (Some("cw".to_owned()), "`cw`")] {
        let mut install = install();
        install.database_namespace = namespace;
        let Err(error) = bench.sql.bind(&bench.instance, &install) else {
            panic!("it was bound");
        };
        assert!(error.to_string().contains(reason), "{error}");
    }
}
