//! `cloudware push` against a platform's side that the test plays: what it sends, and how it shows
//! what the platform answers.

use std::{
    net::SocketAddr,
    process::{Command, Output},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode, Uri},
    response::IntoResponse,
    routing::post,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cloudware_types::Digest;
use serde_json::{Value, json};

/// What the platform received.
#[derive(Default)]
struct Received {
    uri: String,
    headers: HeaderMap,
    body: Bytes,
}

/// Starts a platform that gives one answer, and notes what it receives.
async fn platform(status: StatusCode, answer: Value) -> (SocketAddr, Arc<Mutex<Received>>) {
    let received = Arc::new(Mutex::new(Received::default()));
    let noted = Arc::clone(&received);
    let handler = move |uri: Uri, headers: HeaderMap, body: Bytes| async move {
        *noted.lock().expect("no handler panics") = Received {
            uri: uri.to_string(),
            headers,
            body,
        };
        (status, answer.to_string()).into_response()
    };
    let router = Router::new().route("/api/v1/releases", post(handler));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port is free");
    let address = listener.local_addr().expect("the listener has an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, received)
}

/// Pushes some bytes; the platform is who judges them.
async fn push(address: SocketAddr, bytes: &[u8], more: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let archive = folder.path().join("hello-1.0.0.cwp");
    std::fs::write(&archive, bytes).expect("the archive can be written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloudware"));
    command
        .arg("push")
        .arg(&archive)
        .args(["--api", &format!("http://{address}"), "--token", "secret"])
        .args(more);
    tokio::task::spawn_blocking(move || command.output())
        .await
        .expect("the command is waited for")
        .expect("the binary starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_arrives_whole_with_its_digest() {
    let (address, received) = platform(StatusCode::CREATED, json!({"id": "rel_1"})).await;
    let bytes: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    let output = push(address, &bytes, &["--provider", "acme", "--output", "json"]).await;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["id"], "rel_1");

    let received = received.lock().unwrap();
    assert_eq!(received.uri, "/api/v1/releases?provider=acme");
    assert_eq!(received.body, bytes);
    assert_eq!(
        received.headers["content-type"],
        "application/vnd.cloudware.package"
    );
    assert_eq!(received.headers["authorization"], "Bearer secret");
    let digest = STANDARD.encode(Digest::of(&bytes).as_bytes());
    assert_eq!(
        received.headers["content-digest"],
        format!("sha-256=:{digest}:")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reason_of_a_refusal_is_shown() {
    let problem = |code: &str, at: &str| json!({"code": code, "at": at, "message": format!("M-{code}."), "fix": format!("F-{code}.")});
    let answer = json!({
        "type": "/problems/package-rejected", "title": "The package was rejected", "status": 422,
        "detail": "2 problems", "request_id": "x",
        "problems": [problem("unknown-key", "cloudware.toml: colour"), problem("core-module", "component.wasm")],
    });
    let (address, _) = platform(StatusCode::UNPROCESSABLE_ENTITY, answer).await;
    let output = push(address, b"bytes", &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    for part in [
        "unknown-key",
        "cloudware.toml: colour",
        "M-unknown-key.",
        "F-unknown-key.",
        "core-module",
        "F-core-module.",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_is_not_there_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let output = push(address, b"bytes", &[]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains(&address.to_string()), "{said}");
}
