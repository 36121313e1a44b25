//! Packages that a stranger made: cut, changed, too large, too dense, escaping, lying.

use cloudware_tests::{
    Answer, Entry, Package, Platform, Source, archive_of, component, exchange_parts,
};
use http::Method;
use serde_json::{Value, json};

/// Everything that a package may be refused for at once is told at once, with a place and a fix.
#[track_caller]
fn assert_refused_for(answer: &Answer, codes: &[&str]) {
    let problem = answer.problem(422, "package-rejected");
    let problems = problem["problems"].as_array().cloned().unwrap_or_default();
    let mut found: Vec<_> = problems
        .iter()
        .filter_map(|problem| problem["code"].as_str())
        .collect();
    found.sort_unstable();
    assert_eq!(found, codes, "{problem}");
    for told in &problems {
        for member in ["at", "message", "fix"] {
            assert!(
                told[member].as_str().is_some_and(|text| !text.is_empty()),
                "{told}"
            );
        }
    }
}

/// A component that answers HTTP and imports nothing else.
fn idle() -> Vec<u8> {
    component(include_str!("../components/growing_table.wat"))
}

#[tokio::test]
async fn packages_that_are_not_what_they_should_be() {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    let good = Package::around("good", idle());
    let other = b"PK\x03\x04 some other format".to_vec();
    for (archive, code) in [
        (other, "not-an-archive"),
        (Vec::new(), "truncated-archive"),
        (half(&good.archive()), "truncated-archive"),
    ] {
        assert_refused_for(&platform.try_push(archive).await, &[code]);
    }
    let spoilt = spoilt_manifests(&good).into_iter();
    for (package, codes) in spoilt.chain(spoilt_components(&good)) {
        assert_refused_for(&platform.try_push(package.archive()).await, codes);
    }
    assert_nothing_was_kept(&platform).await;
    platform.push(&good).await;
}

type Spoilt = (Package, &'static [&'static str]);

fn spoilt_manifests(good: &Package) -> Vec<Spoilt> {
    let edit = |from: &str, to: &str| good.clone().edit(from, to);
    let kind = "kind = \"app\"";
    let many = edit(kind, "kind = \"connector\"\ncolour = \"red\"")
        .edit("mount = \"/good\"", "mount = \"good\"\nsecure = true");
    let all = &[
        "invalid-value",
        "kind-not-supported",
        "unknown-key",
        "unknown-key",
    ];
    let teleport = edit(
        "[http]",
        "[capabilities]\nteleport = \"Travels.\"\n\n[http]",
    );
    vec![
        (
            good.clone().without("cloudware.toml"),
            &["missing-manifest"],
        ),
        (edit("[package]", "[package"), &["manifest-syntax"]),
        (
            edit(kind, "kind = \"app\"\ncolour = \"red\""),
            &["unknown-key"],
        ),
        (many, all),
        (teleport, &["unknown-capability"]),
        (good.clone().with("run.sh", "exit 1"), &["unexpected-file"]),
    ]
}

fn spoilt_components(good: &Package) -> Vec<Spoilt> {
    let with = |component: Vec<u8>| good.clone().with_component(component);
    let unknown_import = include_str!("../components/unknown_import.wat");
    vec![
        (
            good.clone().without("component.wasm"),
            &["missing-component"],
        ),
        (with(component("(module)")), &["core-module"]),
        (with(half(&idle())), &["invalid-component"]),
        (with(b"#!/bin/sh".to_vec()), &["not-a-component"]),
        (with(component("(component)")), &["missing-export"]),
        (with(component(unknown_import)), &["import-not-provided"]),
    ]
}

fn half(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len() / 2].to_vec()
}

/// The catalog is empty, and nothing lies about.
async fn assert_nothing_was_kept(platform: &Platform) {
    let apps = platform.api().get("/apps").await.expect(200).json();
    assert_eq!(apps["items"], json!([]));
    let packages = walkdir::WalkDir::new(platform.data().join("packages"));
    let files = packages
        .into_iter()
        .flatten()
        .filter(|file| file.file_type().is_file());
    assert_eq!(files.count(), 0, "refused bytes are not kept");
}

#[tokio::test]
async fn archives_that_attack() {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    let evil = |path: &str| archive_of([Entry::file(path, b"evil".to_vec())]);
    for path in [
        "../evil",
        "/tmp/evil",
        "assets/../../evil",
        "assets\\..\\evil",
        "assets/./evil",
    ] {
        let answer = platform.try_push(evil(path)).await;
        let problem = answer.problem(422, "package-rejected");
        assert!(
            codes(&problem).contains(&"path-escapes".to_owned()),
            "{path}: {problem}"
        );
    }
    let link = archive_of([Entry::link("assets/evil", "/etc/passwd")]);
    let problem = platform
        .try_push(link)
        .await
        .problem(422, "package-rejected");
    assert!(
        codes(&problem).contains(&"not-a-plain-file".to_owned()),
        "{problem}"
    );
    let twice = || Entry::file("assets/evil", b"evil".to_vec());
    let problem = platform.try_push(archive_of([twice(), twice()])).await;
    let problem = problem.problem(422, "package-rejected");
    assert!(
        codes(&problem).contains(&"duplicate-path".to_owned()),
        "{problem}"
    );
    let before = platform.resident_bytes_max();
    let bomb = archive_of([Entry::file("assets/zeros", vec![0; 200 << 20])]);
    assert!(bomb.len() < 100_000, "it is small: {}", bomb.len());
    let problem = platform
        .try_push(bomb)
        .await
        .problem(422, "package-rejected");
    assert!(
        codes(&problem).contains(&"expansion-ratio".to_owned()),
        "{problem}"
    );
    let grown = platform.resident_bytes_max() - before;
    assert!(grown < 64 << 20, "the bomb took {grown} bytes");
    assert_nothing_was_kept(&platform).await;
    assert!(!platform.data().join("evil").exists());
}

fn codes(problem: &Value) -> Vec<String> {
    let problems = problem["problems"].as_array().into_iter().flatten();
    problems
        .filter_map(|problem| Some(problem["code"].as_str()?.to_owned()))
        .collect()
}

#[tokio::test]
async fn packages_that_ask_for_what_they_must_not_have() {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    let state = Source::STATE.package(platform.binary()).await;
    let silent = state.clone().edit("kv = \"Reads and writes keys.\"\n", "");
    assert_refused_for(
        &platform.try_push(silent.archive()).await,
        &["capability-not-asked"],
    );
    let up = "migrations/0001_rows.up.sql";
    for statement in [
        "CREATE TABLE nonsense (",
        "CREATE TABLE probe_rows (id INTEGER); SELECT * FROM nowhere;",
        "CREATE TABLE other_rows (id INTEGER PRIMARY KEY);",
        "CREATE TABLE probe_rows AS SELECT * FROM cw_kv;",
        "ATTACH DATABASE '/tmp/x' AS x;",
        "CREATE TABLE probe_rows (x); COMMIT;",
    ] {
        let package = state.clone().with(up, statement);
        let answer = platform.try_push(package.archive()).await;
        assert_refused_for(&answer, &["migration-failed"]);
    }
    let gap = state
        .clone()
        .with("migrations/0003_more.up.sql", "SELECT 1;");
    let problem = platform
        .try_push(gap.archive())
        .await
        .problem(422, "package-rejected");
    assert!(
        codes(&problem).contains(&"migration-number".to_owned()),
        "{problem}"
    );
    let beyond = state.clone().edit("schema = 1", "schema = 2");
    let problem = platform
        .try_push(beyond.archive())
        .await
        .problem(422, "package-rejected");
    assert!(
        codes(&problem).contains(&"schema-beyond-migrations".to_owned()),
        "{problem}"
    );
    platform.push(&state).await;
    let other = state.edit("title = \"State\"", "title = \"Other\"");
    let taken = platform.try_push(other.archive()).await;
    assert_eq!(
        taken.status,
        409,
        "a release never changes: {}",
        taken.text()
    );
    another_provider_gets_nothing(&platform, &other).await;
}

async fn another_provider_gets_nothing(platform: &Platform, package: &Package) {
    let api = platform.api();
    let _ = api
        .post("/providers", &json!({ "slug": "rival" }))
        .await
        .expect(201);
    let newer = package
        .clone()
        .edit("version = \"1.0.0\"", "version = \"9.0.0\"");
    let request = api.request(Method::POST, "/releases?provider=rival");
    let refused = api.send(request.body(newer.archive())).await;
    assert_eq!(
        refused.status,
        409,
        "an app has one provider: {}",
        refused.text()
    );
}

#[tokio::test]
async fn digests_that_are_wrong() {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    let archive = Package::around("good", idle()).archive();
    let api = platform.api();
    let _ = api
        .post("/providers", &json!({ "slug": "isv" }))
        .await
        .expect(201);
    let push = |digest: String| {
        let request = api.request(Method::POST, "/releases?provider=isv");
        api.send(
            request
                .header("content-digest", digest)
                .body(archive.clone()),
        )
    };
    let other = cloudware_tests::content_digest(b"other bytes");
    assert_refused_for(&push(other).await, &["digest-mismatch"]);
    for malformed in ["sha-256=abc", "sha-256=:AAAA:", "nonsense", "sha-256=:***:"] {
        let problem = push(malformed.to_owned()).await.problem(422, "invalid");
        assert_eq!(problem["field"], "content-digest");
    }
    assert_nothing_was_kept(&platform).await;
    let right = cloudware_tests::content_digest(&archive);
    let _ = push(right).await.expect(201);
}

/// A gibibyte is refused before it is read, whether it is announced or just sent.
#[tokio::test]
async fn uploads_without_end() {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    let api = platform.api();
    let _ = api
        .post("/providers", &json!({ "slug": "isv" }))
        .await
        .expect(201);
    let before = platform.resident_bytes_max();
    let port = platform.socket().port();
    let head = |token: &str, framing: &str| {
        format!(
            "POST /api/v1/releases?provider=isv HTTP/1.1\r\nHost: localhost:{port}\r\n\
             Authorization: Bearer {token}\r\nConnection: close\r\n{framing}\r\n\r\n"
        )
        .into_bytes()
    };
    let announced = head(&platform.operator(), "Content-Length: 1073741824");
    let answer = exchange_parts(platform.socket(), [announced]).await;
    assert_eq!(answer.status, Some(413), "{}", answer.text);
    assert!(
        answer.text.contains("/problems/too-large"),
        "{}",
        answer.text
    );

    let megabyte = [
        b"100000\r\n".to_vec(),
        vec![b'x'; 1 << 20],
        b"\r\n".to_vec(),
    ]
    .concat();
    let chunked = head(&platform.operator(), "Transfer-Encoding: chunked");
    let endless = std::iter::once(chunked).chain(std::iter::repeat_n(megabyte, 1024));
    let answer = exchange_parts(platform.socket(), endless).await;
    assert_eq!(answer.status, Some(413), "{}", answer.text);

    let stranger = head("cw_op_nobody", "Content-Length: 1073741824");
    let answer = exchange_parts(platform.socket(), [stranger]).await;
    assert_eq!(answer.status, Some(401), "{}", answer.text);
    // One archive at its largest is held while it arrives; growing a buffer copies it once.
    let grown = platform.resident_bytes_max() - before;
    assert!(grown < 256 << 20, "the uploads took {grown} bytes");
    let _ = api.get("/health").await.expect(200);
}
