//! Step 3: stock is received, moved and picked with batch, expiry and location; never below zero, with one
//! winner for the last unit; each tenant's is its own.

use cloudware_tests::{Answer, Http, Platform};
use http::Method;
use serde_json::{Value, json};

use crate::{TENANTS, both_forms};

/// How many pick the last unit at the same time.
const PICKERS: usize = 200;

/// Creates an item and the locations that the steps use.
pub(crate) async fn prepare(site: &Http, sku: &str) {
    let item = json!({ "sku": sku, "title": "An item", "unit": "pcs" });
    let _ = site.post("/items", &item).await.expect(201);
    for bin in ["01", "02"] {
        let location = json!({ "warehouse": "MAIN", "zone": "A", "bin": bin });
        let made = site.post("/locations", &location).await;
        assert!([201, 409].contains(&made.status), "{}", made.text());
    }
}

/// What is there of an item.
pub(crate) async fn levels(site: &Http, sku: &str) -> Vec<Value> {
    let stock = site
        .get(&format!("/stock?sku={sku}"))
        .await
        .expect(200)
        .json();
    stock["levels"].as_array().cloned().unwrap_or_default()
}

/// The quantity of an item over all places.
pub(crate) async fn quantity(site: &Http, sku: &str) -> i64 {
    let levels = levels(site, sku).await;
    levels
        .iter()
        .filter_map(|level| level["quantity"].as_i64())
        .sum()
}

/// Receives, moves and picks in one tenant, by host name and by path in turn.
pub(crate) async fn is_kept_right(platform: &Platform) {
    let [site, by_path] = both_forms(platform, "acme", "/stock");
    prepare(&site, "MILK").await;
    for (batch, expires_on, quantity) in [("B-1", "2026-12-20", 5), ("B-2", "2027-01-15", 10)] {
        let receipt = json!({
            "sku": "MILK", "location": "MAIN-A-01", "batch": batch,
            "expires_on": expires_on, "quantity": quantity, "actor": "scanner 1",
        });
        let _ = by_path.post("/receipts", &receipt).await.expect(201);
    }
    let moved = json!({
        "sku": "MILK", "from": "MAIN-A-01", "to": "MAIN-A-02", "batch": "B-2", "quantity": 4,
    });
    let _ = site.post("/moves", &moved).await.expect(201);
    let soon = by_path
        .get("/stock?expiring_before=2026-12-31")
        .await
        .expect(200)
        .json();
    assert_eq!(soon["levels"].as_array().map(Vec::len), Some(1));
    assert_eq!(soon["levels"][0]["batch"], "B-1");
    // The oldest receipt goes first, over batches.
    let picked = site
        .post("/picks", &json!({ "sku": "MILK", "quantity": 7 }))
        .await
        .expect(201);
    let picked = picked.json();
    let batches: Vec<_> = picked["picked"].as_array().into_iter().flatten().collect();
    assert_eq!(batches[0]["batch"], "B-1");
    assert_eq!(
        (&batches[0]["quantity"], &batches[0]["left"]),
        (&json!(5), &json!(0))
    );
    assert_eq!(quantity(&site, "MILK").await, 8);
    refuses_to_go_below_zero(&site).await;
    locks_optimistically(&site).await;
    a_retry_picks_once(&site).await;
    let movements = site.get("/movements?sku=MILK").await.expect(200).json();
    let kinds: Vec<_> = movements["movements"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    assert!(
        kinds
            .iter()
            .any(|movement| movement["actor"] == "scanner 1"),
        "{movements}"
    );
    let page = site.get("/").await.expect(200);
    assert!(page.text().contains("MILK") && page.text().contains("MAIN-A-02"));
}

async fn refuses_to_go_below_zero(site: &Http) {
    let before = levels(site, "MILK").await;
    let refused = site
        .post("/picks", &json!({ "sku": "MILK", "quantity": 9 }))
        .await;
    assert_eq!(refused.status, 409, "{}", refused.text());
    let problem = refused.json();
    assert_eq!(
        (&problem["asked"], &problem["available"]),
        (&json!(9), &json!(8))
    );
    let moved = json!({ "sku": "MILK", "from": "MAIN-A-02", "to": "MAIN-A-01", "quantity": 99 });
    assert_eq!(site.post("/moves", &moved).await.status, 409);
    assert_eq!(levels(site, "MILK").await, before, "nothing was changed");
}

async fn locks_optimistically(site: &Http) {
    let level = levels(site, "MILK")
        .await
        .into_iter()
        .find(|l| l["location"] == "MAIN-A-02");
    let level = level.expect("four were moved there");
    let pick = json!({
        "sku": "MILK", "location": "MAIN-A-02", "batch": level["batch"], "quantity": 1,
        "version": level["version"],
    });
    let _ = site.post("/picks", &pick).await.expect(201);
    let stale = site.post("/picks", &pick).await;
    assert_eq!(stale.status, 412, "{}", stale.text());
    assert_eq!(quantity(site, "MILK").await, 7);
}

async fn a_retry_picks_once(site: &Http) {
    let pick = || {
        let request = site.request(Method::POST, "/picks");
        let request = request.header("idempotency-key", "order-4711");
        site.send(request.json(&json!({ "sku": "MILK", "quantity": 2 })))
    };
    let first = pick().await.expect(201);
    let retry = pick().await.expect(201);
    assert_eq!(retry.json(), first.json());
    assert_eq!(retry.header("idempotency-replayed"), "true");
    assert_eq!(quantity(site, "MILK").await, 5);
}

/// Two hundred pick the last unit at once: one has it, the others are told that it is gone.
pub(crate) async fn has_one_winner_for_the_last_unit(platform: &Platform) {
    let site = platform.site("birch", "/stock");
    prepare(&site, "LAST").await;
    let receipt = json!({ "sku": "LAST", "location": "MAIN-A-01", "quantity": 1 });
    let _ = site.post("/receipts", &receipt).await.expect(201);
    let picks: Vec<_> = (0..PICKERS)
        .map(|_| {
            let site = site.clone();
            tokio::spawn(async move {
                site.post("/picks", &json!({ "sku": "LAST", "quantity": 1 }))
                    .await
            })
        })
        .collect();
    let mut answers: Vec<Answer> = Vec::new();
    for pick in picks {
        answers.push(pick.await.expect("a pick does not panic"));
    }
    let with = |status| {
        answers
            .iter()
            .filter(|answer| answer.status == status)
            .count()
    };
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!((with(201), with(409)), (1, PICKERS - 1), "{statuses:?}");
    for answer in answers.iter().filter(|answer| answer.status == 409) {
        let problem = answer.json();
        assert_eq!(problem["available"], 0, "{problem}");
    }
    assert_eq!(quantity(&site, "LAST").await, 0);
    let movements = site
        .get("/movements?sku=LAST&kind=pick")
        .await
        .expect(200)
        .json();
    assert_eq!(movements["movements"].as_array().map(Vec::len), Some(1));
}

/// Everybody has an item of the same name, and sees only its own.
pub(crate) async fn is_each_tenants_own(platform: &Platform) {
    for (index, tenant) in TENANTS.into_iter().enumerate() {
        let site = platform.site(tenant, "/stock");
        prepare(&site, "SHARED").await;
        let receipt = json!({
            "sku": "SHARED", "location": "MAIN-A-01", "quantity": index + 1, "note": tenant,
        });
        let _ = site.post("/receipts", &receipt).await.expect(201);
    }
    for (index, tenant) in TENANTS.into_iter().enumerate() {
        for site in both_forms(platform, tenant, "/stock") {
            let found = quantity(&site, "SHARED").await;
            assert_eq!(usize::try_from(found), Ok(index + 1), "{tenant}");
            let movements = site.get("/movements").await.expect(200).text();
            for other in TENANTS.iter().filter(|other| **other != tenant) {
                let note = format!("\"note\":\"{other}\"");
                assert!(!movements.contains(&note), "{tenant} sees {other}'s");
            }
        }
    }
    assert!(
        levels(&platform.site("cedar", "/stock"), "MILK")
            .await
            .is_empty()
    );
}
