//! What stands between an app's SQL and the database: the reader of its text, and the authorizer that sees
//! what SQLite understood. Only the work on the database's own thread counts, not the way there.

use std::{sync::Arc, time::Duration};

use cloudware_instance_db::{AppScope, Config, Database, Holder, InstanceDbs, Namespace};
use cloudware_types::{InstanceId, Migration};
use criterion::Criterion;
use tokio::runtime::Runtime;

const STORAGE_BYTES: u64 = 64 << 20;

const TIME_MAX: Duration = Duration::from_secs(5);

/// A join with a condition, a group and an order, as a list in an application.
const ALLOWED: &str = "SELECT i.sku, SUM(l.quantity) FROM bench_items i JOIN bench_levels l ON l.item = i.id \
                       WHERE i.active = 1 AND l.quantity > ? GROUP BY i.sku ORDER BY i.sku LIMIT 50";

/// A table that the app does not own.
const REFUSED: &str = "SELECT name, sql FROM sqlite_schema WHERE type = 'table'";

pub fn guard(criterion: &mut Criterion) {
    cloudware_instance_db::init().unwrap();
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (database, scope) = runtime.block_on(prepare(folder.path().join("instances")));
    let work = |text: &'static str, times: u64, is_allowed: bool| {
        runtime.block_on(async {
            let mut worked = Duration::ZERO;
            for _ in 0..times {
                let described = database.describe(&scope, Arc::from(text), TIME_MAX).await;
                assert_eq!(described.result.is_ok(), is_allowed, "{text}");
                worked += described.worked;
            }
            worked
        })
    };
    criterion.bench_function("sql: a statement that is allowed", |bench| {
        bench.iter_custom(|times| work(ALLOWED, times, true));
    });
    criterion.bench_function("sql: a statement that is refused", |bench| {
        bench.iter_custom(|times| work(REFUSED, times, false));
    });
}

async fn prepare(dir: std::path::PathBuf) -> (Arc<Database>, AppScope) {
    let databases = InstanceDbs::new(Config {
        dir,
        ..Config::default()
    })
    .unwrap();
    let instance = InstanceId::generate();
    let namespace: Namespace = "bench".parse().unwrap();
    let migration = Migration {
        version: 1,
        name: "tables".to_owned(),
        up: "CREATE TABLE bench_items (id INTEGER PRIMARY KEY, sku TEXT NOT NULL, active INTEGER NOT NULL);\n\
             CREATE TABLE bench_levels (item INTEGER NOT NULL, quantity INTEGER NOT NULL);"
            .to_owned(),
        down: None,
    };
    databases
        .migrate(instance, &namespace, vec![migration], 1, STORAGE_BYTES)
        .await
        .unwrap();
    let scope = AppScope {
        namespace,
        storage_bytes_max: STORAGE_BYTES,
        holder: Holder::PLATFORM,
    };
    (databases.get(instance).unwrap(), scope)
}
