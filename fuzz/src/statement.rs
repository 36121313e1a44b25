//! A statement of an app, on a database that another app shares.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use cloudware_instance_db::{
    AppKey, AppScope, Config, Database, Durability, Holder, InstanceDbs, Mode, Request, RowSet,
    Value,
};
use cloudware_types::{InstanceId, Migration};
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
";

const SALES: &str = "
    CREATE TABLE sales_orders (id INTEGER PRIMARY KEY AUTOINCREMENT, secret TEXT);
    INSERT INTO sales_orders (secret) VALUES ('s3cret');
    CREATE VIEW sales_open AS SELECT * FROM sales_orders;
";

/// What the other app keeps.
const SECRET: &str = "s3cret";

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
        assert!(!seen.iter().any(shows_secret), "{text}");
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

fn shows_secret(set: &RowSet) -> bool {
    set.rows.iter().flatten().any(|cell| match cell {
        Value::Text(text) => text.contains(SECRET) || text.contains("sales_open AS"),
        Value::Blob(bytes) => bytes
            .windows(SECRET.len())
            .any(|window| window == SECRET.as_bytes()),
        _ => false,
    })
}

fn scope(namespace: &str) -> AppScope {
    AppScope {
        namespace: namespace.parse().expect("a namespace"),
        storage_bytes_max: STORAGE_BYTES_MAX,
        holder: Holder::new(0, AppKey::of(namespace)),
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
