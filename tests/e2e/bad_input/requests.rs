//! Requests that no well-meaning client sends, to sites and to the API.

use cloudware_tests::{Http, Platform, Source, exchange, exchange_parts};
use http::Method;
use serde_json::{Value, json};

async fn platform() -> Platform {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    platform.publish(Source::ADVERSARY).await;
    platform.publish(Source::STATE).await;
    platform.tenants(&["acme"], &["adversary", "state"]).await;
    platform
}

async fn assert_well(platform: &Platform) {
    let site = platform.site("acme", "/adversary");
    assert_eq!(site.get("/counter").await.expect(200).text(), "1");
    let _ = platform.api().get("/health").await.expect(200);
}

#[tokio::test]
async fn hosts_and_paths_that_lead_nowhere() {
    let platform = platform().await;
    let base = Http::new(platform.address());
    for host in [
        "example.com",
        "acme.localhost.example.com",
        "evillocalhost",
        "10.0.0.1.localhost",
    ] {
        let site = base.clone().with_header(http::header::HOST, host);
        let answer = site.get("/").await;
        assert_eq!(answer.status, 404, "{host}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    let unknown = base.clone().with_header(http::header::HOST, "example.com");
    let problem = unknown.get("/").await.problem(404, "unknown-host");
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|text| text.contains("example.com"))
    );
    let nobody = platform.site("nobody", "").get("/").await;
    let _ = nobody.problem(404, "unknown-site");
    let _ = base
        .get("/t/acme/other/adversary/")
        .await
        .problem(404, "unknown-site");
    let _ = base
        .get("/t/acme/main/elsewhere/")
        .await
        .problem(404, "unknown-path");
    let _ = base.get("/nothing/here").await.problem(404, "not-found");
    let _ = base.get("/api/v1/nothing").await.problem(404, "not-found");
    let several = exchange(
        platform.socket(),
        "GET / HTTP/1.1\r\nHost: localhost\r\nHost: acme.localhost\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert_eq!(several.status, Some(400), "{}", several.text);
    let without = exchange(
        platform.socket(),
        "GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert_eq!(without.status, Some(400), "{}", without.text);
    assert!(without.text.contains("Host"), "{}", without.text);
    let old = exchange(platform.socket(), "GET / HTTP/1.0\r\n\r\n").await;
    assert!(
        matches!(old.status, Some(400..=499)) || old.text.starts_with("HTTP/1.0 4"),
        "{}",
        old.text
    );
    // A page without its final slash would have wrong links.
    let page = base.get("/t/acme/main/adversary").await.expect(308);
    assert_eq!(page.header("location"), "/t/acme/main/adversary/");
    assert_well(&platform).await;
}

#[tokio::test]
async fn heads_that_are_too_large() {
    let platform = platform().await;
    let start =
        "GET /t/acme/main/adversary/headers HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    let large = format!("{start}X-Large: {}\r\n\r\n", "x".repeat(128 << 10));
    let many: String = (0..500)
        .map(|number| format!("X-Many-{number}: x\r\n"))
        .collect();
    let many = format!("{start}{many}\r\n");
    let sum: String = (0..90)
        .map(|n| format!("X-{n}: {}\r\n", "x".repeat(2_000)))
        .collect();
    let sum = format!("{start}{sum}\r\n");
    for request in [large, many, sum] {
        let answer = exchange(platform.socket(), request).await;
        assert_eq!(answer.status, Some(431), "{}", answer.text);
        assert_well(&platform).await;
    }
    let target = "x".repeat(100 << 10);
    let long = format!("GET /{target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let answer = exchange(platform.socket(), long).await;
    assert!(matches!(answer.status, Some(414 | 431)), "{}", answer.text);
    // What fits goes through.
    let fits = format!("{start}X-Fits: {}\r\n\r\n", "x".repeat(16 << 10));
    assert_eq!(exchange(platform.socket(), fits).await.status, Some(200));
}

#[tokio::test]
async fn bodies_that_are_too_large() {
    let platform = platform().await;
    let announced = "PUT /t/acme/main/state/kv/a/b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                     Content-Length: 1073741824\r\n\r\n";
    let answer = exchange(platform.socket(), announced).await;
    assert_eq!(answer.status, Some(413), "{}", answer.text);
    let problem: Value = serde_json::from_str(answer.body()).unwrap_or_default();
    assert_eq!(problem["limit"], "request-bytes", "{}", answer.text);
    assert_eq!(problem["used"], 1_073_741_824);
    let head = "PUT /t/acme/main/state/kv/a/b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
    let megabyte = [
        b"100000\r\n".to_vec(),
        vec![b'x'; 1 << 20],
        b"\r\n".to_vec(),
    ]
    .concat();
    let before = platform.resident_bytes_max();
    let endless =
        std::iter::once(head.as_bytes().to_vec()).chain(std::iter::repeat_n(megabyte, 1024));
    let answer = exchange_parts(platform.socket(), endless).await;
    assert_eq!(answer.status, Some(413), "{}", answer.text);
    let grown = platform.resident_bytes_max() - before;
    assert!(grown < 256 << 20, "the body took {grown} bytes");
    assert_well(&platform).await;
}

/// A connection is closed where its request's body was not taken; a client that did not know would send its next request
/// into nothing.
#[tokio::test]
async fn a_client_is_told_that_its_connection_ends() {
    let platform = platform().await;
    for target in [
        "PUT /t/acme/main/state/kv/a/b",
        "POST /t/acme/main/adversary/counter",
        "POST /api/v1/tenants",
        "POST /nowhere",
    ] {
        let request = format!(
            "{target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1073741824\r\n\r\nbegun"
        );
        let answer = exchange(platform.socket(), request).await;
        let head = answer.text.split("\r\n\r\n").next().unwrap_or_default();
        assert!(head.contains("connection: close"), "{target}: {head}");
    }
    let site = platform.site("acme", "/state");
    let whole = site.put("/kv/a/b", &json!(1)).await;
    assert!(whole.headers.get("connection").is_none(), "{whole:?}");
    // What is short is thrown away instead: who is refused often need not connect anew each time.
    let site = platform.site("acme", "/adversary");
    for _ in 0..2 {
        let unread = site.post("/counter", &json!({ "short": true })).await;
        assert!(unread.headers.get("connection").is_none(), "{unread:?}");
    }
}

#[tokio::test]
async fn what_a_guest_answers_to_a_body_that_is_too_large_does_not_matter() {
    let platform = platform().await;
    let head = "POST /t/acme/main/adversary/drain HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
    let megabyte = format!("100000\r\n{}\r\n", "x".repeat(1 << 20)).into_bytes();
    let endless =
        std::iter::once(head.as_bytes().to_vec()).chain(std::iter::repeat_n(megabyte, 1024));
    let answer = exchange_parts(platform.socket(), endless).await;
    assert_eq!(answer.status, Some(413), "{}", answer.text);
    let problem: Value = serde_json::from_str(answer.body()).unwrap_or_default();
    assert_eq!(problem["limit"], "request-bytes", "{}", answer.text);
    assert_well(&platform).await;
}

#[tokio::test]
async fn bytes_that_are_not_http() {
    let platform = platform().await;
    let rest = "Host: localhost\r\nConnection: close\r\n";
    let path = "/t/acme/main/adversary/headers";
    for request in [
        "NONSENSE\r\n\r\n".to_owned(),
        "\0\0\0\0\0\0\0\0\r\n\r\n".to_owned(),
        "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03\r\n\r\n".to_owned(),
        format!("GET {path} HTTP/9.9\r\n{rest}\r\n"),
        format!("GET {path}\r\n{rest}\r\n"),
        format!("G@T {path} HTTP/1.1\r\n{rest}\r\n"),
        format!("GET /a b HTTP/1.1\r\n{rest}\r\n"),
        format!("GET {path} HTTP/1.1\r\n{rest}Bad Name: x\r\n\r\n"),
        format!("GET {path} HTTP/1.1\r\n{rest}No-Colon\r\n\r\n"),
        format!("GET {path} HTTP/1.1\r\n{rest}X-Nul: a\0b\r\n\r\n"),
        format!("POST {path} HTTP/1.1\r\n{rest}Content-Length: abc\r\n\r\n"),
        format!("POST {path} HTTP/1.1\r\n{rest}Content-Length: -1\r\n\r\n"),
        format!(
            "POST {path} HTTP/1.1\r\n{rest}Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde"
        ),
        format!("POST {path} HTTP/1.1\r\n{rest}Content-Length: 99999999999999999999\r\n\r\n"),
        format!("POST {path} HTTP/1.1\r\n{rest}Transfer-Encoding: nonsense\r\n\r\n"),
    ] {
        let answer = exchange(platform.socket(), &request).await;
        let refused =
            matches!(answer.status, Some(400 | 404 | 501 | 505)) || answer.text.is_empty();
        assert!(refused, "{request:?}: {}", answer.text);
        assert_well(&platform).await;
    }
    // Bodies that break their own framing, and clients that leave in the middle.
    for body in [
        "zz\r\nabc\r\n",
        "5\r\nab",
        "fffffffffffffffff\r\nabc\r\n",
        "-1\r\n\r\n",
    ] {
        let head = format!(
            "PUT /t/acme/main/state/kv/a/b HTTP/1.1\r\n{rest}Transfer-Encoding: chunked\r\n\r\n"
        );
        leave_after(&platform, format!("{head}{body}").as_bytes()).await;
        assert_well(&platform).await;
    }
    let key = platform.site("acme", "/state").get("/kv/a/b").await;
    assert_eq!(
        key.status,
        404,
        "half a body was taken for a whole one: {}",
        key.text()
    );
}

/// Sends some bytes and closes the sending side.
async fn leave_after(platform: &Platform, bytes: &[u8]) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let stream = tokio::net::TcpStream::connect(platform.socket()).await;
    let mut stream = stream.expect("it listens");
    stream.write_all(bytes).await.expect("it reads");
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let text = String::from_utf8_lossy(&answer);
    assert!(!text.starts_with("HTTP/1.1 2"), "{text}");
}

#[tokio::test]
async fn methods_that_do_not_fit() {
    let platform = platform().await;
    let api = platform.api();
    let refused = api.delete("/limits").await;
    let _ = refused.problem(405, "method-not-allowed");
    assert!(
        !refused.header("allow").is_empty(),
        "`Allow` says what fits"
    );
    let site = platform.site("acme", "/adversary");
    let brew = Method::from_bytes(b"BREW").expect("a method is any token");
    let refused = site.send(site.request(brew, "/counter")).await;
    assert!([405, 501].contains(&refused.status), "{}", refused.text());
    let connect = "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n";
    let head = site.send(site.request(Method::HEAD, "/counter")).await;
    assert!(head.body.is_empty());
    let answer = exchange(
        platform.socket(),
        format!("{connect}GET / HTTP/1.1\r\nConnection: close\r\n\r\n"),
    )
    .await;
    assert!(matches!(answer.status, Some(400..=599)), "{}", answer.text);
    assert_well(&platform).await;
}

#[tokio::test]
async fn calls_of_the_api_that_make_no_sense() {
    let platform = platform().await;
    let api = platform.api();
    let raw = |body: &'static str| {
        let request = api.request(Method::POST, "/tenants");
        api.send(
            request
                .header("content-type", "application/json")
                .body(body),
        )
    };
    let _ = raw("{").await.problem(400, "malformed");
    let _ = raw("[]").await.problem(422, "invalid");
    let _ = raw("{\"slug\": 5}").await.problem(422, "invalid");
    let _ = raw("{\"slug\": \"x\", \"colour\": \"red\"}")
        .await
        .problem(422, "invalid");
    let plain = api.request(Method::POST, "/tenants").body("slug=x");
    let _ = api.send(plain).await.problem(415, "unsupported-media-type");
    let large = json!({ "slug": "x", "title": "x".repeat(1 << 20) });
    let _ = api.post("/tenants", &large).await.problem(413, "too-large");
    for slug in [
        "",
        "-",
        "A",
        "a--b",
        "a/b",
        "../x",
        "a b",
        "ä",
        "x".repeat(31).as_str(),
    ] {
        let _ = api
            .post("/tenants", &json!({ "slug": slug }))
            .await
            .problem(422, "invalid");
    }
    assert_eq!(
        api.post("/tenants", &json!({ "slug": "acme" }))
            .await
            .status,
        409
    );
    assert_well(&platform).await;
}

#[tokio::test]
async fn quotas_installs_and_pages_that_make_no_sense() {
    let platform = platform().await;
    platform.publish(Source::HELLO).await;
    let api = platform.api();
    let quota = "/tenants/acme/instances/main/quota";
    for bad in [
        json!({}),
        json!({ "colour": 5 }),
        json!({ "memory": "lots" }),
        json!({ "memory": -1 }),
        json!({ "memory": 1 }),
        json!({ "deadline": 0 }),
        json!({ "fuel": [1] }),
        json!({ "fuel": "1G", "memory": "1TiB" }),
    ] {
        let refused = api.patch(quota, &bad).await;
        assert_eq!(refused.status, 422, "{bad}: {}", refused.text());
    }
    let fuel = api.get(quota).await.expect(200).json();
    assert!(
        !fuel.to_string().contains("\"level\":\"instance\""),
        "all or none of a change is made: {fuel}"
    );
    let install = "/tenants/acme/instances/main/installs";
    for (body, status) in [
        (json!({ "app": "nothing" }), 404),
        (json!({ "app": "hello", "version": "9.9.9" }), 404),
        (json!({ "app": "hello", "version": "latest" }), 422),
        (
            json!({ "app": "hello", "config": { "colour": "red" } }),
            422,
        ),
        (json!({ "app": "hello", "mount": "hello" }), 422),
        (json!({ "app": "hello", "mount": "/state" }), 409),
        (json!({ "app": "state" }), 409),
    ] {
        assert_eq!(api.post(install, &body).await.status, status, "{body}");
    }
    for (query, status) in [("limit=0", 422), ("limit=x", 400), ("colour=red", 400)] {
        assert_eq!(
            api.get(&format!("/tenants?{query}")).await.status,
            status,
            "{query}"
        );
    }
    assert_well(&platform).await;
}
