//! Guests that break the order of a response, clients that are slow, and what guests leave open.

use std::time::{Duration, Instant};

use cloudware_tests::{InFlight, Platform, Source, eventually};
use http::Method;
use serde_json::json;

use crate::assert_others_are_well;

/// acme has the guests that misbehave.
async fn platform() -> Platform {
    let platform = crate::platform().await;
    for source in [Source::ADVERSARY, Source::STATE] {
        platform.publish(source).await;
    }
    for app in ["adversary", "state"] {
        platform.enable("acme", app, json!({})).await;
    }
    platform
}

#[tokio::test]
async fn responses_out_of_order() {
    let platform = platform().await;
    platform.limit("acme", json!({ "fuel": 50_000_000 })).await;
    let site = platform.site("acme", "/adversary");
    let paths = ["/write-after-finish", "/write-unasked", "/unfinished"];
    // Again and again: the client must be told in whichever order host and guest come to notice.
    for path in paths.repeat(20) {
        match site.try_send(site.request(Method::GET, path)).await {
            // Cut off: no client takes it for whole.
            Err(_) => {}
            Ok(answer) => assert_eq!(answer.status, 502, "{path}: {}", answer.text()),
        }
    }
    assert_others_are_well(&platform).await;
    for path in ["/loop-after-response", "/trap-after-response"] {
        let before = stops(&platform).await;
        match site.try_send(site.request(Method::GET, path)).await {
            Err(_) => {}
            Ok(answer) if answer.status == 200 => assert_eq!(answer.text(), "done", "{path}"),
            Ok(answer) => assert!([502, 503].contains(&answer.status), "{}", answer.text()),
        }
        eventually(
            "what comes after the response is stopped and counted",
            async || (stops(&platform).await > before).then_some(()),
        )
        .await;
        assert_others_are_well(&platform).await;
    }
    let flood = site.get("/header-flood").await.problem(502, "trap");
    let message = flood["message"].as_str().unwrap_or_default();
    assert!(message.contains("headers have more than 64 KiB"), "{flood}");
}

async fn stops(platform: &Platform) -> u64 {
    let usage = platform.usage("acme", "adversary").await;
    usage["stops"].as_u64().unwrap_or_default()
}

/// A client that sends its body too slowly, or takes its answer too slowly, is cut off at the deadline of
/// the run; until then it holds one place of its own instance and nothing of others.
#[tokio::test]
async fn slow_clients_hold_their_own_places_only() {
    let platform = platform().await;
    let limits = json!({ "deadline": "1500ms", "concurrency": 4 });
    platform.limit("acme", limits).await;
    let site = platform.site("acme", "/adversary");
    let senders = [InFlight::begin(&site).await, InFlight::begin(&site).await];
    let mut readers = Vec::new();
    for _ in 0..2 {
        let reader = site.open(site.request(Method::GET, "/endless-response"));
        readers.push(reader.await);
    }
    let refused = site.get("/counter").await;
    if refused.status == 429 {
        assert_eq!(refused.json()["limit"], "concurrency");
    }
    assert_others_are_well(&platform).await;
    for sender in senders {
        sender.cut_off().await;
    }
    for reader in readers {
        let ended = reader.try_finish().await;
        assert!(ended.is_err(), "an endless answer does not look whole");
    }
    eventually("all four places are free again", async || {
        let all = [(); 4].map(|()| site.get("/sleep?ms=50"));
        let all = futures_util::future::join_all(all).await;
        all.iter().all(|answer| answer.status == 200).then_some(())
    })
    .await;
}

/// Bombs that a database would be busy with for hours, at the limits that everybody has.
#[tokio::test]
async fn sql_bombs_end_within_their_limits() {
    let platform = platform().await;
    let site = platform.site("acme", "/state");
    let numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000)";
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)";
    let begun = Instant::now();
    for (how, statement) in [
        (
            "query",
            format!("{numbers} SELECT count(*) FROM n a, n b, n c, n d, n e"),
        ),
        ("query", format!("{endless} SELECT max(i) FROM n")),
        (
            "query",
            format!("{endless} SELECT i, randomblob(100000) FROM n ORDER BY 2"),
        ),
        (
            "execute",
            format!("INSERT INTO probe_rows (label) {endless} SELECT hex(randomblob(1000)) FROM n"),
        ),
        ("query", "SELECT zeroblob(1000000000)".to_owned()),
        (
            "query",
            format!("{numbers} SELECT zeroblob(8000000) FROM n"),
        ),
    ] {
        let body = json!({ "statement": statement, "how": how });
        let answer = site.post("/sql", &body).await;
        assert!(
            [422, 503, 504].contains(&answer.status),
            "{statement}: {} {}",
            answer.status,
            answer.text()
        );
        assert_others_are_well(&platform).await;
    }
    assert!(
        begun.elapsed() < Duration::from_secs(120),
        "each ends within seconds"
    );
    let rows = json!({ "statement": "SELECT count(*) FROM probe_rows" });
    let rows = site.post("/sql", &rows).await.expect(200).json();
    assert_eq!(
        rows["rows"],
        json!([[0]]),
        "what was stopped left nothing behind"
    );
}

/// What a run leaves open ends with it: the next one can write.
#[tokio::test]
async fn transactions_left_open_end_with_their_run() {
    let platform = platform().await;
    let site = platform.site("acme", "/state");
    let hold = async || {
        site.send(site.request(Method::POST, "/sql/hold?ms=60000"))
            .await
    };
    platform.limit("acme", json!({ "deadline": "500ms" })).await;
    let problem = hold().await.problem(504, "limit-reached");
    assert_eq!(problem["limit"], "deadline", "{problem}");
    platform.limit("acme", json!({ "deadline": null })).await;
    for round in 0..5_i64 {
        let leak = site.request(Method::POST, "/sql/leak?count=50");
        let leak = site.send(leak).await;
        assert!(
            [200, 422, 503, 504].contains(&leak.status),
            "{}",
            leak.text()
        );
        let insert = "INSERT INTO probe_rows (label, number) VALUES (NULL, 1)";
        let insert = json!({ "statement": insert, "how": "execute" });
        let _ = site.post("/sql", &insert).await.expect(200);
        let rows = json!({ "statement": "SELECT count(*) FROM probe_rows" });
        let rows = site.post("/sql", &rows).await.expect(200).json();
        assert_eq!(rows["rows"], json!([[round + 1]]));
        assert_others_are_well(&platform).await;
    }
}
