//! Steps 4 and 5: limits that hold from the next request on, with an explanation; usage and audit that
//! tell what happened.

use std::time::{Duration, Instant};

use cloudware_tests::{Answer, Cli, Http, Platform, eventually};
use futures_util::stream;
use reqwest::Method;
use serde_json::{Value, json};

/// For how long a reading must stay the same to be taken as final.
const QUIET_FOR: Duration = Duration::from_millis(500);

/// The change of a limit that stops acme's page, and how the stop must look.
struct Lowered {
    limit: &'static str,
    text: &'static str,
    value: u64,
    status: u16,
}

const LOWERED: [Lowered; 3] = [
    Lowered {
        limit: "fuel",
        text: "1k",
        value: 1_000,
        status: 503,
    },
    Lowered {
        limit: "memory",
        text: "64KiB",
        value: 65_536,
        status: 503,
    },
    Lowered {
        limit: "deadline",
        text: "1ms",
        value: 1,
        status: 504,
    },
];

/// Each limit in turn is lowered and raised for acme alone.
pub(crate) async fn stop_with_an_explanation(platform: &Platform) {
    let cli = Cli::of(platform);
    let acme = platform.site("acme", "/stock");
    for lowered in &LOWERED {
        let Lowered {
            limit,
            text,
            value,
            status,
        } = lowered;
        let set = cli
            .json(&format!(
                "quota set acme/main {limit}={text} --reason trial"
            ))
            .await;
        assert_eq!(set[0]["value"], *value, "{set}");
        let problem = beyond(&acme, limit).await.problem(*status, "limit-reached");
        assert_eq!(problem["limit"], *limit, "{problem}");
        assert_eq!(problem["max"], *value, "{problem}");
        assert!(problem["used"].as_u64() >= Some(*value), "{problem}");
        assert_eq!(problem["app"], "inventory-stock", "{problem}");
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(
            detail.contains(limit) && detail.contains("inventory-stock 1.0.0"),
            "{detail}"
        );
        for other in ["birch", "cedar"] {
            let _ = platform.site(other, "/stock").get("/").await.expect(200);
        }
        explained(&cli, limit, *value).await;
        let _ = cli
            .run(&format!("quota unset acme/main {limit}"))
            .await
            .ok();
        let _ = acme.get("/").await.expect(200);
    }
    the_place_is_named(platform).await;
    // By REST, for the whole tenant, and overruled for the instance.
    let api = platform.api();
    let _ = api
        .patch("/tenants/acme/quota", &json!({ "fuel": 500 }))
        .await
        .expect(200);
    let _ = acme.get("/").await.problem(503, "limit-reached");
    platform
        .limit(
            "acme",
            json!({ "fuel": "2G", "reason": "the trial is over" }),
        )
        .await;
    let _ = acme.get("/").await.expect(200);
    platform.limit("acme", json!({ "fuel": null })).await;
    let _ = api
        .patch("/tenants/acme/quota", &json!({ "fuel": null }))
        .await
        .expect(200);
}

/// The answer to a request that goes beyond a limit, on whatever machine. The page needs more fuel and
/// memory than was left; it may well be ready within a millisecond, unlike a body that never ends.
async fn beyond(site: &Http, limit: &str) -> Answer {
    if limit != "deadline" {
        return site.get("/").await;
    }
    let endless = stream::pending::<std::io::Result<Vec<u8>>>();
    let request = site.request(Method::POST, "/receipts");
    site.send(request.body(reqwest::Body::wrap_stream(endless)))
        .await
}

/// A stop in the middle of work says in which function or host call it was.
async fn the_place_is_named(platform: &Platform) {
    platform.limit("acme", json!({ "fuel": 60_000 })).await;
    let acme = platform.site("acme", "/stock");
    let problem = acme.get("/").await.problem(503, "limit-reached");
    let named = ["function", "host_call"].iter().any(|member| {
        problem[*member]
            .as_str()
            .is_some_and(|place| !place.is_empty())
    });
    assert!(named, "{problem}");
    platform.limit("acme", json!({ "fuel": null })).await;
}

/// Anybody can find out where a limit comes from.
async fn explained(cli: &Cli, limit: &str, value: u64) {
    let explained = cli.json(&format!("quota explain acme/main {limit}")).await;
    let settings = explained[0]["settings"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let levels: Vec<_> = settings.iter().map(|setting| &setting["level"]).collect();
    assert_eq!(levels, ["default", "instance"]);
    let own = &settings[1];
    assert_eq!(own["value"], value);
    assert_eq!(own["reason"], "trial");
    assert!(
        own["set_by"].as_str().is_some_and(|who| !who.is_empty()),
        "{own}"
    );
    assert!(own["set_at"].is_string(), "{own}");
}

/// The ledger grows by what was done, for whom it was done.
pub(crate) async fn usage_is_what_was_done(platform: &Platform) {
    let cli = Cli::of(platform);
    let before = settled(&cli, "cedar").await;
    let acme_before = settled(&cli, "acme").await;
    assert!(acme_before["stops"].as_u64() >= Some(4), "{acme_before}");
    let site = platform.site("cedar", "/stock");
    let mut sent = 0;
    for _ in 0..7 {
        let page = site.get("/movements?limit=1").await.expect(200);
        sent += page.body.len() as u64;
    }
    let receipt = json!({ "sku": "SHARED", "location": "MAIN-A-01", "quantity": 1 });
    let request = serde_json::to_vec(&receipt).unwrap_or_default().len() as u64;
    sent += site
        .post("/receipts", &receipt)
        .await
        .expect(201)
        .body
        .len() as u64;
    let after = eventually("eight more requests are in the ledger", async || {
        let after = usage(&cli, "cedar").await;
        (number(&after, "requests") == number(&before, "requests") + 8).then_some(after)
    })
    .await;
    let grown = |meter: &str| number(&after, meter) - number(&before, meter);
    assert_eq!(grown("stops"), 0);
    assert_eq!(grown("response-bytes"), sent);
    assert_eq!(grown("request-bytes"), request);
    assert_eq!(grown("kv-operations"), 1, "one reference was taken");
    assert!(grown("sql-statements") >= 8 + 3);
    assert!(grown("host-calls") > grown("sql-statements"));
    assert!(
        (8 * 1_000..8 * 100_000_000).contains(&grown("fuel")),
        "{}",
        grown("fuel")
    );
    let cpu = grown("cpu-ns");
    assert!((8 * 10_000..60_000_000_000).contains(&cpu), "{cpu}");
    assert!(grown("sql-ns") > 0);
    let peak = number(&after, "memory-peak-bytes");
    assert!((65_536..=134_217_728).contains(&peak), "{peak}");
    assert_eq!(
        settled(&cli, "acme").await,
        acme_before,
        "acme did nothing meanwhile"
    );
    let shown = cli.run("usage show acme/main").await.ok().stdout;
    assert!(
        shown.contains("inventory-stock") && shown.contains("hello-rust"),
        "{shown}"
    );
}

async fn usage(cli: &Cli, tenant: &str) -> Value {
    let usage = cli.json(&format!("usage show {tenant}/main")).await;
    let rows = usage["items"].as_array().cloned().unwrap_or_default();
    let row = rows.iter().find(|row| row["app"] == "inventory-stock");
    row.map_or(Value::Null, |row| row["meters"].clone())
}

/// The reading once nothing is added to it any more: a run is counted when it has ended, which may be
/// a moment after its answer has come.
async fn settled(cli: &Cli, tenant: &str) -> Value {
    let mut last = (usage(cli, tenant).await, Instant::now());
    eventually("usage settles", async || {
        let now = usage(cli, tenant).await;
        if now != last.0 {
            last = (now, Instant::now());
            return None;
        }
        (last.1.elapsed() > QUIET_FOR).then_some(now)
    })
    .await
}

fn number(meters: &Value, name: &str) -> u64 {
    meters[name].as_u64().unwrap_or_default()
}

/// Every change is in the trail, with both values, and nobody can take it out.
pub(crate) async fn audit_says_who_changed_what(platform: &Platform) {
    let cli = Cli::of(platform);
    let entries = cli
        .json("audit list --tenant acme --action quota.change --limit 100")
        .await;
    let entries = entries.as_array().cloned().unwrap_or_default();
    for lowered in &LOWERED {
        let limit = lowered.limit;
        let entry = entries.iter().find(|entry| {
            entry["subject"] == "acme/main" && entry["after"][limit]["value"] == lowered.value
        });
        let entry = entry.unwrap_or_else(|| panic!("{limit} is not in the trail"));
        assert_eq!(entry["before"][limit]["level"], "default", "{entry}");
        assert!(
            entry["before"][limit]["value"].as_u64() > Some(lowered.value),
            "{entry}"
        );
        assert_eq!(entry["after"][limit]["level"], "instance", "{entry}");
        assert_eq!(entry["actor_kind"], "operator", "{entry}");
        assert_eq!(entry["reason"], "trial", "{entry}");
        for member in ["at", "actor", "request_id", "subject_id"] {
            assert!(
                entry[member].as_str().is_some_and(|text| !text.is_empty()),
                "{entry}"
            );
        }
    }
    let api = platform.api();
    let newest = api.get("/audit?limit=1").await.expect(200).json();
    let id = newest["items"][0]["id"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    for path in ["/audit".to_owned(), format!("/audit/{id}")] {
        let refused = api.delete(&path).await;
        assert!(
            [404, 405].contains(&refused.status),
            "{path}: {}",
            refused.text()
        );
    }
    let acme = api.with_token(&platform.tenant_token("acme").await);
    let own = acme.get("/audit?limit=500").await.expect(200).text();
    assert!(
        own.contains("quota.change") && !own.contains("birch"),
        "its own, and no other's"
    );
}
