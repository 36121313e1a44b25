//! The example packages, each in its language, from source to an answered request on a running
//! platform.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, Stdio},
};

use reqwest::Client;
use serde_json::Value;

/// A platform with a data folder of its own; killed when dropped.
struct Platform {
    process: Child,
    api: String,
    token: String,
    folder: tempfile::TempDir,
}

impl Drop for Platform {
    fn drop(&mut self) {
        // It may have ended by itself; then the test has failed for that reason already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Platform {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mut process = Command::new(env!("CARGO_BIN_EXE_cloudware"))
            .args([
                "up",
                "--listen",
                "127.0.0.1:0",
                "--output",
                "json",
                "--data",
            ])
            .arg(folder.path().join("data"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("standard output was piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("standard output can be read");
        let mut stderr = process.stderr.take().expect("standard error was piped");
        let Ok(ready) = serde_json::from_str::<Value>(&line) else {
            let mut said = String::new();
            let _ = stderr.read_to_string(&mut said);
            panic!("the platform did not start: {said}");
        };
        // What it logs is read, so that it never waits for a reader.
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        let text = |value: &Value| value.as_str().expect("the announcement has it").to_owned();
        Self {
            api: text(&ready["api"]),
            token: text(&ready["tokens"]["operator"]),
            process,
            folder,
        }
    }

    #[track_caller]
    fn cloudware(&self, arguments: &[&str]) -> Value {
        let output = Command::new(env!("CARGO_BIN_EXE_cloudware"))
            .args(arguments)
            .args(["--output", "json"])
            .env("CLOUDWARE_API", &self.api)
            .env("CLOUDWARE_TOKEN", &self.token)
            .output()
            .expect("the binary starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        serde_json::from_slice(&output.stdout).expect("standard output is one JSON value")
    }

    /// Builds an example, publishes it, and returns its name.
    fn publish(&self, example: &str) -> String {
        let source = format!("{}/../../examples/{example}", env!("CARGO_MANIFEST_DIR"));
        let out = self.folder.path().to_str().expect("the path is UTF-8");
        let built = self.cloudware(&["build", &source, "--out", out]);
        let archive = built["archive"].as_str().expect("the archive has a path");
        self.cloudware(&["push", archive, "--provider", "examples"]);
        built["name"]
            .as_str()
            .expect("the app has a name")
            .to_owned()
    }

    async fn get(&self, client: &Client, tenant: &str, path: &str) -> String {
        let response = client
            .get(format!("{}{path}", self.api))
            .header("host", format!("{tenant}.localhost"))
            .send()
            .await
            .expect("the platform answers");
        assert_eq!(response.status(), 200, "{tenant} {path}");
        response.text().await.expect("the answer is text")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_answer_in_their_languages_and_keep_tenants_apart() {
    let platform = Platform::start();
    platform.cloudware(&["provider", "create", "examples"]);
    let apps = ["hello-rust", "hello-js", "hello-python"].map(|name| platform.publish(name));
    for (tenant, greeting) in [("acme", "Hello"), ("birch", "Hallo")] {
        let instance = format!("{tenant}/main");
        platform.cloudware(&["tenant", "create", tenant]);
        platform.cloudware(&["instance", "create", &instance, "--product", "hello"]);
        platform.cloudware(&["install", "enable", &instance, &apps[0]]);
        for app in &apps[1..] {
            let config = format!("greeting={greeting}");
            platform.cloudware(&["install", "enable", &instance, app, "--config", &config]);
        }
    }

    let client = Client::new();
    let answer = platform.get(&client, "acme", "/hello-rust").await;
    assert_eq!(answer, "Hello from Rust\n");
    for (app, language) in [("hello-js", "JavaScript"), ("hello-python", "Python")] {
        for visit in 1..=2 {
            assert_eq!(
                platform
                    .get(&client, "acme", &format!("/{app}/a/b?c=d"))
                    .await,
                format!("Hello from {language} at /a/b, visit {visit}\n")
            );
        }
        // The same app of another tenant counts for itself, and has its own configuration.
        assert_eq!(
            platform.get(&client, "birch", &format!("/{app}")).await,
            format!("Hallo from {language} at /, visit 1\n")
        );
    }
}
