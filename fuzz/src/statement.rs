//! A statement of an app, on a database that another app shares.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use cloudware_instance_db::{
    AccessRules, AppKey, AppScope, Config, Database, Durability, Holder, InstanceDbs, Mode,
    Request, RowSet, Value,
};
use cloudware_types::{Comparison, Condition, FilteredAccess, InstanceId, Migration, RunChain};
use tokio::runtime::Runtime;

/// Words of SQL, and names of what is there.
pub const WORDS: &[&str] = &[
    "SELECT ",
    " * ",
    " FROM ",
    " WHERE ",
    "INSERT INTO ",
    " VALUES ",
    "UPDATE ",
    " SET ",
    "DELETE FROM ",
    "WITH ",
    " RECURSIVE ",
    " AS ",
    " UNION ALL ",
    " RETURNING ",
    " ON CONFLICT DO UPDATE SET ",
    " ORDER BY ",
    " LIMIT ",
    " JOIN ",
    " OVER (PARTITION BY ",
    " COLLATE NOCASE ",
    " CAST(",
    "CREATE TABLE ",
    "CREATE TRIGGER ",
    "CREATE VIRTUAL TABLE ",
    "ALTER TABLE ",
    "PRAGMA ",
    "ATTACH ",
    "VACUUM INTO ",
    "EXPLAIN ",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT ",
    "stock_items",
    "sales_orders",
    "sales_open",
    "cw_kv",
    "cw_schema",
    "sqlite_master",
    "sqlite_sequence",
    "pragma_table_list",
    "temp.",
    "main.",
    "secret",
    "sku",
    "amount",
    "stock_levels",
    "stock_places",
    "place",
    " REPLACE ",
    " OR IGNORE ",
    "json_each(",
    "load_extension(",
    "printf(",
    "zeroblob(",
    "--",
    "/*",
    "*/",
    "'",
    "\"",
    "`",
    "[",
    "]",
    ";",
    "?1",
    ":a",
    "x'00'",
    "\0",
];

const STOCK: &str = "
    CREATE TABLE stock_items (id INTEGER PRIMARY KEY, sku TEXT UNIQUE, amount INTEGER);
    INSERT INTO stock_items (sku, amount) VALUES ('a', 1), ('b', 2), ('c', 3);
    CREATE VIEW stock_view AS SELECT sku FROM stock_items;
    CREATE TRIGGER stock_trigger AFTER UPDATE ON stock_items BEGIN SELECT new.amount; END;
    CREATE TABLE stock_levels (id INTEGER PRIMARY KEY, item INTEGER REFERENCES stock_items (id) ON DELETE CASCADE, place TEXT UNIQUE);
    INSERT INTO stock_levels (item, place) VALUES (1, 'main-1'), (2, 'h1dden-2'), (3, 'h1dden-3');
    CREATE VIEW stock_places AS SELECT place FROM stock_levels;
    CREATE TRIGGER stock_levels_log AFTER DELETE ON stock_levels BEGIN UPDATE stock_items SET amount = 0; END;
";

const SALES: &str = "
    CREATE TABLE sales_orders (id INTEGER PRIMARY KEY AUTOINCREMENT, secret TEXT);
    INSERT INTO sales_orders (secret) VALUES ('s3cret');
    CREATE VIEW sales_open AS SELECT * FROM sales_orders;
";

/// What the other app keeps.
const SECRET: &str = "s3cret";

/// What is in every row of `stock_levels` outside of the filter.
const HIDDEN: &str = "h1dden";

/// Enough for any statement that is not a bomb; bombs end there.
const TIME_MAX: Duration = Duration::from_millis(50);

const STORAGE_BYTES_MAX: u64 = 16 << 20;

struct Scratch {
    runtime: Runtime,
    database: Arc<Database>,
    _dbs: Arc<InstanceDbs>,
    _folder: tempfile::TempDir,
}

static SCRATCH: LazyLock<Scratch> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let runtime = Runtime::new().expect("a runtime can start");
    let config = Config {
        dir: folder.path().to_owned(),
        durability: Durability::Normal,
        ..Config::default()
    };
    let dbs = InstanceDbs::new(config).expect("the folder can be used");
    let instance = InstanceId::generate();
    for (namespace, up) in [("stock", STOCK), ("sales", SALES)] {
        let step = Migration {
            version: 1,
            name: namespace.to_owned(),
            up: up.to_owned(),
            down: None,
        };
        let namespace = namespace.parse().expect("a namespace");
        let migrated = dbs.migrate(instance, &namespace, vec![step], 1, STORAGE_BYTES_MAX);
        runtime.block_on(migrated).expect("the schema is right");
    }
    let database = dbs.get(instance).expect("it was made above");
    Scratch {
        runtime,
        database,
        _dbs: dbs,
        _folder: folder,
    }
});

/// Runs any bytes as a statement of the app `stock`, in a transaction that is rolled back.
///
/// # Panics
/// Where it sees or changes what `sales` has, or what is kept outside the transaction.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let scratch = &*SCRATCH;
    scratch.runtime.block_on(async {
        let stock = scope("stock");
        let mut seen = Vec::new();
        let begun = scratch.database.begin(&stock, Mode::Write).await.result;
        let mut open = begun.expect("nobody else writes");
        seen.extend(open.query(request(&text)).await.result);
        let _ = open.execute(request(&text)).await.result;
        seen.extend(open.query(request(&text)).await.result);
        let _ = open.rollback().await.result;
        assert!(
            !seen
                .iter()
                .any(|set| shows(set, SECRET) || shows(set, "sales_open AS")),
            "{text}"
        );
        filtered(scratch, &text).await;
        for (namespace, statement, expected) in [
            (
                "sales",
                "SELECT group_concat(id || secret) FROM sales_orders",
                "1s3cret",
            ),
            (
                "stock",
                "SELECT group_concat(sku || amount) FROM stock_items",
                "a1,b2,c3",
            ),
        ] {
            let asked = Request {
                time_max: Duration::from_secs(20),
                ..request(statement)
            };
            let kept = scratch
                .database
                .query(&scope(namespace), asked)
                .await
                .result;
            let kept = kept.expect("the tables are there").rows;
            assert_eq!(kept, [[Value::Text(expected.into())]], "{text}");
        }
    });
}

/// Runs the statement with a filter on `stock_levels`, in a transaction that is rolled back: rows outside of it are
/// neither seen nor changed.
async fn filtered(scratch: &Scratch, text: &str) {
    let tables: Arc<[Arc<str>]> = ["stock_levels".into()].into();
    let begun = scratch
        .database
        .begin(&scope("stock"), Mode::Write)
        .await
        .result;
    let mut open = begun.expect("nobody else writes");
    let asked = (text.into(), Arc::clone(&tables));
    let Ok(accesses) = open.examine(asked, TIME_MAX).await.result else {
        return;
    };
    let accesses = accesses.into_iter().map(|access| FilteredAccess {
        access,
        conditions: vec![
            Condition {
                column: "place".into(),
                comparison: Comparison::Lt,
                values: vec![Value::Text("n".into())],
            },
            Condition {
                column: "place".into(),
                comparison: Comparison::Ge,
                values: vec![Value::Text("m".into())],
            },
        ],
    });
    let rules = AccessRules {
        tables,
        accesses: accesses.collect(),
    };
    let asked = Request {
        access: Some(Arc::new(rules)),
        ..request(text)
    };
    let mut seen: Vec<_> = open.query(asked.clone()).await.result.into_iter().collect();
    let _ = open.execute(asked.clone()).await.result;
    seen.extend(open.query(asked).await.result);
    assert!(!seen.iter().any(|set| shows(set, HIDDEN)), "{text}");
    // Some failures end the transaction.
    let kept = Request {
        time_max: Duration::from_secs(20),
        ..request(
            "SELECT count(*) FROM stock_levels WHERE id || item || place IN ('22h1dden-2', '33h1dden-3')",
        )
    };
    if let Ok(kept) = open.query(kept).await.result {
        assert_eq!(kept.rows, [[Value::Integer(2)]], "{text}");
    }
    let outside = Request {
        time_max: Duration::from_secs(20),
        ..request(
            "SELECT count(*) FROM stock_levels WHERE place NOT BETWEEN 'm' AND 'n' OR place IS NULL",
        )
    };
    if let Ok(outside) = open.query(outside).await.result {
        assert_eq!(outside.rows, [[Value::Integer(2)]], "{text}");
    }
    let _ = open.rollback().await.result;
}

fn shows(set: &RowSet, secret: &str) -> bool {
    set.rows.iter().flatten().any(|cell| match cell {
        Value::Text(text) => text.contains(secret),
        Value::Blob(bytes) => bytes
            .windows(secret.len())
            .any(|window| window == secret.as_bytes()),
        _ => false,
    })
}

fn scope(namespace: &str) -> AppScope {
    AppScope {
        namespace: namespace.parse().expect("a namespace"),
        storage_bytes_max: STORAGE_BYTES_MAX,
        holder: Holder::new(RunChain::NOBODY, AppKey::of(namespace)),
    }
}

fn request(statement: &str) -> Request {
    Request {
        statement: statement.into(),
        parameters: Vec::new(),
        rows_read_max: 1_000,
        rows_written_max: 1_000,
        time_max: TIME_MAX,
        access: None,
    }
}
