//! Every limit of every kind, reached by a guest on a running platform: the answer names the limit, what was
//! used, the maximum and the place; the host and a neighbour never notice.

mod database;
mod each;
mod instance;
mod misuse;
mod overload;
mod seen;

use cloudware_tests::{Http, Platform, Source, eventually};
use http::Method;
use serde_json::{Value, json};

/// A platform where acme has the guests that misbehave and birch, the neighbour, one that does not.
pub(crate) async fn platform() -> Platform {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    for source in [Source::ADVERSARY, Source::STATE, Source::HELLO] {
        platform.publish(source).await;
    }
    platform.tenants(&["acme"], &["adversary", "state"]).await;
    platform.tenants(&["birch"], &["hello"]).await;
    platform
}

/// The host and the neighbour answer as ever.
pub(crate) async fn assert_others_are_well(platform: &Platform) {
    let hello = platform.site("birch", "/hello").get("/").await.expect(200);
    assert_eq!(hello.text(), "hello\n");
    let _ = platform.api().get("/health").await.expect(200);
}

/// A run that lasts for as long as its answer is not read.
pub(crate) async fn hold(site: &Http) -> cloudware_tests::Pending {
    let request = site.request(Method::GET, "/endless-response");
    let mut pending = site.open(request).await;
    assert_eq!(pending.status(), 200);
    let chunk = pending.chunk().await.expect("the body has begun");
    assert!(chunk.is_some());
    pending
}

/// Two memories, or memories and tables, each below the limit, together above it.
#[tokio::test]
async fn memory_is_the_sum_of_all_memories_and_tables() {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    for (name, text) in [
        ("memories", include_str!("../components/two_memories.wat")),
        ("tables", include_str!("../components/growing_table.wat")),
    ] {
        let component = cloudware_tests::component(text);
        let package = cloudware_tests::Package::around(name, component);
        platform.push(&package).await;
    }
    platform.publish(Source::HELLO).await;
    platform.tenants(&["acme"], &["memories", "tables"]).await;
    platform.tenants(&["birch"], &["hello"]).await;
    let page = 65_536;
    // Each memory grows from 1 page to 11; the guest then ends without a response.
    platform.limit("acme", json!({ "memory": 22 * page })).await;
    let site = platform.site("acme", "");
    let _ = site.get("/memories/").await.problem(502, "no-response");
    platform.limit("acme", json!({ "memory": 21 * page })).await;
    let problem = site.get("/memories/").await.problem(503, "limit-reached");
    assert_eq!(problem["limit"], "memory");
    assert_eq!(problem["used"], 22 * page);
    assert_eq!(problem["max"], 21 * page);
    // 50,000 elements of 8 bytes.
    platform.limit("acme", json!({ "memory": 6 * page })).await;
    let problem = site.get("/tables/").await.problem(503, "limit-reached");
    assert_eq!(problem["limit"], "memory");
    platform.limit("acme", json!({ "memory": 8 * page })).await;
    let _ = site.get("/tables/").await.problem(502, "no-response");
    assert_others_are_well(&platform).await;
}

/// A manifest may ask for less than the default, and no more.
#[tokio::test]
async fn a_manifest_lowers_limits_and_an_admin_overrides_them() {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    let package = Source::ADVERSARY.package(platform.binary()).await;
    let manifest = "[http]\nmount = \"/adversary\"";
    let modest = package.edit(manifest, &format!("{manifest}\n\n[limits]\nfuel = \"2M\""));
    platform.push(&modest).await;
    platform.tenants(&["acme"], &["adversary"]).await;
    let site = platform.site("acme", "/adversary");
    let problem = site
        .get("/spin?iterations=10000000")
        .await
        .problem(503, "limit-reached");
    assert_eq!(problem["max"], 2_000_000);
    let quota = "/tenants/acme/instances/main/installs/adversary/quota";
    let in_force = platform.api().get(quota).await.expect(200).json();
    assert_eq!(limit(&in_force, "fuel")["level"], "manifest");
    let _ = platform
        .api()
        .patch(quota, &json!({ "fuel": "1G" }))
        .await
        .expect(200);
    let _ = site.get("/spin?iterations=10000000").await.expect(200);
    let in_force = platform.api().get(quota).await.expect(200).json();
    assert_eq!(limit(&in_force, "fuel")["level"], "install");
    assert_eq!(limit(&in_force, "fuel")["value"], 1_000_000_000);
}

/// One dimension of a quota document.
fn limit<'a>(quota: &'a Value, name: &str) -> &'a Value {
    let limits = quota["limits"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let found = limits.iter().find(|limit| limit["name"] == name);
    found.unwrap_or(&Value::Null)
}

/// With every sandbox of the host taken, a request is refused before any work is done for it.
#[tokio::test]
async fn a_full_host_says_when_to_come_again() {
    let options = cloudware_tests::Options {
        variables: vec![("CLOUDWARE_ENGINE__SANDBOXES_MAX".to_owned(), "1".to_owned())],
        ..cloudware_tests::Options::default()
    };
    let platform = Platform::start_with(cloudware_tests::binary!(), options).await;
    platform.publish(Source::ADVERSARY).await;
    platform.tenants(&["acme"], &["adversary"]).await;
    let site = platform.site("acme", "/adversary");
    let held = cloudware_tests::InFlight::begin(&site).await;
    let metered = async || {
        let usage = platform.usage("acme", "adversary").await;
        ["requests", "stops"].map(|meter| usage[meter].as_u64().unwrap_or(0))
    };
    let [requests, stops] = metered().await;
    let refused = site.get("/counter").await;
    let _ = refused.problem(503, "overloaded");
    assert_eq!(metered().await, [requests, stops + 1], "nobody pays for it");
    assert!(refused.header("retry-after").parse::<u64>().is_ok());
    let _ = platform.api().get("/health").await.expect(200);
    held.finish().await;
    eventually("the sandbox is free again", async || {
        (site.get("/counter").await.status == 200).then_some(())
    })
    .await;
}
