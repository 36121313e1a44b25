//! Files: what is acknowledged survives, and what is not ours or broken is refused clearly.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use cloudware_instance_db::{Config, Durability, Error, InstanceDbs, StartError, Value};
use cloudware_types::InstanceId;

use crate::fixture::{Fixture, STOCK, STORAGE, eventually, request, scope, steps};

fn database_file(fixture: &Fixture) -> PathBuf {
    let id = fixture.instance.to_string();
    let directory = fixture
        .dir
        .path()
        .join("instances")
        .join(&id[id.len() - 2..]);
    directory.join(format!("{id}.db"))
}

/// Where the test runs itself again as the process that is to be killed.
const CHILD_DIR: &str = "CLOUDWARE_TEST_CHILD_DIR";
const CHILD_INSTANCE: &str = "CLOUDWARE_TEST_CHILD_INSTANCE";

#[tokio::test]
async fn a_killed_host_loses_nothing_that_it_acknowledged() {
    if let (Ok(dir), Ok(instance)) = (std::env::var(CHILD_DIR), std::env::var(CHILD_INSTANCE)) {
        return write_until_killed(Path::new(&dir), instance.parse().unwrap()).await;
    }
    let fixture = Fixture::new();
    fixture.migrate("stock", &[STOCK]).await;
    let Fixture { dbs, dir, instance } = fixture;
    drop(dbs);
    let mut acknowledged = 0;
    for round in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "files::a_killed_host_loses_nothing_that_it_acknowledged",
            ])
            .args(["--nocapture", "--test-threads=1"])
            .env(CHILD_DIR, dir.path().join("instances"))
            .env(CHILD_INSTANCE, instance.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let numbers = lines.map_while(Result::ok).filter_map(|line| {
            line.split_once("kept: ")
                .map(|(_, number)| number.parse::<i64>().unwrap())
        });
        for (seen, number) in numbers.enumerate() {
            acknowledged = number;
            if seen == 40 + 17 * round {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let reopened = InstanceDbs::new(Config {
            dir: dir.path().join("instances"),
            ..Config::default()
        })
        .unwrap();
        let database = reopened.get(instance).unwrap();
        let query = "SELECT max(amount), count(*) FROM stock_items WHERE sku LIKE 'n%'";
        let rows = database
            .query(&scope("stock"), request(query))
            .await
            .result
            .unwrap()
            .rows;
        let [Value::Integer(max), Value::Integer(count)] = rows[0][..] else {
            panic!("{rows:?}");
        };
        assert!(
            max >= acknowledged && acknowledged > 0,
            "{max} of {acknowledged}"
        );
        assert_eq!(count, max, "every write before the last is there");
    }
}

async fn write_until_killed(dir: &Path, instance: InstanceId) {
    let dbs = InstanceDbs::new(Config {
        dir: dir.to_owned(),
        ..Config::default()
    })
    .unwrap();
    let database = dbs.get(instance).unwrap();
    let insert = "INSERT INTO stock_items (sku, amount)
         SELECT 'n' || n, n FROM (SELECT 1 + count(*) AS n FROM stock_items WHERE sku LIKE 'n%') RETURNING amount";
    loop {
        let rows = database
            .query(&scope("stock"), request(insert))
            .await
            .result
            .unwrap()
            .rows;
        let Value::Integer(number) = rows[0][0] else {
            panic!("{rows:?}");
        };
        let mut parent = std::io::stdout();
        writeln!(parent, "kept: {number}").unwrap();
    }
}

#[tokio::test]
async fn a_file_of_something_else_is_refused_and_left_alone() {
    let fixture = Fixture::new();
    let file = database_file(&fixture);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let foreign = rusqlite::Connection::open(&file).unwrap();
    foreign
        .execute_batch("CREATE TABLE customers (x); INSERT INTO customers VALUES (1)")
        .unwrap();
    drop(foreign);
    let before = std::fs::read(&file).unwrap();
    let Err(Error::Unavailable(text)) = fixture.query("SELECT 1").await else {
        panic!("a foreign file was used");
    };
    assert!(text.contains("something else"), "{text}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

/// What is free again, and what the log has of it too, is not in use; and to ask opens what was closed only where that is wanted.
#[tokio::test]
async fn a_database_says_how_much_it_holds() {
    let fixture = Fixture::with_apps().await;
    let fill =
        "INSERT INTO stock_items (sku) VALUES (hex(zeroblob(100000))), (hex(zeroblob(150000)))";
    fixture.execute(fill).await.unwrap();
    let most = fixture.used_bytes().await;
    assert!(most > 500_000, "{most}");
    let remove = "DELETE FROM stock_items WHERE length(sku) = 200000";
    fixture.execute(remove).await.unwrap();
    let used = fixture.used_bytes().await;
    assert!(
        (300_000..most - 200_000).contains(&used),
        "{used} of {most}"
    );
    let file = database_file(&fixture);
    let Fixture { dbs, dir, instance } = fixture;
    drop(dbs);
    let log = file.with_extension("db-wal");
    eventually("the database is closed", async || !log.exists()).await;
    let reopened = InstanceDbs::new(Config {
        dir: dir.path().join("instances"),
        ..Config::default()
    })
    .unwrap();
    assert_eq!(reopened.file_bytes(instance), most);
    let wait = Duration::from_secs(20);
    let if_open = async || reopened.used_bytes_if_open(instance, wait).await;
    assert_eq!(if_open().await, Ok(None));
    assert_eq!(reopened.open_count(), 0);
    assert_eq!(reopened.used_bytes(instance, wait).await, Ok(used));
    assert_eq!(if_open().await, Ok(Some(used)));
    let other = InstanceId::generate();
    assert_eq!(reopened.used_bytes(other, wait).await, Ok(0));
    assert!(!reopened.exists(other));
}

#[tokio::test]
async fn a_file_of_a_newer_host_is_refused() {
    let fixture = Fixture::with_apps().await;
    let file = database_file(&fixture);
    let newer = rusqlite::Connection::open(&file).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    drop(newer);
    let reopened = InstanceDbs::new(Config {
        dir: fixture.dir.path().join("instances"),
        ..Config::default()
    })
    .unwrap();
    let worked = reopened
        .get(fixture.instance)
        .unwrap()
        .query(&scope("stock"), request("SELECT 1"))
        .await;
    assert!(matches!(worked.result, Err(Error::Unavailable(text)) if text.contains("layout 99")));
}

/// What a host of layout 1 made of an empty file.
const LAYOUT_1: &str = "
    PRAGMA journal_mode = WAL;
    CREATE TABLE cw_schema (
        namespace TEXT NOT NULL, version INTEGER NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, down TEXT,
        PRIMARY KEY (namespace, version)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE cw_kv (
        app TEXT NOT NULL, bucket TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL, value BLOB NOT NULL,
        PRIMARY KEY (app, bucket, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE cw_kv_counter (app TEXT NOT NULL PRIMARY KEY, version INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO cw_kv VALUES ('stock', 'b', 'k', 3, x'01');
    PRAGMA application_id = 0x43574442;
    PRAGMA user_version = 1;
";

#[tokio::test]
async fn a_file_of_an_older_host_gets_what_it_lacks_and_keeps_what_it_has() {
    let fixture = Fixture::new();
    let file = database_file(&fixture);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let older = rusqlite::Connection::open(&file).unwrap();
    older.execute_batch(LAYOUT_1).unwrap();
    drop(older);
    fixture.migrate("stock", &[STOCK]).await;
    let fresh = Fixture::new();
    fresh.migrate("stock", &[STOCK]).await;
    let fresh_file = database_file(&fresh);
    drop(fresh.dbs);
    let kept = rusqlite::Connection::open(&file).unwrap();
    let value: Vec<u8> = kept
        .query_row("SELECT value FROM cw_kv WHERE version = 3", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(value, [1]);
    assert_eq!(
        objects(&kept),
        objects(&rusqlite::Connection::open(fresh_file).unwrap())
    );
}

/// Names of everything in a schema, and its layout.
fn objects(file: &rusqlite::Connection) -> (Vec<String>, i64) {
    let mut names = file
        .prepare("SELECT type || ' ' || name FROM sqlite_schema ORDER BY 1")
        .unwrap();
    let names = names.query_map([], |row| row.get(0)).unwrap();
    let layout = file
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    (names.map(Result::unwrap).collect(), layout)
}

#[tokio::test]
async fn damage_is_told_and_does_not_spread() {
    let fixture = Fixture::new();
    let file = database_file(&fixture);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(
        &file,
        b"not a database at all, but long enough to be read as one".repeat(200),
    )
    .unwrap();
    assert!(matches!(
        fixture.query("SELECT 1").await,
        Err(Error::Unavailable(_))
    ));
    assert!(matches!(
        fixture
            .dbs
            .migrate(
                fixture.instance,
                &"stock".parse().unwrap(),
                steps(&[STOCK]),
                1,
                STORAGE
            )
            .await,
        Err(cloudware_instance_db::MigrationError::Database(
            Error::Unavailable(_)
        ))
    ));
    let other = Fixture {
        instance: InstanceId::generate(),
        ..fixture
    };
    other.migrate("stock", &[STOCK]).await;
    other.query("SELECT sku FROM stock_items").await.unwrap();
}

#[tokio::test]
async fn a_page_that_was_overwritten_is_found_out() {
    let fixture = Fixture::with_apps().await;
    let many = "INSERT INTO stock_items (sku) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT 'sku-' || i FROM n";
    fixture.execute(many).await.unwrap();
    let file = database_file(&fixture);
    let Fixture { dbs, dir, instance } = fixture;
    drop(dbs);
    let closing = rusqlite::Connection::open(&file).unwrap();
    closing
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    drop(closing);
    let mut bytes = std::fs::read(&file).unwrap();
    for page in bytes.chunks_mut(4096).skip(5) {
        page.fill(0xA5);
    }
    std::fs::write(&file, bytes).unwrap();
    let dbs = InstanceDbs::new(Config {
        dir: dir.path().join("instances"),
        ..Config::default()
    })
    .unwrap();
    let worked = dbs
        .get(instance)
        .unwrap()
        .query(
            &scope("stock"),
            request("SELECT count(DISTINCT sku) FROM stock_items"),
        )
        .await;
    assert!(
        matches!(worked.result, Err(Error::Unavailable(_))),
        "{:?}",
        worked.result
    );
}

#[test]
fn settings_and_directories_are_checked_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let wrong = Config {
        dir: dir.path().to_owned(),
        open_max: 0,
        lock_wait_ms: 0,
        ..Config::default()
    };
    let Err(StartError::Config(mistakes)) = InstanceDbs::new(wrong) else {
        panic!("wrong settings were taken");
    };
    assert_eq!(mistakes.len(), 2, "{mistakes:?}");
    let file = dir.path().join("file");
    std::fs::write(&file, b"").unwrap();
    for unusable in [
        file.clone(),
        file.join("below"),
        PathBuf::from("/proc/cloudware"),
    ] {
        let config = Config {
            dir: unusable.clone(),
            durability: Durability::Normal,
            ..Config::default()
        };
        let Err(error) = InstanceDbs::new(config) else {
            panic!("{} was taken", unusable.display());
        };
        assert!(
            error.to_string().contains(unusable.to_str().unwrap()),
            "{error}"
        );
    }
}
