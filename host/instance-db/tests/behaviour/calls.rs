//! Turns, cancellation, and databases that open and close.

use std::{
    sync::{Arc, Mutex},
    task::{Context, Waker},
    time::{Duration, Instant},
};

use cloudware_instance_db::{Abandoned, AppKey, AppScope, Error, Holder, Mode, OnAbandoned, Value};
use cloudware_types::{InstanceId, RunChain};

use crate::fixture::{Fixture, STOCK, STORAGE, eventually, refused, request, scope, steps};

const ENDLESS: &str =
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";

#[tokio::test]
async fn a_caller_that_goes_away_frees_its_turn_at_once() {
    let fixture = Fixture::with_apps().await;
    let mut open = fixture.begin(Mode::Write).await;
    open.execute(request("DELETE FROM stock_items"))
        .await
        .result
        .unwrap();
    {
        let endless = open.query(request(ENDLESS));
        let stopped = tokio::time::timeout(Duration::from_millis(50), endless).await;
        assert!(stopped.is_err(), "the statement must have been running");
    }
    // Its statement would have run for twenty seconds.
    let begun = Instant::now();
    fixture
        .execute("UPDATE stock_items SET amount = 9")
        .await
        .unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    assert!(!open.is_open());
    assert_eq!(
        refused(open.query(request("SELECT 1")).await),
        Error::Closed
    );
    let left = fixture
        .cell("stock", "SELECT count(*) FROM stock_items")
        .await;
    assert_eq!(left, Value::Integer(3), "the delete was undone");
}

/// Calls that were begun, and whether the database has worked for them, are told apart by what the holder hears.
#[tokio::test]
async fn the_work_for_a_caller_that_goes_away_is_told_once() {
    let fixture = Fixture::with(|config| config.workers_max = 1);
    fixture.migrate("stock", &[STOCK]).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = OnAbandoned::new({
        let told = Arc::clone(&told);
        move |abandoned: Abandoned| told.lock().unwrap().push(abandoned)
    });
    let me = AppScope {
        holder: Holder::new(RunChain::of(7), AppKey::of("stock")).telling(Some(telling)),
        ..scope("stock")
    };
    let times_told = || told.lock().unwrap().len();
    let database = fixture.database();
    // Who is answered is told himself.
    let answered = database.query(&me, request("SELECT 1")).await;
    assert!(answered.result.is_ok());

    let begun = Instant::now();
    let call = database.query(&me, request(ENDLESS));
    let gone = tokio::time::timeout(Duration::from_millis(50), call).await;
    assert!(gone.is_err(), "the statement must have been running");
    eventually("it is interrupted", async || times_told() == 1).await;
    let Abandoned {
        worked,
        rows_read,
        rows_written,
    } = told.lock().unwrap()[0];
    assert!(
        worked > Duration::ZERO && worked < begun.elapsed(),
        "{worked:?}"
    );
    assert_eq!((rows_read, rows_written), (0, 0), "it was interrupted");

    let mut open = database.begin(&me, Mode::Write).await.result.unwrap();
    let call = open.query(request(ENDLESS));
    let gone = tokio::time::timeout(Duration::from_millis(50), call).await;
    assert!(gone.is_err(), "the statement must have been running");
    eventually("it is interrupted", async || times_told() == 2).await;
    drop(open);

    // The answer is there, and nobody has taken it.
    let mut unread = Box::pin(database.query(&me, request("SELECT 1")));
    while unread
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
        .is_ready()
    {
        unread = Box::pin(database.query(&me, request("SELECT 1")));
    }
    fixture.query("SELECT 1").await.unwrap();
    drop(unread);
    assert_eq!(times_told(), 3);
    let last = || *told.lock().unwrap().last().unwrap();
    assert_eq!((last().rows_read, last().rows_written), (1, 0));

    // The rows are there, whoever knows of it.
    let insert = "INSERT INTO stock_items (sku, amount) VALUES ('unread', 1), ('unseen', 2)";
    let mut unread = Box::pin(database.execute(&me, request(insert)));
    let polled = unread
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending(), "another thread does it");
    let count = "SELECT count(*) FROM stock_items WHERE sku LIKE 'un%'";
    eventually("they are committed", async || {
        fixture.cell("stock", count).await == Value::Integer(2)
    })
    .await;
    drop(unread);
    eventually("it is told", async || times_told() == 4).await;
    assert_eq!((last().rows_read, last().rows_written), (0, 2));

    // What waits for the only thread has not begun.
    let mut running = Box::pin(database.query(&me, request(ENDLESS)));
    let still = tokio::time::timeout(Duration::from_millis(50), &mut running).await;
    assert!(still.is_err(), "the statement must have been running");
    let mut waiting = Box::pin(database.query(&me, request("SELECT 1")));
    assert!(
        waiting
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
    drop(waiting);
    drop(running);
    eventually("the other one is interrupted", async || times_told() == 5).await;
    fixture.query("SELECT 1").await.unwrap();
    assert_eq!(times_told(), 5);
}

#[tokio::test]
async fn a_dropped_call_outside_a_transaction_changes_nothing() {
    let fixture = Fixture::with_apps().await;
    let database = fixture.database();
    let stock = scope("stock");
    let slow = format!("UPDATE stock_items SET amount = ({ENDLESS})");
    let call = database.execute(&stock, request(&slow));
    assert!(
        tokio::time::timeout(Duration::from_millis(50), call)
            .await
            .is_err()
    );
    let sum = fixture
        .cell("stock", "SELECT sum(amount) FROM stock_items")
        .await;
    assert_eq!(sum, Value::Integer(6));
    fixture
        .execute("UPDATE stock_items SET amount = 0")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_forgotten_transaction_makes_others_busy_and_no_longer() {
    let fixture = Fixture::with(|config| config.lock_wait_ms = 50);
    fixture.migrate("stock", &[STOCK]).await;
    let open = fixture.begin(Mode::Write).await;
    assert_eq!(
        fixture.execute("DELETE FROM stock_items").await,
        Err(Error::Busy)
    );
    fixture.query("SELECT 1 FROM stock_items").await.unwrap();
    drop(open);
    eventually("the turn is given back", async || {
        fixture
            .execute("UPDATE stock_items SET amount = 1")
            .await
            .is_ok()
    })
    .await;
}

#[tokio::test]
async fn one_who_holds_the_turn_is_not_made_to_wait_for_itself() {
    let fixture = Fixture::with_apps().await;
    let database = fixture.database();
    let me = AppScope {
        holder: Holder::new(RunChain::of(7), AppKey::of("stock")),
        ..scope("stock")
    };
    let open = database.begin(&me, Mode::Write).await.result.unwrap();
    let begun = Instant::now();
    let refusal = refused(
        database
            .execute(&me, request("DELETE FROM stock_items"))
            .await,
    );
    assert_eq!(refusal, Error::Busy);
    assert!(begun.elapsed() < Duration::from_secs(2));
    open.rollback().await.result.unwrap();
    database
        .execute(&me, request("DELETE FROM stock_items"))
        .await
        .result
        .unwrap();
}

#[tokio::test]
async fn one_who_drops_the_turn_can_take_it_again_at_once() {
    let fixture = Fixture::with_apps().await;
    let database = fixture.database();
    let me = AppScope {
        holder: Holder::new(RunChain::of(7), AppKey::of("stock")),
        ..scope("stock")
    };
    for _ in 0..100 {
        let mut open = database.begin(&me, Mode::Write).await.result.unwrap();
        let delete = request("DELETE FROM stock_items");
        open.execute(delete).await.result.unwrap();
        drop(open);
    }
    let left = fixture
        .cell("stock", "SELECT count(*) FROM stock_items")
        .await;
    assert_eq!(left, Value::Integer(3));
}

#[tokio::test]
async fn last_insert_rowid_says_nothing_about_others() {
    let fixture = Fixture::with_apps().await;
    fixture
        .execute("INSERT INTO stock_items (id) VALUES (77)")
        .await
        .unwrap();
    let mut open = fixture.begin(Mode::Write).await;
    let seen = open
        .query(request("SELECT last_insert_rowid()"))
        .await
        .result
        .unwrap();
    assert_eq!(seen.rows, [[Value::Integer(0)]]);
    open.execute(request("INSERT INTO stock_items (id) VALUES (78)"))
        .await
        .result
        .unwrap();
    let seen = open
        .query(request("SELECT last_insert_rowid()"))
        .await
        .result
        .unwrap();
    assert_eq!(seen.rows, [[Value::Integer(78)]]);
}

#[tokio::test]
async fn databases_are_bounded_in_number_and_never_closed_while_in_use() {
    let fixture = Fixture::with(|config| config.open_max = 3);
    let instances: Vec<_> = (0..10).map(|_| InstanceId::generate()).collect();
    let namespace = "stock".parse().unwrap();
    for &instance in &instances {
        let migrated = fixture
            .dbs
            .migrate(instance, &namespace, steps(&[STOCK]), 1, STORAGE);
        migrated.await.unwrap();
        assert!(fixture.dbs.open_count() <= 3);
    }
    let held = fixture.dbs.get(instances[0]).unwrap();
    let mut open = held
        .begin(&scope("stock"), Mode::Write)
        .await
        .result
        .unwrap();
    open.execute(request("DELETE FROM stock_items"))
        .await
        .result
        .unwrap();
    for &instance in &instances[1..] {
        let database = fixture.dbs.get(instance).unwrap();
        let rows = database
            .query(&scope("stock"), request("SELECT sku FROM stock_items"))
            .await;
        assert_eq!(rows.result.unwrap().rows.len(), 3);
    }
    assert!(Arc::ptr_eq(&held, &fixture.dbs.get(instances[0]).unwrap()));
    open.commit().await.result.unwrap();
    let also: Vec<_> = instances[1..3]
        .iter()
        .map(|&i| fixture.dbs.get(i).unwrap())
        .collect();
    assert_eq!(also.len(), 2);
    assert!(matches!(fixture.dbs.get(instances[9]), Err(Error::Busy)));
    drop(also);
    fixture.dbs.get(instances[9]).unwrap();
}

#[tokio::test]
async fn an_idle_database_is_closed_and_opens_again() {
    let fixture = Fixture::with(|config| config.idle_close_seconds = 1);
    fixture.migrate("stock", &[STOCK]).await;
    assert_eq!(fixture.dbs.open_count(), 1);
    eventually("the idle database is closed", async || {
        fixture.dbs.open_count() == 0
    })
    .await;
    fixture.query("SELECT 1 FROM stock_items").await.unwrap();
    assert_eq!(fixture.dbs.open_count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_readers_and_writers_get_along() {
    let fixture = Arc::new(Fixture::with_apps().await);
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            let fixture = Arc::clone(&fixture);
            tokio::spawn(async move {
                if number % 2 == 0 {
                    let add = "UPDATE stock_items SET amount = amount + 1 WHERE id = 1";
                    fixture.execute(add).await.map(|_| ())
                } else {
                    fixture
                        .query("SELECT sum(amount) FROM stock_items")
                        .await
                        .map(|_| ())
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let amount = fixture
        .cell("stock", "SELECT amount FROM stock_items WHERE id = 1")
        .await;
    assert_eq!(amount, Value::Integer(51));
}

#[tokio::test]
async fn a_deleted_database_is_gone_with_its_files() {
    let fixture = Fixture::with_apps().await;
    let held = fixture.database();
    assert!(fixture.used_bytes().await > 0);
    fixture.dbs.delete(fixture.instance).await.unwrap();
    assert_eq!(fixture.used_bytes().await, 0);
    let late = held
        .query(&scope("stock"), request("SELECT 1 FROM stock_items"))
        .await;
    assert!(matches!(refused(late), Error::Unavailable(_)));
    fixture.dbs.delete(fixture.instance).await.unwrap();
    let namespace = "stock".parse().unwrap();
    assert_eq!(
        fixture
            .dbs
            .schema_version(fixture.instance, &namespace)
            .await,
        Ok(0)
    );
}

#[tokio::test]
async fn a_snapshot_is_complete_and_taken_while_work_goes_on() {
    let fixture = Fixture::with_apps().await;
    let mut open = fixture.begin(Mode::Write).await;
    open.execute(request("DELETE FROM stock_items"))
        .await
        .result
        .unwrap();
    let copy = fixture.dir.path().join("copy.db");
    fixture
        .dbs
        .snapshot(fixture.instance, copy.clone())
        .await
        .unwrap();
    open.commit().await.result.unwrap();
    let file = rusqlite::Connection::open(&copy).unwrap();
    let count = |table: &str| -> i64 {
        file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
            row.get(0)
        })
        .unwrap()
    };
    assert_eq!(
        (
            count("stock_items"),
            count("sales_orders"),
            count("cw_schema")
        ),
        (3, 1, 2)
    );
    let again = fixture.dbs.snapshot(fixture.instance, copy).await;
    assert!(matches!(again, Err(Error::Unavailable(text)) if text.contains("exists already")));
}
