//! Attempts to reach another tenant's or another app's data by every string that a guest or a client
//! can choose. What is kept under one install is found under no other.

use std::path::PathBuf;

use cloudware_tests::{Cli, Http, Platform, RawAnswer, Source, exchange};
use http::Method;
use serde_json::{Value, json};
use walkdir::WalkDir;

/// What must not be found anywhere else.
const SECRET: &str = "acme-secret-4711";

/// acme has two apps that run any SQL, of which the first keeps the secret; birch has the first.
async fn platform() -> Platform {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    let state = Source::STATE.package(platform.binary()).await;
    let second = state
        .clone()
        .renamed("state", "second")
        .edit("namespace = \"probe\"", "namespace = \"other\"")
        .with(
            "migrations/0001_rows.up.sql",
            "CREATE TABLE other_rows (id INTEGER PRIMARY KEY, label TEXT);",
        )
        .with("migrations/0001_rows.down.sql", "DROP TABLE other_rows;");
    platform.push(&state).await;
    platform.push(&second).await;
    platform.tenants(&["acme"], &["state", "second"]).await;
    platform.tenants(&["birch"], &["state"]).await;
    let acme = platform.site("acme", "/state");
    let insert = format!("INSERT INTO probe_rows (label, number) VALUES ('{SECRET}', 7)");
    let _ = execute(&acme, &insert).await.expect(200);
    let put = acme.request(Method::PUT, "/kv/secrets/key").body(SECRET);
    let _ = acme.send(put).await.expect(200);
    platform
}

async fn execute(site: &Http, statement: &str) -> cloudware_tests::Answer {
    let body = json!({ "statement": statement, "how": "execute" });
    site.post("/sql", &body).await
}

/// The secret is where it was put, unchanged.
async fn assert_secret_is_kept(platform: &Platform) {
    let acme = platform.site("acme", "/state");
    let body = json!({ "statement": "SELECT label, number FROM probe_rows ORDER BY id" });
    let rows = acme.post("/sql", &body).await.expect(200).json();
    assert_eq!(rows["rows"], json!([[SECRET, 7]]));
    assert_eq!(acme.get("/kv/secrets/key").await.expect(200).text(), SECRET);
}

/// Statements that name what the app does not own, or do what no app may do.
const STATEMENTS: &[&str] = &[
    "SELECT * FROM probe_rows",
    "SELECT * FROM main.probe_rows",
    "SELECT * FROM \"probe_rows\"",
    "SELECT * FROM [PROBE_ROWS]",
    "SELECT * FROM `probe_rows` AS other_rows",
    "SELECT (SELECT group_concat(label) FROM probe_rows)",
    "WITH other_x AS (SELECT * FROM probe_rows) SELECT * FROM other_x",
    "SELECT * FROM other_rows UNION ALL SELECT id, label FROM probe_rows",
    "SELECT * FROM other_rows WHERE EXISTS (SELECT 1 FROM probe_rows)",
    "INSERT INTO other_rows (label) SELECT label FROM probe_rows",
    "INSERT INTO probe_rows (label) VALUES ('forged')",
    "UPDATE probe_rows SET label = 'forged'",
    "UPDATE other_rows SET label = p.label FROM probe_rows p",
    "DELETE FROM probe_rows",
    "DROP TABLE probe_rows",
    "ALTER TABLE other_rows RENAME TO probe_rows",
    "CREATE TABLE probe_more (x)",
    "CREATE VIEW other_view AS SELECT * FROM probe_rows",
    "CREATE TRIGGER other_t AFTER INSERT ON probe_rows BEGIN SELECT 1; END",
    "CREATE TEMP TABLE probe_rows (x)",
    "CREATE TEMP VIEW other_v AS SELECT * FROM probe_rows",
    "SELECT * FROM cw_kv",
    "SELECT * FROM cw_schema",
    "UPDATE cw_schema SET namespace = 'other'",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM sqlite_schema",
    "SELECT * FROM sqlite_sequence",
    "SELECT * FROM pragma_table_list",
    "SELECT * FROM pragma_table_info('probe_rows')",
    "SELECT * FROM dbstat",
    "PRAGMA database_list",
    "PRAGMA table_info(probe_rows)",
    "PRAGMA writable_schema = ON",
    "EXPLAIN SELECT * FROM probe_rows",
    "BEGIN",
    "SAVEPOINT a",
    "VACUUM",
    "REINDEX probe_rows",
    "ANALYZE",
    "DETACH DATABASE main",
    "SELECT load_extension('/tmp/x.so')",
    "SELECT readfile('/etc/passwd')",
    "SELECT writefile('/tmp/x', 'x')",
    "SELECT fts3_tokenizer('simple')",
    "SELECT 1; SELECT * FROM probe_rows",
];

#[tokio::test]
async fn sql_of_another_app_is_out_of_reach_by_every_name() {
    let platform = platform().await;
    let second = platform.site("acme", "/second");
    let _ = execute(&second, "INSERT INTO other_rows (label) VALUES ('own')")
        .await
        .expect(200);
    let file = database_of_acme(&platform);
    let files = [
        format!("ATTACH DATABASE '{}' AS x", file.display()),
        format!("VACUUM INTO '{}'", platform.data().join("stolen").display()),
    ];
    for statement in STATEMENTS
        .iter()
        .copied()
        .chain(files.iter().map(String::as_str))
    {
        for how in ["query", "execute", "prepared"] {
            let body = json!({ "statement": statement, "how": how });
            let answer = second.post("/sql", &body).await;
            assert_eq!(answer.status, 422, "{how} {statement}: {}", answer.text());
            let kind = answer.json()["error"]["kind"].clone();
            assert!(
                ["denied", "statement"].contains(&kind.as_str().unwrap_or_default()),
                "{statement}: {kind}"
            );
            assert!(!answer.text().contains(SECRET), "{statement}");
        }
    }
    assert!(!platform.data().join("stolen").exists());
    let own = json!({ "statement": "SELECT label FROM other_rows" });
    let own = second.post("/sql", &own).await.expect(200).json();
    assert_eq!(own["rows"], json!([["own"]]));
    assert_secret_is_kept(&platform).await;
}

/// The one file that has the secret.
fn database_of_acme(platform: &Platform) -> PathBuf {
    let files = WalkDir::new(platform.data().join("instances"))
        .into_iter()
        .flatten();
    let with_secret = files
        .filter(|file| file.file_type().is_file())
        .find(|file| {
            let bytes = std::fs::read(file.path()).unwrap_or_default();
            bytes
                .windows(SECRET.len())
                .any(|window| window == SECRET.as_bytes())
        });
    with_secret
        .expect("the secret is in a database")
        .into_path()
}

#[tokio::test]
async fn another_tenants_rows_and_keys_are_out_of_reach() {
    let platform = platform().await;
    let birch = platform.site("birch", "/state");
    let second = platform.site("acme", "/second");
    let body = json!({ "statement": "SELECT * FROM probe_rows" });
    let rows = birch.post("/sql", &body).await.expect(200).json();
    assert_eq!(
        rows["rows"],
        json!([]),
        "the same table of another tenant is another one"
    );
    for site in [&birch, &second] {
        for bucket in [
            "secrets",
            "state-secrets",
            "acme-secrets",
            "acme%2Fsecrets",
            "..%2Fsecrets",
            "state%2Fsecrets",
            "secrets%00",
            "SECRETS",
            "secrets%27%20OR%201%3D1--",
            "%25",
            "*",
        ] {
            let value = site.get(&format!("/kv/{bucket}/key")).await;
            assert!(
                [404, 422].contains(&value.status),
                "{bucket}: {}",
                value.text()
            );
            let keys = site.get(&format!("/kv/{bucket}")).await;
            let found = keys.json()["keys"].clone();
            assert!(
                keys.status == 422 || found == json!([]),
                "{bucket}: {}",
                keys.text()
            );
            let gone = site.delete(&format!("/kv/{bucket}/key")).await;
            let gone = (gone.status, gone.json()["existed"].clone());
            assert!(
                gone.0 == 422 || gone.1 == json!(false),
                "{bucket}: {gone:?}"
            );
        }
    }
    assert_secret_is_kept(&platform).await;
}

/// The path of the secret in acme's site.
const PATH: &str = "/state/kv/secrets/key";

/// Headers by which some servers let a client say who it is or where it goes.
const HEADERS: &[(&str, &str)] = &[
    ("x-cloudware-tenant", "acme"),
    ("x-cloudware-instance", "acme/main"),
    ("x-forwarded-host", "acme.localhost"),
    ("x-forwarded-prefix", "/t/acme/main"),
    ("x-original-url", "/t/acme/main/state/kv/secrets/key"),
    ("x-rewrite-url", "/t/acme/main/state/kv/secrets/key"),
    ("forwarded", "host=acme.localhost"),
    ("x-host", "acme.localhost"),
];

/// Request targets and hosts whose site is birch's, or nobody's.
const WRONG: &[(&str, &str)] = &[
    (PATH, "birch.localhost\r\nHost: acme.localhost"),
    (PATH, "acme.localhost@birch.localhost"),
    (PATH, "birch.localhost#acme.localhost"),
    (PATH, "birch.localhost, acme.localhost"),
    (PATH, "acme"),
    (PATH, "main--birch.localhost"),
    ("/t/acme/main/state/kv/secrets/key", "birch.localhost"),
    (
        "http://birch.localhost/state/kv/secrets/key",
        "acme.localhost",
    ),
    (
        "/t/birch/main/../../acme/main/state/kv/secrets/key",
        "localhost",
    ),
    (
        "/t/birch/main/state/../../../acme/main/state/kv/secrets/key",
        "localhost",
    ),
    (
        "/t/birch/main/%2e%2e/%2e%2e/acme/main/state/kv/secrets/key",
        "localhost",
    ),
    (
        "/t/birch/main%2f..%2f..%2facme%2fmain/state/kv/secrets/key",
        "localhost",
    ),
    ("/t/birch/..%2facme/main/state/kv/secrets/key", "localhost"),
    ("/t/acme%2Fmain/state/kv/secrets/key", "localhost"),
    ("/t//acme/main/state/kv/secrets/key", "localhost"),
    ("//t/acme/main/state/kv/secrets/key", "localhost"),
    ("/t/acme/main/second/../state/kv/secrets/key", "localhost"),
    (
        "/t/acme/main/second/%2e%2e/state/kv/secrets/key",
        "localhost",
    ),
    (
        "/t/acme/main/second%2f..%2fstate/kv/secrets/key",
        "localhost",
    ),
    ("/t/ACME/main/state/kv/secrets/key", "localhost"),
];

/// The ways that are right, so that the ones above mean something.
const RIGHT: &[(&str, &str)] = &[
    (PATH, "acme.localhost"),
    (PATH, "ACME.localhost:80"),
    (PATH, "main--acme.localhost"),
    ("/t/acme/main/state/kv/secrets/key", "localhost"),
    (
        "http://acme.localhost/state/kv/secrets/key",
        "birch.localhost",
    ),
];

#[tokio::test]
async fn no_header_and_no_path_leads_to_another_tenant() {
    let platform = platform().await;
    let birch = platform.site("birch", "");
    for (name, value) in HEADERS {
        let request = birch.request(Method::GET, PATH).header(*name, *value);
        let _ = birch.send(request).await.expect(404);
    }
    for (target, host) in WRONG {
        let answer = get(&platform, target, host).await;
        let refused = matches!(answer.status, Some(400..=499));
        let kept = !answer.text.contains(SECRET);
        assert!(refused && kept, "{target} at {host}: {}", answer.text);
    }
    for (target, host) in RIGHT {
        let answer = get(&platform, target, host).await;
        let found = (answer.status, answer.body());
        assert_eq!(found, (Some(200), SECRET), "{target} at {host}");
    }
    assert_secret_is_kept(&platform).await;
}

/// Asks as no client library would.
async fn get(platform: &Platform, target: &str, host: &str) -> RawAnswer {
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    exchange(platform.socket(), request).await
}

/// What a tenant's token can't see, it can't be told to exist either.
#[tokio::test]
async fn a_tenants_token_reaches_only_its_own() {
    let platform = platform().await;
    let token = platform.tenant_token("birch").await;
    let birch = platform.api().with_token(&token);
    let own = birch
        .get("/tenants/birch/instances/main/installs")
        .await
        .expect(200);
    assert_eq!(own.json()["items"].as_array().map(Vec::len), Some(1));
    for path in [
        "/tenants/acme",
        "/tenants/acme/instances",
        "/tenants/acme/instances/main",
        "/tenants/acme/instances/main/installs",
        "/tenants/acme/instances/main/installs/state",
        "/tenants/acme/instances/main/quota",
        "/tenants/acme/instances/main/usage",
        "/tenants/acme/usage",
        "/audit?tenant=acme",
    ] {
        let _ = birch.get(path).await.problem(404, "not-found");
    }
    let disable = "/tenants/acme/instances/main/installs/state/disable";
    let _ = birch
        .post(disable, &json!({}))
        .await
        .problem(404, "not-found");
    let quota = "/tenants/birch/instances/main/quota";
    let _ = birch
        .patch(quota, &json!({ "fuel": "1G" }))
        .await
        .problem(403, "forbidden");
    for path in ["/tenants", "/usage", "/audit", "/tokens"] {
        let seen = birch.get(path).await.expect(200).text();
        assert!(!seen.contains("acme"), "{path}: {seen}");
    }
    let cli = Cli::of(&platform).with_token(&token);
    cli.run("instance list acme")
        .await
        .refused(1, &["acme", "404"]);
    cli.run("quota set birch/main fuel=1G")
        .await
        .refused(1, &["403"]);
    let whoami: Value = cli.json("whoami").await;
    assert_eq!(whoami["kind"], "tenant");
    assert_secret_is_kept(&platform).await;
}
