//! Instances share the threads of the host, apps of an instance share its turns, and nobody keeps either for
//! himself.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cloudware_instance_db::{
    AppKey, AppScope, Database, Error, Holder, Mode, PlatformScope, Request, Transaction, Value,
};
use cloudware_types::{InstanceId, RunChain};
use rusqlite::Connection;
use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinHandle, JoinSet},
};

use crate::fixture::{Fixture, SALES, STOCK, STORAGE, eventually, refused, request, scope, steps};

const ENDLESS: &str =
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";

/// A statement that works for some milliseconds.
const SLOW: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000) SELECT max(i) FROM n";

fn endless(time_max_ms: u64) -> Request {
    Request {
        time_max: Duration::from_millis(time_max_ms),
        ..request(ENDLESS)
    }
}

fn run_of(namespace: &str, run: u64) -> AppScope {
    AppScope {
        holder: Holder::new(RunChain::of(run), AppKey::of(namespace)),
        ..scope(namespace)
    }
}

async fn new_instance(fixture: &Fixture) -> InstanceId {
    let instance = InstanceId::generate();
    let namespace = "stock".parse().unwrap();
    let migrated = fixture
        .dbs
        .migrate(instance, &namespace, steps(&[STOCK]), 1, STORAGE);
    migrated.await.unwrap();
    instance
}

/// Takes the only thread of a host: comes back when `work` has begun on it.
async fn occupy<R: Send + 'static>(
    database: Arc<Database>,
    work: impl FnOnce(&Connection) -> Result<R, Error> + Send + 'static,
) -> JoinHandle<Result<R, Error>> {
    let scope = PlatformScope {
        storage_bytes_max: STORAGE,
        time_max: Duration::from_secs(600),
        holder: Holder::new(RunChain::of(0), AppKey::of("stock")),
    };
    let (begun, has_begun) = oneshot::channel();
    let occupying = tokio::spawn(async move {
        let worked = database.read(scope, |connection| {
            begun.send(()).expect("the test waits");
            work(connection)
        });
        worked.await.result
    });
    has_begun.await.expect("it begins");
    occupying
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_that_flood_the_host_leave_room_for_others() {
    let fixture = Arc::new(Fixture::with(|config| config.workers_max = 2));
    let ended = Arc::new(AtomicU64::new(0));
    let mut floods = JoinSet::new();
    for _ in 0..3 {
        let instance = new_instance(&fixture).await;
        for _ in 0..7 {
            let (fixture, ended) = (Arc::clone(&fixture), Arc::clone(&ended));
            floods.spawn(async move {
                let database = fixture.dbs.get(instance).unwrap();
                loop {
                    let worked = database.query(&scope("stock"), endless(20)).await;
                    assert_eq!(refused(worked), Error::TimeExceeded);
                    ended.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    }
    let modest = new_instance(&fixture).await;
    let database = fixture.dbs.get(modest).unwrap();
    eventually("the flood runs", async || ended.load(Ordering::Relaxed) > 4).await;
    let before = ended.load(Ordering::Relaxed);
    for _ in 0..20 {
        let worked = database
            .query(&scope("stock"), request("SELECT 1 FROM stock_items"))
            .await;
        assert_eq!(worked.result.unwrap().rows.len(), 3);
    }
    let meanwhile = ended.load(Ordering::Relaxed) - before;
    floods.shutdown().await;
    // In order of arrival, 21 calls of the others would have come before each of the 20; in its turn, only
    // those that run already.
    assert!(meanwhile < 20 * 6, "{meanwhile} calls came before 20");
}

#[tokio::test]
async fn the_weight_of_an_instance_decides_who_is_next() {
    let fixture = Fixture::with(|config| config.workers_max = 1);
    let busy = new_instance(&fixture).await;
    let instances = [new_instance(&fixture).await, new_instance(&fixture).await];
    let (free, is_free) = std::sync::mpsc::channel();
    let running = occupy(fixture.dbs.get(busy).unwrap(), move |_| {
        is_free.recv().expect("the test goes on");
        Ok(())
    });
    let running = running.await;
    let (ended, mut order) = mpsc::unbounded_channel();
    let mut calls = JoinSet::new();
    for _ in 0..5 {
        for (instance, weight) in instances.into_iter().zip([1, 10_000]) {
            let (database, ended) = (fixture.dbs.get(instance).unwrap(), ended.clone());
            calls.spawn(async move {
                let mut scope = scope("stock");
                scope.holder = scope.holder.with_weight(weight);
                database.query(&scope, request(SLOW)).await.result.unwrap();
                ended.send(weight).unwrap();
            });
            // On one thread, it waits for its turn when the next begins.
            tokio::task::yield_now().await;
        }
    }
    free.send(()).unwrap();
    running.await.unwrap().unwrap();
    calls.join_all().await;
    let mut ended = Vec::new();
    order.close();
    while let Some(weight) = order.recv().await {
        ended.push(weight);
    }
    // One call of the light one costs it more than all calls of the heavy one.
    let light: Vec<usize> = (0..10).filter(|&at| ended[at] == 1).collect();
    assert_eq!(
        (ended.len(), &light[1..]),
        (10, &[6, 7, 8, 9][..]),
        "{ended:?}"
    );
}

#[tokio::test]
async fn who_keeps_the_writer_waits_for_a_thread_less_long_than_who_reads() {
    let fixture = Fixture::with(|config| config.workers_max = 1);
    let [ahead, other] = [new_instance(&fixture).await, new_instance(&fixture).await];
    let (go_on, goes_on) = std::sync::mpsc::channel();
    // The first is further ahead by this than all of the others' work comes to.
    let running = occupy(fixture.dbs.get(ahead).unwrap(), move |connection| {
        goes_on.recv().expect("the test goes on");
        let long = SLOW.replace("20000", "4000000");
        Ok(connection.query_row(&long, [], |row| row.get::<_, i64>(0))?)
    });
    let running = running.await;
    let (ended, mut order) = mpsc::unbounded_channel();
    let mut calls = JoinSet::new();
    let of_ahead = [
        (ahead, "read", SLOW),
        (ahead, "write", "DELETE FROM stock_items"),
    ];
    let of_other = (0..40).map(|_| (other, "other", SLOW));
    for (instance, name, text) in of_ahead.into_iter().chain(of_other) {
        let (database, ended) = (fixture.dbs.get(instance).unwrap(), ended.clone());
        calls.spawn(async move {
            let (stock, request) = (scope("stock"), request(text));
            match name {
                "write" => drop(database.execute(&stock, request).await.result.unwrap()),
                _ => drop(database.query(&stock, request).await.result.unwrap()),
            }
            ended.send(name).unwrap();
        });
        // On one thread, it waits for its turn when the next begins.
        tokio::task::yield_now().await;
    }
    go_on.send(()).unwrap();
    running.await.unwrap().unwrap();
    calls.join_all().await;
    order.close();
    let mut ended = Vec::new();
    while let Some(name) = order.recv().await {
        ended.push(name);
    }
    let place = |name| ended.iter().position(|ended| *ended == name).unwrap();
    // The read came first, and waits no longer than until the other instance has had a little more.
    assert!(place("write") < place("read"), "{ended:?}");
    assert!(place("read") < 20, "{ended:?}");
}

#[tokio::test]
async fn a_call_that_waits_for_a_thread_is_given_up_with_its_caller() {
    let fixture = Fixture::with(|config| config.workers_max = 1);
    let busy = new_instance(&fixture).await;
    let other = new_instance(&fixture).await;
    let running = occupy(fixture.dbs.get(busy).unwrap(), |connection| {
        Ok(connection.query_row(ENDLESS, [], |row| row.get::<_, i64>(0))?)
    })
    .await;
    let database = fixture.dbs.get(other).unwrap();
    let stock = scope("stock");
    let delete = database.execute(&stock, request("DELETE FROM stock_items"));
    let gone = tokio::time::timeout(Duration::from_millis(100), delete).await;
    assert!(gone.is_err(), "the only thread is busy");
    // The endless statement ends with its caller, and frees the thread.
    running.abort();
    let rows = database
        .query(&stock, request("SELECT 1 FROM stock_items"))
        .await;
    assert_eq!(rows.result.unwrap().rows.len(), 3, "the delete never began");
    // Its turn at the writer was given back as well.
    let deleted = database
        .execute(&stock, request("DELETE FROM stock_items"))
        .await;
    assert_eq!(deleted.result.unwrap().affected, 3);
}

#[tokio::test]
async fn an_idle_transaction_is_ended_when_others_wait_and_says_so() {
    let fixture = Fixture::with(|config| config.transaction_idle_ms = 100);
    fixture.migrate("stock", &[STOCK]).await;
    fixture.migrate("sales", &[SALES]).await;
    let database = fixture.database();
    let mut idle = database
        .begin(&run_of("stock", 1), Mode::Write)
        .await
        .result
        .unwrap();
    idle.execute(request("DELETE FROM stock_items"))
        .await
        .result
        .unwrap();
    // Nobody waits for its turn: it may stay idle for as long as its run may last.
    let reader = database.query(&run_of("sales", 2), endless(300)).await;
    assert_eq!(refused(reader), Error::TimeExceeded);
    assert!(idle.is_open());
    // The run itself is not helped by its end, and is refused at once.
    let own = database
        .execute(&run_of("stock", 1), request("DELETE FROM stock_items"))
        .await;
    assert_eq!(refused(own), Error::Busy);
    assert!(idle.is_open());
    let other = database
        .execute(&run_of("sales", 2), request("DELETE FROM sales_orders"))
        .await;
    assert_eq!(other.result.unwrap().affected, 1);
    assert!(!idle.is_open());
    let refusal = refused(idle.execute(request("DELETE FROM stock_items")).await);
    assert_eq!(refusal, Error::Closed);
    assert!(
        refusal.to_string().contains("did nothing") || refusal.to_string().contains("does nothing")
    );
    assert_eq!(refused(idle.commit().await), Error::Closed);
    let left = fixture
        .cell("stock", "SELECT count(*) FROM stock_items")
        .await;
    assert_eq!(left, Value::Integer(3), "what it deleted is back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_works_is_not_idle() {
    let fixture = Fixture::with(|config| config.transaction_idle_ms = 50);
    fixture.migrate("stock", &[STOCK]).await;
    let database = fixture.database();
    let mut open = database
        .begin(&run_of("stock", 1), Mode::Write)
        .await
        .result
        .unwrap();
    let waiting = {
        let database = Arc::clone(&database);
        tokio::spawn(async move {
            let delete = request("DELETE FROM stock_items");
            database.execute(&run_of("stock", 2), delete).await
        })
    };
    let worked = open.query(endless(500)).await;
    assert_eq!(refused(worked), Error::TimeExceeded);
    open.execute(request("UPDATE stock_items SET amount = 9"))
        .await
        .result
        .unwrap();
    open.commit().await.result.unwrap();
    assert_eq!(waiting.await.unwrap().result.unwrap().affected, 3);
}

#[tokio::test]
async fn one_app_leaves_a_reader_to_the_others() {
    let fixture = Fixture::with(|config| {
        config.readers_max = 3;
        config.lock_wait_ms = 100;
    });
    fixture.migrate("stock", &[STOCK]).await;
    fixture.migrate("sales", &[SALES]).await;
    let database = fixture.database();
    let mut open = Vec::new();
    for run in 1..=2 {
        let begun = database.begin(&run_of("stock", run), Mode::Read).await;
        open.push(begun.result.unwrap());
    }
    let third = database.begin(&run_of("stock", 3), Mode::Read).await;
    assert_eq!(refused(third.map(drop)), Error::Busy);
    let other = database
        .query(&run_of("sales", 4), request("SELECT 1 FROM sales_orders"))
        .await;
    assert_eq!(other.result.unwrap().rows.len(), 1);
    open.pop();
    let third = database.begin(&run_of("stock", 3), Mode::Read).await;
    third.result.unwrap();
}

#[tokio::test]
async fn a_run_that_has_all_its_readers_is_not_made_to_wait_for_itself() {
    let fixture = Fixture::with(|config| {
        config.readers_max = 3;
        config.lock_wait_ms = 600_000;
    });
    fixture.migrate("stock", &[STOCK]).await;
    let database = fixture.database();
    let mut open: Vec<Transaction> = Vec::new();
    for _ in 0..2 {
        let begun = database.begin(&run_of("stock", 1), Mode::Read).await;
        open.push(begun.result.unwrap());
    }
    let more = database
        .query(&run_of("stock", 1), request("SELECT 1 FROM stock_items"))
        .await;
    assert_eq!(refused(more), Error::Busy);
}

#[tokio::test]
async fn idle_snapshots_are_ended_when_others_wait_for_a_reader() {
    let fixture = Fixture::with(|config| {
        config.readers_max = 2;
        config.transaction_idle_ms = 50;
    });
    fixture.migrate("stock", &[STOCK]).await;
    let database = fixture.database();
    let first = database
        .begin(&run_of("stock", 1), Mode::Read)
        .await
        .result
        .unwrap();
    let rows = database
        .query(&run_of("stock", 2), request("SELECT 1 FROM stock_items"))
        .await;
    assert_eq!(rows.result.unwrap().rows.len(), 3);
    assert!(!first.is_open());
}

#[tokio::test]
async fn apps_take_turns_at_the_writer_however_many_runs_each_has() {
    let fixture = Fixture::with_apps().await;
    let database = fixture.database();
    let open = database
        .begin(&run_of("stock", 1), Mode::Write)
        .await
        .result
        .unwrap();
    let (ended, mut order) = mpsc::unbounded_channel();
    let mut waiting = JoinSet::new();
    for (namespace, statement, runs) in [
        ("stock", "UPDATE stock_items SET amount = 1", 2..12),
        ("sales", "UPDATE sales_orders SET secret = 1", 12..13),
    ] {
        for run in runs {
            let (database, ended) = (Arc::clone(&database), ended.clone());
            waiting.spawn(async move {
                let worked = database
                    .execute(&run_of(namespace, run), request(statement))
                    .await;
                ended.send(run).unwrap();
                worked.result.unwrap();
            });
            // On one thread, every one of them has joined the queue when the next begins.
            tokio::task::yield_now().await;
        }
    }
    open.rollback().await.result.unwrap();
    let mut ended = Vec::new();
    while ended.len() < 11 {
        ended.push(order.recv().await.unwrap());
    }
    let place = ended.iter().position(|run| *run == 12).unwrap();
    assert!(
        place <= 2,
        "the other app's only run was number {place}: {ended:?}"
    );
    while let Some(done) = waiting.join_next().await {
        done.unwrap();
    }
}

/// Also of a call that its bounds end, and of a long one while it goes on.
#[tokio::test]
async fn what_a_call_has_of_a_processor_is_told_for_its_instance() {
    let fixture = Fixture::with(|config| {
        config.workers_max = 1;
        config.worker_nice = 0;
    });
    fixture.migrate("stock", &[STOCK]).await;
    let other = new_instance(&fixture).await;
    let (told, mut charges) = mpsc::unbounded_channel();
    fixture.dbs.charge_to(move |instance, cpu| {
        let _ = told.send((instance, cpu));
    });
    let begun = Instant::now();
    let ended = fixture
        .database()
        .query(&scope("stock"), endless(300))
        .await;
    assert_eq!(refused(ended), Error::TimeExceeded);
    let other = fixture.dbs.get(other).unwrap();
    let answered = other.query(&scope("stock"), request("SELECT 1")).await;
    answered.result.unwrap();
    let mut long = Vec::new();
    let short = loop {
        match charges.recv().await.unwrap() {
            (instance, part) if instance == fixture.instance => long.push(part),
            (_, part) if !long.is_empty() => break part,
            // The end of what it was prepared with.
            _ => {}
        }
    };
    let (sum, all) = (long.iter().sum::<Duration>(), begun.elapsed());
    assert!(long.len() > 1, "it is told while it goes on");
    let range = Duration::from_millis(2)..=all;
    assert!(range.contains(&sum), "{long:?} of {all:?}");
    assert!(!short.is_zero() && short < sum, "{short:?}");
}
