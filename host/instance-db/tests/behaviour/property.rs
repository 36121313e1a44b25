//! Whatever text is run as SQL: no panic, and nothing of another app changes or is seen.

use std::sync::LazyLock;

use cloudware_instance_db::{Mode, Value};
use proptest::prelude::*;
use tokio::runtime::Runtime;

use crate::fixture::{Fixture, request};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| RUNTIME.block_on(Fixture::with_apps()));

/// Pieces of SQL that are put together in any order; many of the results are statements.
const PIECES: &[&str] = &[
    "SELECT",
    "*",
    "FROM",
    "WHERE",
    "INSERT INTO",
    "VALUES",
    "UPDATE",
    "SET",
    "DELETE FROM",
    "WITH",
    "RECURSIVE",
    "AS",
    "(",
    ")",
    ",",
    ";",
    "=",
    "+",
    "||",
    "'",
    "\"",
    "`",
    "[",
    "]",
    "--",
    "/*",
    "*/",
    "\n",
    "1",
    "x'00'",
    "NULL",
    "?",
    "?1",
    "$1",
    ":a",
    "RETURNING",
    "ON CONFLICT",
    "DO UPDATE",
    "DO NOTHING",
    "UNION ALL",
    "ORDER BY",
    "LIMIT",
    "JOIN",
    "LEFT JOIN",
    "USING",
    "IN",
    "EXISTS",
    "CASE",
    "WHEN",
    "THEN",
    "END",
    "COLLATE NOCASE",
    "CAST",
    "GROUP BY",
    "HAVING",
    "count(*)",
    "secret",
    "sku",
    "id",
    "amount",
    "stock_items",
    "sales_orders",
    "sales_open",
    "cw_kv",
    "cw_schema",
    "sqlite_master",
    "sqlite_sequence",
    "pragma_table_list",
    "main.",
    "temp.",
    "x",
    "json_each('[1]')",
    "load_extension('x')",
    "PRAGMA",
    "ATTACH",
    "VACUUM",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT",
    "CREATE TABLE",
    "CREATE VIEW",
    "CREATE TRIGGER",
    "DROP TABLE",
    "ALTER TABLE",
    "RENAME TO",
    "EXPLAIN",
    "REPLACE INTO",
    "OR ROLLBACK",
    "INDEXED BY",
    "\0",
    "\u{e9}",
];

fn statement() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::collection::vec(proptest::sample::select(PIECES), 1..24)
            .prop_map(|pieces| pieces.join(" ")),
        (
            proptest::sample::select(
                &[
                    "SELECT * FROM ",
                    "SELECT count(*) FROM ",
                    "DELETE FROM ",
                    "UPDATE ",
                    "WITH sales_orders AS (SELECT 1 AS secret) SELECT * FROM ",
                    "INSERT INTO stock_items (sku) SELECT ",
                ][..]
            ),
            proptest::collection::vec(proptest::sample::select(PIECES), 1..12),
        )
            .prop_map(|(head, pieces)| format!("{head}{}", pieces.join(" "))),
        "\\PC{0,200}",
    ]
}

fn shows_secret(rows: &[Vec<Value>]) -> bool {
    rows.iter().flatten().any(|cell| match cell {
        Value::Text(text) => text.contains("s3cret") || text.contains("CREATE"),
        _ => false,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_sql_stays_within_its_namespace(text in statement(), parameters in 0_usize..3) {
        let fixture = &*FIXTURE;
        let leaked = RUNTIME.block_on(async {
            let mut asked = request(&text);
            asked.parameters = vec![Value::Integer(1); parameters];
            asked.time_max = std::time::Duration::from_millis(200);
            let database = fixture.database();
            let scope = crate::fixture::scope("stock");
            let seen = database.query(&scope, asked.clone()).await.result;
            let _ = database.execute(&scope, asked.clone()).await.result;
            let mut open = database.begin(&scope, Mode::Write).await.result.unwrap();
            let inside = open.query(asked.clone()).await.result;
            let _ = open.execute(asked).await.result;
            drop(open);
            [seen, inside].into_iter().flatten().any(|set| shows_secret(&set.rows))
        });
        prop_assert!(!leaked);
        let count = RUNTIME.block_on(fixture.cell("sales", "SELECT group_concat(secret) FROM sales_orders"));
        prop_assert_eq!(count, Value::Text("s3cret".into()));
    }
}
