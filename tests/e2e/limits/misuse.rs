//! Guests that trap, loop, exit or give nonsense, and clients that hang up.

use std::time::{Duration, Instant};

use cloudware_tests::{Platform, eventually};
use http::Method;
use serde_json::json;

use crate::{assert_others_are_well, hold, platform};

#[tokio::test]
async fn whatever_a_guest_does_it_is_answered_for() {
    let platform = platform().await;
    let site = platform.site("acme", "/adversary");
    for (path, kind, function) in [
        ("/trap", "trap", "trap"),
        ("/panic", "trap", "panic"),
        ("/exit", "trap", ""),
        ("/no-response", "no-response", ""),
        ("/error-response", "no-response", ""),
    ] {
        let problem = site.get(path).await.problem(502, kind);
        assert_eq!(problem["app"], "adversary", "{problem}");
        let place = problem["function"].as_str().unwrap_or_default();
        assert!(
            place.contains(function),
            "{path} should name {function}: {problem}"
        );
        assert_others_are_well(&platform).await;
    }
    says_little_of_what_a_guest_says_of_itself(&platform).await;
    assert!(
        platform
            .log()
            .contains("the adversary panics because it was asked to"),
        "the guest's own message is in the log"
    );
    ends_by_the_tighter_of_fuel_and_deadline(&platform).await;
    nonsense_does_not_reach_clients(&platform).await;
    a_client_that_hangs_up_ends_the_run(&platform).await;
    assert_others_are_well(&platform).await;
}

/// The error that a guest gives in place of an answer may be as long as it likes.
async fn says_little_of_what_a_guest_says_of_itself(platform: &Platform) {
    let before = platform.log().len();
    let answer = platform
        .site("acme", "/adversary")
        .get("/long-error?bytes=20000000")
        .await;
    assert!(answer.body.len() < 3_000, "{} bytes", answer.body.len());
    let problem = answer.problem(502, "no-response");
    let message = problem["message"].as_str().unwrap_or_default();
    assert!(message.contains("EEEE"), "{problem}");
    let stops = platform.api().get("/stops").await.expect(200);
    assert!(stops.body.len() < 100_000, "{} bytes", stops.body.len());
    assert!(platform.log().len() < before + 100_000, "its log is short");
}

async fn ends_by_the_tighter_of_fuel_and_deadline(platform: &Platform) {
    let site = platform.site("acme", "/adversary");
    let limits = json!({ "fuel": "1000G", "deadline": "300ms" });
    platform.limit("acme", limits).await;
    let problem = site.get("/loop").await.problem(504, "limit-reached");
    assert_eq!(problem["limit"], "deadline", "{problem}");
    platform
        .limit("acme", json!({ "fuel": "1M", "deadline": "60s" }))
        .await;
    let problem = site.get("/loop").await.problem(503, "limit-reached");
    assert_eq!(problem["limit"], "fuel", "{problem}");
    platform
        .limit("acme", json!({ "fuel": null, "deadline": null }))
        .await;
    let grown = site.get("/grow").await.problem(503, "limit-reached");
    assert_eq!(grown["limit"], "memory", "{grown}");
}

async fn nonsense_does_not_reach_clients(platform: &Platform) {
    let site = platform.site("acme", "/adversary");
    for path in ["/bad-header", "/bad-status"] {
        let verdicts = site.get(path).await.expect(200).text();
        assert!(!verdicts.contains("taken"), "{path}: {verdicts}");
        assert!(verdicts.contains("refused"), "{path}: {verdicts}");
    }
    for path in ["/short-body", "/long-body"] {
        let request = site.request(Method::GET, path);
        match site.try_send(request).await {
            // Cut off: no client takes it for whole.
            Err(_) => {}
            Ok(answer) if answer.status == 200 => assert_eq!(answer.body.len(), 10, "{path}"),
            Ok(answer) => assert_eq!(answer.status, 502, "{path}: {}", answer.text()),
        }
    }
}

async fn a_client_that_hangs_up_ends_the_run(platform: &Platform) {
    let requests = async || {
        let usage = platform.usage("acme", "adversary").await;
        usage["requests"].as_u64().unwrap_or_default()
    };
    let stops = async || platform.usage("acme", "adversary").await["stops"].clone();
    let before = settled(&requests).await;
    let stops_before = stops().await;
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(hold(&platform.site("acme", "/adversary")).await);
    }
    drop(held);
    eventually("every run that its client left is counted", async || {
        (requests().await == before + 5).then_some(())
    })
    .await;
    assert_eq!(stops().await, stops_before, "nothing has stopped them");
}

/// The reading once it does not change any more: a run is counted when it has ended, which may be a
/// moment after its answer has come.
async fn settled(read: &impl AsyncFn() -> u64) -> u64 {
    let mut last = (read().await, Instant::now());
    eventually("usage settles", async || {
        let now = read().await;
        if now != last.0 {
            last = (now, Instant::now());
        }
        (last.1.elapsed() > Duration::from_millis(500)).then_some(now)
    })
    .await
}
