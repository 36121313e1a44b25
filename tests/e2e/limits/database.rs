//! Waiting for the database: bounded by the run's own time, and by what others may hold.

use std::time::{Duration, Instant};

use cloudware_tests::{Http, Options, Platform, Source, eventually};
use http::Method;
use serde_json::json;

const ENDLESS: &str =
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";

async fn platform(setting: (&str, &str)) -> Platform {
    let options = Options {
        variables: vec![(
            format!("CLOUDWARE_DATABASE__{}", setting.0),
            setting.1.to_owned(),
        )],
        ..Options::default()
    };
    let platform = Platform::start_with(cloudware_tests::binary!(), options).await;
    platform.publish(Source::STATE).await;
    platform.tenants(&["acme", "birch"], &["state"]).await;
    platform
}

fn statement(site: &Http, text: &str) -> reqwest::RequestBuilder {
    site.request(Method::POST, "/sql")
        .json(&json!({ "statement": text }))
}

#[tokio::test]
async fn a_statement_that_waits_for_a_thread_ends_with_its_run() {
    let platform = platform(("WORKERS_MAX", "1")).await;
    let long = json!({ "sql-time": "10m", "deadline": "10m" });
    platform.limit("acme", long).await;
    platform.limit("birch", json!({ "deadline": 300 })).await;
    let (acme, birch) = (
        platform.site("acme", "/state"),
        platform.site("birch", "/state"),
    );
    let _ = birch.send(statement(&birch, "SELECT 1")).await.expect(200);
    let running = tokio::spawn({
        let acme = acme.clone();
        async move { acme.send(statement(&acme, ENDLESS)).await }
    });
    let stopped = eventually("the only thread is busy", async || {
        let answer = birch.send(statement(&birch, "SELECT 1")).await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    let problem = stopped.problem(504, "limit-reached");
    assert_eq!(problem["limit"], "deadline", "{problem}");
    assert_eq!(problem["host_call"], "sql.query", "{problem}");
    // A client that goes away ends its statement, and what waited is not in the way.
    running.abort();
    eventually("the thread is free", async || {
        let answer = birch.send(statement(&birch, "SELECT 1")).await;
        (answer.status == 200).then_some(())
    })
    .await;
}

/// What the database did for a run that ended meanwhile is in the ledger, once.
#[tokio::test]
async fn the_work_for_a_statement_that_ends_with_its_run_is_metered() {
    let platform = platform(("WORKERS_MAX", "1")).await;
    platform.limit("acme", json!({ "sql-time": "10m" })).await;
    platform.limit("birch", json!({ "deadline": 300 })).await;
    let (acme, birch) = (
        platform.site("acme", "/state"),
        platform.site("birch", "/state"),
    );
    // What makes it wait below is not that the file is made.
    for site in [&acme, &birch] {
        eventually("the file is made", async || {
            let answer = site.send(statement(site, "SELECT 1")).await;
            (answer.status == 200).then_some(())
        })
        .await;
    }
    let worked = async || {
        let nanoseconds = platform.usage("acme", "state").await["sql-ns"].as_u64();
        Duration::from_nanos(nanoseconds.unwrap_or_default())
    };
    let begun = Instant::now();
    let running = tokio::spawn({
        let acme = acme.clone();
        async move { acme.send(statement(&acme, ENDLESS)).await }
    });
    eventually("the only thread was busy for a while", async || {
        let answer = birch.send(statement(&birch, "SELECT 1")).await;
        (answer.status == 504).then_some(())
    })
    .await;
    running.abort();
    let least = Duration::from_millis(200);
    let first = eventually("the client's hanging up is metered", async || {
        Some(worked().await).filter(|worked| *worked > least)
    })
    .await;
    assert!(first < begun.elapsed(), "{first:?}");

    platform.limit("acme", json!({ "deadline": 500 })).await;
    let begun = Instant::now();
    let stopped = acme.send(statement(&acme, ENDLESS)).await;
    let problem = stopped.problem(504, "limit-reached");
    assert_eq!(problem["limit"], "deadline", "{problem}");
    let second = eventually("the deadline is metered", async || {
        Some(worked().await.saturating_sub(first)).filter(|worked| *worked > least)
    })
    .await;
    assert!(second < begun.elapsed(), "{second:?}");
}

#[tokio::test]
async fn a_transaction_that_does_nothing_does_not_keep_others_waiting() {
    let platform = platform(("TRANSACTION_IDLE_MS", "200")).await;
    let site = platform.site("acme", "/state");
    // The loop below asks as often as it is answered.
    let long = json!({ "deadline": "60s", "request-rate": 1_000_000 });
    platform.limit("acme", long).await;
    let holding = tokio::spawn({
        let site = site.clone();
        let request = site.request(Method::POST, "/sql/hold?ms=10000");
        async move { site.send(request).await }
    });
    let insert = json!({
        "statement": "INSERT INTO probe_rows (number) VALUES (2)", "how": "execute",
    });
    // Whether it comes before or while the other holds the writer, it need not wait for the other's end.
    while !holding.is_finished() {
        let _ = site.post("/sql", &insert).await.expect(200);
    }
    let held = holding
        .await
        .expect("the request does not panic")
        .expect(422)
        .json();
    assert_eq!(held["error"]["kind"], "closed", "{held}");
    let count = "SELECT count(*) FROM probe_rows WHERE number = 1";
    let left = site.send(statement(&site, count)).await.expect(200).text();
    assert!(
        left.contains("[[0]]"),
        "what it had inserted is undone: {left}"
    );
}
