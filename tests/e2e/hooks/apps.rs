//! Apps that call each other inside an instance: by HTTP without a socket, and by typed interfaces.

use cloudware_tests::{Platform, Source};
use serde_json::json;

use crate::setup::Hooked;

#[tokio::test]
async fn an_extension_calls_an_interface_that_an_app_offers() {
    let hooked = Hooked::start(&["ext"]).await;
    // 1 + 2 doubled, by the app that asks: it runs already, so that the way is closed, and the hook fails.
    let answer = hooked.ask("/price?how=double").await;
    assert_eq!(answer, json!({ "price": null }));
    let stops = hooked
        .platform
        .api()
        .get("/stops?app=ext")
        .await
        .expect(200)
        .json();
    assert!(
        stops.to_string().contains("runs for this request already"),
        "{stops}"
    );
}

#[tokio::test]
async fn an_app_calls_what_another_offers() {
    let platform = with_caller().await;
    let site = platform.site("acme", "/caller");
    let doubled = site.get("/double?number=21").await.expect(200).json();
    assert_eq!(doubled, json!({ "doubled": 42 }));
    // Its failure is the caller's, and names who failed.
    let problem = site.get("/double?number=0").await.problem(502, "trap");
    let detail = problem["detail"].as_str().unwrap_or_default();
    for word in ["hooks-app 1.0.0", "test:points/service", "double"] {
        assert!(detail.contains(word), "no {word} in {detail}");
    }
    assert_eq!(platform.usage("acme", "hooks-app").await["stops"], 1);
}

#[tokio::test]
async fn an_app_sends_requests_to_its_dependencies_alone() {
    let platform = with_caller().await;
    let site = platform.site("acme", "/caller");
    let ask = async |to: &str, path: &str| {
        let path = format!("/http?to={to}&path={path}");
        site.get(&path).await.expect(200).json()
    };
    let answer = ask("hooks-app.internal", "/who").await;
    assert_eq!(answer["status"], 200, "{answer}");
    assert!(
        answer["body"].to_string().contains("hooks-caller"),
        "the host says who calls, and nobody else: {answer}"
    );
    let answer = ask("hooks-app.internal", "/nowhere").await;
    assert_eq!(answer["status"], 404, "{answer}");
    let answer = ask("hooks-ext.internal", "/").await;
    assert_eq!(answer["status"], 403, "{answer}");
    assert!(
        answer["body"].to_string().contains("[dependencies]"),
        "{answer}"
    );
    let answer = ask("hooks-app.internal:8080", "/who").await;
    assert!(answer["error"].to_string().contains("Denied"), "{answer}");
    let answer = ask("127.0.0.1", "/").await;
    assert!(answer["error"].to_string().contains("Denied"), "{answer}");
    let usage = platform.usage("acme", "hooks-app").await;
    assert_eq!(usage["requests"], 2, "{usage}");
}

/// Whatever authority and path say, a request stays within its instance.
#[tokio::test]
async fn an_app_reaches_no_other_tenant() {
    let platform = with_caller().await;
    platform.tenants(&["birch"], &["hooks-app"]).await;
    let site = platform.site("acme", "/caller");
    for to in [
        "hooks-app.birch.internal",
        "hooks-app.main.birch.internal",
        "birch.hooks-app.internal",
        "birch.internal",
        "birch.localhost",
        "main--birch.localhost",
        "hooks-app.internal.birch",
        "hooks-app.internal%2Fbirch",
        "hooks-app.internal%40birch.localhost",
        "hooks-app.internal%00birch",
        "HOOKS-APP.BIRCH.INTERNAL",
        "..",
    ] {
        let answer = site.get(&format!("/http?to={to}&path=%2Fwho")).await;
        if answer.status == 200 {
            assert_ne!(answer.json()["status"], 200, "{to}: {}", answer.text());
        }
    }
    for path in ["/t/birch/main/app/who", "//birch.localhost/app/who"] {
        let path = path.replace('/', "%2F");
        let path = format!("/http?to=hooks-app.internal&path={path}");
        let answer = site.get(&path).await.expect(200).json();
        assert_eq!(answer["status"], 404, "{path}: {answer}");
    }
    let usage = platform.usage("birch", "hooks-app").await;
    assert!(usage["requests"].as_u64().unwrap_or(0) == 0, "{usage}");
}

#[tokio::test]
async fn a_run_sends_so_many_requests_and_no_more() {
    let platform = with_caller().await;
    let site = platform.site("acme", "/caller");
    platform.limit("acme", json!({ "outbound-calls": 3 })).await;
    let fan = async |count: u64| site.get(&format!("/fan?count={count}&path=/who")).await;
    let two = fan(2).await.expect(200);
    assert!(!two.headers.contains_key("cloudware-near-limit"));
    let three = fan(3).await.expect(200);
    let near = three.header("cloudware-near-limit");
    assert_eq!(near, "outbound-calls; used=3; max=3");
    assert_eq!(three.json(), json!([200, 200, 200]));
    let problem = fan(4).await.problem(503, "limit-reached");
    assert_eq!(problem["limit"], "outbound-calls");
    assert_eq!((&problem["used"], &problem["max"]), (&json!(4), &json!(3)));
    let usage = platform.usage("acme", "hooks-caller").await;
    assert_eq!(
        (&usage["outbound-calls"], &usage["stops"]),
        (&json!(9), &json!(1))
    );
}

/// One request that sends many leaves as much of the host as it takes.
#[tokio::test]
async fn one_run_does_not_take_the_whole_pool() {
    let options = cloudware_tests::Options {
        variables: vec![(
            "CLOUDWARE_ENGINE__SANDBOXES_MAX".to_owned(),
            "20".to_owned(),
        )],
        ..cloudware_tests::Options::default()
    };
    let platform = start_with_caller(options).await;
    let site = platform.site("acme", "/caller");
    let fan = site.get("/fan?count=40&path=%2Flate%3Fms%3D6000").await;
    let statuses = fan.expect(200).json();
    let all = statuses.as_array().map(Vec::as_slice).unwrap_or_default();
    let with = |status: u64| all.iter().filter(|one| **one == json!(status)).count();
    // Ten sandboxes are as many as are left; one of them asks.
    assert_eq!((with(200), with(503)), (9, 31), "{statuses}");
}

async fn with_caller() -> Platform {
    start_with_caller(cloudware_tests::Options::default()).await
}

async fn start_with_caller(options: cloudware_tests::Options) -> Platform {
    let platform = Platform::start_with(cloudware_tests::binary!(), options).await;
    platform.publish(Source::HOOKS_APP).await;
    platform.publish(Source::HOOKS_CALLER).await;
    platform
        .tenants(&["acme"], &["hooks-app", "hooks-caller"])
        .await;
    platform
}
