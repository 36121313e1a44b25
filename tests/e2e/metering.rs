//! Metering and crashes: what was answered is in the ledger, once, also when the host is killed under load.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use cloudware_tests::{Http, Platform, Source, eventually};
use http::Method;
use serde_json::{Value, json};

/// Who asks at the same time.
const CLIENTS: usize = 4;

/// Answers between two kills.
const ANSWERS: u64 = 300;

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
    platform.tenants(&["acme"], &["hello"]).await;
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

    for _ in 0..2 {
        let before = counted.answered();
        let clients = clients(&platform, &counted);
        // Some of it is in the ledger when the host is killed, some on its way, some in the journal alone.
        eventually("half of the answers", async || {
            (counted.answered() >= before + ANSWERS / 2).then_some(())
        })
        .await;
        let _ = platform.usage("acme", "hello").await;
        eventually("the other half", async || {
            (counted.answered() >= before + ANSWERS).then_some(())
        })
        .await;
        platform.kill9().await;
        for client in clients {
            client.await.expect("clients end when the host does");
        }
        platform.restart().await;
        check(&platform.usage("acme", "hello").await, &counted, fuel_each);
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

/// Sends one request and says whether it was answered.
async fn ask(site: &Http, counted: &Counted) -> bool {
    counted.sent.fetch_add(1, Ordering::SeqCst);
    let Ok(answer) = site.try_send(site.request(Method::GET, "/")).await else {
        return false;
    };
    assert_eq!(answer.expect(200).text(), "hello\n");
    counted.answered.fetch_add(1, Ordering::SeqCst);
    true
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
    let (fuel, expected) = (reading(usage, "fuel"), requests * fuel_each);
    assert!(
        fuel.abs_diff(expected) <= expected / 1_000,
        "{fuel} fuel for {requests} requests of {fuel_each}"
    );
    assert_eq!(reading(usage, "stops"), 0);
    assert!(reading(usage, "memory-byte-ms") > 0);
}

fn reading(usage: &Value, meter: &str) -> u64 {
    usage[meter].as_u64().expect("every meter is shown")
}
