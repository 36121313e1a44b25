//! An app reaches its own tables and nothing else, by whatever route it tries.

use cloudware_instance_db::{Error, MigrationError, Value};

use crate::fixture::{Fixture, STORAGE, request, scope, steps};

/// Statements of a running app that name what it does not own.
const ROUTES: &[&str] = &[
    // Another app's table, read and written in every position.
    "SELECT secret FROM sales_orders",
    "SELECT count(*) FROM sales_orders",
    "SELECT count(*) FROM main.sales_orders",
    "SELECT 1 FROM sales_orders",
    "SELECT rowid FROM sales_orders",
    "SELECT * FROM \"sales_orders\"",
    "SELECT * FROM [SALES_ORDERS]",
    "SELECT * FROM 'sales_orders'",
    "SELECT * FROM stock_items JOIN sales_orders",
    "SELECT (SELECT secret FROM sales_orders)",
    "SELECT 1 WHERE EXISTS (SELECT 1 FROM sales_orders)",
    "SELECT 1 IN sales_orders",
    "WITH x AS (SELECT secret FROM sales_orders) SELECT * FROM x",
    "WITH x AS (SELECT secret FROM sales_orders) SELECT count(*) FROM x",
    "WITH sales_orders AS (SELECT 1) SELECT (SELECT count(*) FROM main.sales_orders)",
    "SELECT (WITH sales_orders AS (SELECT 1) SELECT 1 FROM sales_orders), (SELECT count(*) FROM sales_orders)",
    "SELECT sku FROM stock_items UNION ALL SELECT secret FROM sales_orders",
    "SELECT sku FROM stock_items ORDER BY (SELECT secret FROM sales_orders)",
    "SELECT * FROM sales_open",
    "SELECT count(*) FROM sales_open",
    "INSERT INTO sales_orders (secret) VALUES ('x')",
    "INSERT INTO stock_items (sku) SELECT secret FROM sales_orders",
    "INSERT INTO stock_items (sku) VALUES ('x') RETURNING (SELECT secret FROM sales_orders)",
    "INSERT INTO stock_items (id) VALUES (1) ON CONFLICT DO UPDATE SET sku = (SELECT secret FROM sales_orders)",
    "REPLACE INTO sales_orders (id) VALUES (1)",
    "UPDATE sales_orders SET secret = 'x'",
    "UPDATE stock_items SET sku = secret FROM sales_orders",
    "DELETE FROM sales_orders",
    "WITH x AS (SELECT 1) DELETE FROM sales_orders",
    // The platform's tables.
    "SELECT * FROM cw_kv",
    "SELECT count(*) FROM cw_kv",
    "SELECT * FROM cw_schema",
    "DELETE FROM cw_schema",
    "INSERT INTO cw_kv VALUES ('stock', 'b', 'k', 1, x'')",
    "WITH cw_kv AS (SELECT 1) SELECT count(*) FROM cw_kv",
    // SQLite's own tables and table functions.
    "SELECT * FROM sqlite_master",
    "SELECT count(*) FROM sqlite_schema",
    "SELECT * FROM sqlite_temp_master",
    "SELECT * FROM sqlite_sequence",
    "UPDATE sqlite_sequence SET seq = 7",
    "SELECT * FROM pragma_table_list",
    "SELECT count(*) FROM pragma_table_list",
    "SELECT * FROM pragma_table_info('sales_orders')",
    "SELECT count(*) FROM pragma_database_list()",
    "SELECT * FROM dbstat",
    "SELECT * FROM sqlite_dbpage",
    "SELECT * FROM sqlite_stmt",
    "SELECT * FROM fts3tokenize('simple', 'a b')",
    "SELECT * FROM generate_series(1, 10)",
    "SELECT * FROM bytecode('SELECT 1')",
    // Statements that no app may run.
    "PRAGMA user_version",
    "PRAGMA writable_schema = 1",
    "PRAGMA max_page_count = 1000000",
    "PRAGMA query_only = 0",
    "ATTACH '/tmp/x.db' AS x",
    "ATTACH ':memory:' AS x",
    "DETACH main",
    "VACUUM",
    "VACUUM INTO '/tmp/cloudware-stolen.db'",
    "BEGIN",
    "BEGIN EXCLUSIVE",
    "COMMIT",
    "END",
    "ROLLBACK",
    "SAVEPOINT x",
    "RELEASE x",
    "ANALYZE",
    "REINDEX",
    "EXPLAIN SELECT * FROM sales_orders",
    "EXPLAIN QUERY PLAN SELECT 1",
    "CREATE TABLE stock_more (x)",
    "CREATE TEMP TABLE stock_temp (x)",
    "CREATE TEMP VIEW stock_v AS SELECT secret FROM sales_orders",
    "CREATE TEMP TRIGGER stock_t AFTER INSERT ON sales_orders BEGIN SELECT 1; END",
    "CREATE VIEW stock_v AS SELECT * FROM sales_orders",
    "CREATE INDEX stock_i ON sales_orders (secret)",
    "CREATE VIRTUAL TABLE stock_f USING fts5(x)",
    "ALTER TABLE sales_orders RENAME TO stock_orders",
    "DROP TABLE sales_orders",
    "DROP TABLE stock_items",
    // Functions that reach outside.
    "SELECT load_extension('x')",
    "SELECT readfile('/etc/passwd')",
    "SELECT writefile('/tmp/x', 'y')",
    "SELECT edit('x')",
    "SELECT fts3_tokenizer('simple')",
    "SELECT sqlite_version()",
    "SELECT sqlite_compileoption_get(1)",
    "SELECT sqlite_source_id()",
    "SELECT sqlite_offset(sku) FROM stock_items",
    "SELECT sqlite_log(1, 'x')",
    "SELECT total_changes()",
    "SELECT changes()",
    "SELECT json_patch('{}', '{}')",
    "SELECT unhex('00', '-')",
    // More than one statement, or none.
    "SELECT 1; SELECT secret FROM sales_orders",
    "SELECT 1; DROP TABLE stock_items",
    "SELECT 1;;DELETE FROM sales_orders",
    "",
    ";",
    "-- nothing",
    "/* DELETE FROM sales_orders",
    "SELECT 1\0; DELETE FROM sales_orders",
];

#[tokio::test]
async fn no_route_leads_out_of_a_namespace() {
    let fixture = Fixture::with_apps().await;
    for route in ROUTES {
        let refusal = fixture.run(route).await.expect_err(route);
        assert!(
            matches!(refusal, Error::Denied(_) | Error::Statement(_)),
            "{route}: {refusal:?}"
        );
        // As a prepared statement and in a transaction there is no other way.
        let mut open = fixture.begin(cloudware_instance_db::Mode::Write).await;
        assert!(open.query(request(route)).await.result.is_err(), "{route}");
        assert!(
            open.execute(request(route)).await.result.is_err(),
            "{route}"
        );
    }
    let secret = fixture
        .cell("sales", "SELECT group_concat(secret) FROM sales_orders")
        .await;
    assert_eq!(secret, Value::Text("s3cret".into()));
    let items = fixture
        .cell("stock", "SELECT count(*) FROM stock_items")
        .await;
    assert_eq!(items, Value::Integer(3));
    assert!(!std::path::Path::new("/tmp/cloudware-stolen.db").exists());
}

#[tokio::test]
async fn ordinary_sql_is_not_in_the_way() {
    let fixture = Fixture::with_apps().await;
    for statement in [
        "WITH open_orders AS (SELECT sku FROM stock_items) SELECT count(*) FROM open_orders",
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT count(*) FROM n",
        "SELECT count(*) FROM (SELECT 1 UNION SELECT 2)",
        "SELECT count(*) FROM stock_items AS i, stock_items AS j",
        "SELECT sku, sum(amount) OVER (ORDER BY id) FROM stock_items",
        "SELECT value FROM json_each('[1,2]')",
        "SELECT count(*) FROM json_tree('{\"a\":[1]}')",
        "SELECT json_group_array(json_object('sku', sku)) FROM stock_items",
        "SELECT '{\"a\":1}' ->> 'a', upper(sku), strftime('%Y', 'now'), round(1.5), instr('abc', 'c') FROM stock_items",
        "INSERT INTO stock_items (sku) VALUES ('new') RETURNING id, sku",
        "INSERT INTO stock_items (id, sku) VALUES (1, 'a') ON CONFLICT (id) DO UPDATE SET amount = excluded.amount",
        "UPDATE stock_items SET amount = j.amount FROM stock_items AS j WHERE j.id = stock_items.id",
        "DELETE FROM stock_items WHERE id IN (SELECT id FROM stock_items WHERE amount > 100)",
        "VALUES (1, 'a'), (2, 'b')",
        "SELECT * FROM stock_items WHERE sku LIKE 'a%' AND sku GLOB 'a*'",
        "SELECT 'sales_orders', 'sqlite_master' -- names in texts touch nothing",
        "SELECT 1;",
    ] {
        fixture
            .run(statement)
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    }
}

#[tokio::test]
async fn functions_of_our_own_answer_as_sqlite_does() {
    let fixture = Fixture::with_apps().await;
    for (expression, expected) in [
        ("instr('größe', 'ß')", Value::Integer(4)),
        ("instr(x'0102', x'02')", Value::Integer(2)),
        ("instr('abc', 'x')", Value::Integer(0)),
        ("instr('abc', '')", Value::Integer(1)),
        ("instr(NULL, 'x')", Value::Null),
        ("instr(12345, 34)", Value::Integer(3)),
        ("replace('a-b-c', '-', '--')", Value::Text("a--b--c".into())),
        ("replace('abc', '', 'x')", Value::Text("abc".into())),
        ("replace('abc', NULL, 'x')", Value::Null),
        ("trim('--ab-', '-')", Value::Text("ab".into())),
        ("ltrim('--ab-', '-')", Value::Text("ab-".into())),
        ("rtrim('--ab-', '-')", Value::Text("--ab".into())),
        ("trim('  ab ')", Value::Text("ab".into())),
    ] {
        let found = fixture.cell("stock", &format!("SELECT {expression}")).await;
        assert_eq!(found, expected, "{expression}");
    }
}

/// Migrations of `stock` that reach for what it does not own.
const STEPS: &[&str] = &[
    "CREATE TABLE sales_more (x)",
    "CREATE TABLE other (x)",
    "CREATE TABLE cw_more (x)",
    "CREATE TABLE sqlite_more (x)",
    "CREATE TABLE stock_x AS SELECT * FROM sales_orders",
    "CREATE TABLE stock_x AS SELECT * FROM sqlite_master",
    "CREATE TABLE stock_x AS SELECT * FROM 'sqlite_schema'",
    "CREATE TABLE stock_x AS SELECT count(*) AS n FROM sales_orders",
    "CREATE TABLE stock_x AS SELECT * FROM pragma_table_list",
    "CREATE TABLE stock_x (a REFERENCES sales_orders (id))",
    "CREATE TABLE stock_x (a REFERENCES sales_orders (id) ON DELETE CASCADE)",
    "CREATE TABLE stock_x (a REFERENCES sales_later (id))",
    "CREATE TABLE stock_x (a DEFAULT (load_extension('x')))",
    "CREATE TABLE stock_x (a CHECK (a IN (SELECT secret FROM sales_orders)))",
    "CREATE TEMP TABLE stock_x (a)",
    "CREATE VIEW stock_v AS SELECT * FROM sales_orders",
    "CREATE VIEW stock_v AS SELECT count(*) FROM sales_orders",
    "CREATE VIEW stock_v AS SELECT * FROM sales_open",
    "CREATE VIEW stock_v AS WITH x AS (SELECT * FROM cw_kv) SELECT * FROM x",
    "CREATE VIEW sales_v AS SELECT 1",
    "CREATE INDEX stock_i ON sales_orders (secret)",
    "CREATE INDEX sales_i ON stock_items (sku)",
    "CREATE INDEX stock_i ON stock_items (load_extension(sku))",
    "CREATE TRIGGER stock_t AFTER INSERT ON sales_orders BEGIN INSERT INTO stock_items (sku) VALUES (new.secret); END",
    "CREATE TRIGGER stock_t AFTER INSERT ON stock_items BEGIN DELETE FROM sales_orders; END",
    "CREATE TRIGGER stock_t AFTER UPDATE OF sku ON stock_items BEGIN INSERT INTO stock_items (sku) SELECT secret FROM sales_orders; END",
    "CREATE TRIGGER stock_t AFTER DELETE ON stock_items WHEN (SELECT count(*) FROM sales_orders) > 0 BEGIN SELECT 1; END",
    "CREATE TRIGGER sales_t AFTER INSERT ON stock_items BEGIN SELECT 1; END",
    "CREATE VIRTUAL TABLE stock_f USING fts5(x)",
    "ALTER TABLE stock_items RENAME TO sales_items",
    "ALTER TABLE sales_orders RENAME TO stock_orders",
    "ALTER TABLE sales_orders ADD COLUMN x",
    "DROP TABLE sales_orders",
    "DROP VIEW sales_open",
    "INSERT INTO sales_orders (secret) VALUES ('x')",
    "INSERT INTO cw_schema VALUES ('stock', 9, 'x', 'x', NULL)",
    "UPDATE sqlite_master SET sql = 'x'",
    "DELETE FROM cw_kv",
    "PRAGMA writable_schema = 1",
    "ATTACH ':memory:' AS x",
    "VACUUM INTO '/tmp/cloudware-stolen.db'",
    "COMMIT",
    "COMMIT; BEGIN",
    "ROLLBACK; DELETE FROM stock_items",
    "SAVEPOINT x",
    "ANALYZE",
    "EXPLAIN SELECT 1",
    "SELECT $a('), name FROM sqlite_master -- ')",
    "SELECT ?1",
    "SELECT 1\0",
    "CREATE TABLE stock_x (a); SELEKT 1",
];

#[tokio::test]
async fn no_migration_leads_out_of_a_namespace() {
    let fixture = Fixture::with_apps().await;
    let namespace = "stock".parse().unwrap();
    let schema = |fixture: &Fixture| {
        let path = walk(fixture.dir.path());
        let file = rusqlite::Connection::open(path).unwrap();
        let mut statement = file
            .prepare(
                "SELECT type || name || tbl_name || ifnull(sql, '') FROM sqlite_schema ORDER BY 1",
            )
            .unwrap();
        let rows = statement
            .query_map([], |row| row.get::<_, String>(0))
            .unwrap();
        rows.map(Result::unwrap).collect::<Vec<_>>()
    };
    let before = schema(&fixture);
    for step in STEPS {
        let migrations = steps(&[crate::fixture::STOCK, step]);
        let refusal = fixture
            .dbs
            .migrate(fixture.instance, &namespace, migrations.clone(), 2, STORAGE)
            .await
            .expect_err(step);
        assert!(
            matches!(
                refusal,
                MigrationError::Step { version: 2, .. } | MigrationError::Result { version: 2, .. }
            ),
            "{step}: {refusal:?}"
        );
        assert_eq!(schema(&fixture), before, "{step}");
    }
    assert_eq!(
        fixture
            .dbs
            .schema_version(fixture.instance, &namespace)
            .await,
        Ok(1)
    );
    // The connection that was used for all this is as safe as before.
    let refusal = fixture.run("DELETE FROM sales_orders").await.unwrap_err();
    assert!(matches!(refusal, Error::Denied(_)));
    let broken = fixture
        .database()
        .execute(
            &scope("sales"),
            request("INSERT INTO sales_orders (id) VALUES (1)"),
        )
        .await;
    assert!(matches!(broken.result, Err(Error::Constraint(_))));
}

fn walk(dir: &std::path::Path) -> std::path::PathBuf {
    let mut pending = vec![dir.to_owned()];
    while let Some(next) = pending.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "db") {
                return path;
            }
        }
    }
    panic!("there is no database file");
}

#[tokio::test]
async fn a_statement_kept_for_one_app_is_not_used_by_another() {
    let fixture = Fixture::with_apps().await;
    let statement = "SELECT secret FROM sales_orders";
    for _ in 0..3 {
        let allowed = fixture
            .database()
            .query(&scope("sales"), request(statement))
            .await;
        assert_eq!(allowed.result.unwrap().rows.len(), 1);
        assert!(matches!(
            fixture.query(statement).await,
            Err(Error::Denied(_))
        ));
    }
}
