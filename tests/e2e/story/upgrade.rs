//! Step 6: one tenant is moved to a new release and back, the others stay, and what is under way ends on
//! the release that it began on.

use cloudware_tests::{Cli, InFlight, Platform, Source};
use serde_json::{Value, json};

use crate::stock;

/// Release 1.1.0 has a migration: acme's data goes through it both ways.
pub(crate) async fn of_one_tenant_and_back(platform: &Platform) {
    let cli = Cli::of(platform);
    let archive = Source::STOCK_1_1.built(platform.binary()).await;
    let push = format!("push {} --provider northwind", archive.display());
    let pushed = cli.json(&push).await;
    assert_eq!(pushed["release"]["version"], "1.1.0");
    let before = stock::levels(&platform.site("acme", "/stock"), "MILK").await;
    let upgraded = cli
        .json("install upgrade acme/main inventory-stock@1.1.0")
        .await;
    assert_eq!(
        (&upgraded["version"], &upgraded["previous"]),
        (&json!("1.1.0"), &json!("1.0.0"))
    );

    let acme = platform.site("acme", "/stock");
    assert_eq!(version(platform, "acme").await, "1.1.0");
    assert_eq!(version(platform, "birch").await, "1.0.0");
    assert_eq!(version(platform, "cedar").await, "1.0.0");
    assert_eq!(stock::levels(&acme, "MILK").await, before);
    let level = json!({ "quantity": 500 });
    let _ = acme
        .put("/items/MILK/reorder-level", &level)
        .await
        .expect(204);
    let alerts = acme.get("/alerts").await.expect(200).text();
    assert!(alerts.contains("MILK"), "{alerts}");
    let birch = platform.site("birch", "/stock");
    assert_eq!(
        birch.get("/alerts").await.status,
        404,
        "1.0.0 has no alerts"
    );
    let receipt = json!({ "sku": "MILK", "location": "MAIN-A-01", "quantity": 3 });
    let _ = acme.post("/receipts", &receipt).await.expect(201);
    let after = stock::quantity(&acme, "MILK").await;
    goes_back(platform, after).await;
}

/// Back by command line and forth by REST; what was written since stays.
async fn goes_back(platform: &Platform, quantity: i64) {
    let cli = Cli::of(platform);
    let acme = platform.site("acme", "/stock");
    let back = cli.json("install rollback acme/main inventory-stock").await;
    assert_eq!(back["version"], "1.0.0");
    assert_eq!(version(platform, "acme").await, "1.0.0");
    assert_eq!(acme.get("/alerts").await.status, 404);
    let again = cli.run("install rollback acme/main inventory-stock").await;
    let _ = again.refused(1, &["rolled back", "install upgrade"]);
    assert_eq!(version(platform, "acme").await, "1.0.0");
    assert_eq!(
        stock::quantity(&acme, "MILK").await,
        quantity,
        "what was written since stays"
    );
    let upgrade = "/tenants/acme/instances/main/installs/inventory-stock/upgrade";
    let _ = platform.api().post(upgrade, &json!({})).await.expect(200);
    assert_eq!(version(platform, "acme").await, "1.1.0");
    let _ = cli
        .run("install upgrade acme/main inventory-stock@1.0.0")
        .await
        .ok();
    let actions = cli
        .json("audit list --subject acme/main/inventory-stock")
        .await
        .to_string();
    for action in ["install.enable", "install.upgrade", "install.rollback"] {
        assert!(
            actions.contains(action),
            "{action} is not in the trail: {actions}"
        );
    }
}

async fn version(platform: &Platform, tenant: &str) -> Value {
    let health = platform
        .site(tenant, "/stock")
        .get("/health")
        .await
        .expect(200);
    health.json()["version"].clone()
}

/// The two releases answer so differently that it shows which of them runs.
pub(crate) async fn leaves_requests_on_the_release_they_began_on(platform: &Platform) {
    let first = Source::ADVERSARY.package(platform.binary()).await;
    let first = first.renamed("adversary", "rolling");
    let hello = Source::HELLO.package(platform.binary()).await;
    let second = first
        .clone()
        .edit("version = \"1.0.0\"", "version = \"2.0.0\"")
        .with_component(hello.component());
    platform.push(&first).await;
    platform.push(&second).await;
    platform
        .enable("cedar", "rolling", json!({ "version": "1.0.0" }))
        .await;
    let site = platform.site("cedar", "/rolling");
    let streaming = InFlight::begin(&site).await;
    platform.limit("cedar", json!({ "deadline": "3s" })).await;
    let sleeping = tokio::spawn({
        let site = site.clone();
        async move { site.get("/sleep?ms=60000").await }
    });
    let held = InFlight::begin(&site).await;
    let cli = Cli::of(platform);
    let _ = cli
        .run("install upgrade cedar/main rolling@2.0.0")
        .await
        .ok();
    for path in ["/", "/counter"] {
        assert_eq!(
            site.get(path).await.expect(200).text(),
            "hello\n",
            "new requests run on 2.0.0"
        );
    }
    held.finish().await;
    streaming.finish().await;
    let stopped = sleeping.await.expect("the request does not panic");
    let problem = stopped.problem(504, "limit-reached");
    assert_eq!(
        problem["version"], "1.0.0",
        "it ended on the release that it began on"
    );
    platform.limit("cedar", json!({ "deadline": null })).await;
}

/// Visitors of a yanked release are told so, and where it goes on from there.
pub(crate) async fn says_that_a_release_was_yanked(platform: &Platform) {
    let site = platform.site("cedar", "/rolling");
    let cli = Cli::of(platform);
    let _ = site.get("/").await.expect(200);
    let _ = cli
        .run("release yank rolling@2.0.0 --reason unsafe")
        .await
        .ok();
    for path in ["/", "/counter", "/deep/er"] {
        let problem = site.get(path).await.problem(503, "release-yanked");
        let detail = problem["detail"].as_str().unwrap_or_default();
        for word in [
            "rolling 2.0.0",
            "(unsafe)",
            "install upgrade cedar/main rolling",
        ] {
            assert!(detail.contains(word), "{detail}");
        }
    }
    let unknown = platform.site("cedar", "").get("/nowhere").await;
    let _ = unknown.problem(404, "unknown-path");
    let _ = cli
        .run("install upgrade cedar/main rolling@1.0.0")
        .await
        .ok();
    let _ = site.get("/counter").await.expect(200);
}
