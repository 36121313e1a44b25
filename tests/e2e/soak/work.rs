//! What well-behaved tenants do: stock is received, moved and picked, and every number is checked.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use cloudware_tests::{Http, Platform};
use serde_json::{Value, json};

const SKU: &str = "SOAK";

/// What is received in each cycle; less is picked, so that stock grows by the difference.
const RECEIVED: i64 = 5;
const PICKED: i64 = 3;

/// Makes the item and its places.
pub(crate) async fn begin(site: &Http) {
    let item = json!({ "sku": SKU, "title": "An item", "unit": "pcs" });
    let _ = site.post("/stock/items", &item).await.expect(201);
    for bin in ["01", "02"] {
        let location = json!({ "warehouse": "MAIN", "zone": "A", "bin": bin });
        let _ = site.post("/stock/locations", &location).await.expect(201);
    }
}

/// Works until it is over. The number of cycles.
pub(crate) async fn until(site: Http, over: Arc<AtomicBool>) -> usize {
    let mut quantity = quantity(&site).await;
    let mut cycles = 0;
    while !over.load(Ordering::Relaxed) {
        cycle(&site).await;
        quantity += RECEIVED - PICKED;
        assert_eq!(
            self::quantity(&site).await,
            quantity,
            "after cycle {cycles}"
        );
        let hello = site.get("/hello/").await.expect(200);
        assert_eq!(hello.text(), "hello\n");
        cycles += 1;
    }
    cycles
}

async fn cycle(site: &Http) {
    let receipt = json!({ "sku": SKU, "location": "MAIN-A-01", "quantity": RECEIVED });
    let _ = site.post("/stock/receipts", &receipt).await.expect(201);
    let moved = json!({ "sku": SKU, "from": "MAIN-A-01", "to": "MAIN-A-02", "quantity": 1 });
    let _ = site.post("/stock/moves", &moved).await.expect(201);
    let pick = json!({ "sku": SKU, "quantity": PICKED });
    let picked = site.post("/stock/picks", &pick).await.expect(201).json();
    let picked = picked["picked"].as_array().into_iter().flatten();
    let picked: i64 = picked.filter_map(|batch| batch["quantity"].as_i64()).sum();
    assert_eq!(picked, PICKED);
}

async fn quantity(site: &Http) -> i64 {
    let path = format!("/stock/stock?sku={SKU}");
    let stock = site.get(&path).await.expect(200).json();
    let levels = stock["levels"].as_array().into_iter().flatten();
    levels.filter_map(|level| level["quantity"].as_i64()).sum()
}

/// The ledger of each tenant adds up to what is there, and knows its own movements only.
pub(crate) async fn is_right_at_the_end(platform: &Platform, tenants: &[&str]) {
    for tenant in tenants {
        let site = platform.site(tenant, "");
        let there = quantity(&site).await;
        assert!(
            there > 0 && there % (RECEIVED - PICKED) == 0,
            "{tenant} has {there}"
        );
        let usage: Value = platform.usage(tenant, "inventory-stock").await;
        assert_eq!(usage["stops"], 0, "{tenant}: {usage}");
    }
}
