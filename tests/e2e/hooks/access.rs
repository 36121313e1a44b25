//! Hooks on the data of an app: what tenants restrict, refuse and mask in one and the same release, and whether an app
//! that may run any SQL gets around it.

use cloudware_tests::{Answer, Http, Platform, Source};
use serde_json::{Value, json};

/// An app that runs any SQL, and lets hooks decide about its table; `acme` has it with the extension configured so.
struct Restricted {
    platform: Platform,
    site: Http,
}

impl Restricted {
    async fn start(config: Value) -> Self {
        let platform = Platform::start(cloudware_tests::binary!()).await;
        let state = Source::STATE.package(platform.binary()).await;
        let declared = "[access]\nprobe_rows = \"Rows of everybody.\"\n\n[database]";
        platform.push(&state.edit("[database]", declared)).await;
        platform.publish(Source::ACCESS_EXT).await;
        platform.tenants(&["acme"], &["state"]).await;
        let site = platform.site("acme", "/state");
        let rows = "INSERT INTO probe_rows (id, label, number, flag) VALUES (1, 'a', 10, 1), (2, 'b', 20, 0), (3, 'hidden', 30, 1)";
        let _ = run(&site, rows, "execute").await.expect(200);
        // What a test chooses may be more than the defaults.
        let limits = json!({ "hook-deadline": 5_000, "extension-time": 20_000 });
        platform.limit("acme", limits).await;
        platform
            .enable("acme", "access-ext", json!({ "config": config }))
            .await;
        let restricted = Self { platform, site };
        for point in ["before-access", "after-access"] {
            restricted.set(point, json!({ "deadline_ms": 5_000 })).await;
        }
        restricted
    }

    /// Changes the hook on a point.
    async fn set(&self, point: &str, change: Value) {
        set(&self.platform, "acme", point, change).await;
    }

    /// Rows of a query.
    #[track_caller]
    fn rows(&self, statement: &str) -> impl Future<Output = Value> {
        let answer = run(&self.site, statement, "query");
        async move { answer.await.expect(200).json()["rows"].clone() }
    }

    /// Why a statement is refused.
    async fn refused(&self, statement: &str, how: &str) -> String {
        let answer = run(&self.site, statement, how).await.expect(422).json();
        assert_eq!(answer["error"]["kind"], "denied", "{statement}: {answer}");
        answer["error"]["text"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

fn run(site: &Http, statement: &str, how: &str) -> impl Future<Output = Answer> {
    let body = json!({ "statement": statement, "how": how });
    let site = site.clone();
    async move { site.post("/sql", &body).await }
}

async fn set(platform: &Platform, tenant: &str, point: &str, change: Value) {
    let api = platform
        .api()
        .under(&format!("/tenants/{tenant}/instances/main/hooks"));
    let hooks = api.get("").await.expect(200).json();
    let hooks = hooks["items"].as_array().cloned().unwrap_or_default();
    let hook = hooks.iter().find(|hook| hook["point"] == point);
    let id = hook
        .and_then(|hook| hook["id"].as_str())
        .unwrap_or_else(|| panic!("no hook on {point}: {hooks:?}"));
    let _ = api.patch(&format!("/{id}"), &change).await.expect(200);
}

const ALL: &str = "SELECT label FROM probe_rows ORDER BY id";

#[tokio::test]
async fn tenants_restrict_and_mask_one_release_in_their_own_ways() {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    platform.publish(Source::STOCK_1_2).await;
    platform.publish(Source::ACCESS_EXT).await;
    let tenants = ["acme", "birch", "cedar"];
    platform.tenants(&tenants, &["inventory-stock"]).await;
    for tenant in tenants {
        let site = platform.site(tenant, "/stock");
        for warehouse in ["MAIN", "SPARE"] {
            let location = json!({ "warehouse": warehouse, "zone": "A", "bin": "01" });
            let _ = site.post("/locations", &location).await.expect(201);
        }
        let item = json!({ "sku": "MILK", "title": "Milk, 1 l" });
        let _ = site.post("/items", &item).await.expect(201);
        for (location, quantity) in [("MAIN-A-01", 10), ("SPARE-A-01", 5)] {
            let receipt = json!({ "sku": "MILK", "location": location, "quantity": quantity });
            let _ = site.post("/receipts", &receipt).await.expect(201);
        }
    }
    let settings = [
        (
            "acme",
            json!({ "only": "stock_levels.location=MAIN-A-01", "mask": "stock_movements.actor" }),
        ),
        (
            "birch",
            json!({ "only": "stock_levels.location=SPARE-A-01;stock_movements.to_location=SPARE-A-01" }),
        ),
    ];
    for (tenant, config) in settings {
        let limits = json!({ "hook-deadline": 5_000, "extension-time": 20_000 });
        platform.limit(tenant, limits).await;
        platform
            .enable(tenant, "access-ext", json!({ "config": config }))
            .await;
        for point in ["before-access", "after-access"] {
            set(&platform, tenant, point, json!({ "deadline_ms": 5_000 })).await;
        }
    }
    let levels = async |tenant: &str| -> Vec<(String, u64)> {
        let listed = platform
            .site(tenant, "/stock")
            .get("/stock")
            .await
            .expect(200)
            .json();
        let levels = listed["levels"].as_array().cloned().unwrap_or_default();
        let of = |level: &Value| {
            (
                level["location"].as_str().unwrap_or_default().to_owned(),
                level["quantity"].as_u64().unwrap_or_default(),
            )
        };
        levels.iter().map(of).collect()
    };
    let (main, spare) = (("MAIN-A-01".to_owned(), 10), ("SPARE-A-01".to_owned(), 5));
    assert_eq!(levels("acme").await, std::slice::from_ref(&main));
    assert_eq!(levels("birch").await, std::slice::from_ref(&spare));
    assert_eq!(levels("cedar").await, [main.clone(), spare.clone()]);

    let movements = async |tenant: &str| {
        platform
            .site(tenant, "/stock")
            .get("/movements")
            .await
            .expect(200)
            .json()["movements"]
            .clone()
    };
    let masked = movements("acme").await;
    assert_eq!(
        (masked[0]["actor"].clone(), masked[1]["actor"].clone()),
        (json!("***"), json!("***")),
        "{masked}"
    );
    let restricted = movements("birch").await;
    assert_eq!(restricted.as_array().map(Vec::len), Some(1), "{restricted}");
    assert_ne!(movements("cedar").await[0]["actor"], "***");

    // What the tenant does not see can't be taken either, and goods can't be put where it must not.
    let acme = platform.site("acme", "/stock");
    let pick = json!({ "sku": "MILK", "quantity": 12 });
    let refused = acme.post("/picks", &pick).await;
    assert_eq!(refused.status, 409, "{}", refused.text());
    let receipt = json!({ "sku": "MILK", "location": "SPARE-A-01", "quantity": 1 });
    let refused = acme.post("/receipts", &receipt).await;
    assert!(refused.status >= 400, "{}", refused.text());
    let item = json!({ "sku": "BREAD", "title": "Bread" });
    let _ = acme.post("/items", &item).await.expect(201);
    let receipt = json!({ "sku": "BREAD", "location": "SPARE-A-01", "quantity": 1 });
    let refused = acme.post("/receipts", &receipt).await;
    let problem = refused.problem(403, "access-refused");
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("a row of `stock_levels`"), "{problem}");
    let receipt = json!({ "sku": "MILK", "location": "MAIN-A-01", "quantity": 1 });
    let _ = acme.post("/receipts", &receipt).await.expect(201);
    assert_eq!(levels("acme").await, [("MAIN-A-01".to_owned(), 11)]);

    // A change holds from the next request on, and what was hidden is as it was.
    set(
        &platform,
        "acme",
        "before-access",
        json!({ "enabled": false }),
    )
    .await;
    assert_eq!(levels("acme").await, [("MAIN-A-01".to_owned(), 11), spare]);
    set(
        &platform,
        "acme",
        "before-access",
        json!({ "enabled": true }),
    )
    .await;
    assert_eq!(levels("acme").await.len(), 1);

    // The points are like others, and the request's trace says what they took.
    let points = platform
        .api()
        .get("/tenants/acme/instances/main/points?limit=100")
        .await
        .expect(200)
        .json();
    assert!(points.to_string().contains("before-access"), "{points}");
    let traced = cloudware_tests::eventually("a trace with the hooks", async || {
        let traces = platform
            .api()
            .get("/traces?tenant=acme")
            .await
            .json()
            .to_string();
        let both = ["before-access", "after-access"]
            .iter()
            .all(|point| traces.contains(&format!("inventory-stock/{point}")));
        both.then_some(())
    });
    traced.await;
}

#[tokio::test]
async fn an_app_that_runs_any_sql_stays_within_the_filter() {
    let restricted = Restricted::start(json!({ "only": "probe_rows.label=a|b|c" })).await;
    for (statement, expected) in [
        (ALL, json!([["a"], ["b"]])),
        (
            "SELECT count(*), sum(number) FROM probe_rows",
            json!([[2, 30]]),
        ),
        (
            "WITH x AS (SELECT * FROM probe_rows) SELECT max(label) FROM x",
            json!([["b"]]),
        ),
        (
            "SELECT (SELECT group_concat(number) FROM probe_rows WHERE label LIKE 'h%')",
            json!([[null]]),
        ),
        (
            "UPDATE probe_rows SET number = number + 1 RETURNING label",
            json!([["a"], ["b"]]),
        ),
        (
            "DELETE FROM probe_rows WHERE label = 'hidden' RETURNING *",
            json!([]),
        ),
        (
            "INSERT INTO probe_rows (label) VALUES ('c') ON CONFLICT DO NOTHING RETURNING label",
            json!([["c"]]),
        ),
    ] {
        assert_eq!(restricted.rows(statement).await, expected, "{statement}");
    }
    for (statement, how) in [
        ("SELECT * FROM main.probe_rows", "query"),
        ("SELECT * FROM main.probe_rows", "prepared"),
        (
            "UPDATE probe_rows SET number = (SELECT max(number) FROM main.probe_rows)",
            "execute",
        ),
        ("INSERT INTO probe_rows (label) VALUES ('other')", "execute"),
        (
            "UPDATE probe_rows SET label = 'other' WHERE id = 1",
            "prepared",
        ),
        (
            "REPLACE INTO probe_rows (id, label) VALUES (3, 'a')",
            "execute",
        ),
        (
            "INSERT INTO probe_rows (id, label) VALUES (3, 'c') ON CONFLICT (id) DO UPDATE SET number = 0",
            "execute",
        ),
    ] {
        let text = restricted.refused(statement, how).await;
        assert!(text.contains("access-refused"), "{statement}: {text}");
    }
    let script = json!({ "statements": [
        { "statement": "UPDATE probe_rows SET number = 5", "how": "execute" },
        { "statement": "SELECT label, number FROM probe_rows ORDER BY id", "how": "prepared" },
    ] });
    let results = restricted
        .site
        .post("/sql/transaction", &script)
        .await
        .expect(200)
        .json();
    assert_eq!(results[0]["affected"], 3, "{results}");
    assert_eq!(results[1]["rows"], json!([["a", 5], ["b", 5], ["c", 5]]));
    let script = json!({ "mode": "read", "statements": [{ "statement": ALL }] });
    let results = restricted
        .site
        .post("/sql/transaction", &script)
        .await
        .expect(200)
        .json();
    assert_eq!(results[0]["rows"], json!([["a"], ["b"], ["c"]]));
    // Without the hook everything is there, and what was hidden is as it was.
    restricted
        .set("before-access", json!({ "enabled": false }))
        .await;
    let all = restricted
        .rows("SELECT label, number FROM probe_rows ORDER BY id")
        .await;
    assert_eq!(all, json!([["a", 5], ["b", 5], ["hidden", 30], ["c", 5]]));
    let _ = run(
        &restricted.site,
        "REPLACE INTO probe_rows (id, label) VALUES (3, 'x')",
        "execute",
    )
    .await
    .expect(200);
}

#[tokio::test]
async fn a_refusal_names_the_hook_and_what_it_said() {
    let restricted =
        Restricted::start(json!({ "refuse": "delete probe_rows;insert probe_rows" })).await;
    let text = restricted
        .refused("DELETE FROM probe_rows", "execute")
        .await;
    for part in [
        "access-refused",
        "access-ext",
        "state/before-access",
        "nobody may delete probe_rows",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    let _ = restricted
        .refused("INSERT INTO probe_rows (label) VALUES ('x')", "query")
        .await;
    assert_eq!(
        restricted.rows(ALL).await,
        json!([["a"], ["b"], ["hidden"]])
    );
    assert_eq!(restricted.rows("SELECT 1").await, json!([[1]]));
}

#[tokio::test]
async fn columns_are_masked_where_they_come_from_and_where_they_are_computed() {
    let restricted = Restricted::start(json!({ "mask": "probe_rows.label;computed" })).await;
    let seen = restricted.rows("SELECT label AS l, number, number + 1, flag FROM probe_rows WHERE id < 3 ORDER BY label").await;
    assert_eq!(
        seen,
        json!([["***", 10, "***", true], ["***", 20, "***", false]])
    );
    let through = restricted
        .rows("SELECT x FROM (SELECT label AS x FROM probe_rows) LIMIT 1")
        .await;
    assert_eq!(through, json!([["***"]]));
    assert_eq!(
        restricted
            .rows("UPDATE probe_rows SET number = 1 WHERE id = 1 RETURNING label, number")
            .await[0][0],
        "***"
    );
    assert_eq!(
        restricted.rows("SELECT 7").await,
        json!([[7]]),
        "nothing of the table"
    );
    // A long result is masked in parts, and whole.
    let many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
        SELECT label, number, flag, id FROM n JOIN probe_rows ON probe_rows.id = 1 + i % 3";
    let rows = restricted.rows(many).await;
    let rows = rows.as_array().cloned().unwrap_or_default();
    assert_eq!(rows.len(), 2_500);
    assert!(rows.iter().all(|row| row[0] == "***" && row[3].is_u64()));
}

#[tokio::test]
async fn a_repaired_configuration_holds_at_once_and_without_a_gap() {
    let restricted = Restricted::start(json!({ "misbehave": "trap-before" })).await;
    // More failures than a hook may have before it is not called any more.
    let tripped = cloudware_tests::eventually("the hook is tripped", async || {
        let text = restricted.refused(ALL, "query").await;
        text.contains("failed too often").then_some(text)
    });
    let _ = tripped.await;
    let repaired = json!({ "config": { "misbehave": "", "only": "probe_rows.label=a|b" } });
    restricted
        .platform
        .enable("acme", "access-ext", repaired)
        .await;
    assert_eq!(restricted.rows(ALL).await, json!([["a"], ["b"]]));
    let narrowed = json!({ "config": { "only": "probe_rows.label=a" } });
    restricted
        .platform
        .enable("acme", "access-ext", narrowed)
        .await;
    assert_eq!(restricted.rows(ALL).await, json!([["a"]]));
}

#[tokio::test]
async fn what_fails_lets_nothing_be_done_and_nothing_be_seen() {
    for misdeed in ["trap-before", "loop-before", "rename", "foreign-column"] {
        let restricted = Restricted::start(json!({ "misbehave": misdeed })).await;
        restricted
            .set("before-access", json!({ "fuel": 20_000_000 }))
            .await;
        for (statement, how) in [(ALL, "query"), ("DELETE FROM probe_rows", "execute")] {
            let text = restricted.refused(statement, how).await;
            for part in ["access-refused", "access-ext on state/before-access failed"] {
                assert!(text.contains(part), "{misdeed}: no {part} in {text}");
            }
        }
        // The tenant may choose that it is left out then.
        restricted
            .set("before-access", json!({ "on_failure": "skip" }))
            .await;
        assert_eq!(
            restricted.rows(ALL).await,
            json!([["a"], ["b"], ["hidden"]]),
            "{misdeed}"
        );
    }
    for misdeed in ["trap-after", "drop-rows", "add-cells"] {
        let restricted = Restricted::start(json!({ "misbehave": misdeed })).await;
        let seen = restricted
            .rows("SELECT label, number + 1 FROM probe_rows")
            .await;
        assert_eq!(
            seen,
            json!([[null, null], [null, null], [null, null]]),
            "{misdeed}"
        );
        restricted
            .set("after-access", json!({ "on_failure": "skip" }))
            .await;
        assert_eq!(
            restricted.rows(ALL).await,
            json!([["a"], ["b"], ["hidden"]]),
            "{misdeed}"
        );
    }
}

#[tokio::test]
async fn several_hooks_add_to_each_others_filters_and_keep_them() {
    let restricted = Restricted::start(json!({ "only": "probe_rows.label=a|b" })).await;
    let second = Source::ACCESS_EXT
        .package(restricted.platform.binary())
        .await;
    let named = |name: &str| {
        second
            .clone()
            .edit("name = \"access-ext\"", &format!("name = \"{name}\""))
    };
    restricted.platform.push(&named("second")).await;
    let config = json!({ "config": { "only": "probe_rows.label=b|hidden" } });
    restricted.platform.enable("acme", "second", config).await;
    assert_eq!(restricted.rows(ALL).await, json!([["b"]]));
    restricted.platform.push(&named("third")).await;
    let config = json!({ "config": { "misbehave": "drop-filter" } });
    restricted.platform.enable("acme", "third", config).await;
    let text = restricted.refused(ALL, "query").await;
    assert!(
        text.contains("third on state/before-access failed"),
        "{text}"
    );
    assert!(text.contains("conditions of others"), "{text}");
}
