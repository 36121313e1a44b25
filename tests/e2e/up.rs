//! `cloudware up`: what it announces, what it leaves on disk, how it stops and starts again.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use cloudware_tests::{Cli, InFlight, Options, Platform, Source, eventually};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use walkdir::WalkDir;

#[tokio::test]
async fn it_announces_itself_in_one_object_and_keeps_its_secrets() {
    let mut platform = Platform::start(cloudware_tests::binary!()).await;
    let ready = platform.ready().clone();
    assert!(
        platform.address().starts_with("http://127.0.0.1:"),
        "{ready}"
    );
    assert_ne!(platform.socket().port(), 0);
    assert!(platform.operator().starts_with("cw_"), "{ready}");
    assert_eq!(ready["tokens"]["tenants"], json!({}));
    assert_eq!(ready["sites"], json!([]));
    let health = cloudware_tests::Http::new(platform.address());
    assert_eq!(
        health.get("/api/v1/health").await.expect(200).json()["status"],
        "ok"
    );
    let openapi = health.get("/api/v1/openapi.json").await.expect(200).json();
    assert!(
        openapi["openapi"]
            .as_str()
            .is_some_and(|version| version.starts_with("3.1"))
    );
    let _ = health
        .get("/api/v1/tenants")
        .await
        .problem(401, "unauthenticated");
    let _ = platform.api().get("/tenants").await.expect(200);

    platform.publish(Source::STATE).await;
    platform.tenants(&["acme"], &["state"]).await;
    let token = platform.tenant_token("acme").await;
    let _ = platform
        .site("acme", "/state")
        .put("/kv/a/b", &json!(1))
        .await
        .expect(200);
    assert_eq!(mode(&platform.data()), 0o700);
    assert_eq!(mode(&platform.data().join("credentials.json")), 0o600);
    assert!(platform.terminate().await.success());
    for secret in [platform.operator(), token.clone()] {
        assert!(!platform.log().contains(&secret), "a token is in the log");
        let holders = files_with(&platform.data(), &secret);
        let allowed = holders
            .iter()
            .all(|path| path.ends_with("credentials.json"));
        assert!(allowed, "a token is kept in {holders:?}");
    }
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn no_request_waits_for_large_pages_of_memory() {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    assert!(!platform.may_have_large_pages());
}

fn mode(path: &Path) -> u32 {
    let metadata = fs::metadata(path).expect("it is there");
    metadata.permissions().mode() & 0o777
}

fn files_with(folder: &Path, text: &str) -> Vec<std::path::PathBuf> {
    let files = WalkDir::new(folder).into_iter().flatten();
    let has = |bytes: &[u8]| {
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    files
        .filter(|file| file.file_type().is_file())
        .filter(|file| fs::read(file.path()).is_ok_and(|bytes| has(&bytes)))
        .map(walkdir::DirEntry::into_path)
        .collect()
}

#[tokio::test]
async fn told_to_stop_it_finishes_what_it_began_and_takes_nothing_new() {
    let mut platform = Platform::start(cloudware_tests::binary!()).await;
    platform.publish(Source::ADVERSARY).await;
    platform.tenants(&["acme"], &["adversary"]).await;
    // Connections that ask for nothing don't hold it up.
    let _idle = TcpStream::connect(platform.socket())
        .await
        .expect("it listens");
    let in_flight = InFlight::begin(&platform.site("acme", "/adversary")).await;
    platform.ask_to_stop();
    eventually("it takes no new connections", async || {
        TcpStream::connect(platform.socket())
            .await
            .is_err()
            .then_some(())
    })
    .await;
    in_flight.finish().await;
    assert_eq!(platform.stopped().await.code(), Some(0));
    let log = platform.log();
    assert!(!log.contains("cut off"), "{log}");

    let operator = platform.operator();
    platform.restart().await;
    assert!(
        platform.ready_after() < Duration::from_secs(20),
        "{:?}",
        platform.ready_after()
    );
    assert_eq!(platform.operator(), operator, "tokens stay valid");
    let site = platform.site("acme", "/adversary");
    assert_eq!(site.get("/counter").await.expect(200).text(), "1");
    // The last request before the stop has been counted too: with this one it is two.
    eventually("the ledger has both", async || {
        let usage = platform.usage("acme", "adversary").await;
        (usage["requests"] == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_does_not_end_in_time_is_cut_off() {
    let options = Options {
        variables: vec![("CLOUDWARE_DRAIN_SECONDS".to_owned(), "1".to_owned())],
        ..Options::default()
    };
    let mut platform = Platform::start_with(cloudware_tests::binary!(), options).await;
    platform.publish(Source::ADVERSARY).await;
    platform.tenants(&["acme"], &["adversary"]).await;
    let in_flight = InFlight::begin(&platform.site("acme", "/adversary")).await;
    assert_eq!(platform.terminate().await.code(), Some(0));
    in_flight.cut_off().await;
    assert!(platform.log().contains("cut off"), "the log says so");
}

/// The demo is built from source, served for three tenants, and there again after a restart.
#[tokio::test]
async fn the_demo_runs_and_starts_again_as_it_was() {
    let binary = cloudware_tests::binary!();
    let target = binary.cache().join("guests").display().to_string();
    let options = Options {
        arguments: vec!["--demo".to_owned()],
        variables: vec![("CARGO_TARGET_DIR".to_owned(), target)],
        ready_within: Duration::from_secs(400),
        ..Options::default()
    };
    let mut platform = Platform::start_with(binary, options).await;
    let ready = platform.ready().clone();
    assert!(ready["tokens"]["provider"].is_string(), "{ready}");
    for tenant in ["acme", "birch", "cedar"] {
        assert!(ready["tokens"]["tenants"][tenant].is_string(), "{ready}");
    }
    assert_sites_answer(&platform).await;
    let birch = stock_of(&platform, "birch").await;
    assert!(
        birch.iter().any(|level| level["expires_on"].is_string()),
        "{birch:?}"
    );
    let shown = Cli::of(&platform).run("tenant list").await.ok().stdout;
    assert!(shown.contains("acme") && shown.contains("cedar"), "{shown}");

    assert!(platform.terminate().await.success());
    platform.restart().await;
    assert!(
        platform.ready_after() < Duration::from_secs(20),
        "{:?}",
        platform.ready_after()
    );
    let again = platform.ready();
    assert_eq!(again["tokens"], ready["tokens"]);
    assert_eq!(
        again["sites"].as_array().map(Vec::len),
        ready["sites"].as_array().map(Vec::len)
    );
    assert_sites_answer(&platform).await;
    assert_eq!(stock_of(&platform, "birch").await, birch);
}

async fn assert_sites_answer(platform: &Platform) {
    let sites = platform.ready()["sites"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    assert!(sites.len() >= 3);
    for site in sites {
        let url = site["url"].as_str().unwrap_or_default();
        let page = cloudware_tests::Http::new(url).get("").await.expect(200);
        assert!(!page.body.is_empty(), "{site}");
    }
    for tenant in ["acme", "birch", "cedar"] {
        let page = platform.site(tenant, "/stock").get("/").await.expect(200);
        assert!(page.header("content-type").starts_with("text/html"));
    }
}

async fn stock_of(platform: &Platform, tenant: &str) -> Vec<Value> {
    let stock = platform
        .site(tenant, "/stock")
        .get("/stock")
        .await
        .expect(200)
        .json();
    stock["levels"].as_array().cloned().unwrap_or_default()
}
