//! A hook that fails again and again is not called any more, says so, and is tried again by itself; a new release
//! of an extension that does so gives way to the last good one.

use std::time::Duration;

use cloudware_tests::{Cli, eventually, within};
use serde_json::json;

use crate::setup::{Hooked, extension};

/// How long a tripped hook rests, and as much again for a busy machine.
const HEALED_WITHIN: Duration = Duration::from_secs(120);

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
        hooked
            .events(&hooked.platform.operator(), "hook.tripped")
            .await
            .pop()
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
    // Its provider sees as much, and not whose it is.
    let cli = Cli::of(&hooked.platform);
    let of_app = cli.run("hook list --app ext").await.ok().stdout;
    assert!(
        of_app.contains("hooks-app/price") && of_app.contains("tripped"),
        "{of_app}"
    );
    assert!(!of_app.contains("acme"), "{of_app}");
    // Other points of the same extension are asked.
    assert_eq!(hooked.ask("/check").await, json!({ "allowed": true }));
}

/// A tripped hook rests for a minute, which is the same for everybody: this test takes as long.
#[tokio::test]
async fn a_hook_that_works_again_heals_by_itself() {
    let hooked = Hooked::start(&["ext"]).await;
    let acme = hooked.platform.tenant_token("acme").await;
    for _ in 0..51 {
        hooked.ask("/price?how=trap").await;
    }
    // What it would answer now it is not asked for, until it is tried.
    assert_eq!(hooked.ask("/price").await, json!({ "price": null }));
    within(HEALED_WITHIN, "the hook is tried again", async || {
        hooked.ask("/price").await["price"].is_u64().then_some(())
    })
    .await;
    // The first of ten tries has answered.
    for _ in 0..9 {
        assert_eq!(hooked.ask("/price").await, json!({ "price": 3 }));
    }
    for kind in ["hook.tripped", "hook.probing", "hook.healed"] {
        let told = hooked.events(&acme, kind).await;
        let [event] = told.as_slice() else {
            panic!("{kind}: {told:?}");
        };
        assert_eq!(event["subject"], "acme/main/hooks-app/price/ext", "{event}");
    }
    let hook = hooked.hook("ext", "price").await;
    assert_eq!(hook["state"], "active", "{hook}");
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
