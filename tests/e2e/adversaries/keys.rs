//! A tenant with a million keys: whoever asks for a few has a few, and a flood of them ends where its limits end.

use cloudware_tests::{Http, Source};
use http::Method;
use serde_json::{Value, json};

use crate::{assert_others_are_well, platform};

const KEYS: u64 = 1_000_000;

/// How much more the host may have in memory than with one key.
const GROWTH_MAX: u64 = 64 << 20;

async fn keys(site: &Http, query: &str) -> (Vec<String>, Value) {
    let page = site.get(&format!("/kv/many?{query}")).await.expect(200);
    let mut page = page.json();
    let keys = serde_json::from_value(page["keys"].take()).expect("they are names");
    (keys, page["next"].take())
}

#[tokio::test]
async fn a_million_keys_are_kept_like_one() {
    let platform = platform().await;
    platform.publish(Source::STATE).await;
    platform.enable("acme", "state", json!({})).await;
    let limits = json!({
        "fuel": "100G", "cpu-time": "60s", "deadline": "5m", "kv-operations": 2 * KEYS, "host-calls": KEYS,
    });
    platform.limit("acme", limits).await;
    let site = platform.site("acme", "/state");
    let flood = |count, bucket| {
        let path = format!("/kv/{bucket}/flood?count={count}&bytes=1&at-once=1000");
        site.send(site.request(Method::POST, &path))
    };
    let _ = flood(1_000, "few").await.expect(200);
    let before = platform.resident_bytes();
    let _ = flood(KEYS, "many").await.expect(200);
    assert_others_are_well(&platform).await;

    let (all, next) = keys(&site, "limit=4000000000").await;
    assert!((1..=1_000).contains(&all.len()), "{}", all.len());
    assert!(!next.is_null());
    let (page, next) = keys(&site, "prefix=flood-5&after=flood-555554&limit=3").await;
    assert_eq!(page, ["flood-555555", "flood-555556", "flood-555557"]);
    assert_eq!(next, "flood-555557");
    let (page, next) = keys(&site, "after=flood-999998&limit=3").await;
    assert_eq!(page, ["flood-999999"]);
    assert!(next.is_null(), "{next}");
    let (none, _) = keys(&site, "prefix=nothing").await;
    assert!(none.is_empty());
    let value = site.get("/kv/many/flood-700000").await.expect(200);
    assert_eq!(value.text(), "x");
    for (method, path) in [
        (Method::PUT, "/kv/many/flood-1"),
        (Method::PUT, "/kv/many/zzz"),
        (Method::DELETE, "/kv/many/flood-2"),
        (Method::POST, "/kv/many/sum/increment?by=2"),
    ] {
        let request = site.request(method, path).body("2");
        let _ = site.send(request).await.expect(200);
    }
    // What it has counts, and it has no more room than for what fits between.
    platform.limit("acme", json!({ "storage": "16MiB" })).await;
    let refused = flood(100_000, "more").await.expect(422).json();
    assert_eq!(refused["error"]["kind"], "full");
    let _ = site.get("/kv/many/flood-700000").await.expect(200);
    let after = platform.resident_bytes();
    assert!(after < before + GROWTH_MAX, "{before}, then {after}");
    assert_others_are_well(&platform).await;
}
