//! What hooks use is metered for each: a breakdown of what their apps used, whole also after a kill.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use cloudware_tests::{Cli, Http, Source, eventually};
use serde_json::{Value, json};

use crate::setup::Hooked;

/// Who asks at the same time.
const CLIENTS: usize = 3;

/// Answers of each path before the kill.
const ANSWERS: u64 = 100;

/// Requests that were sent and answered.
#[derive(Default)]
struct Counted {
    sent: AtomicU64,
    answered: AtomicU64,
}

impl Counted {
    async fn ask(&self, site: &Http, path: &str) -> bool {
        self.sent.fetch_add(1, Ordering::SeqCst);
        let request = site.request(http::Method::GET, path);
        let Ok(answer) = site.try_send(request).await else {
            return false;
        };
        let _ = answer.expect(200);
        self.answered.fetch_add(1, Ordering::SeqCst);
        true
    }

    fn read(&self) -> (u64, u64) {
        let answered = self.answered.load(Ordering::SeqCst);
        (answered, self.sent.load(Ordering::SeqCst))
    }
}

/// The rows of the usage of the instance.
async fn usage(hooked: &Hooked, query: &str) -> Vec<Value> {
    let api = hooked.platform.api().under("/tenants/acme/instances/main");
    let usage = api.get(&format!("/usage{query}")).await.expect(200).json();
    usage["items"].as_array().cloned().unwrap_or_default()
}

fn reading(row: &Value, meter: &str) -> u64 {
    row["meters"][meter].as_u64().expect("every meter is shown")
}

/// The rows of an app.
fn of_app<'a>(rows: &'a [Value], app: &str) -> Vec<&'a Value> {
    rows.iter().filter(|row| row["app"] == app).collect()
}

/// The row of a hook on a point of the app.
fn of_hook<'a>(rows: &'a [Value], point: &str, hook: &str) -> &'a Value {
    let name = format!("hooks-app.{point}.{hook}");
    let mut rows = rows.iter().filter(|row| row["hook"]["name"] == *name);
    rows.next().unwrap_or_else(|| panic!("no row of {name}"))
}

/// Whatever the rows of an app's hooks say, with its own row they are what the app used.
fn check_sums(whole: &[Value], parts: &[Value]) {
    for row in whole {
        let app = row["app"].as_str().unwrap_or_default();
        let parts = of_app(parts, app);
        for meter in [
            "requests",
            "hook-calls",
            "hook-failures",
            "stops",
            "fuel",
            "cpu-ns",
        ] {
            let sum: u64 = parts.iter().map(|part| reading(part, meter)).sum();
            assert_eq!(sum, reading(row, meter), "{meter} of {app}: {parts:?}");
        }
    }
}

/// What the database did for a hook that reached its deadline meanwhile is the hook's.
#[tokio::test]
async fn the_work_for_a_statement_that_ends_with_its_hook_is_metered() {
    let hooked = Hooked::start(&[]).await;
    let platform = &hooked.platform;
    platform.publish(Source::HOOKS_READER).await;
    platform.enable("acme", "hooks-reader", json!({})).await;
    platform
        .limit("acme", json!({ "hook-sql-time": 60_000 }))
        .await;
    let patient = json!({ "deadline_ms": 1_000, "fuel": 50_000_000 });
    hooked.set("hooks-reader", "rewrite", patient).await;
    let _ = hooked.site.get("/rewrite?text=endless").await;
    let row = eventually("the work is in the ledger", async || {
        let rows = usage(&hooked, "?by=hook").await;
        let row = of_hook(&rows, "rewrite", "hooks-reader");
        (reading(row, "sql-ns") > 100_000_000).then(|| row.clone())
    })
    .await;
    assert_eq!(reading(&row, "hook-failures"), 1, "{row}");
}

#[tokio::test]
async fn usage_by_hook_is_a_breakdown_that_outlives_a_kill() {
    let mut hooked = Hooked::start(&["ext-11", "ext-22"]).await;
    let limits = json!({ "request-rate": 1_000_000 });
    hooked.platform.limit("acme", limits).await;
    // The first decision is taken, so that of one point both hooks are asked, and of the other one.
    let (prices, checks) = (Arc::<Counted>::default(), Arc::<Counted>::default());
    assert!(prices.ask(&hooked.site, "/price?lines=2").await);
    assert!(checks.ask(&hooked.site, "/check?lines=50").await);
    let rows = usage(&hooked, "?by=hook").await;
    let fuel = |rows: &[Value], point, hook| reading(of_hook(rows, point, hook), "fuel");
    let fuel_each = ["price", "check"].map(|point| fuel(&rows, point, "ext-11"));
    assert!(
        fuel_each[0] > 0 && fuel_each[1] > fuel_each[0],
        "{fuel_each:?}"
    );

    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (prices, checks) = (Arc::clone(&prices), Arc::clone(&checks));
            let site = hooked.site.clone();
            tokio::spawn(async move {
                while prices.ask(&site, "/price?lines=2").await
                    && checks.ask(&site, "/check?lines=50").await
                {}
            })
        })
        .collect();
    for part in [ANSWERS / 2, ANSWERS] {
        eventually("answers", async || (checks.read().0 >= part).then_some(())).await;
        // Some of it is in the ledger when the host is killed, and some in the journal alone.
        if part < ANSWERS {
            let _ = usage(&hooked, "").await;
        }
    }
    hooked.platform.kill9().await;
    for client in clients {
        client.await.expect("clients end when the host does");
    }
    hooked.platform.restart().await;

    let (whole, parts) = (usage(&hooked, "").await, usage(&hooked, "?by=hook").await);
    check_sums(&whole, &parts);
    let calls = |point, hook| reading(of_hook(&parts, point, hook), "hook-calls");
    let asked = [
        (calls("price", "ext-11"), &prices, fuel_each[0], "price"),
        (calls("check", "ext-11"), &checks, fuel_each[1], "check"),
    ];
    for (calls, counted, fuel_each, point) in asked {
        let (answered, sent) = counted.read();
        assert!(
            (answered..=sent).contains(&calls),
            "{point}: {answered} answered, {calls} metered, {sent} sent"
        );
        let (used, expected) = (fuel(&parts, point, "ext-11"), calls * fuel_each);
        assert!(
            used.abs_diff(expected) <= expected / 100,
            "{point}: {used} fuel for {calls} calls of {fuel_each}"
        );
    }
    let own: Vec<_> = of_app(&parts, "hooks-app");
    assert_eq!(own.len(), 1, "the app that asks is no hook: {own:?}");
    assert_eq!(reading(own[0], "hook-calls"), 0);
    let cli = Cli::of(&hooked.platform);
    let shown = cli.run("usage show acme/main --by hook").await.ok().stdout;
    for word in ["hooks-app.price.ext-11", "hooks-app.check.ext-22"] {
        assert!(shown.contains(word), "no {word} in:\n{shown}");
    }
}

#[tokio::test]
async fn failures_and_hooks_that_are_gone_keep_their_rows() {
    let hooked = Hooked::start(&["ext-11"]).await;
    for how in ["", "trap", "trap"] {
        hooked.ask(&format!("/price?how={how}")).await;
    }
    let hook = hooked.hook("ext-11", "price").await;
    let id = hook["id"].as_str().unwrap_or_default();
    let _ = hooked.api().delete(&format!("/{id}")).await.expect(200);
    let (whole, parts) = (usage(&hooked, "").await, usage(&hooked, "?by=hook").await);
    check_sums(&whole, &parts);
    let row = parts.iter().find(|row| row["hook"]["id"] == *id);
    let row = row.unwrap_or_else(|| panic!("no row of {id}: {parts:?}"));
    assert_eq!(row["hook"].get("name"), None, "{row}");
    assert_eq!(
        (reading(row, "hook-calls"), reading(row, "hook-failures")),
        (3, 2),
        "{row}"
    );
}
