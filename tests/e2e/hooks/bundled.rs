//! The bundled packages: one release of stock keeping, and tenants whose extensions make it another app each.

use cloudware_tests::{Cli, Http, Platform, Source, eventually};
use serde_json::{Value, json};

/// A platform with stock keeping enabled for some tenants, and the extension published.
async fn stock(tenants: &[&str], extension: Source) -> Platform {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    platform.publish(Source::STOCK_1_2).await;
    platform.publish(extension).await;
    platform.tenants(tenants, &["inventory-stock"]).await;
    platform
}

/// Enables the extension for `birch`. On a busy machine, and without optimisations, an interpreter takes longer than
/// a hook has by default; how long that is, is not what these tests ask.
async fn enable(platform: &Platform, extension: &str, config: Value) {
    let limits = json!({ "hook-deadline": 5_000, "hook-cpu-time": 5_000, "extension-time": 5_000 });
    platform.limit("birch", limits).await;
    platform
        .enable("birch", extension, json!({ "config": config }))
        .await;
    let api = platform.api().under("/tenants/birch/instances/main/hooks");
    let hooks = api.get("").await.expect(200).json();
    let hook = &hooks["items"][0];
    assert_eq!(hook["name"], extension, "{hooks}");
    let path = format!("/{}", hook["id"].as_str().unwrap_or_default());
    let patience = json!({ "deadline_ms": 5_000 });
    let _ = api.patch(&path, &patience).await.expect(200);
}

/// A tenant's stock, with one location and one item of this SKU.
async fn site(platform: &Platform, tenant: &str, sku: &str) -> Http {
    let site = platform.site(tenant, "/stock");
    let location = json!({ "warehouse": "MAIN", "zone": "A", "bin": "01" });
    let _ = site.post("/locations", &location).await.expect(201);
    let item = json!({ "sku": sku, "title": "Milk, 1 l" });
    let _ = site.post("/items", &item).await.expect(201);
    site
}

/// Goods of a batch at the location.
fn receipt(sku: &str, batch: &str, expires_on: &str) -> Value {
    json!({ "sku": sku, "location": "MAIN-A-01", "quantity": 10, "batch": batch, "expires_on": expires_on })
}

/// The batches that a pick takes.
async fn picked(site: &Http, quantity: u64) -> Vec<(String, u64)> {
    let pick = json!({ "sku": "MILK", "quantity": quantity });
    let answer = site.post("/picks", &pick).await.expect(201).json();
    let parts = answer["picked"].as_array().cloned().unwrap_or_default();
    parts
        .iter()
        .map(|part| {
            (
                part["batch"].as_str().unwrap_or_default().to_owned(),
                part["quantity"].as_u64().unwrap_or_default(),
            )
        })
        .collect()
}

fn batches(taken: &[(&str, u64)]) -> Vec<(String, u64)> {
    taken
        .iter()
        .map(|&(batch, quantity)| (batch.to_owned(), quantity))
        .collect()
}

#[tokio::test]
async fn one_tenant_picks_what_expires_first_and_another_what_came_first() {
    let platform = stock(&["acme", "birch"], Source::EXT_FEFO).await;
    enable(&platform, "ext-fefo", json!({})).await;
    let mut sites = Vec::new();
    for tenant in ["acme", "birch"] {
        let site = site(&platform, tenant, "MILK").await;
        for (batch, expires_on) in [
            ("LATE", "2099-12-31"),
            ("SOON", "2098-01-31"),
            ("OVER", "2001-01-31"),
        ] {
            let goods = receipt("MILK", batch, expires_on);
            let _ = site.post("/receipts", &goods).await.expect(201);
        }
        sites.push(site);
    }
    assert_eq!(
        picked(&sites[0], 12).await,
        batches(&[("LATE", 10), ("SOON", 2)])
    );
    assert_eq!(
        picked(&sites[1], 12).await,
        batches(&[("SOON", 10), ("LATE", 2)])
    );
    let all = json!({ "sku": "MILK", "quantity": 19 });
    let problem = sites[1]
        .post("/picks", &all)
        .await
        .problem(409, "insufficient-stock");
    assert_eq!(problem["available"], 18, "{problem}");
    // What was decided holds in the books: nothing is taken twice, and nothing appears.
    let stock = sites[1].get("/stock?sku=MILK").await.expect(200).json();
    let left: u64 = stock["levels"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|level| level["quantity"].as_u64())
        .sum();
    assert_eq!(left, 18, "{stock}");
    // Without the extension it is as before, from the next pick on.
    let cli = Cli::of(&platform);
    let _ = cli.run("install disable birch/main ext-fefo").await.ok();
    assert_eq!(picked(&sites[1], 3).await, batches(&[("LATE", 3)]));
}

#[tokio::test]
async fn a_code_is_a_sku_until_an_extension_reads_it() {
    let platform = stock(&["acme", "birch"], Source::EXT_GS1_BARCODE).await;
    enable(&platform, "ext-gs1-barcode", json!({ "gtin-digits": "13" })).await;
    let code = "/scan?code=%5DC101095011015300031727022810B7%1D305";
    let acme = site(&platform, "acme", "9501101530003").await;
    let problem = acme.get(code).await.problem(422, "invalid-fields");
    assert_eq!(problem["errors"][0]["field"], "code", "{problem}");
    let by_sku = acme
        .get("/scan?code=9501101530003")
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&by_sku["read_as"], &by_sku["item"]["title"]),
        (&json!("sku"), &json!("Milk, 1 l"))
    );

    let birch = site(&platform, "birch", "9501101530003").await;
    let goods = receipt("9501101530003", "B7", "2027-02-28");
    let _ = birch.post("/receipts", &goods).await.expect(201);
    let scanned = birch.get(code).await.expect(200).json();
    let read =
        ["read_as", "sku", "batch", "expires_on", "quantity"].map(|field| scanned[field].clone());
    assert_eq!(
        json!(read),
        json!(["barcode", "9501101530003", "B7", "2027-02-28", 5]),
        "{scanned}"
    );
    assert_eq!(scanned["levels"][0]["location"], "MAIN-A-01", "{scanned}");
    // What is no GS1 code stays a SKU here, too.
    let by_sku = birch
        .get("/scan?code=9501101530003")
        .await
        .expect(200)
        .json();
    assert_eq!(by_sku["read_as"], "sku", "{by_sku}");
}

#[tokio::test]
async fn goods_in_quarantine_are_refused_and_nothing_of_them_is_booked() {
    let platform = stock(&["acme", "birch"], Source::EXT_QUARANTINE).await;
    let config =
        json!({ "batches": "MILK/B-7", "suppliers": "Hill Farm", "shelf-life-days-min": "14" });
    enable(&platform, "ext-quarantine", config).await;
    let birch = site(&platform, "birch", "MILK").await;
    let in_quarantine = receipt("MILK", "B-7", "2099-01-31");
    let expired = receipt("MILK", "B-8", "2001-01-31");
    let mut from_farm = receipt("MILK", "B-9", "2099-01-31");
    from_farm["supplier"] = json!("HILL farm");
    for (goods, why) in [
        (&in_quarantine, "B-7"),
        (&expired, "expired on 2001-01-31"),
        (&from_farm, "HILL farm"),
    ] {
        let problem = birch
            .post("/receipts", goods)
            .await
            .problem(409, "receipt-refused");
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(why), "{problem}");
    }
    let stock = birch.get("/stock").await.expect(200).json();
    assert_eq!(stock["levels"], json!([]), "{stock}");
    let movements = birch.get("/movements").await.expect(200).json();
    assert_eq!(movements["movements"], json!([]), "{movements}");

    let mut good = receipt("MILK", "B-1", "2099-01-31");
    good["supplier"] = json!("Meadow Dairy");
    let _ = birch.post("/receipts", &good).await.expect(201);
    let movements = birch.get("/movements").await.expect(200).json();
    assert_eq!(
        movements["movements"][0]["supplier"], "Meadow Dairy",
        "{movements}"
    );
    let acme = site(&platform, "acme", "MILK").await;
    let _ = acme.post("/receipts", &in_quarantine).await.expect(201);
}

#[tokio::test]
async fn another_app_follows_what_was_booked_and_asks_what_there_is() {
    let platform = stock(&["acme"], Source::STOCK_FOLLOWER).await;
    let _ = platform.enable("acme", "stock-follower", json!({})).await;
    let stock = site(&platform, "acme", "MILK").await;
    let follower = platform.site("acme", "/follower");
    let levels = async |sku: &str| {
        let path = format!("/levels?sku={sku}");
        follower.get(&path).await.expect(200).json()
    };
    assert_eq!(levels("MILK").await, json!([]));
    let goods = receipt("MILK", "B-1", "2099-01-31");
    let _ = stock.post("/receipts", &goods).await.expect(201);
    let pick = json!({ "sku": "MILK", "quantity": 4 });
    let _ = stock.post("/picks", &pick).await.expect(201);
    assert_eq!(levels("MILK").await, json!([["MAIN-A-01", "B-1", 6]]));
    assert_eq!(levels("TEA").await, json!([]));
    // What is refused is told nobody.
    let refused = json!({ "sku": "MILK", "quantity": 7 });
    let _ = stock
        .post("/picks", &refused)
        .await
        .problem(409, "insufficient-stock");
    let told = eventually("both bookings are told", async || {
        let told = follower.get("/told").await.expect(200).json();
        (told.as_array()?.len() == 2).then_some(told)
    })
    .await;
    let seen =
        |told: &Value| ["kind", "sku", "quantity", "from", "to"].map(|field| told[field].clone());
    // By reference: picks sort before receipts.
    assert_eq!(
        json!([seen(&told[0]), seen(&told[1])]),
        json!([
            ["pick", "MILK", 4, "MAIN-A-01", null],
            ["receive", "MILK", 10, null, "MAIN-A-01"],
        ]),
        "{told}"
    );
    // The observer asked stock keeping itself what was left.
    assert_eq!(told[0]["left"], json!([["MAIN-A-01", "B-1", 6]]), "{told}");
    let traces = platform.usage("acme", "stock-follower").await;
    assert_eq!(traces["hook-calls"], 2, "{traces}");
}
