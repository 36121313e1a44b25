//! Step 7: the host is killed while tenants write, and starts again with everything that it acknowledged.

use std::{collections::BTreeMap, time::Duration};

use cloudware_tests::{Http, Platform, eventually};
use http::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{TENANTS, stock};

/// Who writes in each tenant at the same time.
const WRITERS: usize = 3;

/// Receipts that are acknowledged before the host is killed.
const ACKNOWLEDGED: usize = 90;

/// How long a start may take after a crash, on a machine that does other work besides.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// One receipt that the host has acknowledged.
struct Acknowledged {
    tenant: &'static str,
    key: String,
    answer: Value,
}

pub(crate) async fn during_writes(platform: &mut Platform) {
    for tenant in TENANTS {
        stock::prepare(&platform.site(tenant, "/stock"), "BOLT").await;
    }
    platform
        .limit("acme", json!({ "sql-rows-read": 77_777 }))
        .await;
    let token = platform.tenant_token("birch").await;
    let before = Surroundings::of(platform, &token).await;
    let acknowledged = write_until_killed(platform).await;
    assert!(acknowledged.len() >= ACKNOWLEDGED);

    platform.restart().await;
    assert!(
        platform.ready_after() < READY_WITHIN,
        "{:?}",
        platform.ready_after()
    );
    for tenant in TENANTS {
        let site = platform.site(tenant, "/stock");
        let own = acknowledged
            .iter()
            .filter(|receipt| receipt.tenant == tenant);
        assert_all_there(&site, &own.collect::<Vec<_>>()).await;
    }
    assert_eq!(Surroundings::of(platform, &token).await, before);
    retries_change_nothing(platform, &acknowledged).await;
    again_with_the_control_plane(platform).await;
}

/// Writers in every tenant, all at once; the host is killed while they go on.
async fn write_until_killed(platform: &mut Platform) -> Vec<Acknowledged> {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let mut writers = Vec::new();
    for tenant in TENANTS {
        for writer in 0..WRITERS {
            let (site, sender) = (platform.site(tenant, "/stock"), sender.clone());
            writers.push(tokio::spawn(async move {
                for number in 0.. {
                    let key = format!("{tenant}-{writer}-{number}");
                    let Ok(answer) = site.try_send(receipt(&site, &key)).await else {
                        return;
                    };
                    // What the host refuses for another reason than its end is a defect.
                    let answer = answer.expect(201).json();
                    let _ = sender.send(Acknowledged {
                        tenant,
                        key,
                        answer,
                    });
                }
            }));
        }
    }
    drop(sender);
    let mut acknowledged = Vec::new();
    while acknowledged.len() < ACKNOWLEDGED {
        let receipt = receiver.recv().await;
        acknowledged.push(receipt.expect("writers go on until the host is killed"));
    }
    platform.kill9().await;
    for writer in writers {
        writer.await.expect("writers end when the host does");
    }
    while let Ok(receipt) = receiver.try_recv() {
        acknowledged.push(receipt);
    }
    acknowledged
}

fn receipt(site: &Http, key: &str) -> reqwest::RequestBuilder {
    let body = json!({ "sku": "BOLT", "location": "MAIN-A-01", "quantity": 1, "note": key });
    let request = site.request(Method::POST, "/receipts");
    request.header("idempotency-key", key).json(&body)
}

/// Every acknowledged receipt is there once, and the stock is the sum of its movements.
async fn assert_all_there(site: &Http, acknowledged: &[&Acknowledged]) {
    let movements = movements(site).await;
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    for movement in &movements {
        *counted
            .entry(movement["note"].as_str().unwrap_or_default())
            .or_default() += 1;
    }
    for receipt in acknowledged {
        assert_eq!(
            counted.get(receipt.key.as_str()),
            Some(&1),
            "{}",
            receipt.key
        );
    }
    assert!(counted.values().all(|&count| count == 1), "{counted:?}");
    let quantity = stock::quantity(site, "BOLT").await;
    assert_eq!(usize::try_from(quantity), Ok(movements.len()));
}

/// All movements, page by page.
async fn movements(site: &Http) -> Vec<Value> {
    let mut all = Vec::new();
    let mut after = String::new();
    loop {
        let page = site
            .get(&format!("/movements?limit=100{after}"))
            .await
            .expect(200)
            .json();
        all.extend(page["movements"].as_array().cloned().unwrap_or_default());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return all,
        }
    }
}

/// What else must be as it was.
#[derive(Debug, PartialEq)]
struct Surroundings {
    operator: String,
    tenants: Value,
    installs: Vec<Value>,
    quota: Value,
    tenant_sees: Value,
}

impl Surroundings {
    async fn of(platform: &Platform, tenant_token: &str) -> Self {
        let api = platform.api();
        let mut installs = Vec::new();
        for tenant in TENANTS {
            let path = format!("/tenants/{tenant}/instances/main/installs");
            installs.push(api.get(&path).await.expect(200).json());
        }
        let quota = api
            .get("/tenants/acme/instances/main/quota")
            .await
            .expect(200);
        let tenants = api.get("/tenants").await.expect(200);
        let birch = api.with_token(tenant_token);
        Self {
            operator: platform.operator(),
            tenants: tenants.json(),
            installs,
            quota: quota.json(),
            tenant_sees: birch.get("/tenants").await.expect(200).json(),
        }
    }
}

/// A client that did not get its answer asks again; one that did gets the same.
async fn retries_change_nothing(platform: &Platform, acknowledged: &[Acknowledged]) {
    for receipt_before in acknowledged.iter().rev().take(20) {
        let site = platform.site(receipt_before.tenant, "/stock");
        let before = stock::quantity(&site, "BOLT").await;
        let request = receipt(&site, &receipt_before.key);
        let again = site.send(request).await.expect(201);
        assert_eq!(again.header("idempotency-replayed"), "true");
        assert_eq!(again.json(), receipt_before.answer);
        assert_eq!(stock::quantity(&site, "BOLT").await, before);
    }
}

/// What the control plane has acknowledged is there too, also when it is killed at once.
async fn again_with_the_control_plane(platform: &mut Platform) {
    let tenant = json!({ "slug": "dogwood" });
    let _ = platform.api().post("/tenants", &tenant).await.expect(201);
    platform.limit("cedar", json!({ "fuel": 1_000 })).await;
    platform.kill9().await;
    platform.restart().await;
    let _ = platform.api().get("/tenants/dogwood").await.expect(200);
    let cedar = platform.site("cedar", "/stock");
    let _ = cedar.get("/").await.problem(503, "limit-reached");
    platform.limit("cedar", json!({ "fuel": null })).await;
    eventually("cedar answers again", async || {
        (cedar.get("/").await.status == 200).then_some(())
    })
    .await;
}
