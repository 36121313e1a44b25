//! A hook that fails again and again is not called any more, says so, and is tried again by itself; a new release
//! of an extension that does so gives way to the last good one.

use cloudware_tests::eventually;
use serde_json::{Value, json};

use crate::setup::{Hooked, extension};

async fn events(hooked: &Hooked, kind: &str) -> Vec<Value> {
    let listed = hooked
        .platform
        .api()
        .get("/events?limit=200")
        .await
        .expect(200)
        .json();
    let items = listed["items"].as_array().cloned().unwrap_or_default();
    items
        .into_iter()
        .filter(|event| event["type"] == kind)
        .collect()
}

#[tokio::test]
async fn a_hook_that_fails_too_often_is_tripped() {
    let hooked = Hooked::start(&["ext"]).await;
    for _ in 0..51 {
        assert_eq!(
            hooked.ask("/price?how=trap").await,
            json!({ "price": null })
        );
    }
    // It is not called: what would work is not asked either.
    assert_eq!(hooked.ask("/price").await, json!({ "price": null }));
    let tripped = eventually("the event hook.tripped", async || {
        events(&hooked, "hook.tripped").await.pop()
    })
    .await;
    assert!(tripped.to_string().contains("hooks-app/price"), "{tripped}");
    let hook = hooked.hook("ext", "price").await;
    let path = format!("/{}", hook["id"].as_str().unwrap_or_default());
    let shown = hooked.api().get(&path).await.expect(200).json();
    assert_eq!(shown["state"], "tripped", "{shown}");
    assert!(
        shown["last_failure"].to_string().contains("trapped"),
        "{shown}"
    );
    // Other points of the same extension are asked.
    assert_eq!(hooked.ask("/check").await, json!({ "allowed": true }));
}

#[tokio::test]
async fn a_release_that_only_crashes_gives_way_to_the_last_good_one() {
    let hooked = Hooked::start(&["ext"]).await;
    assert!(hooked.ask("/price").await["price"].is_u64());
    // The same interface with a component that traps at its start.
    let broken = extension(&hooked.platform, "ext")
        .await
        .edit("1.0.0\"\nkind", "1.1.0\"\nkind")
        .edit("default = \"ext\"", "default = \"trap\"");
    hooked.platform.push(&broken).await;
    let body = json!({ "version": "1.1.0" });
    let _ = hooked
        .instance()
        .post("/installs/ext/upgrade", &body)
        .await
        .expect(200);
    for _ in 0..51 {
        hooked.ask("/price?how=trap").await;
    }
    eventually("the install is back on 1.0.0", async || {
        let install = hooked
            .instance()
            .get("/installs/ext")
            .await
            .expect(200)
            .json();
        (install["version"] == "1.0.0").then_some(())
    })
    .await;
    // What the control plane says is served a moment later, with a clean record.
    eventually("the hook of 1.0.0 is asked", async || {
        hooked.ask("/price").await["price"].is_u64().then_some(())
    })
    .await;
    let audit = hooked
        .platform
        .api()
        .get("/audit?limit=50")
        .await
        .expect(200)
        .json();
    assert!(audit.to_string().contains("hook.fall-back"), "{audit}");
}
