//! Stops and events: what stopped an app can be looked up by its tenant, its provider and the operator, each
//! as far as they may know; what happened can be followed.

use cloudware_tests::{Cli, Http, Platform, Source, eventually};
use serde_json::{Value, json};

#[tokio::test]
async fn a_stop_is_explained_to_everybody_whom_it_concerns() {
    let mut platform = Platform::start(cloudware_tests::binary!()).await;
    platform.publish(Source::ADVERSARY).await;
    platform.tenants(&["acme", "birch"], &["adversary"]).await;
    platform.limit("acme", json!({ "fuel": 1_000_000 })).await;
    let site = platform.site("acme", "/adversary");
    for number in 0..5 {
        let request = site
            .request(http::Method::GET, "/spin?iterations=10000000")
            .header("x-request-id", format!("try-{number}"));
        let _ = site.send(request).await.problem(503, "limit-reached");
    }
    let _ = site.get("/panic").await.problem(502, "trap");

    let acme = platform
        .api()
        .with_token(&platform.tenant_token("acme").await);
    let stops = items(&acme, "/stops?cause=fuel").await;
    assert_eq!(total(&stops), 5, "{stops:?}");
    // The last of those of the last minute.
    let last = stops.first().expect("there is one");
    for (member, value) in [
        ("tenant", json!("acme")),
        ("instance", json!("main")),
        ("app", json!("adversary")),
        ("cause", json!("fuel")),
        ("limit", json!("fuel")),
        ("max", json!(1_000_000)),
        ("class", json!("request")),
        ("request_id", json!("try-4")),
    ] {
        assert_eq!(last[member], value, "{last}");
    }
    assert!(last["function"].is_string(), "{last}");
    assert_eq!(total(&items(&acme, "/stops").await), 6);
    assert!(
        items(&acme, "/stops?since=2100-01-01T00:00:00Z")
            .await
            .is_empty()
    );
    assert!(items(&acme, "/stops?app=hello").await.is_empty());
    let wrong = acme.get("/stops?cause=joy").await.problem(422, "invalid");
    assert!(
        wrong["detail"].to_string().contains("no-response"),
        "{wrong}"
    );

    let birch = platform
        .api()
        .with_token(&platform.tenant_token("birch").await);
    assert!(items(&birch, "/stops").await.is_empty());
    let path = format!("/stops/{}", last["id"].as_str().unwrap_or_default());
    assert_eq!(birch.get(&path).await.status, 404);
    assert_eq!(birch.get("/stops?tenant=acme").await.status, 404);

    let body = json!({ "name": "debug", "provider": "isv" });
    let minted = platform
        .api()
        .post("/tokens", &body)
        .await
        .expect(201)
        .json();
    let isv = platform
        .api()
        .with_token(minted["secret"].as_str().unwrap_or_default());
    let seen = isv.get(&path).await.expect(200).json();
    assert_eq!(seen["function"], last["function"]);
    assert!(
        seen.get("tenant").is_none() && seen.get("instance").is_none(),
        "{seen}"
    );
    assert!(!seen.to_string().contains("acme"), "{seen}");

    by_command_line(&platform, last).await;
    // What other apps have burnt is none of the provider's business.
    platform
        .limit("acme", json!({ "fuel-per-day": 1_000 }))
        .await;
    let _ = site.get("/panic").await.problem(429, "limit-reached");
    platform
        .limit("acme", json!({ "fuel-per-day": null }))
        .await;
    let own = items(&acme, "/stops?cause=fuel-per-day").await;
    assert_eq!(own[0]["max"], 1_000, "{own:?}");
    assert!(
        own[0]["used"].is_u64() && own[0]["resets_in_ms"].is_u64(),
        "{own:?}"
    );
    let seen = items(&isv, "/stops?cause=fuel-per-day").await;
    assert_eq!(seen[0]["limit"], "fuel-per-day", "{seen:?}");
    for amount in ["used", "max", "resets_in_ms"] {
        assert!(seen[0].get(amount).is_none(), "{amount}: {seen:?}");
    }
    let explained = seen[0]["explanation"].as_str().unwrap_or_default();
    assert!(!explained.contains("1,000"), "{explained}");
    // An orderly end loses none.
    let _ = site.get("/panic").await.problem(502, "trap");
    let _ = platform.terminate().await;
    platform.restart().await;
    let acme = platform
        .api()
        .with_token(&platform.tenant_token("acme").await);
    assert_eq!(total(&items(&acme, "/stops?cause=trap").await), 2);
}

async fn by_command_line(platform: &Platform, stop: &Value) {
    let cli = Cli::of(platform);
    let listed = cli
        .run("stops list acme/main --cause fuel")
        .await
        .ok()
        .stdout;
    assert!(
        listed.contains("acme/main") && listed.contains("1,000,000 fuel"),
        "{listed}"
    );
    let id = stop["id"].as_str().unwrap_or_default();
    let shown = cli.run(&format!("stops show {id}")).await.ok().stdout;
    for word in [
        "WHAT TO DO",
        "have the limit fuel raised",
        "adversary 1.0.0",
        "try-4",
        stop["function"].as_str().unwrap_or_default(),
    ] {
        assert!(shown.contains(word), "no {word} in:\n{shown}");
    }
    cli.run("stops show stp_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5")
        .await
        .refused(1, &["there is no stop"]);
}

/// A stop says what the run spent its time on, and under which plan it would have gone on.
#[tokio::test]
async fn a_stop_names_what_took_the_time_and_the_plan_that_gives_more() {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    platform.publish(Source::STATE).await;
    platform.tenants(&["acme"], &["state"]).await;
    let api = platform.api();
    for (plan, operations) in [("small", 5), ("medium", 20), ("large", 1_000)] {
        let _ = api
            .post("/plans", &json!({ "slug": plan }))
            .await
            .expect(201);
        let quota = json!({ "kv-operations": operations });
        let path = format!("/plans/{plan}/quota");
        let _ = api.patch(&path, &quota).await.expect(200);
    }
    let plan = json!({ "plan": "small" });
    let _ = api.put("/tenants/acme/plan", &plan).await.expect(200);
    let site = platform.site("acme", "/state");
    let flood = site.request(http::Method::POST, "/kv/much/flood?count=10&bytes=1");
    let problem = site.send(flood).await.problem(503, "limit-reached");
    assert_eq!(problem["limit"], "kv-operations");
    let stops = items(&api, "/stops?cause=kv-operations").await;
    let stop = stops.first().expect("it is told of");
    assert_eq!(stop["fits"], json!(["medium", "large"]), "{stop}");
    let calls = stop["consumers"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let set = calls.iter().find(|call| call["host_call"] == "kv.set");
    assert_eq!(set.map(|set| &set["calls"]), Some(&json!(6)), "{stop}");
    let cli = Cli::of(&platform);
    let id = stop["id"].as_str().unwrap_or_default();
    let shown = cli.run(&format!("stops show {id}")).await.ok().stdout;
    for word in ["kv.set 6 times", "medium, large"] {
        assert!(shown.contains(word), "no {word} in:\n{shown}");
    }
}

#[tokio::test]
async fn a_limit_that_is_nearly_used_up_is_told_of_once() {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    platform.publish(Source::ADVERSARY).await;
    platform.tenants(&["acme"], &["adversary"]).await;
    let site = platform.site("acme", "/adversary");
    let _ = site.get("/spin?iterations=100000").await.expect(200);
    // A run may still end when its answer has come.
    let fuel = eventually("the run is metered", async || {
        let fuel = platform.usage("acme", "adversary").await["fuel"].as_u64();
        fuel.filter(|&fuel| fuel > 0)
    });
    let fuel = fuel.await;
    let warnings = "/events?type=quota.near-limit";
    assert!(items(&platform.api(), warnings).await.is_empty());
    // Nine tenths of the limit in each run.
    let limit = fuel / 9 * 10;
    platform.limit("acme", json!({ "fuel": limit })).await;
    for _ in 0..5 {
        let _ = site.get("/spin?iterations=100000").await.expect(200);
    }
    let events = items(&platform.api(), warnings).await;
    // Two where an hour ends in between.
    assert!((1..=2).contains(&events.len()), "{events:?}");
    assert_eq!(events[0]["subject"], "acme/main");
    let data = &events[0]["data"];
    assert_eq!(
        (&data["limit"], &data["max"]),
        (&json!("fuel"), &json!(limit))
    );
    assert_eq!(data["app"], "adversary");
    let acme = platform
        .api()
        .with_token(&platform.tenant_token("acme").await);
    assert_eq!(items(&acme, warnings).await, events);
}

#[tokio::test]
async fn events_can_be_followed() {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    platform.publish(Source::HELLO).await;
    platform.tenants(&["acme"], &["hello"]).await;
    let api = platform.api();
    let mut seen: Vec<Value> = Vec::new();
    loop {
        let after = seen.last().map_or(String::new(), |event| {
            format!("&after={}", event["id"].as_str().unwrap_or_default())
        });
        let page = items(&api, &format!("/events?limit=2{after}")).await;
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    let types: Vec<_> = seen
        .iter()
        .filter_map(|event| event["type"].as_str())
        .collect();
    let position = |wanted: &str| types.iter().position(|found| *found == wanted);
    assert!(
        position("tenant.create") < position("install.enable"),
        "{types:?}"
    );
    assert!(position("install.enable").is_some(), "{types:?}");
    // What comes later is behind the last one that was seen.
    let last = seen.last().map(|event| event["id"].clone());
    let last = last.expect("there are events");
    platform.limit("acme", json!({ "fuel": 5_000_000 })).await;
    let after = format!("/events?after={}", last.as_str().unwrap_or_default());
    let new = items(&api, &after).await;
    assert_eq!(new.len(), 1, "{new:?}");
    assert_eq!(new[0]["subject"], "acme/main");
    let acme = api.with_token(&platform.tenant_token("acme").await);
    let own = items(&acme, "/events?limit=500").await;
    assert!(
        own.iter().all(|event| event["type"] != "provider.create"),
        "{own:?}"
    );
    let listed = Cli::of(&platform)
        .run("events list --type install.enable --tenant acme")
        .await
        .ok()
        .stdout;
    assert_eq!(listed.lines().count(), 2, "{listed}");
    let _ = acme
        .get("/events?after=yesterday")
        .await
        .problem(422, "invalid");
}

async fn items(api: &Http, path: &str) -> Vec<Value> {
    let page = api.get(path).await.expect(200).json();
    page["items"].as_array().cloned().unwrap_or_default()
}

/// How many stops the records stand for; the minute may change between two.
fn total(stops: &[Value]) -> u64 {
    stops.iter().filter_map(|stop| stop["count"].as_u64()).sum()
}
