//! The limits of an instance as a whole, whatever its apps do: each in turn, for the test of all.

use std::time::{Duration, Instant};

use cloudware_tests::{Platform, eventually};
use cloudware_types::Dimension;
use http::Method;
use serde_json::json;

use crate::{assert_others_are_well, each::stops, hold};

/// One run too many is told when to come again; the others go on.
pub(crate) async fn concurrency(platform: &Platform) -> Dimension {
    platform.limit("acme", json!({ "concurrency": 2 })).await;
    let site = platform.site("acme", "/adversary");
    let held = [hold(&site).await, hold(&site).await];
    let refused = site.get("/counter").await;
    let problem = refused.problem(429, "limit-reached");
    assert_eq!(problem["limit"], "concurrency");
    assert_eq!((&problem["used"], &problem["max"]), (&json!(3), &json!(2)));
    let seconds = refused.header("retry-after").parse::<u64>();
    assert!(
        seconds.is_ok_and(|seconds| seconds >= 1),
        "Retry-After says when"
    );
    assert_others_are_well(platform).await;
    drop(held);
    eventually("places are given back when clients hang up", async || {
        let answer = site.get("/counter").await;
        (answer.status == 200).then_some(())
    })
    .await;
    platform.limit("acme", json!({ "concurrency": null })).await;
    Dimension::Concurrency
}

pub(crate) async fn request_rate(platform: &Platform) -> Dimension {
    platform.limit("acme", json!({ "request-rate": 5 })).await;
    let site = platform.site("acme", "/adversary");
    let mut refused = None;
    for _ in 0..40 {
        let answer = site.get("/counter").await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
        let _ = answer.expect(200);
    }
    let refused = refused.expect("forty requests in a row are more than five a second");
    let problem = refused.problem(429, "limit-reached");
    assert_eq!(problem["limit"], "request-rate");
    assert_eq!(problem["max"], 5);
    assert!(refused.header("retry-after").parse::<u64>().is_ok());
    assert_others_are_well(platform).await;
    platform
        .limit("acme", json!({ "request-rate": null }))
        .await;
    eventually("requests are let in again", async || {
        let answer = site.get("/counter").await;
        (answer.status == 200).then_some(())
    })
    .await;
    Dimension::RequestRate
}

/// A full database refuses the write with a word for it; what is there can still be read and removed. The app may answer
/// as it likes: the caller, the tenant and the ISV are told all the same.
pub(crate) async fn storage(platform: &Platform) -> Dimension {
    let site = platform.site("acme", "/state");
    let before = stops(platform, "state").await;
    let _ = site.put("/kv/kept/key", &json!("kept")).await.expect(200);
    platform.limit("acme", json!({ "storage": 1 << 20 })).await;
    let flood = site.request(Method::POST, "/kv/full/flood?count=3000&bytes=1024");
    let full = site.send(flood).await;
    match full.status {
        422 => assert_eq!(full.json()["error"]["kind"], "full"),
        _ => assert_eq!(full.problem(507, "limit-reached")["limit"], "storage"),
    }
    let mut near = full.headers.get_all("cloudware-near-limit").iter();
    assert!(near.any(|near| near == "storage; used=1048576; max=1048576"));
    assert_eq!(stops(platform, "state").await, before + 1);
    // What is shown is what is bounded, whatever the files have twice at the moment.
    let path = "/tenants/acme/instances/main/quota?usage=true";
    let shown = platform.api().get(path).await.expect(200).json();
    let limits = shown["limits"].as_array().expect("limits").iter();
    let storage = limits.filter(|limit| limit["name"] == "storage");
    let used: Vec<_> = storage.filter_map(|limit| limit["used"].as_u64()).collect();
    assert!(matches!(used[..], [used] if used <= 1 << 20), "{shown}");
    let found = platform.api().get("/stops?cause=storage").await;
    let found = found.expect(200).json();
    assert_eq!(found["items"][0]["app"], "state", "{found}");
    let request_id = full.header("x-request-id");
    assert_eq!(found["items"][0]["request_id"], request_id, "{found}");
    let warned = platform.api().get("/events?type=quota.near-limit").await;
    let warned = warned.expect(200).json();
    let is_storage = |event: &serde_json::Value| event["data"]["limit"] == "storage";
    assert!(
        warned["items"]
            .as_array()
            .is_some_and(|all| all.iter().any(is_storage)),
        "{warned}"
    );
    // What is there by then may be more than the limit.
    platform.limit("acme", json!({ "storage": "512KiB" })).await;
    let flood = site.request(Method::POST, "/kv/full/flood?count=3000&bytes=1024");
    let full = site.send(flood).await;
    let mut near = full.headers.get_all("cloudware-near-limit").iter();
    let near = near.find_map(|near| near.to_str().ok()?.strip_prefix("storage; used="));
    let used = near.and_then(|near| near.strip_suffix("; max=524288"));
    let used: Option<u64> = used.and_then(|used| used.parse().ok());
    assert!(used.is_some_and(|used| used > 900_000), "{near:?}");
    let kept = site.get("/kv/kept/key").await.expect(200);
    assert_eq!(kept.json(), "kept");
    assert_others_are_well(platform).await;
    platform.limit("acme", json!({ "storage": null })).await;
    let _ = site.put("/kv/full/more", &json!("fits")).await.expect(200);
    Dimension::Storage
}

/// An answer that is faster than the rate is slowed down, and whole.
pub(crate) async fn egress_rate(platform: &Platform) -> Dimension {
    platform
        .limit("acme", json!({ "egress-rate": 100_000 }))
        .await;
    let site = platform.site("acme", "/adversary");
    let begun = Instant::now();
    let answer = site.get("/big-response?bytes=300000").await.expect(200);
    assert_eq!(answer.body.len(), 300_000);
    // One second's worth may leave at once, and the last piece is not waited for.
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_others_are_well(platform).await;
    platform.limit("acme", json!({ "egress-rate": null })).await;

    let state = platform.site("acme", "/state");
    let long = "x".repeat(100_000);
    let _ = state.put("/kv/long/answer", &json!(long)).await.expect(200);
    platform
        .limit("acme", json!({ "egress-rate": 1_024, "deadline": "60s" }))
        .await;
    let changed = async {
        let named = eventually("the answer is held back", async || {
            let near = site.get("/counter").await.expect(200);
            let mut named = near.headers.get_all("cloudware-near-limit").iter();
            named.find_map(|near| {
                let near = near.to_str().ok()?.to_owned();
                near.starts_with("egress-rate; ").then_some(near)
            })
        });
        assert!(named.await.ends_with("; max=1024"));
        let warned = eventually("the rate is near its limit", async || {
            let events = platform.api().get("/events?type=quota.near-limit").await;
            let events = events.expect(200).text();
            events.contains("\"max\":1024").then_some(())
        });
        warned.await;
        let before = json!({ "egress-rate": null, "deadline": null });
        platform.limit("acme", before).await;
        let _ = site.get("/counter").await.expect(200);
    };
    // At the old rate it would take more than one and a half minutes.
    let begun = Instant::now();
    let (answer, ()) = futures_util::future::join(state.get("/kv/long/answer"), changed).await;
    assert_eq!(answer.expect(200).json(), long.as_str());
    assert!(begun.elapsed() < Duration::from_secs(80));
    Dimension::EgressRate
}

/// A flood over many requests is left out and told of, and the requests go well.
pub(crate) async fn log_rate(platform: &Platform) -> Dimension {
    platform
        .limit("acme", json!({ "log-rate": "1KiB/s" }))
        .await;
    let site = platform.site("acme", "/adversary");
    let logged = async || {
        let usage = platform.usage("acme", "adversary").await;
        ["log-bytes", "log-bytes-lost"].map(|meter| usage[meter].as_u64().unwrap_or_default())
    };
    let before = (platform.log().len(), logged().await);
    let begun = Instant::now();
    for _ in 0..10 {
        let answer = site.get("/logs?bytes=2000").await.expect(200);
        assert_eq!(answer.text(), "logged 2000");
        let mut near = answer.headers.get_all("cloudware-near-limit").iter();
        assert!(near.any(|near| near.as_bytes().starts_with(b"log-rate; ")));
    }
    let log = platform.log().split_off(before.0);
    assert!(
        log.contains("[log text left out: the limit log-rate of 1 KiB/s was reached]"),
        "{log}"
    );
    // Lines of some 75 bytes, which count as some 330.
    let after = logged().await;
    let [kept, lost] = [0, 1].map(|meter| after[meter] - before.1[meter]);
    let seconds = begun.elapsed().as_secs() + 2;
    assert!((75..=400 * seconds).contains(&kept), "{kept} bytes");
    // It logs as much in two ways.
    let all = kept + lost;
    assert!((40_000..45_000).contains(&all), "{kept}, {lost}");
    eventually("the quota says that it is used up", async || {
        let _ = site.get("/logs?bytes=2000").await.expect(200);
        let path = "/tenants/acme/instances/main/quota?usage=true";
        let quota = platform.api().get(path).await.expect(200).json();
        let limits = quota["limits"].as_array().cloned().unwrap_or_default();
        let rate = limits.into_iter().find(|limit| limit["name"] == "log-rate");
        (rate?["state"] == "hard").then_some(())
    })
    .await;
    assert_others_are_well(platform).await;
    platform.limit("acme", json!({ "log-rate": null })).await;
    Dimension::LogRate
}

/// Where an instance's own runs wait for a processor for too long, new ones are refused.
pub(crate) async fn queue_time(platform: &Platform) -> Dimension {
    platform
        .limit(
            "acme",
            json!({ "queue-time": 1, "fuel": "1000G", "cpu-time": "1min", "deadline": "1min" }),
        )
        .await;
    let site = platform.site("acme", "/adversary");
    let loops: Vec<_> = (0..64)
        .map(|_| {
            let site = site.clone();
            tokio::spawn(async move { site.try_send(site.request(Method::GET, "/loop")).await })
        })
        .collect();
    let refused = eventually("a run waits for longer than that", async || {
        let before = platform.lag().await;
        let answer = site.get("/counter").await;
        // And not for one of the threads that serve sockets.
        let is_its_own = before == 0 && platform.lag().await == 0;
        (answer.status == 429 && is_its_own).then_some(answer)
    })
    .await;
    let problem = refused.problem(429, "limit-reached");
    assert_eq!(problem["limit"], "queue-time");
    assert_eq!(problem["max"], 1);
    assert!(problem["resets_in_ms"].as_u64() > Some(0), "{problem}");
    assert_others_are_well(platform).await;
    for running in loops {
        running.abort();
    }
    platform
        .limit(
            "acme",
            json!({ "queue-time": null, "fuel": null, "cpu-time": null, "deadline": null }),
        )
        .await;
    eventually("the instance is served again", async || {
        (site.get("/counter").await.status == 200).then_some(())
    })
    .await;
    Dimension::QueueTime
}

/// Two instances that compute without end share the processors as their weights say.
pub(crate) async fn cpu_weight(platform: &Platform) -> Dimension {
    platform.tenants(&["cedar"], &["adversary"]).await;
    let weights = [("acme", 400), ("cedar", 100)];
    let mut loops = Vec::new();
    for (tenant, weight) in weights {
        let limits =
            json!({ "cpu-weight": weight, "fuel": "1000G", "cpu-time": "1min", "deadline": "2s" });
        platform.limit(tenant, limits).await;
        for _ in 0..8 {
            let site = platform.site(tenant, "/adversary");
            loops.push(tokio::spawn(async move {
                site.try_send(site.request(Method::GET, "/loop")).await
            }));
        }
    }
    let mut before = Vec::new();
    for (tenant, _) in weights {
        before.push(platform.usage(tenant, "adversary").await["fuel"].as_u64());
    }
    for running in loops {
        let _ = running.await;
    }
    let mut burned = Vec::new();
    for ((tenant, _), before) in weights.into_iter().zip(before) {
        let after = platform.usage(tenant, "adversary").await["fuel"].as_u64();
        burned.push(after.unwrap_or_default() - before.unwrap_or_default());
        let limits =
            json!({ "cpu-weight": null, "fuel": null, "cpu-time": null, "deadline": null });
        platform.limit(tenant, limits).await;
    }
    let [heavy, light] = burned[..] else {
        panic!("two tenants were asked");
    };
    assert!(
        heavy > 2 * light,
        "{heavy} and {light} at weights of 4 to 1"
    );
    Dimension::CpuWeight
}
