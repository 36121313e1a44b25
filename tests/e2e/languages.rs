//! Packages in JavaScript and Python, from source to an answer: `new`, `build`, `check`, `push`, `enable`.

use cloudware_tests::{Cli, Platform, Source};
use serde_json::json;

/// The examples of the repository, with key-value data and configuration through plain WIT.
async fn serves_the_example(source: Source, app: &str, language: &str) {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    let cli = Cli::of(&platform);
    let _ = cli.run("provider create isv").await.ok();
    let archive = source.built(platform.binary()).await;
    let checked = cli.json(&format!("check {}", archive.display())).await;
    assert_eq!(checked["capabilities"], json!(["config", "kv"]), "{checked}");
    let _ = cli.run(&format!("push {} --provider isv", archive.display())).await.ok();
    platform.tenants(&["acme", "birch"], &[]).await;
    platform.enable("acme", app, json!({})).await;
    let greeting = json!({ "config": { "greeting": "Grüezi" } });
    platform.enable("birch", app, greeting).await;
    let acme = platform.site("acme", &format!("/{app}"));
    let birch = platform.path_site("birch/main", &format!("/{app}"));
    for visit in 1..=3 {
        let answer = acme.get("/a/path?query=1").await.expect(200).text();
        assert_eq!(answer, format!("Hello from {language} at /a/path, visit {visit}\n"));
    }
    let answer = birch.get("/").await.expect(200).text();
    assert_eq!(answer, format!("Grüezi from {language} at /, visit 1\n"));
    let one_page = json!({ "memory": 65_536 });
    platform.limit("acme", one_page).await;
    let problem = acme.get("/").await.problem(503, "limit-reached");
    assert_eq!(problem["limit"], "memory");
    let _ = birch.get("/").await.expect(200);
}

/// What `new` makes builds as it is, outside of the repository.
async fn builds_the_template(language: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let cli = Cli::new(cloudware_tests::binary!());
    let in_folder = async |line: &str| cli.run_in(folder.path(), line).await;
    let _ = in_folder(&format!("new shop --language {language}")).await.ok();
    let _ = in_folder("build shop").await.ok();
    let checked = in_folder("check shop --output json").await.ok();
    assert!(checked.stdout.contains("\"shop\""), "{}", checked.stdout);
}

#[tokio::test]
async fn javascript() {
    serves_the_example(Source::HELLO_JS, "hello-js", "JavaScript").await;
    builds_the_template("javascript").await;
}

#[tokio::test]
async fn python() {
    serves_the_example(Source::HELLO_PYTHON, "hello-python", "Python").await;
    builds_the_template("python").await;
}
