//! What the platform writes within the transaction of a run: it comes to be with the commit and not otherwise.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use cloudware_instance_db::{
    AppKey, AppScope, Error, Holder, Mode, OnCommit, PlatformScope, Transaction, Value, Worked,
};
use cloudware_types::RunChain;

use crate::fixture::{Fixture, STORAGE, eventually, refused, request, scope};

/// The run whose transactions are joined.
const RUN: u64 = 7;

/// Counts how often it was told of a commit.
#[derive(Clone, Default)]
struct Told(Arc<AtomicU32>);

impl Told {
    fn listener(&self) -> OnCommit {
        let told = Arc::clone(&self.0);
        Arc::new(move |_| {
            told.fetch_add(1, Ordering::SeqCst);
        })
    }

    fn count(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

fn app(run: u64) -> AppScope {
    AppScope {
        holder: Holder::new(RunChain::of(run), AppKey::of("stock")),
        ..scope("stock")
    }
}

fn platform(run: u64) -> PlatformScope {
    PlatformScope {
        storage_bytes_max: STORAGE,
        time_max: Duration::from_secs(20),
        holder: Holder::new(RunChain::of(run), AppKey::of("stock")),
    }
}

impl Fixture {
    async fn begin_as(&self, run: u64) -> Transaction {
        let begun = self.database().begin(&app(run), Mode::Write).await;
        begun.result.unwrap()
    }

    /// Writes a key on behalf of a run.
    async fn note(&self, run: u64, key: &str, told: &OnCommit) -> Worked<()> {
        let key = key.to_owned();
        let insert =
            "INSERT INTO cw_kv (app, bucket, key, version, value) VALUES ('', '', ?1, 1, x'')";
        self.database()
            .write_within(platform(run), Arc::clone(told), move |sqlite| {
                Ok(sqlite.prepare_cached(insert)?.execute([&key]).map(drop)?)
            })
            .await
    }

    /// How many keys are committed.
    async fn notes(&self) -> i64 {
        let count = |sqlite: &rusqlite::Connection| {
            Ok(sqlite.query_row("SELECT count(*) FROM cw_kv", [], |row| row.get(0))?)
        };
        let counted = self.database().read(platform(0), count).await;
        counted.result.unwrap()
    }
}

#[tokio::test]
async fn a_run_is_not_made_to_wait_for_one_that_waits_for_it() {
    let fixture = Fixture::with_apps().await;
    let told = Told::default();
    let mut open = fixture.begin_as(RUN).await;
    let caller = RunChain::of(RUN);
    let called = RunChain::new(RUN + 1, caller.waiting_too());
    let further = RunChain::new(RUN + 2, called.waiting_too());
    for chain in [called, further] {
        let within = PlatformScope {
            holder: Holder::new(chain.clone(), AppKey::of("sales")),
            ..platform(0)
        };
        let scope = AppScope {
            holder: within.holder.clone(),
            ..scope("sales")
        };
        let database = fixture.database();
        let written = database.write(within.clone(), |_| Ok(())).await;
        assert_eq!(refused(written), Error::Busy);
        let kept = database.write_within(within, told.listener(), |_| Ok(()));
        assert_eq!(refused(kept.await), Error::Busy);
        assert_eq!(
            database.begin(&scope, Mode::Write).await.result.err(),
            Some(Error::Busy)
        );
        let read = database.query(&scope, request("SELECT 1")).await;
        assert_eq!(read.result.map(|rows| rows.rows.len()), Ok(1));
    }
    // The caller's transaction goes on, as if nobody had asked.
    let insert = "INSERT INTO stock_items (id, sku) VALUES (77, 'new')";
    open.execute(request(insert)).await.result.unwrap();
    open.commit().await.result.unwrap();
}

#[tokio::test]
async fn it_is_committed_with_the_transaction_of_the_run_and_told_then() {
    let fixture = Fixture::with_apps().await;
    let (told, listener) = (Told::default(), Told::default());
    let (joined, alone) = (told.listener(), listener.listener());
    let mut open = fixture.begin_as(RUN).await;
    let insert = "INSERT INTO stock_items (id, sku) VALUES (77, 'new')";
    open.execute(request(insert)).await.result.unwrap();
    for key in ["a", "b"] {
        fixture.note(RUN, key, &joined).await.result.unwrap();
    }
    assert_eq!((fixture.notes().await, told.count()), (0, 0));
    let rowid = open.query(request("SELECT last_insert_rowid()")).await;
    assert_eq!(
        rowid.result.unwrap().rows[0][0],
        Value::Integer(77),
        "the app's own insert is still the last"
    );
    open.commit().await.result.unwrap();
    assert_eq!((fixture.notes().await, told.count()), (2, 1));
    // The transaction has ended, so this is one of its own.
    fixture.note(RUN, "c", &alone).await.result.unwrap();
    assert_eq!((fixture.notes().await, listener.count()), (3, 1));
}

#[tokio::test]
async fn it_is_undone_with_the_transaction_of_the_run_and_never_told() {
    let fixture = Fixture::with_apps().await;
    let told = Told::default();
    let listener = told.listener();
    for ending in ["rollback", "drop", "refused commit"] {
        let mut open = fixture.begin_as(RUN).await;
        fixture.note(RUN, ending, &listener).await.result.unwrap();
        match ending {
            "rollback" => open.rollback().await.result.unwrap(),
            "drop" => drop(open),
            _ => {
                // Its last statement ends the transaction, as a full disk would.
                let clash = "INSERT OR ROLLBACK INTO stock_items (sku) VALUES ('a')";
                refused(open.execute(request(clash)).await);
                assert_eq!(refused(open.commit().await), Error::Closed);
            }
        }
        // The next transaction on the same connection must not inherit what was to be told.
        fixture.begin_as(RUN).await.commit().await.result.unwrap();
        assert_eq!((fixture.notes().await, told.count()), (0, 0), "{ending}");
    }
}

#[tokio::test]
async fn what_fails_is_undone_alone() {
    let fixture = Fixture::with_apps().await;
    let told = Told::default();
    let mut open = fixture.begin_as(RUN).await;
    open.execute(request("DELETE FROM stock_items"))
        .await
        .result
        .unwrap();
    let failed = fixture
        .database()
        .write_within(platform(RUN), told.listener(), |sqlite| {
            sqlite.execute(
                "INSERT INTO cw_kv (app, bucket, key, version, value) VALUES ('', '', 'x', 1, x'')",
                [],
            )?;
            Err::<(), _>(Error::Full)
        })
        .await;
    assert_eq!(refused(failed), Error::Full);
    open.commit().await.result.unwrap();
    assert_eq!((fixture.notes().await, told.count()), (0, 0));
    let left = fixture
        .cell("stock", "SELECT count(*) FROM stock_items")
        .await;
    assert_eq!(left, Value::Integer(0), "the rest was committed");
}

#[tokio::test]
async fn another_run_does_not_get_into_it() {
    let fixture = Fixture::with_apps().await;
    let told = Told::default();
    let listener = told.listener();
    let open = fixture.begin_as(RUN).await;
    let other = tokio::spawn({
        let (database, listener) = (fixture.database(), Arc::clone(&listener));
        async move {
            let insert =
                "INSERT INTO cw_kv (app, bucket, key, version, value) VALUES ('', '', 'o', 1, x'')";
            let work =
                move |sqlite: &rusqlite::Connection| Ok(sqlite.execute(insert, []).map(drop)?);
            database
                .write_within(platform(RUN + 1), listener, work)
                .await
                .result
        }
    });
    fixture.note(RUN, "own", &listener).await.result.unwrap();
    open.rollback().await.result.unwrap();
    other.await.unwrap().unwrap();
    assert_eq!((fixture.notes().await, told.count()), (1, 1));
}

#[tokio::test]
async fn nothing_is_written_for_a_run_whose_transaction_was_taken_away() {
    let fixture = Fixture::with(|config| config.transaction_idle_ms = 1);
    fixture.migrate("stock", &[crate::fixture::STOCK]).await;
    let told = Told::default();
    let listener = told.listener();
    let open = fixture.begin_as(RUN).await;
    // Somebody else waits for the writer, so the idle transaction ends.
    fixture
        .execute("UPDATE stock_items SET amount = 0")
        .await
        .unwrap();
    eventually("the transaction ends", async || !open.is_open()).await;
    assert_eq!(
        refused(fixture.note(RUN, "lost", &listener).await),
        Error::Closed
    );
    drop(open);
    fixture.note(RUN, "kept", &listener).await.result.unwrap();
    assert_eq!((fixture.notes().await, told.count()), (1, 1));
}

#[tokio::test]
async fn the_storage_quota_holds_within_it() {
    let fixture = Fixture::with_apps().await;
    let told = Told::default();
    let mut open = fixture.begin_as(RUN).await;
    let small = PlatformScope {
        storage_bytes_max: 64 << 10,
        ..platform(RUN)
    };
    let insert = "INSERT INTO cw_kv (app, bucket, key, version, value) VALUES ('', '', 'big', 1, zeroblob(1 << 20))";
    let work = move |sqlite: &rusqlite::Connection| Ok(sqlite.execute(insert, []).map(drop)?);
    let worked = fixture
        .database()
        .write_within(small, told.listener(), work)
        .await;
    assert_eq!(refused(worked), Error::Full);
    // SQLite may have ended the whole transaction; the run is told so, and nothing of it is there.
    let _ = open.execute(request("DELETE FROM stock_items")).await;
    drop(open);
    assert_eq!((fixture.notes().await, told.count()), (0, 0));
}
