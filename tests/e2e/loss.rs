//! Files of the data folder that are gone: what is lost is said to be lost and never made anew as if it were
//! empty, nothing else stops, and visitors learn no path of the host.

use std::fs;

use cloudware_tests::{Platform, Source};
use serde_json::json;

#[tokio::test]
async fn a_lost_database_is_not_taken_for_a_new_one() {
    let mut platform = Platform::start(cloudware_tests::binary!()).await;
    platform.publish(Source::STATE).await;
    platform.publish(Source::HELLO).await;
    platform.tenants(&["acme"], &["state"]).await;
    platform.tenants(&["birch"], &["hello"]).await;
    let kv = platform.site("acme", "/state");
    let _ = kv.put("/kv/a/b", &json!(1)).await.expect(200);
    assert!(platform.terminate().await.success());

    fs::remove_dir_all(platform.data().join("instances")).unwrap();
    platform.restart().await;
    let answer = platform.site("acme", "/state").get("/kv/a/b").await;
    let problem = answer.problem(503, "unavailable").to_string();
    assert!(problem.contains("its data is missing"), "{problem}");
    let data = platform.data().display().to_string();
    assert!(!problem.contains(&data), "{problem}");
    assert!(
        platform
            .log()
            .contains("database of an instance is missing")
    );
    let _ = platform.site("birch", "/hello").get("/").await.expect(200);
}

#[tokio::test]
async fn an_app_whose_code_is_gone_stops_no_other_app() {
    let mut platform = Platform::start(cloudware_tests::binary!()).await;
    platform.publish(Source::HELLO).await;
    platform.tenants(&["acme"], &["hello"]).await;
    let hello = fs::read_dir(platform.data().join("cache")).unwrap().count();
    assert!(hello > 0, "compiled code is kept in the cache");
    fs::remove_dir_all(platform.data().join("packages")).unwrap();
    fs::create_dir(platform.data().join("packages")).unwrap();
    platform.publish(Source::ADVERSARY).await;
    let _ = platform.enable("acme", "adversary", json!({})).await;
    assert!(platform.terminate().await.success());

    fs::remove_dir_all(platform.data().join("cache")).unwrap();
    platform.restart().await;
    let broken = platform.site("acme", "/hello").get("/").await;
    let problem = broken.problem(503, "unavailable").to_string();
    let data = platform.data().display().to_string();
    assert!(!problem.contains(&data), "{problem}");
    let other = platform.site("acme", "/adversary").get("/counter").await;
    let _ = other.expect(200);
}
