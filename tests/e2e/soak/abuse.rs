//! Every abuse of one hostile tenant at the same time. What becomes of each is asserted elsewhere; here it
//! must only end.

use std::{pin::Pin, time::Duration};

use cloudware_tests::{
    Http, InFlight, Mutations, Platform, Source, component, exchange, send_unread,
};
use http::Method;
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::sleep};

use crate::{
    HOSTILE,
    text::{Handler, IDLE, RANDOM_MODULES, asking, copying, with_module},
};

/// How long an abuse may take to end: many times the deadline of a run.
const ENDED_WITHIN: Duration = Duration::from_secs(100);

/// After how long a tenant that has no place for more tries again.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Requests without a body that misbehave by themselves.
const GETS: &[&str] = &[
    "/adversary/loop",
    "/adversary/spin?iterations=1000000000",
    "/adversary/grow",
    "/adversary/touch?bytes=100000000",
    "/adversary/deep-recursion",
    "/adversary/trap",
    "/adversary/panic",
    "/adversary/exit",
    "/adversary/sleep?ms=60000",
    "/adversary/handles",
    "/adversary/kept-fields",
    "/adversary/kept-requests",
    "/adversary/filled-fields?count=4000",
    "/adversary/emptied-fields",
    "/adversary/long-names-again?bytes=8000000",
    "/adversary/host-calls",
    "/adversary/random?bytes=1048576",
    "/adversary/logs?bytes=1000000",
    "/adversary/big-response?bytes=20000000",
    "/adversary/no-response",
    "/adversary/error-response",
    "/adversary/short-body",
    "/adversary/long-body",
    "/adversary/write-after-finish",
    "/adversary/write-unasked",
    "/adversary/unfinished",
    "/adversary/loop-after-response",
    "/adversary/trap-after-response",
    "/adversary/loop-after-head?status=204&ms=0",
    "/adversary/late-status?length=1000",
    "/adversary/head-alone?status=200&length=10",
    "/adversary/header-flood",
    "/adversary/env",
    "/state/host-calls",
    "/memories/",
    "/tables/",
    "/callback/",
    "/start/",
    "/copying/",
    "/random-0/",
    "/random-1/",
    "/random-2/",
    "/state/kv/secrets/key",
    "/state/kv/%2e%2e%2facme/key",
    "/state/kv/acme%2fmain/%00",
    "/state/config/..%2facme",
];

/// Requests that misuse a capability.
const POSTS: &[&str] = &[
    "/state/kv/flood/flood?bytes=1000",
    "/state/kv/flood/flood?bytes=1&at-once=1000",
    "/state/kv/large/flood?count=100&bytes=1000000",
    "/state/sql/hold?ms=60000",
    "/state/sql/hold?ms=60000",
    "/state/sql/leak?count=100",
    "/state/sql/keep?bytes=100000",
    "/state/logs?lines=100000",
];

/// Statements that never end, or want more than there is.
const STATEMENTS: &[&str] = &[
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i, randomblob(100000) FROM n ORDER BY 2",
    "WITH n(i) AS (VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9)) SELECT count(*) FROM n a, n b, n c, n d, n e, n f, n g, n h, n k, n l",
    "INSERT INTO probe_rows (label) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT hex(randomblob(5000)) FROM n",
    "SELECT zeroblob(1000000000)",
    "ATTACH DATABASE '../acme' AS other",
    "SELECT * FROM acme.sqlite_schema",
];

/// Functions of a module that no app needs.
const FUNCTIONS: usize = 150_001;

/// Components that misbehave below what a language can express.
pub(crate) fn components() -> Vec<(&'static str, Vec<u8>)> {
    let mut components = vec![
        (
            "memories",
            component(include_str!("../components/two_memories.wat")),
        ),
        (
            "tables",
            component(include_str!("../components/growing_table.wat")),
        ),
        ("callback", component(&asking("(loop (br 0)) unreachable"))),
        (
            "start",
            idle_with("(func $start (loop (br 0))) (start $start)"),
        ),
        ("copying", component(&copying("utf8", "utf16"))),
    ];
    let idle = idle_with("");
    let names = ["random-0", "random-1", "random-2"];
    let random = names.into_iter().zip(RANDOM).map(|(name, file)| {
        let module = std::fs::read(format!("{RANDOM_MODULES}/{file}"));
        let module = module.expect("it is in the repository");
        (name, with_module(&idle, &module))
    });
    components.extend(random);
    components
}

/// Modules at random that the platform takes.
const RANDOM: [&str; 3] = ["module-665.wasm", "module-705.wasm", "module-812.wasm"];

/// A component that costs more to compile than the host spends on one, and cannot be told by counting.
static LONG: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
    let loops = "(loop (br_if 0 (local.get 0)))".repeat(30_000);
    idle_with(&format!("(func (param i32) {loops})"))
});

/// A component that is costly to check.
static COSTLY: std::sync::LazyLock<Vec<u8>> =
    std::sync::LazyLock::new(|| idle_with(&"(func)".repeat(FUNCTIONS)));

/// A component whose module has these fields beside a handler that does nothing.
fn idle_with(fields: &str) -> Vec<u8> {
    let module = format!("{IDLE} {fields}");
    let handler = Handler {
        module: &module,
        ..Handler::default()
    };
    handler.component()
}

type Abuse<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Everything above, and what only clients do, at once.
pub(crate) async fn all(platform: &Platform, tenant: &str) {
    let site = platform.site(tenant, "");
    let mut abuses: Vec<Abuse<'_>> = Vec::new();
    for path in GETS {
        abuses.push(Box::pin(send(&site, site.request(Method::GET, path))));
    }
    for path in POSTS {
        abuses.push(Box::pin(send(&site, site.request(Method::POST, path))));
    }
    for statement in STATEMENTS {
        for how in ["query", "execute"] {
            let body = json!({ "statement": statement, "how": how });
            let request = site.request(Method::POST, "/state/sql").json(&body);
            abuses.push(Box::pin(send(&site, request)));
        }
    }
    abuses.push(Box::pin(hang_up(&site)));
    abuses.push(Box::pin(begin_and_leave(&site)));
    abuses.push(Box::pin(not_http(platform)));
    abuses.push(Box::pin(bad_pushes(platform, tenant)));
    // These stay for as long as all others take.
    let deaf = deaf(platform, tenant).await;
    let half = InFlight::try_begin(&site.clone().under("/adversary")).await;
    let ended = tokio::time::timeout(ENDED_WITHIN, futures_util::future::join_all(abuses)).await;
    drop((deaf, half));
    assert!(
        ended.is_ok(),
        "an abuse of {tenant} did not end:\n{}",
        platform.log()
    );
}

/// Sends a request until its tenant has a place for it, so that it does what it is meant to.
async fn send(site: &Http, request: reqwest::RequestBuilder) {
    loop {
        let attempt = request.try_clone().expect("its body is in memory");
        match site.try_send(attempt).await {
            Ok(answer) if answer.status == 429 => sleep(AGAIN_AFTER).await,
            // Stopped, cut off or answered: each is an end.
            _ => return,
        }
    }
}

/// Clients that take a little of an answer and go away.
async fn hang_up(site: &Http) {
    for _ in 0..5 {
        let request = site.request(Method::GET, "/adversary/endless-response");
        // Cut off before its answer, it has nothing to hang up on.
        if let Ok(mut pending) = site.try_open(request).await {
            let _ = pending.chunk().await;
        }
    }
}

/// A client that asks for much and takes nothing.
async fn deaf(platform: &Platform, tenant: &str) -> TcpStream {
    let request = format!(
        "GET /t/{tenant}/main/adversary/endless-response HTTP/1.1\r\nhost: localhost\r\n\r\n"
    );
    send_unread(platform.socket(), request).await
}

/// Clients that send a little of a body and go away.
async fn begin_and_leave(site: &Http) {
    let site = site.clone().under("/adversary");
    for _ in 0..5 {
        // Where the tenant's own requests have taken every place, there is nothing to begin.
        drop(InFlight::try_begin(&site).await);
    }
}

/// Bytes that are no requests, and requests that are never whole.
async fn not_http(platform: &Platform) {
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /t/mallory/main/adversary/echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"NONSENSE\r\n\r\n",
    ] {
        let _ = exchange(platform.socket(), bytes).await;
    }
    let half = TcpStream::connect(platform.socket()).await;
    let mut half = half.expect("it listens");
    let _ = half.write_all(b"GET / HTTP/1.1\r\nHost: loc").await;
}

/// Uploads that are refused.
async fn bad_pushes(platform: &Platform, tenant: &str) {
    let good = Source::HELLO.package(platform.binary()).await;
    let component = good.component();
    let half = component[..component.len() / 2].to_vec();
    let changed = (0..5).map(|seed| Mutations::seeded(seed).change(&component, &COSTLY, &[]));
    let changed: Vec<_> = changed
        .map(|changed| good.clone().with_component(changed))
        .collect();
    // One after the other is compiled: one of these in each round is enough.
    let long = (tenant == HOSTILE[0]).then(|| good.clone().with_component(LONG.clone()));
    let others = [
        good.clone().with_component(half),
        good.clone().with_component(b"nonsense".to_vec()),
        good.clone().with_component(COSTLY.clone()),
        good.with("../evil", "x"),
    ];
    for package in changed.iter().chain(&others).chain(&long) {
        let refused = platform.try_push(package.archive()).await;
        // Of the same provider at the same time, some have to come again; one that is still valid is another of the same
        // version.
        assert!(
            [409, 422, 429].contains(&refused.status),
            "{}",
            refused.text()
        );
    }
}
