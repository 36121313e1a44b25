//! What a guest sees of its own limits, and what callers are told before one is reached.

use std::time::{SystemTime, UNIX_EPOCH};

use cloudware_tests::eventually;
use http::Method;
use serde_json::{Value, json};

use crate::platform;

fn of<'a>(limits: &'a Value, name: &str) -> &'a Value {
    let limits = limits.as_array().map(Vec::as_slice).unwrap_or_default();
    let found = limits.iter().find(|limit| limit["name"] == name);
    found.unwrap_or(&Value::Null)
}

#[tokio::test]
async fn a_guest_can_ask_what_remains() {
    let platform = platform().await;
    let limits = json!({ "fuel": 500_000_000, "kv-operations": 7, "storage": 1 << 30 });
    platform.limit("acme", limits).await;
    let site = platform.site("acme", "/state");
    let seen = site.get("/limits").await.expect(200).json();
    let (before, after) = (of(&seen["before"], "fuel"), of(&seen["after"], "fuel"));
    assert_eq!(before["max"], 500_000_000);
    assert_eq!(before["unit"], "fuel");
    let used = |limit: &Value| limit["used"].as_u64().unwrap_or_default();
    assert!(used(before) > 0, "{seen}");
    // A hundred thousand rounds are at least as many instructions.
    assert!(used(after) >= used(before) + 100_000, "{seen}");
    assert!(used(of(&seen["after"], "memory")) >= 65_536, "{seen}");
    // The second reading is one more host call.
    let calls = |when: &str| used(of(&seen[when], "host-calls"));
    assert_eq!(calls("after"), calls("before") + 1);
    let kv = site.get("/limits/kv-operations").await.expect(200).json();
    assert_eq!((&kv["used"], &kv["max"]), (&json!(0), &json!(7)));
    for unknown in ["storage", "hook-fuel", "nonsense", "concurrency"] {
        let answer = site.get(&format!("/limits/{unknown}")).await;
        assert_eq!(answer.status, 404, "{unknown}: {}", answer.text());
    }
}

/// What is counted while the run goes on is what it did.
#[tokio::test]
async fn a_guest_sees_exactly_what_it_used() {
    let platform = platform().await;
    let site = platform.site("acme", "/state");
    let body = "x".repeat(5_000);
    let request = site.request(Method::POST, "/limits/after").body(body);
    let seen = site.send(request).await.expect(200).json();
    let used = |when: &str, name: &str| {
        let limit = of(&seen[when], name);
        limit["used"]
            .as_u64()
            .unwrap_or_else(|| panic!("no {name} {when}: {seen}"))
    };
    for (name, more) in [
        ("request-bytes", 5_000),
        ("sql-statements", 2),
        ("sql-rows-written", 3),
        ("sql-rows-read", 2),
        ("kv-operations", 2),
        // Of the message and its context.
        ("log-bytes", 15),
        ("outbound-calls", 0),
        ("recursion", 0),
        ("extension-time", 0),
        // Two statements, a bucket, a key that is set and read, a message, and the second look.
        ("host-calls", 7),
    ] {
        let (before, after) = (used("before", name), used("after", name));
        assert_eq!(after - before, more, "{name}: {seen}");
    }
    for name in ["cpu-time", "deadline", "sql-time"] {
        assert!(
            used("before", name) <= used("after", name),
            "{name}: {seen}"
        );
        assert!(used("after", name) < 5_000, "{name}: {seen}");
    }
    let handles = ["before", "after"].map(|when| used(when, "handles"));
    assert!(
        handles.iter().all(|count| (1..50).contains(count)),
        "{seen}"
    );
}

#[tokio::test]
async fn callers_are_told_when_most_of_a_limit_is_used() {
    let platform = platform().await;
    let site = platform.site("acme", "/state");
    let flood = |count: u32| {
        let path = format!("/kv/near/flood?count={count}&bytes=1");
        site.request(Method::POST, &path)
    };
    platform.limit("acme", json!({ "kv-operations": 10 })).await;
    let calm = site.send(flood(7)).await.expect(200);
    assert!(!calm.headers.contains_key("cloudware-near-limit"));
    let near = site.send(flood(8)).await.expect(200);
    assert_eq!(
        near.header("cloudware-near-limit"),
        "kv-operations; used=8; max=10"
    );
    // What no meter counts.
    platform
        .limit(
            "acme",
            json!({ "kv-operations": null, "response-bytes": 4 }),
        )
        .await;
    let _ = site.put("/kv/near/key", &json!("ab")).await;
    let near = site.get("/kv/near/key").await.expect(200);
    assert_eq!(
        near.header("cloudware-near-limit"),
        "response-bytes; used=4; max=4"
    );
    // What the run has used so far, where it goes on behind the head.
    platform
        .limit(
            "acme",
            json!({ "response-bytes": null, "request-bytes": 1_000 }),
        )
        .await;
    let site = platform.site("acme", "/adversary");
    let drained = site.request(Method::POST, "/drain").body(vec![b'x'; 900]);
    let going_on = site.open(drained).await;
    assert_eq!(
        going_on.header("cloudware-near-limit"),
        "request-bytes; used=900; max=1000"
    );
}

/// Nobody has to ask again, and nothing has to be refused.
#[tokio::test]
async fn a_storage_that_fills_up_is_told_of_after_the_write() {
    let platform = platform().await;
    platform.limit("acme", json!({ "storage": 1 << 20 })).await;
    let site = platform.site("acme", "/state");
    let flood = |count: u32| {
        let path = format!("/kv/filling/flood?count={count}&bytes=4096");
        site.request(Method::POST, &path)
    };
    let _ = site.send(flood(5)).await.expect(200);
    let _ = site.send(flood(170)).await.expect(200);
    let told = eventually("the storage is near its limit", async || {
        let events = platform.api().get("/events?type=quota.near-limit").await;
        let events = events.expect(200).json();
        let events = events["items"].as_array().cloned().unwrap_or_default();
        events
            .into_iter()
            .find(|event| event["data"]["limit"] == "storage")
    })
    .await;
    let used = told["data"]["used"].as_u64().unwrap_or_default();
    assert!((838_861..=1 << 20).contains(&used), "{told}");
    let near = site.get("/kv/filling/absent").await;
    let named = near.header("cloudware-near-limit");
    assert!(named.starts_with("storage; used="), "{named}");
    assert!(named.ends_with("; max=1048576"), "{named}");
}

/// What else was nearly used up is told of, whatever ended the run.
#[tokio::test]
async fn a_run_that_is_stopped_was_near_other_limits_too() {
    let platform = platform().await;
    let site = platform.site("acme", "/adversary");
    let panic = async || {
        site.get("/panic?iterations=100000")
            .await
            .problem(502, "trap")
    };
    let _ = panic().await;
    let fuel = platform.usage("acme", "adversary").await["fuel"].as_u64();
    let limit = fuel.expect("every meter is shown") / 9 * 10;
    platform.limit("acme", json!({ "fuel": limit })).await;
    let _ = panic().await;
    let told = eventually("the fuel was near its limit", async || {
        let events = platform.api().get("/events?type=quota.near-limit").await;
        let events = events.expect(200).json();
        events["items"]
            .as_array()
            .and_then(|all| all.first().cloned())
    })
    .await;
    assert_eq!(
        (&told["data"]["limit"], &told["data"]["max"]),
        (&json!("fuel"), &json!(limit))
    );
}

#[tokio::test]
async fn what_was_burned_today_counts_after_a_restart() {
    let mut platform = platform().await;
    platform
        .limit("acme", json!({ "fuel-per-day": "20M" }))
        .await;
    // What was burned counts for its day alone: where another one begins meanwhile, all is done again.
    let problem = loop {
        let day = utc_day();
        let site = platform.site("acme", "/adversary");
        let burned = site.get("/spin?iterations=10000000").await;
        let _ = platform.terminate().await;
        platform.restart().await;
        let site = platform.site("acme", "/adversary");
        let refused = site.get("/counter").await;
        if utc_day() == day {
            let _ = burned.problem(429, "limit-reached");
            break refused.problem(429, "limit-reached");
        }
    };
    assert_eq!(problem["limit"], "fuel-per-day");
    assert!(
        problem["resets_in_ms"]
            .as_u64()
            .is_some_and(|ms| ms <= 86_400_000)
    );
    platform
        .limit("acme", json!({ "fuel-per-day": null }))
        .await;
    let site = platform.site("acme", "/adversary");
    let _ = site.get("/counter").await.expect(200);
}

/// Days since the Unix epoch.
fn utc_day() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("the clock is set").as_secs() / 86_400
}
