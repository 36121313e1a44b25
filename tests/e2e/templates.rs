//! What `cloudware new` makes in JavaScript and Python builds as it is, outside of the repository, and
//! answers on a platform. (The story begins with the Rust template.)

use cloudware_tests::{Cli, Platform};
use serde_json::json;

/// `new`, `build`, `check`, `push`, `enable`, and a request.
async fn builds_and_answers(language: &str) {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let cli = Cli::of(&platform);
    let in_folder = async |line: &str| cli.run_in(folder.path(), line).await;
    let _ = in_folder("provider create isv").await.ok();
    let _ = in_folder(&format!("new shop --language {language}"))
        .await
        .ok();
    let _ = in_folder("build shop").await.ok();
    let checked = in_folder("check shop --output json").await.ok();
    assert!(checked.stdout.contains("\"shop\""), "{}", checked.stdout);
    let _ = in_folder("push shop --provider isv").await.ok();
    platform.tenants(&["acme", "birch"], &["shop"]).await;
    let acme = platform.site("acme", "/shop");
    let birch = platform.path_site("birch/main", "/shop");
    let answers = async |site: &cloudware_tests::Http| site.get("/a/path").await.expect(200).text();
    let first = answers(&acme).await;
    assert!(first.contains("/a/path") && first.contains('1'), "{first}");
    assert_ne!(answers(&acme).await, first, "visits are counted");
    assert_eq!(answers(&birch).await, first, "for each tenant alone");
    platform.limit("acme", json!({ "memory": 65_536 })).await;
    let problem = acme.get("/").await.problem(503, "limit-reached");
    assert_eq!(problem["limit"], "memory");
    let _ = birch.get("/").await.expect(200);
}

#[tokio::test]
async fn javascript() {
    builds_and_answers("javascript").await;
}

#[tokio::test]
async fn python() {
    builds_and_answers("python").await;
}
