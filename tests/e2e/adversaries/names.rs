//! Every string that reaches the host from a guest or a client, filled with the names of another tenant and
//! with what file systems, databases and terminals might misunderstand.

use std::collections::BTreeSet;

use cloudware_tests::{Http, Platform, RawAnswer, Source, exchange};
use http::Method;
use serde_json::{Value, json};
use walkdir::WalkDir;

use crate::assert_others_are_well;

/// What must not be found anywhere else.
const SECRET: &str = "acme-secret-0815";

/// acme and cedar have the same app; only acme has the secret.
async fn platform() -> Platform {
    let platform = crate::platform().await;
    platform.publish(Source::STATE).await;
    platform.tenants(&["cedar"], &["state"]).await;
    platform
        .enable("acme", "state", json!({ "config": { "greeting": SECRET } }))
        .await;
    let acme = platform.site("acme", "/state");
    let put = acme.request(Method::PUT, "/kv/secrets/key").body(SECRET);
    let _ = acme.send(put).await.expect(200);
    let insert = format!("INSERT INTO probe_rows (label) VALUES ('{SECRET}')");
    let insert = json!({ "statement": insert, "how": "execute" });
    let _ = acme.post("/sql", &insert).await.expect(200);
    platform
}

/// Names of acme's things, and shapes in which a careless host might take them for paths, patterns or the
/// end of a text.
async fn names(platform: &Platform) -> Vec<String> {
    let mut names: Vec<String> = [
        "secrets",
        "acme",
        "acme/main",
        "acme/main/state",
        "main--acme",
        "../acme",
        "../../acme/main",
        "..",
        ".",
        "/",
        "/etc/passwd",
        "..\\..\\acme",
        "secrets\0",
        "\0",
        "key\0secrets",
        "%2e%2e%2facme",
        "secrets%00",
        "%",
        "*",
        "_",
        "' OR '1'='1",
        "'; DROP TABLE cw_kv; --",
        "\"",
        "key\nINFO forged",
        "key\r\nset-cookie: a=b",
        "\u{1b}[2J",
        "\u{202e}yek",
        "key\u{2028}forged",
        // Cyrillic letters, a full-width slash, a zero-width space, a fraction slash.
        "\u{455}\u{435}\u{441}rets",
        "acme\u{ff0f}main",
        "sec\u{200b}rets",
        "acme\u{2044}main",
        "SECRETS",
        "secrets ",
        "",
        "cw_kv",
        "probe_rows",
        "main.probe_rows",
        "\u{10ffff}",
    ]
    .map(str::to_owned)
    .into();
    names.extend(ids(platform).await);
    names.push("n".repeat(5_000));
    names.push(platform.data().display().to_string());
    names
}

/// The ids by which the host itself names acme's things.
async fn ids(platform: &Platform) -> Vec<String> {
    let mut found = Vec::new();
    for path in [
        "/tenants/acme",
        "/tenants/acme/instances/main",
        "/tenants/acme/instances/main/installs/state",
    ] {
        let document = platform.api().get(path).await.expect(200).json();
        if let Some(id) = document["id"].as_str() {
            found.push(id.to_owned());
            found.push(format!("{id}/secrets"));
            found.extend(id.split_once('_').map(|(_, bare)| bare.to_owned()));
        }
    }
    assert!(found.len() >= 6, "the API names things by id: {found:?}");
    found
}

/// As one segment of a path, every byte written out.
fn segment(name: &str) -> String {
    name.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Files of the platform that are not written all the time.
fn files(platform: &Platform) -> BTreeSet<String> {
    let all = WalkDir::new(platform.data()).into_iter().flatten();
    all.filter(|entry| entry.file_type().is_file())
        .map(|entry| entry.path().display().to_string())
        .filter(|path| !path.ends_with("-wal") && !path.ends_with("-shm"))
        .collect()
}

/// The answer is one of the platform's or the app's own, and knows nothing of acme.
#[track_caller]
fn assert_innocent(answer: &cloudware_tests::Answer, what: &str) {
    assert!(
        matches!(answer.status, 200..=299 | 400..=499),
        "{what}: {} {}",
        answer.status,
        answer.text()
    );
    assert!(!answer.text().contains(SECRET), "{what}: {}", answer.text());
}

async fn assert_secret_is_kept(platform: &Platform) {
    let acme = platform.site("acme", "/state");
    assert_eq!(acme.get("/kv/secrets/key").await.expect(200).text(), SECRET);
    let keys = acme.get("/kv/secrets").await.expect(200).json();
    assert_eq!(keys["keys"], json!(["key"]), "nothing was added");
    let rows = json!({ "statement": "SELECT label FROM probe_rows" });
    let rows = acme.post("/sql", &rows).await.expect(200).json();
    assert_eq!(rows["rows"], json!([[SECRET]]));
}

#[tokio::test]
async fn strings_of_guests_lead_nowhere() {
    let platform = platform().await;
    let cedar = platform.site("cedar", "/state");
    let _ = cedar.get("/kv/own/key").await;
    let before = files(&platform);
    for name in names(&platform).await {
        keys(&cedar, &name).await;
        statements(&cedar, &name).await;
        let config = cedar.get(&format!("/config/{}", segment(&name))).await;
        assert_innocent(&config, &name);
    }
    assert_secret_is_kept(&platform).await;
    assert_eq!(files(&platform), before, "no name became a file");
    assert_others_are_well(&platform).await;
}

/// As a bucket, a key, a prefix and a cursor.
async fn keys(cedar: &Http, name: &str) {
    let part = segment(name);
    for path in [
        format!("/kv/{part}/key"),
        format!("/kv/secrets/{part}"),
        format!("/kv/{part}?prefix={part}"),
        format!("/kv/secrets?prefix={part}"),
        format!("/kv/secrets?after={part}"),
    ] {
        assert_innocent(&cedar.get(&path).await, &path);
    }
    for path in [format!("/kv/{part}/key"), format!("/kv/own/{part}")] {
        let put = cedar.request(Method::PUT, &path).body("cedar's");
        assert_innocent(&cedar.send(put).await, &path);
        assert_innocent(&cedar.delete(&path).await, &path);
    }
}

/// As a table in quotation marks, a database, a file and a parameter.
async fn statements(cedar: &Http, name: &str) {
    let quoted = name.replace('"', "\"\"");
    let text = name.replace('\'', "''");
    for statement in [
        format!("SELECT * FROM \"{quoted}\""),
        format!("SELECT * FROM \"{quoted}\".probe_rows"),
        format!("SELECT * FROM \"{quoted}\".\"{quoted}\""),
        format!("ATTACH DATABASE '{text}' AS other"),
        format!("VACUUM INTO '{text}'"),
        format!("SELECT load_extension('{text}')"),
        format!("SELECT readfile('{text}')"),
        format!("SELECT {name}"),
    ] {
        for how in ["query", "execute"] {
            let body = json!({ "statement": statement, "how": how });
            assert_innocent(&cedar.post("/sql", &body).await, &statement);
        }
    }
    let body = json!({ "statement": "SELECT label FROM probe_rows WHERE label LIKE ?", "parameters": [name] });
    assert_innocent(&cedar.post("/sql", &body).await, name);
}

/// A log message is one line of the operator's log, with nothing in it that a terminal obeys.
#[tokio::test]
async fn strings_of_guests_stay_on_their_line() {
    let platform = platform().await;
    let cedar = platform.site("cedar", "/state");
    for (number, name) in names(&platform).await.into_iter().enumerate() {
        let before = platform.log().len();
        let body = json!({ "context": name, "message": format!("mark-{number} {name}") });
        let _ = cedar.post("/log", &body).await.expect(200);
        let log = platform.log().split_off(before);
        let lines: Vec<_> = log
            .lines()
            .filter(|line| line.contains(&format!("mark-{number} ")))
            .collect();
        assert_eq!(lines.len(), 1, "{name:?}: {log}");
        assert!(
            lines[0].contains("cedar"),
            "the line says who wrote it: {log}"
        );
        let obeyed = |c: char| {
            c.is_control() && c != '\n'
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        assert!(!log.contains(obeyed), "{name:?}: {log:?}");
        assert!(
            !log.lines()
                .any(|line| line.starts_with("INFO forged") || line.starts_with("forged")),
            "{log}"
        );
    }
}

/// As a host, a path, a header and an API name.
#[tokio::test]
async fn strings_of_clients_lead_nowhere() {
    let platform = platform().await;
    let before = files(&platform);
    let token = platform.tenant_token("cedar").await;
    let api = platform.api().with_token(&token);
    for name in names(&platform).await {
        let part = segment(&name);
        for path in [
            format!("/tenants/{part}"),
            format!("/tenants/{part}/instances/main"),
            format!("/tenants/cedar/instances/{part}"),
            format!("/tenants/cedar/instances/{part}/installs/state"),
            format!("/tenants/cedar/instances/main/installs/{part}"),
            format!("/tenants/cedar/instances/main/usage?app={part}"),
            format!("/audit?tenant={part}"),
            format!("/apps/{part}"),
            format!("/tenants/cedar/instances/%2E%2E/{part}"),
        ] {
            let answer = api.get(&path).await;
            assert_innocent(&answer, &path);
            assert!(
                !answer.text().contains("\"acme\""),
                "{path}: {}",
                answer.text()
            );
        }
        for (target, host) in [
            (
                format!("/t/{part}/main/state/kv/secrets/key"),
                "localhost".to_owned(),
            ),
            (
                format!("/t/cedar/{part}/state/kv/secrets/key"),
                "localhost".to_owned(),
            ),
            (
                format!("/t/cedar/main/{part}/kv/secrets/key"),
                "localhost".to_owned(),
            ),
            (format!("/{part}"), "cedar.localhost".to_owned()),
        ] {
            // With its own name in lower case, a tenant is found; none of these is one.
            let raw = get(&platform, &target, &host, "x-name: y").await;
            assert_raw_innocent(&raw, &target);
        }
        let line: String = name
            .chars()
            .filter(|c| !matches!(c, '\r' | '\n' | '\0'))
            .collect();
        for header in [
            "x-cloudware-instance",
            "x-forwarded-host",
            "x-request-id",
            "cookie",
            "via",
        ] {
            let header = format!("{header}: {line}");
            let raw = get(
                &platform,
                "/state/kv/secrets/key",
                "cedar.localhost",
                &header,
            )
            .await;
            assert_raw_innocent(&raw, &header);
        }
    }
    assert_secret_is_kept(&platform).await;
    assert_eq!(files(&platform), before, "no name became a file");
    assert_others_are_well(&platform).await;
}

async fn get(platform: &Platform, target: &str, host: &str, header: &str) -> RawAnswer {
    let request =
        format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{header}\r\nConnection: close\r\n\r\n");
    exchange(platform.socket(), request).await
}

#[track_caller]
fn assert_raw_innocent(answer: &RawAnswer, what: &str) {
    assert!(
        matches!(answer.status, Some(300..=499)),
        "{what}: {}",
        answer.text
    );
    assert!(!answer.text.contains(SECRET), "{what}: {}", answer.text);
    let head = answer.text.split("\r\n\r\n").next().unwrap_or_default();
    assert!(!head.contains("set-cookie"), "{what}: {head}");
}

/// A name that a tenant chooses is refused where it is not one, whatever it resembles.
#[tokio::test]
async fn names_that_resemble_others_are_not_names() {
    let platform = platform().await;
    let api = platform.api();
    for name in names(&platform).await {
        // `acme` is taken; `secrets` is a fine name and nobody's.
        if matches!(name.as_str(), "secrets" | "acme") || is_slug(&name) {
            continue;
        }
        for (path, body) in [
            ("/tenants", json!({ "slug": name })),
            ("/tenants/cedar/instances", json!({ "slug": name })),
            ("/providers", json!({ "slug": name })),
        ] {
            let answer = api.post(path, &body).await;
            let problem: Value = answer.problem(422, "invalid");
            assert!(problem["detail"].is_string(), "{path} {name:?}");
        }
    }
    assert_secret_is_kept(&platform).await;
}

fn is_slug(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=30).contains(&name.len()) && name.bytes().all(plain)
}
