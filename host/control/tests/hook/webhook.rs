//! Webhooks: keys that nobody sees again, and endpoints that are asked what they were written for.

use cloudware_control::{
    AuditQuery, EventQuery, HookChange, PageRequest, audit, event,
    hook::{self, PreviousKey, Target},
    install,
    limits::WEBHOOK_DEADLINE_MS_DEFAULT,
    point,
};
use cloudware_types::HookTarget;

use crate::{
    FEFO_HOOK, MAIN, actions, called, hooked, message, names, set, support::conflict, webhook,
    world,
};

#[tokio::test]
async fn a_webhook_is_signed_with_keys_that_nobody_sees_again() {
    let (world, acme) = hooked().await;
    let added = hook::add(&world.control, &acme, MAIN, webhook("erp"))
        .await
        .unwrap();
    let first = added.secret.clone().unwrap();
    assert!(first.starts_with("whsec_"), "{first}");
    let name = "store.allocation.erp";
    let keys = async || {
        let called = called(&world).await;
        let erp = called.iter().find(|hook| &*hook.name == "erp").unwrap();
        let HookTarget::Webhook(webhook) = &erp.target else {
            panic!("{erp:?}");
        };
        assert_eq!(webhook.url, "https://erp.example.com/allocation");
        assert_eq!(webhook.payload_version, 1);
        assert_eq!(
            (erp.deadline_ms, erp.fuel, erp.memory),
            (WEBHOOK_DEADLINE_MS_DEFAULT, 0, None)
        );
        webhook.keys.clone()
    };
    let one = keys().await;
    assert_eq!(one.iter().map(Vec::len).collect::<Vec<_>>(), [32]);
    let rotate = |previous| hook::rotate_key(&world.control, &acme, MAIN, name, previous);
    let second = rotate(PreviousKey::Kept).await.unwrap().secret.unwrap();
    let two = keys().await;
    assert_eq!((two.len(), &two[1]), (2, &one[0]), "the newest comes first");
    let third = rotate(PreviousKey::Kept).await.unwrap();
    assert_eq!(keys().await[1], two[0]);
    let Target::Webhook(shown) = &third.hook.target else {
        panic!("{third:?}");
    };
    assert_eq!(shown.keys.len(), 2);
    let fourth = rotate(PreviousKey::Revoked).await.unwrap();
    assert_eq!(keys().await.len(), 1);
    assert_eq!(actions(&world, "hook.rotate-key").await.len(), 3);

    let page = PageRequest::default();
    let listed = hook::list(&world.control, &acme, MAIN, &page).await;
    let points = point::list(&world.control, &acme, MAIN, &page).await;
    let trail = audit::list(&world.control, &acme, AuditQuery::default(), &page).await;
    let events = event::list(&world.control, &acme, EventQuery::default(), &page).await;
    let seen = format!("{listed:?} {points:?} {trail:?} {events:?} {added:?} {third:?} {fourth:?}");
    for secret in [&first, &second] {
        assert!(!seen.contains(secret.trim_start_matches("whsec_")));
    }
    let extension = hook::rotate_key(&world.control, &acme, MAIN, FEFO_HOOK, PreviousKey::Kept);
    assert_eq!(conflict(extension.await), "no-webhook");
}

#[tokio::test]
async fn an_endpoint_is_not_asked_what_it_was_not_written_for() {
    let (world, acme) = world().await;
    world.enable(&acme, "acme", "store", "1.0.0").await.unwrap();
    hook::add(&world.control, &acme, MAIN, webhook("erp"))
        .await
        .unwrap();
    let up = || install::upgrade(&world.control, &acme, MAIN, "store", None);
    let refused = up().await;
    assert!(message(refused).contains("acme/main/store/allocation/erp"));
    let enabled = |enabled: bool| HookChange {
        is_enabled: Some(enabled),
        ..HookChange::default()
    };
    let name = "store.allocation.erp";
    set(&world, &acme, name, enabled(false)).await.unwrap();
    up().await.unwrap();
    // Its owner says that it understands the point as it is now, and from then on that it does not the old one.
    set(&world, &acme, name, enabled(true)).await.unwrap();
    assert_eq!(names(&world).await, ["erp"]);
    let back = install::rollback(&world.control, &acme, MAIN, "store").await;
    assert_eq!(conflict(back), "point-mismatch");
}
