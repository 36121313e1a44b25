//! Each limit in turn: the answer names it, what was used, the maximum and the place.

use cloudware_tests::{Answer, Http, InFlight, Platform, eventually};
use cloudware_types::Dimension;
use http::Method;
use serde_json::json;

use crate::{assert_others_are_well, instance, platform};

/// One limit that ends a run with an explanation.
struct Case {
    dimension: Dimension,
    max: u64,
    status: u16,
    app: &'static str,
    /// The word that the explanation must have as its place: a guest function or a host call.
    place: Option<(&'static str, &'static str)>,
    request: fn(&Http) -> reqwest::RequestBuilder,
}

const CASES: &[Case] = &[
    Case {
        dimension: Dimension::Fuel,
        max: 5_000_000,
        status: 503,
        app: "adversary",
        place: Some(("function", "endless")),
        request: |site| site.request(Method::GET, "/adversary/loop"),
    },
    Case {
        dimension: Dimension::CpuTime,
        max: 20,
        status: 503,
        app: "adversary",
        place: None,
        request: |site| site.request(Method::GET, "/adversary/loop"),
    },
    Case {
        dimension: Dimension::Deadline,
        max: 200,
        status: 504,
        app: "adversary",
        place: None,
        request: |site| site.request(Method::GET, "/adversary/sleep?ms=60000"),
    },
    Case {
        dimension: Dimension::Memory,
        max: 8 << 20,
        status: 503,
        app: "adversary",
        place: Some(("function", "touch")),
        request: |site| site.request(Method::GET, "/adversary/touch?bytes=16777216"),
    },
    Case {
        dimension: Dimension::Stack,
        max: 512 << 10,
        status: 503,
        app: "adversary",
        place: Some(("function", "descend")),
        request: |site| site.request(Method::GET, "/adversary/deep-recursion"),
    },
    Case {
        dimension: Dimension::Handles,
        max: 100,
        status: 503,
        app: "adversary",
        place: Some(("function", "handles")),
        request: |site| site.request(Method::GET, "/adversary/handles"),
    },
    Case {
        dimension: Dimension::HostCalls,
        max: 50,
        status: 503,
        app: "state",
        place: Some(("host_call", "kv.")),
        request: |site| site.request(Method::GET, "/state/host-calls"),
    },
    Case {
        dimension: Dimension::RequestBytes,
        max: 1_000,
        status: 413,
        app: "state",
        place: None,
        request: |site| {
            site.request(Method::PUT, "/state/kv/large/key")
                .body(vec![b'x'; 1_001])
        },
    },
    Case {
        dimension: Dimension::SqlStatements,
        max: 3,
        status: 503,
        app: "state",
        place: Some(("host_call", "sql.")),
        request: |site| {
            let statement = json!({ "statement": "SELECT 1" });
            let script = json!({ "statements": vec![statement; 20] });
            site.request(Method::POST, "/state/sql/transaction")
                .json(&script)
        },
    },
    Case {
        dimension: Dimension::SqlRowsRead,
        max: 10,
        status: 503,
        app: "state",
        place: Some(("host_call", "sql.")),
        request: |site| statement(site, &counting_to(11)),
    },
    Case {
        dimension: Dimension::SqlRowsWritten,
        max: 10,
        status: 503,
        app: "state",
        place: Some(("host_call", "sql.")),
        request: |site| {
            let insert = format!(
                "INSERT INTO probe_rows (number) {} RETURNING id",
                counting_to(11)
            );
            statement(site, &insert)
        },
    },
    Case {
        dimension: Dimension::SqlTime,
        max: 20,
        status: 504,
        app: "state",
        place: Some(("host_call", "sql.")),
        request: |site| {
            let endless = format!("SELECT max(n) FROM ({})", counting_to(u64::MAX / 2));
            statement(site, &endless)
        },
    },
    Case {
        dimension: Dimension::KvOperations,
        max: 5,
        status: 503,
        app: "state",
        place: Some(("host_call", "kv.")),
        request: |site| site.request(Method::POST, "/state/kv/many/flood?count=20&bytes=1"),
    },
    Case {
        dimension: Dimension::FuelPerMinute,
        max: 5_000_000,
        status: 429,
        app: "adversary",
        place: None,
        request: |site| site.request(Method::GET, "/adversary/loop"),
    },
    Case {
        dimension: Dimension::FuelPerDay,
        max: 5_000_000,
        status: 429,
        app: "adversary",
        place: None,
        request: |site| site.request(Method::GET, "/adversary/loop"),
    },
];

fn statement(site: &Http, statement: &str) -> reqwest::RequestBuilder {
    site.request(Method::POST, "/state/sql")
        .json(&json!({ "statement": statement }))
}

fn counting_to(last: u64) -> String {
    format!(
        "WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < {last}) \
         SELECT n FROM counted"
    )
}

/// The problem says which limit, how much of how much, whose, and where.
#[track_caller]
fn assert_stop(answer: &Answer, case: &Case) {
    let kind = "limit-reached";
    let problem = answer.problem(case.status, kind);
    let name = case.dimension.name();
    assert_eq!(problem["limit"], name, "{problem}");
    assert_eq!(problem["max"], case.max, "{problem}");
    let used = problem["used"].as_u64().unwrap_or_default();
    assert!(used >= case.max, "{problem}");
    assert_eq!(problem["unit"], json!(case.dimension.unit()), "{problem}");
    assert_eq!(problem["app"], case.app, "{problem}");
    assert_eq!(problem["version"], "1.0.0", "{problem}");
    assert!(problem["elapsed_ms"].is_u64(), "{problem}");
    assert!(!answer.header("x-request-id").is_empty());
    assert_eq!(problem["request_id"], answer.header("x-request-id"));
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(
        detail.contains(name) && detail.contains(case.app),
        "{detail}"
    );
    if let Some((member, word)) = case.place {
        let place = problem[member].as_str().unwrap_or_default();
        assert!(
            place.contains(word),
            "{member} should name {word}: {problem}"
        );
    }
}

#[tokio::test]
async fn every_limit_is_enforced_and_explained() {
    let platform = platform().await;
    let site = platform.site("acme", "");
    let mut covered = Vec::new();
    for case in CASES {
        let name = case.dimension.name();
        let before = stops(&platform, case.app).await;
        platform.limit("acme", json!({ name: case.max })).await;
        let answer = site.send((case.request)(&site)).await;
        assert_stop(&answer, case);
        assert_others_are_well(&platform).await;
        platform.limit("acme", json!({ name: null })).await;
        eventually("the stop is in the ledger", async || {
            (stops(&platform, case.app).await > before).then_some(())
        })
        .await;
        covered.push(case.dimension);
    }
    covered.push(response_bytes(&platform).await);
    covered.push(log_bytes(&platform).await);
    covered.push(instance::concurrency(&platform).await);
    covered.push(instance::request_rate(&platform).await);
    covered.push(instance::storage(&platform).await);
    covered.push(instance::egress_rate(&platform).await);
    covered.push(instance::log_rate(&platform).await);
    covered.push(instance::queue_time(&platform).await);
    covered.push(instance::cpu_weight(&platform).await);
    // These bound what several components do together; the tests of hooks reach them.
    covered.extend([
        Dimension::ExtensionTime,
        Dimension::Recursion,
        Dimension::OutboundCalls,
    ]);
    covered.sort_unstable();
    assert_eq!(covered, Dimension::ALL, "each dimension has its case here");
}

pub(crate) async fn stops(platform: &Platform, app: &str) -> u64 {
    platform.usage("acme", app).await["stops"]
        .as_u64()
        .unwrap_or_default()
}

async fn sent(platform: &Platform) -> u64 {
    platform.usage("acme", "adversary").await["response-bytes"]
        .as_u64()
        .unwrap_or_default()
}

/// What is beyond the limit does not leave: a client is told why, and where it has some of the answer already can tell that
/// it is not whole. Either is one stop.
async fn response_bytes(platform: &Platform) -> Dimension {
    platform
        .limit("acme", json!({ "response-bytes": 100_000 }))
        .await;
    let site = platform.site("acme", "/adversary");
    let within = site.get("/big-response?bytes=100000").await.expect(200);
    assert_eq!(within.body.len(), 100_000);
    // The limit is on what the guest had written, or announced, before anything left.
    platform.limit("acme", json!({ "response-bytes": 5 })).await;
    let before = stops(platform, "adversary").await;
    let refused = site.get("/logs?bytes=1").await;
    let problem = refused.problem(503, "limit-reached");
    assert_eq!(problem["limit"], "response-bytes");
    assert_eq!((&problem["used"], &problem["max"]), (&json!(8), &json!(5)));
    assert_eq!(stops(platform, "adversary").await, before + 1);
    platform
        .limit("acme", json!({ "response-bytes": 100_000 }))
        .await;
    let before = stops(platform, "adversary").await;
    for path in ["/big-response?bytes=10000000", "/endless-response"] {
        let request = site.request(Method::GET, path);
        match site.try_send(request).await {
            Err(_) => {}
            Ok(answer) => {
                let problem = answer.problem(503, "limit-reached");
                assert_eq!(problem["limit"], "response-bytes");
            }
        }
    }
    assert!(
        platform.log().contains("limit response-bytes"),
        "the log says why"
    );
    eventually("each is counted once", async || {
        (stops(platform, "adversary").await == before + 2).then_some(())
    })
    .await;
    // What is too much is not metered, because it does not leave.
    platform.limit("acme", json!({ "response-bytes": 8 })).await;
    let before = sent(platform).await;
    let first = InFlight::begin(&site).await.overflow().await;
    assert_eq!(sent(platform).await, before + first);
    assert_others_are_well(platform).await;
    platform
        .limit("acme", json!({ "response-bytes": null }))
        .await;
    Dimension::ResponseBytes
}

/// A flood is cut and marked, and the request goes well.
async fn log_bytes(platform: &Platform) -> Dimension {
    platform.limit("acme", json!({ "log-bytes": 1_000 })).await;
    let before = platform.log().len();
    let site = platform.site("acme", "/adversary");
    let answer = site.get("/logs?bytes=200000").await.expect(200);
    assert_eq!(answer.text(), "logged 200000");
    let log = platform.log().split_off(before);
    assert!(
        log.contains("[cut: the limit log-bytes of 1000 bytes was reached]"),
        "{log}"
    );
    let lines = log.matches("the adversary floods the log").count();
    assert!((1..=14).contains(&lines), "{lines} lines of about 75 bytes");
    assert_others_are_well(platform).await;
    platform.limit("acme", json!({ "log-bytes": null })).await;
    Dimension::LogBytes
}
