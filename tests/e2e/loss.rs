//! Files of the data folder that are gone or can't grow: what is lost is said to be lost and never made anew as
//! if it were empty, nothing else stops, and visitors learn no path of the host.

use std::fs;

use cloudware_tests::{Platform, Source, eventually};
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
    let other = platform.site("acme", "/adversary");
    let _ = other.get("/counter").await.expect(200);
    // Nor does it keep a change from the others.
    platform.limit("acme", json!({ "fuel": 1_000_000 })).await;
    let stopped = other.get("/spin?iterations=10000000").await;
    let problem = stopped.problem(503, "limit-reached");
    assert_eq!(problem["max"], 1_000_000, "{problem}");
    let broken = platform.site("acme", "/hello").get("/").await;
    let _ = broken.problem(503, "unavailable");
}

/// A file that may not grow is to the host what a full disk is.
#[tokio::test]
async fn a_full_disk_is_an_error_of_the_write_and_of_nothing_else() {
    let mut platform = Platform::start(cloudware_tests::binary!()).await;
    platform.publish(Source::STATE).await;
    platform.tenants(&["acme", "birch"], &["state"]).await;
    let put = async |platform: &Platform, tenant: &str, key: &str, bytes: usize| {
        let site = platform.site(tenant, "/state");
        let request = site.request(http::Method::PUT, &format!("/kv/disk/{key}"));
        site.send(request.body(vec![b'x'; bytes])).await
    };
    let value_bytes = 1 << 20;
    let _ = put(&platform, "birch", "before", 1).await.expect(200);
    platform.limit_file_bytes(Some(8 << 20));
    let mut acknowledged = 0;
    let refused = loop {
        let answer = put(&platform, "acme", &format!("k{acknowledged}"), value_bytes).await;
        if answer.status != 200 {
            break answer;
        }
        acknowledged += 1;
        assert!(acknowledged < 64, "files of 8 MiB hold 64 values of 1 MiB");
    };
    assert!(acknowledged > 0);
    // The guest is told, and goes on.
    let error = refused.expect(422).json();
    assert_eq!(error["error"]["kind"], "unavailable", "{error}");
    assert!(platform.log().contains("a private database failed"));
    let whole = async |platform: &Platform| {
        let site = platform.site("acme", "/state");
        for key in 0..acknowledged {
            let value = site.get(&format!("/kv/disk/k{key}")).await.expect(200);
            assert_eq!(value.body.len(), value_bytes, "k{key}");
        }
    };
    whole(&platform).await;
    let again = put(&platform, "acme", "again", value_bytes).await;
    assert_eq!(again.status, 422, "{}", again.text());
    // A neighbour's files may grow, and the platform's own.
    let _ = put(&platform, "birch", "meanwhile", 1_000)
        .await
        .expect(200);
    platform
        .limit("birch", json!({ "fuel": 1_000_000_000 }))
        .await;

    platform.limit_file_bytes(None);
    eventually("there is room again", async || {
        let answer = put(&platform, "acme", "healed", value_bytes).await;
        (answer.status == 200).then_some(())
    })
    .await;
    platform.kill9().await;
    platform.restart().await;
    whole(&platform).await;
    let healed = platform.site("acme", "/state").get("/kv/disk/healed").await;
    assert_eq!(healed.expect(200).body.len(), value_bytes);
    let lost = platform.site("acme", "/state").get("/kv/disk/again").await;
    assert_eq!(lost.status, 404, "what was refused did not happen");
}
