//! Metering and crashes: what was answered is in the ledger, once, also when the host is killed under load.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use cloudware_tests::{Answer, Http, Platform, Source, eventually};
use http::Method;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

/// Who asks at the same time.
const CLIENTS: usize = 4;

/// Answers between two kills: so many that what is under way at a kill, of which nobody knows whether it was answered, is
/// less than a thousandth.
const ANSWERS: u64 = 4_500;

/// Bytes of an answer: `hello` and a line break.
const ANSWER_BYTES: u64 = 6;

/// What the clients know by themselves, over all starts of the host.
#[derive(Default)]
struct Counted {
    sent: AtomicU64,
    answered: AtomicU64,
}

impl Counted {
    fn answered(&self) -> u64 {
        self.answered.load(Ordering::SeqCst)
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn usage_is_counted_once_through_crashes_under_load() {
    let mut platform = Platform::start(cloudware_tests::binary!()).await;
    platform.publish(Source::HELLO).await;
    platform.publish(Source::STATE).await;
    platform.tenants(&["acme"], &["hello", "state"]).await;
    // A refused request is counted too, but burns no fuel.
    platform
        .limit("acme", json!({ "request-rate": 1_000_000 }))
        .await;
    let counted = Arc::new(Counted::default());
    for _ in 0..10 {
        assert!(ask(&platform.site("acme", "/hello"), &counted).await);
    }
    let fuel_each = reading(&platform.usage("acme", "hello").await, "fuel") / 10;
    assert!(fuel_each > 0);
    let (rows, keys) = (Arc::<Counted>::default(), Arc::<Counted>::default());

    for _ in 0..2 {
        let before = counted.answered();
        let clients = clients(&platform, &counted);
        let writer = write(
            platform.site("acme", "/state"),
            Arc::clone(&rows),
            Arc::clone(&keys),
        );
        let writer = tokio::spawn(writer);
        // Some of it is in the ledger when the host is killed, some on its way, some in the journal alone.
        eventually("half of the answers", async || {
            (counted.answered() >= before + ANSWERS / 2).then_some(())
        })
        .await;
        let _ = platform.usage("acme", "hello").await;
        eventually(
            "the other half, and rows and keys beside them",
            async || {
                let is_enough = counted.answered() >= before + ANSWERS && keys.answered() > 0;
                is_enough.then_some(())
            },
        )
        .await;
        platform.kill9().await;
        for client in clients {
            client.await.expect("clients end when the host does");
        }
        writer.await.expect("it ends when the host does");
        platform.restart().await;
        check(&platform.usage("acme", "hello").await, &counted, fuel_each);
        let usage = platform.usage("acme", "state").await;
        for (meter, counted) in [
            ("sql-statements", &rows),
            ("sql-rows-written", &rows),
            ("kv-operations", &keys),
        ] {
            let (metered, answered, sent) =
                (reading(&usage, meter), counted.answered(), counted.sent());
            assert!(
                answered > 0 && (answered..=sent).contains(&metered),
                "{meter}: {metered}, {answered} answered and {sent} sent"
            );
        }
    }
    // A start that follows an orderly end adds nothing.
    let usage = platform.usage("acme", "hello").await;
    let _ = platform.terminate().await;
    platform.restart().await;
    assert_eq!(platform.usage("acme", "hello").await, usage);
    let journals = std::fs::read_dir(platform.data().join("usage"));
    let journals = journals
        .expect("the folder of the journal is there")
        .count();
    assert_eq!(journals, 1, "journals of earlier starts are gone");
}

/// Sends one request and counts it; none where it was not answered.
async fn answered(site: &Http, request: RequestBuilder, counted: &Counted) -> Option<Answer> {
    counted.sent.fetch_add(1, Ordering::SeqCst);
    let answer = site.try_send(request).await.ok()?.expect(200);
    counted.answered.fetch_add(1, Ordering::SeqCst);
    Some(answer)
}

/// Asks for the page and says whether it was answered.
async fn ask(site: &Http, counted: &Counted) -> bool {
    let request = site.request(Method::GET, "/");
    let Some(answer) = answered(site, request, counted).await else {
        return false;
    };
    assert_eq!(answer.text(), "hello\n");
    true
}

/// Inserts a row and sets a key in turn, until the host is gone.
async fn write(site: Http, rows: Arc<Counted>, keys: Arc<Counted>) {
    let insert =
        json!({ "statement": "INSERT INTO probe_rows (number) VALUES (1)", "how": "execute" });
    loop {
        let row = site.request(Method::POST, "/sql").json(&insert);
        if answered(&site, row, &rows).await.is_none() {
            return;
        }
        let key = site.request(Method::POST, "/kv/counted/flood?count=1&bytes=1");
        if answered(&site, key, &keys).await.is_none() {
            return;
        }
    }
}

fn clients(platform: &Platform, counted: &Arc<Counted>) -> Vec<tokio::task::JoinHandle<()>> {
    let client = |_| {
        let (site, counted) = (platform.site("acme", "/hello"), Arc::clone(counted));
        tokio::spawn(async move { while ask(&site, &counted).await {} })
    };
    (0..CLIENTS).map(client).collect()
}

fn check(usage: &Value, counted: &Counted, fuel_each: u64) {
    let (answered, sent) = (counted.answered(), counted.sent());
    let requests = reading(usage, "requests");
    assert!(
        (answered..=sent).contains(&requests),
        "{answered} answered, {requests} metered, {sent} sent"
    );
    let bytes = reading(usage, "response-bytes");
    assert!(
        (answered * ANSWER_BYTES..=sent * ANSWER_BYTES).contains(&bytes),
        "{answered} answered, {sent} sent: {bytes} bytes"
    );
    for (meter, each) in [
        ("requests", 1),
        ("response-bytes", ANSWER_BYTES),
        ("fuel", fuel_each),
    ] {
        let (metered, expected) = (reading(usage, meter), answered * each);
        assert!(
            metered.abs_diff(expected) <= expected / 1_000,
            "{meter}: {metered} of {expected}, {answered} answered and {sent} sent"
        );
    }
    assert_eq!(reading(usage, "stops"), 0);
    assert!(reading(usage, "memory-byte-ms") > 0);
}

/// What a long run has used is in the ledger while it goes on, and is counted once when it ends.
#[tokio::test]
async fn a_long_run_is_metered_while_it_goes_on() {
    let mut platform = Platform::start(cloudware_tests::binary!()).await;
    platform.publish(Source::ADVERSARY).await;
    platform.tenants(&["acme"], &["adversary"]).await;
    let limits = json!({ "fuel": "1000G", "cpu-time": "60s", "deadline": "60s" });
    platform.limit("acme", limits).await;
    let site = platform.site("acme", "/adversary");
    let fuel = async || reading(&platform.usage("acme", "adversary").await, "fuel");
    let mut last = 0;
    let mut burned = [0; 3];
    for (burned, iterations) in burned.iter_mut().zip([100_000, 200_000, 200_000_000_u64]) {
        let path = format!("/spin?iterations={iterations}");
        let _ = site.get(&path).await.expect(200);
        let now = fuel().await;
        *burned = now - last;
        last = now;
    }
    // Each round of the loop burns as much.
    let [first, second, long] = burned;
    let expected = first + (second - first) * (200_000_000 - 100_000) / 100_000;
    assert!(
        long.abs_diff(expected) <= expected / 1_000,
        "{long} of {expected}"
    );
    let running = site.clone();
    let running = tokio::spawn(async move {
        let request = running.request(Method::GET, "/loop");
        running.try_send(request).await
    });
    let seen = eventually("it is metered", async || {
        let now = fuel().await;
        (now > last + long / 10).then_some(now)
    })
    .await;
    assert!(!running.is_finished(), "it goes on");
    platform.kill9().await;
    assert!(running.await.is_ok_and(|answer| answer.is_err()));
    platform.restart().await;
    let usage = platform.usage("acme", "adversary").await;
    assert!(
        reading(&usage, "fuel") >= seen,
        "{usage}, {seen} seen before"
    );
}

fn reading(usage: &Value, meter: &str) -> u64 {
    usage[meter].as_u64().expect("every meter is shown")
}

/// A run that waits holds memory and no processor.
#[tokio::test]
async fn waiting_takes_memory_and_no_processor() {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    platform.publish(Source::ADVERSARY).await;
    platform.tenants(&["acme"], &["adversary"]).await;
    let site = platform.site("acme", "/adversary");
    let _ = site.get("/sleep?ms=1000").await.expect(200);
    let usage = platform.usage("acme", "adversary").await;
    let held = reading(&usage, "memory-byte-ms");
    assert!(
        held >= 1_000 * reading(&usage, "memory-peak-bytes"),
        "{usage}"
    );
    assert!(reading(&usage, "cpu-ns") < 300_000_000, "{usage}");
}

/// Processor time is what the kernel says of the process too, which has nothing else to do.
#[tokio::test]
async fn the_processor_time_of_runs_is_what_the_process_had() {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    platform.publish(Source::ADVERSARY).await;
    platform.tenants(&["acme"], &["adversary"]).await;
    let limits = json!({ "fuel": "1000G", "cpu-time": "60s", "deadline": "60s" });
    platform.limit("acme", limits).await;
    let site = platform.site("acme", "/adversary");
    let _ = site.get("/spin?iterations=1000").await.expect(200);
    let metered = async || reading(&platform.usage("acme", "adversary").await, "cpu-ns");
    let before = (metered().await, platform.cpu_time());
    for _ in 0..4 {
        let _ = site.get("/spin?iterations=400000000").await.expect(200);
    }
    let had = u64::try_from((platform.cpu_time() - before.1).as_nanos()).unwrap_or(0);
    let metered = metered().await - before.0;
    assert!(
        had > 500_000_000 && (had * 7 / 10..=had * 11 / 10).contains(&metered),
        "{metered} ns metered, and the process had {had}"
    );
}

/// Rows, operations and text of one run are in the ledger as they were.
#[tokio::test]
async fn what_runs_did_is_counted_exactly() {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    platform.publish(Source::STATE).await;
    platform.publish(Source::ADVERSARY).await;
    platform.tenants(&["acme"], &["state", "adversary"]).await;
    let site = platform.site("acme", "/state");
    let statement = async |how: &str, text: &str| {
        let body = json!({ "statement": text, "how": how });
        let _ = site.post("/sql", &body).await.expect(200);
    };
    let rows = "INSERT INTO probe_rows (label) VALUES ('a'), ('b'), ('c'), ('d'), ('e')";
    statement("execute", rows).await;
    statement("query", "SELECT label FROM probe_rows WHERE label < 'd'").await;
    statement("execute", "DELETE FROM probe_rows WHERE label > 'c'").await;
    let flood = site.request(Method::POST, "/kv/counted/flood?count=7&bytes=1");
    let _ = site.send(flood).await.expect(200);
    let logs = platform.site("acme", "/adversary");
    let _ = logs.get("/logs?bytes=1").await.expect(200);
    let usage = platform.usage("acme", "state").await;
    let counted = [
        ("requests", 4),
        ("sql-statements", 3),
        ("sql-rows-read", 3),
        ("sql-rows-written", 5 + 2),
        ("kv-operations", 7),
        ("stops", 0),
    ];
    for (meter, expected) in counted {
        assert_eq!(reading(&usage, meter), expected, "{meter}: {usage}");
    }
    assert!(reading(&usage, "sql-ns") > 0, "{usage}");
    // It is what the database says, however much its files hold twice, and of whom uses it.
    let held = eventually("the size of the database is read", async || {
        let state = platform.usage("acme", "state").await;
        let bytes = reading(&state, "storage-bytes");
        (bytes > 0).then_some(bytes)
    })
    .await;
    let path = "/tenants/acme/instances/main/quota?usage=true";
    let shown = platform.api().get(path).await.expect(200).json();
    let limits = shown["limits"].as_array().expect("limits").iter();
    let storage: Vec<_> = limits.filter(|limit| limit["name"] == "storage").collect();
    assert_eq!(storage[0]["used"], held, "{storage:?}");
    let other = platform.usage("acme", "adversary").await;
    assert_eq!(reading(&other, "storage-bytes"), 0, "{other}");
    let logged = platform.usage("acme", "adversary").await;
    // A line to each of the two streams.
    let line = "the adversary floods the log with lines such as this one, again and again";
    assert_eq!(reading(&logged, "log-bytes"), 2 * line.len() as u64);
}
