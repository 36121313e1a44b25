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
