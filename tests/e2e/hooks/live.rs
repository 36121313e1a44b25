//! Changes of hooks hold from the next request on; what runs goes on as it began.

use cloudware_tests::eventually;
use serde_json::json;

use crate::setup::{Hooked, extension};

#[tokio::test]
async fn enabling_ordering_and_removing_hold_at_once() {
    let hooked = Hooked::start(&["ext-11", "ext-22"]).await;
    assert_eq!(hooked.ask("/price").await["price"], 11);
    hooked
        .set("ext-11", "price", json!({ "enabled": false }))
        .await;
    assert_eq!(hooked.ask("/price").await["price"], 22);
    hooked
        .set("ext-11", "price", json!({ "enabled": true }))
        .await;
    assert_eq!(hooked.ask("/price").await["price"], 11);
    hooked
        .set("ext-22", "price", json!({ "position": 1 }))
        .await;
    assert_eq!(hooked.ask("/price").await["price"], 22);
    assert_eq!(
        hooked.ask("/rewrite?text=a").await["text"],
        "a+11+22",
        "another point"
    );
    let hook = hooked.hook("ext-22", "price").await;
    let path = format!("/{}", hook["id"].as_str().unwrap_or_default());
    let _ = hooked.api().delete(&path).await.expect(200);
    assert_eq!(hooked.ask("/price").await["price"], 11);
}

#[tokio::test]
async fn a_disabled_extension_is_not_asked_and_keeps_its_place() {
    let hooked = Hooked::start(&["ext-11", "ext-22"]).await;
    let path = "/installs/ext-11/disable";
    let _ = hooked.instance().post(path, &json!({})).await.expect(200);
    assert_eq!(hooked.ask("/price").await["price"], 22);
    hooked.platform.enable("acme", "ext-11", json!({})).await;
    assert_eq!(hooked.ask("/price").await["price"], 11);
}

#[tokio::test]
async fn a_new_release_is_asked_from_the_next_request_on() {
    let hooked = Hooked::start(&["ext-11"]).await;
    let newer = extension(&hooked.platform, "ext-11")
        .await
        .edit("1.0.0\"\nkind", "1.1.0\"\nkind");
    hooked.platform.push(&newer).await;
    // However long two thousand calls take.
    let patience = json!({ "extension-time": 60_000, "deadline": 60_000 });
    hooked.platform.limit("acme", patience).await;
    let running = {
        let site = hooked.site.clone();
        tokio::spawn(async move { site.get("/many?count=2000").await.expect(200).json() })
    };
    let body = json!({ "version": "1.1.0" });
    let _ = hooked
        .instance()
        .post("/installs/ext-11/upgrade", &body)
        .await
        .expect(200);
    assert_eq!(hooked.ask("/price").await["price"], 11);
    let answered = running.await.expect("the request is answered");
    assert_eq!(answered["answered"], 2_000, "what runs goes on");
    let traced = eventually("a trace of the new release", async || {
        let traces = hooked
            .platform
            .api()
            .get("/traces?tenant=acme")
            .await
            .json();
        traces.to_string().contains("1.1.0").then_some(())
    });
    traced.await;
}
