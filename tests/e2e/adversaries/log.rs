//! A flood of the log where nobody reads it.

use cloudware_tests::{Options, Platform, Source};
use serde_json::json;

/// What the host's standard error is may be a pipe whose reader stands still.
#[tokio::test]
async fn nobody_waits_for_whoever_reads_the_log() {
    let mut platform = unread().await;
    let [acme, birch] = ["acme", "birch"].map(|tenant| platform.site(tenant, "/adversary"));
    // Each is more than a pipe holds, and all are more than may wait.
    for _ in 0..20 {
        let answer = acme.get("/logs?bytes=32000").await.expect(200);
        assert_eq!(answer.text(), "logged 32000");
    }
    let _ = birch.get("/logs?bytes=100").await.expect(200);
    let _ = birch.get("/counter").await.expect(200);
    let _ = platform.api().get("/tenants").await.expect(200);
    assert!(platform.terminate().await.success(), "it ends all the same");
}

#[tokio::test]
async fn whoever_reads_the_log_again_is_told_that_lines_are_missing() {
    let mut platform = unread().await;
    let site = platform.site("acme", "/adversary");
    for _ in 0..20 {
        let _ = site.get("/logs?bytes=32000").await.expect(200);
    }
    platform
        .read_log_until("log lines were left out since the start")
        .await;
    let _ = site.get("/counter").await.expect(200);
}

/// A platform whose log nobody reads, and where one tenant may write very much of it.
async fn unread() -> Platform {
    let options = Options {
        is_log_unread: true,
        ..Options::default()
    };
    let platform = Platform::start_with(cloudware_tests::binary!(), options).await;
    platform.publish(Source::ADVERSARY).await;
    platform.tenants(&["acme", "birch"], &["adversary"]).await;
    platform
        .limit("acme", json!({ "log-rate": "1GiB/s" }))
        .await;
    platform
}
