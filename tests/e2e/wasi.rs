//! What a component sees of the world: the interfaces of WASI 0.2 and 0.3, and nothing of the machine.

use cloudware_tests::{Platform, Source, eventually};
use http::Method;
use serde_json::json;

#[tokio::test]
async fn a_component_of_wasi_0_3_answers() {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    platform.publish(Source::HELLO_P3).await;
    platform.tenants(&["acme"], &["hello-p3"]).await;
    let by_host = platform.site("acme", "/hello-p3");
    let by_path = platform.path_site("acme/main", "/hello-p3");
    for _ in 0..20 {
        let (one, other) = tokio::join!(by_host.get("/"), by_path.get("/any/path"));
        assert_eq!(one.expect(200).text(), "hello\n");
        assert_eq!(other.expect(200).text(), "hello\n");
    }
    let head = by_host.send(by_host.request(Method::HEAD, "/")).await;
    let head = head.expect(200);
    assert_eq!(head.header("content-length"), "6");
    assert!(head.body.is_empty());
    platform.limit("acme", json!({ "fuel": 100 })).await;
    let problem = by_host.get("/").await.problem(503, "limit-reached");
    assert_eq!(problem["limit"], "fuel");
    let usage = eventually("forty-two requests are in the ledger", async || {
        let usage = platform.usage("acme", "hello-p3").await;
        (usage["requests"] == 42).then_some(usage)
    })
    .await;
    assert_eq!(usage["stops"], 1);
    assert_eq!(usage["response-bytes"], 40 * 6);
    assert!(usage["fuel"].as_u64() > Some(40 * 100), "{usage}");
}

/// Functions of WASI that the host replaces do what the originals do, within bounds.
#[tokio::test]
async fn requests_and_headers_of_wasi_0_3_are_bounded() {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    platform.publish(Source::HELLO_P3).await;
    platform.tenants(&["acme"], &["hello-p3"]).await;
    let site = platform.site("acme", "/hello-p3");
    for (length, names) in [(100, "taken taken"), (10_000, "refused refused")] {
        let answer = site.get(&format!("/names/{length}")).await.expect(200);
        assert_eq!(answer.header("x-names"), format!("{names} true Ok(1) 1"));
    }
}

/// What goes on behind an answer is the run's own, also where its sandbox is used again, and the run has ended before its
/// client can ask again where nothing goes on.
#[tokio::test]
async fn a_run_of_wasi_0_3_ends_with_its_last_task() {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    let package = Source::HELLO_P3.package(platform.binary()).await;
    let mount = "mount = \"/hello-p3\"";
    let warm = package.edit(mount, &format!("{mount}\nreuse = 100"));
    platform.push(&warm).await;
    platform.tenants(&["acme"], &["hello-p3"]).await;
    let site = platform.site("acme", "/hello-p3");
    for round in 1..=5_u64 {
        let first = site.get("/trap-later").await.expect(200);
        assert_eq!(first.text(), "hello\n");
        assert_eq!(site.get("/").await.expect(200).text(), "hello\n");
        eventually("the trap is the first one's", async || {
            let usage = platform.usage("acme", "hello-p3").await;
            (usage["requests"] == 3 * round - 1 && usage["stops"] == round).then_some(())
        })
        .await;
        assert_eq!(site.get("/").await.expect(200).text(), "hello\n");
        eventually("it is counted", async || {
            let usage = platform.usage("acme", "hello-p3").await;
            (usage["requests"] == 3 * round).then_some(())
        })
        .await;
    }
    platform.limit("acme", json!({ "concurrency": 1 })).await;
    for _ in 0..100 {
        assert_eq!(site.get("/").await.expect(200).text(), "hello\n");
        let head = site.request(Method::HEAD, "/");
        let _ = site.send(head).await.expect(200);
    }
}

/// An answer that is complete and leaves slowly, because of the egress rate, keeps its run from nothing.
#[tokio::test]
async fn a_run_goes_on_while_its_answer_leaves_in_pieces() {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    platform.publish(Source::HELLO_P3).await;
    platform.tenants(&["acme"], &["hello-p3"]).await;
    platform
        .limit("acme", json!({ "egress-rate": 1_024 }))
        .await;
    let site = platform.site("acme", "/hello-p3");
    let leaving = tokio::spawn(async move { site.get("/long/trap-later").await });
    eventually("the run has come to its trap", async || {
        let usage = platform.usage("acme", "hello-p3").await;
        (usage["stops"] == 1).then_some(())
    })
    .await;
    // Of its 4,200 bytes the last can leave after three seconds.
    assert!(!leaving.is_finished());
    let answer = leaving.await.expect("it is answered").expect(200);
    assert_eq!(answer.text(), "hello\n".repeat(700));
}

#[tokio::test]
async fn a_sandbox_sees_nothing_of_the_machine() {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    platform.publish(Source::ADVERSARY).await;
    platform.tenants(&["acme"], &["adversary"]).await;
    // The platform's own port is one that would answer.
    let port = platform.socket().port();
    let path = format!("/env?port={port}");
    let seen = platform
        .site("acme", "/adversary")
        .get(&path)
        .await
        .expect(200)
        .json();
    assert_eq!(seen["environment"], json!([]), "{seen}");
    assert_eq!(seen["arguments"], json!([]), "{seen}");
    assert_eq!(seen["preopens"], 0, "{seen}");
    for way in ["file", "tcp", "udp", "lookup", "http"] {
        let verdict = seen[way].as_str().unwrap_or_default();
        assert!(verdict.starts_with("refused"), "{way}: {seen}");
    }
}

#[tokio::test]
async fn the_guest_sees_its_request_and_nothing_that_a_client_forged() {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    platform.publish(Source::ADVERSARY).await;
    platform.tenants(&["acme"], &["adversary"]).await;
    let site = platform.path_site("acme/main", "/adversary");
    let request = site
        .request(Method::POST, "/headers?a=1&b=%2F")
        .header("x-custom", "kept")
        .header("x-forwarded-prefix", "/forged")
        .header("x-forwarded-for", "203.0.113.9")
        .header("x-forwarded-host", "forged.example")
        .header("forwarded", "for=203.0.113.9")
        .header("x-cloudware-tenant", "birch")
        .header("x-cloudware-anything", "forged")
        .body("body");
    let seen = site.send(request).await.expect(200).json();
    assert_eq!(seen["method"], "POST");
    assert_eq!(seen["target"], "/headers?a=1&b=%2F");
    assert_eq!(seen["prefix"], "/t/acme/main/adversary");
    let headers = seen["headers"].as_array().cloned().unwrap_or_default();
    let value = |name: &str| {
        headers
            .iter()
            .find(|header| header[0] == name)
            .map(|h| h[1].clone())
    };
    assert_eq!(value("x-custom"), Some(json!("kept")));
    assert_eq!(
        value("x-forwarded-prefix"),
        Some(json!("/t/acme/main/adversary"))
    );
    assert_eq!(value("x-forwarded-for"), Some(json!("127.0.0.1")));
    let text = seen.to_string();
    assert!(
        !text.contains("forged") && !text.contains("203.0.113.9"),
        "{text}"
    );
    assert_eq!(value("x-cloudware-tenant"), None);
    assert_eq!(value("forwarded"), None);
}

/// Memory outlives a request only where the manifest says so, only in its own install, and no
/// longer than the manifest says.
#[tokio::test]
async fn memory_is_fresh_unless_the_app_wants_it_warm() {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    let fresh = Source::ADVERSARY.package(platform.binary()).await;
    platform.push(&fresh).await;
    let warm = fresh
        .renamed("adversary", "warm")
        .edit("mount = \"/warm\"", "mount = \"/warm\"\nreuse = 4");
    platform.push(&warm).await;
    platform
        .tenants(&["acme", "birch"], &["adversary", "warm"])
        .await;
    let count = async |tenant: &str, mount: &str| {
        let answer = platform
            .site(tenant, mount)
            .get("/counter")
            .await
            .expect(200);
        answer
            .text()
            .parse::<u32>()
            .expect("the counter is a number")
    };
    for _ in 0..10 {
        assert_eq!(count("acme", "/adversary").await, 1);
    }
    // One request after the other finds the one warm sandbox of its install.
    let mut counts = Vec::new();
    for _ in 0..8 {
        counts.push(count("acme", "/warm").await);
    }
    assert_eq!(counts, [1, 2, 3, 4, 1, 2, 3, 4]);
    assert_eq!(count("acme", "/warm").await, 1);
    assert_eq!(
        count("birch", "/warm").await,
        1,
        "another tenant's memory is its own"
    );
    assert_eq!(count("acme", "/warm").await, 2);
    // A sandbox that was stopped is not used again, and neither is one from before a change.
    let site = platform.site("acme", "/warm");
    let _ = site.get("/trap").await.problem(502, "trap");
    assert_eq!(count("acme", "/warm").await, 1);
    platform.limit("acme", json!({ "memory": "32MiB" })).await;
    assert_eq!(count("acme", "/warm").await, 1);
    assert_eq!(count("birch", "/warm").await, 2);
    // Limits count anew for each request of a warm sandbox.
    platform.limit("acme", json!({ "fuel": "40M" })).await;
    for _ in 0..4 {
        let _ = site.get("/spin?iterations=1000000").await.expect(200);
    }
}

/// A line that nobody has ended is metered with the run that wrote it, within its limit, and no line of the next run that
/// has the sandbox.
#[tokio::test]
async fn a_line_without_an_end_is_of_the_run_that_wrote_it() {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    let package = Source::ADVERSARY.package(platform.binary()).await;
    let mount = "mount = \"/adversary\"";
    let warm = package.edit(mount, &format!("{mount}\nreuse = 100"));
    platform.push(&warm).await;
    platform.tenants(&["acme"], &["adversary"]).await;
    let site = platform.site("acme", "/adversary");
    let log_bytes = async |requests: u64| {
        let usage = eventually("each request is in the ledger", async || {
            let usage = platform.usage("acme", "adversary").await;
            (usage["requests"] == requests).then_some(usage)
        })
        .await;
        (
            usage["log-bytes"].as_u64(),
            usage["log-bytes-lost"].as_u64(),
        )
    };
    for round in 1..=3 {
        let printed = site.get("/unended-line?bytes=100").await.expect(200);
        assert_eq!(printed.text(), "printed 100");
        assert_eq!(log_bytes(round).await, (Some(round * 200), Some(0)));
    }
    platform.limit("acme", json!({ "log-bytes": 150 })).await;
    let before = platform.log().len();
    let _ = site.get("/unended-line?bytes=100").await.expect(200);
    assert_eq!(log_bytes(4).await, (Some(600 + 150), Some(50)));
    let log = platform.log().split_off(before);
    assert!(log.contains("[cut: the limit log-bytes of 150 bytes was reached]"));
}

#[tokio::test]
async fn configuration_and_logs_are_those_of_the_install() {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    platform.publish(Source::STATE).await;
    platform.tenants(&["acme", "birch"], &[]).await;
    platform.enable("acme", "state", json!({})).await;
    let own = json!({ "config": { "greeting": "welcome" }, "mount": "/mine" });
    platform.enable("birch", "state", own).await;
    let acme = platform.site("acme", "/state");
    let birch = platform.site("birch", "/mine");
    let greeting =
        async |site: &cloudware_tests::Http| site.get("/config").await.expect(200).json();
    assert_eq!(greeting(&acme).await, json!({ "greeting": "hello" }));
    assert_eq!(greeting(&birch).await, json!({ "greeting": "welcome" }));
    let _ = birch.get("/config/absent").await.expect(404);
    let _ = acme
        .send(acme.request(Method::POST, "/logs?lines=6"))
        .await
        .expect(200);
    let log = platform.log();
    let line = log.lines().find(|line| line.contains("message 4"));
    let line = line.expect("a message of the level error is in the log");
    for label in ["acme", "main", "state"] {
        assert!(line.contains(label), "{label} is missing: {line}");
    }
}
