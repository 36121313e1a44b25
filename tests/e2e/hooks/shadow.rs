//! A hook that practises is compared and changes nothing.

use cloudware_tests::eventually;
use serde_json::json;

use crate::setup::Hooked;

#[tokio::test]
async fn a_hook_that_practises_is_compared_and_not_used() {
    let hooked = Hooked::start(&["ext-11", "ext-22"]).await;
    hooked
        .set("ext-22", "price", json!({ "mode": "shadow" }))
        .await;
    assert_eq!(hooked.ask("/price").await, json!({ "price": 11 }));
    assert_eq!(
        hooked.ask("/price?how=trap@22").await,
        json!({ "price": 11 })
    );
    assert_eq!(
        hooked.ask("/price?how=abstain@11").await,
        json!({ "price": null })
    );
    let hook = hooked.hook("ext-22", "price").await;
    let path = format!("/{}", hook["id"].as_str().unwrap_or_default());
    let shown = eventually("three comparisons", async || {
        let shown = hooked.api().get(&path).await.expect(200).json();
        (shown["shadow"]["compared"] == 3).then_some(shown)
    })
    .await;
    assert_eq!(shown["shadow"]["different"], 3, "{shown}");
    let differences = shown["shadow"]["differences"].to_string();
    for word in ["\"expected\":11", "\"got\":22", "trapped"] {
        assert!(differences.contains(word), "no {word} in {differences}");
    }
}

#[tokio::test]
async fn a_hook_that_practises_and_burns_the_fuel_of_the_day_is_told_why_it_ended() {
    let hooked = Hooked::start(&["ext-11", "ext-22"]).await;
    hooked
        .set("ext-22", "price", json!({ "mode": "shadow" }))
        .await;
    hooked.calm("ext-22", "price").await;
    let limits = json!({ "fuel-per-day": 20_000_000 });
    hooked.platform.limit("acme", limits).await;
    let asked = hooked.ask("/price?how=loop@22").await;
    assert_eq!(asked, json!({ "price": 11 }));
    let hook = hooked.hook("ext-22", "price").await;
    let path = format!("/{}", hook["id"].as_str().unwrap_or_default());
    let shown = eventually("the comparison", async || {
        let shown = hooked.api().get(&path).await.expect(200).json();
        (shown["shadow"]["compared"] == 1).then_some(shown)
    })
    .await;
    let differences = shown["shadow"]["differences"].to_string();
    assert!(differences.contains("fuel-per-day"), "{shown}");
    let stops = hooked.platform.api().get("/stops?app=ext-22").await;
    let stops = stops.expect(200).json();
    assert_eq!(stops["items"][0]["cause"], "fuel-per-day", "{stops}");
}
