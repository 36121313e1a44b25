//! Databases in a directory of their own, with the tables of two apps.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cloudware_instance_db::{
    AppKey, AppScope, Config, Database, Error, Holder, InstanceDbs, Mode, Outcome, Request, RowSet,
    Transaction, Value, Worked,
};
use cloudware_types::{InstanceId, Migration, RunChain};

pub const STOCK: &str = "
    CREATE TABLE stock_items (id INTEGER PRIMARY KEY, sku TEXT UNIQUE, amount INTEGER);
    INSERT INTO stock_items (sku, amount) VALUES ('a', 1), ('b', 2), ('c', 3);
";

pub const SALES: &str = "
    CREATE TABLE sales_orders (id INTEGER PRIMARY KEY AUTOINCREMENT, secret TEXT);
    INSERT INTO sales_orders (secret) VALUES ('s3cret');
    CREATE VIEW sales_open AS SELECT * FROM sales_orders;
";

pub const STORAGE: u64 = 64 << 20;

pub struct Fixture {
    pub dbs: Arc<InstanceDbs>,
    pub dir: tempfile::TempDir,
    pub instance: InstanceId,
}

impl Fixture {
    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config {
            dir: dir.path().join("instances"),
            ..Config::default()
        };
        change(&mut config);
        Self {
            dbs: InstanceDbs::new(config).unwrap(),
            dir,
            instance: InstanceId::generate(),
        }
    }

    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// With the tables of the apps `stock` and `sales`.
    pub async fn with_apps() -> Self {
        let fixture = Self::new();
        fixture.migrate("stock", &[STOCK]).await;
        fixture.migrate("sales", &[SALES]).await;
        fixture
    }

    pub async fn migrate(&self, namespace: &str, ups: &[&str]) {
        let steps = steps(ups);
        let target = steps.len() as u32;
        self.dbs
            .migrate(
                self.instance,
                &namespace.parse().unwrap(),
                steps,
                target,
                STORAGE,
            )
            .await
            .unwrap();
    }

    pub fn database(&self) -> Arc<Database> {
        self.dbs.get(self.instance).unwrap()
    }

    pub async fn used_bytes(&self) -> u64 {
        let wait = Duration::from_secs(20);
        self.dbs.used_bytes(self.instance, wait).await.unwrap()
    }

    pub async fn query(&self, statement: &str) -> Result<RowSet, Error> {
        self.database()
            .query(&scope("stock"), request(statement))
            .await
            .result
    }

    pub async fn execute(&self, statement: &str) -> Result<Outcome, Error> {
        self.database()
            .execute(&scope("stock"), request(statement))
            .await
            .result
    }

    pub async fn begin(&self, mode: Mode) -> Transaction {
        self.database()
            .begin(&scope("stock"), mode)
            .await
            .result
            .unwrap()
    }

    /// Runs a statement whichever way it wants to be run.
    pub async fn run(&self, statement: &str) -> Result<RowSet, Error> {
        match self.query(statement).await {
            Err(Error::Statement(text)) if text.contains("run it with execute") => {
                self.execute(statement).await.map(|_| RowSet::default())
            }
            other => other,
        }
    }

    /// The only cell of the only row.
    pub async fn cell(&self, namespace: &str, statement: &str) -> Value {
        let worked = self
            .database()
            .query(&scope(namespace), request(statement))
            .await;
        let rows = worked.result.unwrap().rows;
        assert_eq!((rows.len(), rows[0].len()), (1, 1));
        rows[0][0].clone()
    }
}

pub fn scope(namespace: &str) -> AppScope {
    AppScope {
        namespace: namespace.parse().unwrap(),
        storage_bytes_max: STORAGE,
        holder: Holder::new(RunChain::of(0), AppKey::of(namespace)),
    }
}

pub fn request(statement: &str) -> Request {
    Request {
        statement: statement.into(),
        parameters: Vec::new(),
        rows_read_max: 100_000,
        rows_written_max: 100_000,
        time_max: Duration::from_secs(20),
        access: None,
    }
}

pub fn steps(ups: &[&str]) -> Vec<Migration> {
    (1..)
        .zip(ups)
        .map(|(version, up)| Migration {
            version,
            name: format!("step-{version}"),
            up: (*up).to_owned(),
            down: None,
        })
        .collect()
}

pub fn refused<T: std::fmt::Debug>(worked: Worked<T>) -> Error {
    worked.result.unwrap_err()
}

/// Waits for something that another task brings about.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "never: {what}");
        tokio::task::yield_now().await;
    }
}
