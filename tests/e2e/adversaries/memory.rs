//! Memory that is not in linear memories, and more of it than the host has.

use std::time::Duration;

use cloudware_tests::{Options, Platform, Source, eventually};
use http::Method;
use serde_json::json;

use crate::{assert_others_are_well, platform_with_adversary};

/// Memory of a run.
const MEMORY: u64 = 32 << 20;

/// How much more the host may have meanwhile: that of one run, what allocators keep of it, and the rest of its work.
const GROWTH_MAX: u64 = 3 * MEMORY;

/// Handles are small, and what the host holds behind them is not.
#[tokio::test]
async fn what_the_host_holds_for_a_run_counts_as_its_memory() {
    let platform = platform_with_adversary().await;
    platform.publish(Source::STATE).await;
    platform.enable("acme", "state", json!({})).await;
    let limits = json!({
        "memory": MEMORY, "handles": 5_000, "fuel": "100G", "cpu-time": "60s", "deadline": "60s",
        "sql-statements": 1_000_000,
    });
    platform.limit("acme", limits).await;
    let site = platform.site("acme", "");
    // Whatever is kept after a run is kept now.
    let _ = site.get("/adversary/spin?iterations=1").await.expect(200);
    let before = platform.resident_bytes_max();
    for (method, path, limit) in [
        (Method::GET, "/adversary/kept-fields", "memory"),
        (Method::GET, "/adversary/kept-requests", "memory"),
        (Method::GET, "/adversary/filled-fields?count=4000", "memory"),
        (Method::GET, "/adversary/emptied-fields", "handles"),
        (Method::POST, "/state/sql/keep?bytes=100000", "memory"),
    ] {
        let answer = site.send(site.request(method, path)).await;
        let problem = answer.problem(503, "limit-reached");
        assert_eq!(problem["limit"], limit, "{path}: {problem}");
        let most = platform.resident_bytes_max();
        assert!(most < before + GROWTH_MAX, "{path}: {before}, then {most}");
        assert_others_are_well(&platform).await;
    }
    for (bytes, told) in [(100, "taken taken"), (10_000, "refused refused")] {
        let path = format!("/adversary/long-names?bytes={bytes}");
        assert_eq!(site.get(&path).await.expect(200).text(), told, "{bytes}");
    }
}

/// Memory that all sandboxes of the host have together.
const OF_HOST: u64 = 256 << 20;

/// Runs that each stay within their own limit, of a tenant that wants all there is.
#[tokio::test]
async fn a_tenant_leaves_memory_of_the_host_to_others() {
    let memory = ("CLOUDWARE_ENGINE__MEMORY_BYTES_MAX", OF_HOST.to_string());
    let options = Options {
        variables: vec![(memory.0.to_owned(), memory.1)],
        ..Options::default()
    };
    let platform = Platform::start_with(cloudware_tests::binary!(), options).await;
    platform.publish(Source::HELLO).await;
    platform.publish(Source::ADVERSARY).await;
    platform.tenants(&["acme"], &["adversary"]).await;
    platform.tenants(&["birch"], &["hello"]).await;
    platform
        .limit("acme", json!({ "deadline": "60s", "fuel": "100G" }))
        .await;
    let site = platform.site("acme", "/adversary");
    let load = async || platform.api().get("/host").await.expect(200).json();
    let held = async || load().await["memory_bytes"].as_u64().unwrap_or_default();
    let mut runs = Vec::new();
    // One after the other, until one finds no memory.
    let refused = loop {
        let (before, greedy) = (held().await, site.clone());
        let mut run = tokio::spawn(async move {
            let request = greedy.request(Method::GET, "/touch?bytes=40000000&ms=60000");
            greedy.try_send(request).await
        });
        let refused = eventually("it has its memory, or finds none", async || {
            let has_more = held().await > before + 39_000_000;
            match run.is_finished() {
                true => Some(true),
                false => has_more.then_some(false),
            }
        })
        .await;
        if refused {
            let answer = (&mut run).await.expect("it ends");
            break answer.expect("it is answered").problem(503, "overloaded");
        }
        runs.push(run);
    };
    let told = refused["detail"].as_str().unwrap_or_default();
    assert!(told.contains("no memory"), "{refused}");
    assert_eq!(runs.len(), 3, "half of what the host has");
    let now = load().await;
    assert_eq!(now["memory_bytes_max"], OF_HOST, "{now}");
    let bytes = now["memory_bytes"].as_u64().unwrap_or_default();
    assert!((120_000_000..=OF_HOST / 2).contains(&bytes), "{now}");
    for _ in 0..20 {
        assert_others_are_well(&platform).await;
    }
    // What is not theirs alone is still served to who runs already.
    assert!(runs.iter().all(|run| !run.is_finished()));
    for run in runs {
        run.abort();
    }
    eventually("the memory is given back", async || {
        (held().await < 40_000_000).then_some(())
    })
    .await;
    let answer = tokio::time::timeout(
        Duration::from_secs(30),
        site.get("/touch?bytes=40000000&ms=0"),
    );
    let _ = answer.await.expect("there is room again").expect(200);
}
