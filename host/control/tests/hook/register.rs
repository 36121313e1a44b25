//! Hooks come to be where an extension and a point are enabled in the same instance.

use cloudware_control::{
    Error, EventQuery, Hook, HookNew, PageRequest, event,
    hook::{self, TargetNew},
    install, point,
};
use cloudware_types::{HookMode, HookTarget, OnFailure, PointKind, Reuse};

use crate::{
    FEFO_HOOK, MAIN, actions, called, hooked, hooks, names, provider,
    support::{FEFO, Interface, Package, conflict},
    webhook, world,
};

#[tokio::test]
async fn an_extension_that_is_enabled_is_hooked_on_its_point() {
    let (world, acme) = world().await;
    world.enable(&acme, "acme", "store", "1.0.0").await.unwrap();
    assert!(called(&world).await.is_empty());
    let changed = world.enabled(&acme, "acme", "fefo", "1.0.0").await.unwrap();
    assert!(changed.notes.is_empty(), "{:?}", changed.notes);
    let [registered] = changed.hooks.as_slice() else {
        panic!("{changed:?}");
    };
    assert_eq!(registered.path(), "acme/main/store/allocation/fefo");

    let [hook] = called(&world).await.try_into().unwrap();
    assert_eq!((hook.id, &*hook.name), (registered.id, "fefo"));
    assert_eq!(hook.target, HookTarget::Install(changed.install.id));
    assert_eq!(
        (hook.mode, hook.on_failure),
        (HookMode::Active, OnFailure::Default)
    );
    assert_eq!(
        (hook.deadline_ms, hook.fuel, hook.fuel_per_item, hook.memory),
        (40, 5_000_000, 7, None),
        "what the point says, and nothing where the limit alone bounds it"
    );
    let served = world.plane.served(changed.install.instance_id);
    let fefo = served.installs.iter().find(|i| i.app.as_str() == "fefo");
    assert_eq!(fefo.unwrap().reuse, Reuse::Warm { requests_max: 10 });
    let all = world.control.desired_all().await.unwrap();
    assert_eq!(format!("{all:?}"), format!("{:?}", [served]));

    assert_eq!(actions(&world, "hook.add").await, [registered.path()]);
    let query = EventQuery {
        kind: Some("hook.add".to_owned()),
        ..EventQuery::default()
    };
    let page = PageRequest::default();
    let events = event::list(&world.control, &acme, query, &page).await;
    assert_eq!(events.unwrap().items.len(), 1);
}

#[tokio::test]
async fn an_extension_waits_for_the_app_with_its_point() {
    let (world, acme) = world().await;
    let changed = world.enabled(&acme, "acme", "fefo", "1.0.0").await.unwrap();
    assert!(changed.hooks.is_empty());
    let [note] = changed.notes.as_slice() else {
        panic!("{:?}", changed.notes);
    };
    assert!(
        note.contains("acme/main") && note.contains("store:app/allocation@1.0.0"),
        "{note}"
    );
    world.enable(&acme, "acme", "lifo", "1.0.0").await.unwrap();
    let changed = world.enabled(&acme, "acme", "store", "1.0.0").await;
    let hooked: Vec<_> = changed.unwrap().hooks.iter().map(Hook::path).collect();
    assert_eq!(
        hooked,
        [
            "acme/main/store/allocation/fefo",
            "acme/main/store/allocation/lifo"
        ]
    );
    assert_eq!(
        names(&world).await,
        ["fefo", "lifo"],
        "as they were enabled"
    );
}

#[tokio::test]
async fn a_point_of_another_version_is_told_of() {
    let (world, acme) = world().await;
    let provider = provider(&world).await;
    let next = Package {
        name: "next",
        exports: &[Interface {
            name: "store:app/allocation@2.0.0",
            ..FEFO.exports[0]
        }],
        more: "[extension.implements]\n\"store:app/allocation@2.0.0\" = \"Takes what expires first.\"\n",
        ..FEFO
    };
    world.push(&provider, &next).await.unwrap();
    world.enable(&acme, "acme", "store", "1.0.0").await.unwrap();
    let changed = world.enabled(&acme, "acme", "next", "1.0.0").await.unwrap();
    assert!(changed.hooks.is_empty());
    let note = changed.notes.join(" ");
    for words in [
        "store:app/allocation@2.0.0",
        "store/allocation has store:app/allocation@1.0.0",
    ] {
        assert!(note.contains(words), "{note}");
    }
}

#[tokio::test]
async fn a_hook_that_was_removed_comes_back_by_enabling_alone() {
    let (world, acme) = hooked().await;
    let removed = hook::remove(&world.control, &acme, MAIN, FEFO_HOOK).await;
    assert_eq!(removed.unwrap().name.as_str(), "fefo");
    assert!(called(&world).await.is_empty());
    let gone = hook::get(&world.control, &acme, MAIN, FEFO_HOOK).await;
    assert!(matches!(gone, Err(Error::NotFound { noun: "hook", .. })));
    let provider = provider(&world).await;
    let patch = Package {
        version: "1.0.1",
        ..FEFO
    };
    world.push(&provider, &patch).await.unwrap();
    let version = Some("1.0.1".parse().unwrap());
    let up = install::upgrade(&world.control, &acme, MAIN, "fefo", version).await;
    assert!(up.unwrap().hooks.is_empty());
    install::disable(&world.control, &acme, MAIN, "fefo")
        .await
        .unwrap();
    let again = world.enabled(&acme, "acme", "fefo", "1.0.1").await.unwrap();
    assert_eq!(again.hooks.len(), 1);
    hook::remove(&world.control, &acme, MAIN, FEFO_HOOK)
        .await
        .unwrap();
    let new = HookNew {
        target: TargetNew::Extension("fefo".parse().unwrap()),
        ..webhook("unused")
    };
    let added = hook::add(&world.control, &acme, MAIN, new.clone()).await;
    assert_eq!(added.unwrap().secret, None, "nothing is signed");
    let twice = hook::add(&world.control, &acme, MAIN, new).await;
    assert_eq!(conflict(twice), "already-exists");
}

#[tokio::test]
async fn what_cannot_be_served_leaves_no_hooks() {
    let (world, acme) = world().await;
    world.enable(&acme, "acme", "store", "1.0.0").await.unwrap();
    world.plane.refuse_version(Some("1.1.0"));
    install::upgrade(&world.control, &acme, MAIN, "store", None)
        .await
        .unwrap_err();
    world.enable(&acme, "acme", "fefo", "1.0.0").await.unwrap();
    assert_eq!(hooks(&world).await.len(), 1);

    world.plane.refuse_version(Some("1.0.0"));
    let refused = world.enable(&acme, "acme", "lifo", "1.0.0").await;
    assert!(
        matches!(refused, Err(Error::TakenBack { .. })),
        "{refused:?}"
    );
    let left: Vec<_> = hooks(&world).await.iter().map(Hook::path).collect();
    assert_eq!(left, ["acme/main/store/allocation/fefo"]);
    assert_eq!(
        actions(&world, "hook.remove").await,
        ["acme/main/store/allocation/lifo"]
    );
}

#[tokio::test]
async fn points_are_shown_with_types_and_hooks() {
    let (world, acme) = hooked().await;
    hook::add(&world.control, &acme, MAIN, webhook("erp"))
        .await
        .unwrap();
    let page = PageRequest::default();
    let points = point::list(&world.control, &acme, MAIN, &page).await;
    let [point] = points.unwrap().items.try_into().unwrap();
    assert_eq!(point.path(), "store/allocation");
    assert_eq!(point.kind, PointKind::Decide);
    assert_eq!(point.description, "Which quantity is taken.");
    assert_eq!(
        (point.defaults.on_failure, point.defaults.deadline_ms),
        (OnFailure::Default, 40)
    );
    let functions: Vec<_> = point
        .functions
        .iter()
        .map(|function| format!("{}: {function}", function.name))
        .collect();
    assert_eq!(functions, ["pick: func(quantity: u64) -> option<u64>"]);
    let names: Vec<_> = point.hooks.iter().map(|h| h.hook.name.as_str()).collect();
    assert_eq!(names, ["fefo", "erp"]);
    install::disable(&world.control, &acme, MAIN, "store")
        .await
        .unwrap();
    let none = point::list(&world.control, &acme, MAIN, &page).await;
    assert!(none.unwrap().items.is_empty());
}
