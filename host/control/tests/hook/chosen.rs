//! What is chosen for hooks: properties, their order, and what is refused.

use cloudware_control::{
    Call, Error, HookChange, HookFields, HookNew, PageRequest,
    hook::{self, TargetNew},
    limits::HOOKS_PER_INSTANCE_MAX,
    quota,
};
use cloudware_types::{Class, Dimension, HookMode, OnFailure, PointKind};

use crate::{
    FEFO_HOOK, MAIN, actions, called, hooked, hooks, is_enabled, message, names, provider, set,
    support::{ALLOW, Function, HELLO, Interface, MOVED, Package, World, conflict},
    webhook, world,
};

#[tokio::test]
async fn what_is_chosen_holds_within_the_limits() {
    let (world, acme) = hooked().await;
    let change = HookChange {
        mode: Some(HookMode::Shadow),
        on_failure: Some(Some(OnFailure::Skip)),
        deadline_ms: Some(Some(500)),
        fuel: Some(Some(1_000)),
        fuel_per_item: Some(Some(9)),
        memory: Some(Some(1 << 20)),
        ..HookChange::default()
    };
    let hook = set(&world, &acme, FEFO_HOOK, change.clone()).await.unwrap();
    assert_eq!(hook.revision, 2);
    let [called_as] = called(&world).await.try_into().unwrap();
    assert_eq!(
        (called_as.mode, called_as.on_failure),
        (HookMode::Shadow, OnFailure::Skip)
    );
    assert_eq!(
        (
            called_as.deadline_ms,
            called_as.fuel,
            called_as.fuel_per_item,
            called_as.memory
        ),
        (500, 1_000, 9, Some(1 << 20))
    );
    let again = set(&world, &acme, FEFO_HOOK, change).await.unwrap();
    assert_eq!(again.revision, 2, "nothing is new");
    assert_eq!(actions(&world, "hook.set").await.len(), 1);

    let effect = async |world: &World| {
        let shown = hook::get(&world.control, &acme, MAIN, FEFO_HOOK).await;
        shown.unwrap().effect.unwrap()
    };
    assert_eq!(
        effect(&world).await.deadline_ms,
        50,
        "the limit `hook-deadline`"
    );
    let target = quota::QuotaTarget::Tenant {
        tenant: "acme".to_owned(),
        instance: Some("main".to_owned()),
        app: Some("fefo".to_owned()),
    };
    let limit = quota::QuotaChange {
        values: [
            (Dimension::Deadline.of(Class::Hook), Some(300)),
            (Dimension::Memory.of(Class::Hook), Some(1 << 19)),
        ]
        .into(),
        reason: None,
    };
    quota::change(&world.control, &Call::host(), &target, limit)
        .await
        .unwrap();
    let now = effect(&world).await;
    assert_eq!(now.deadline_ms, 300);
    assert_eq!(now.sandbox.unwrap().memory, 1 << 19);

    let unset = HookChange {
        on_failure: Some(None),
        deadline_ms: Some(None),
        memory: Some(None),
        ..HookChange::default()
    };
    set(&world, &acme, FEFO_HOOK, unset).await.unwrap();
    let [called_as] = called(&world).await.try_into().unwrap();
    assert_eq!(
        (
            called_as.on_failure,
            called_as.deadline_ms,
            called_as.memory
        ),
        (OnFailure::Default, 40, None),
        "the point's own, and nothing where the limit alone bounds it"
    );
    let now = effect(&world).await;
    assert_eq!(now.sandbox.unwrap().memory, 1 << 19);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let (world, acme) = hooked().await;
    let some = HookChange::default;
    let bad = [
        HookChange {
            on_failure: Some(Some(OnFailure::Refuse)),
            ..some()
        },
        HookChange {
            deadline_ms: Some(Some(0)),
            ..some()
        },
        HookChange {
            deadline_ms: Some(Some(60_001)),
            ..some()
        },
        HookChange {
            memory: Some(Some(1)),
            ..some()
        },
        HookChange {
            position: Some(0),
            ..some()
        },
        HookChange {
            position: Some(2),
            ..some()
        },
        HookChange {
            url: Some("https://example.com/".to_owned()),
            ..some()
        },
        HookChange {
            payload_version: Some(1),
            ..some()
        },
    ];
    for change in bad {
        let outcome = set(&world, &acme, FEFO_HOOK, change.clone()).await;
        assert!(matches!(outcome, Err(Error::Invalid { .. })), "{change:?}");
    }
    let at = |app: &str, point: &str| HookNew {
        app: app.parse().unwrap(),
        point: point.parse().unwrap(),
        ..webhook("erp")
    };
    let add = |new: HookNew| hook::add(&world.control, &acme, MAIN, new);
    assert_eq!(
        conflict(add(at("hello", "allocation")).await),
        "not-enabled"
    );
    assert!(message(add(at("store", "barcode")).await).contains("it has allocation"));
    let own = HookNew {
        target: TargetNew::Extension("store".parse().unwrap()),
        ..webhook("erp")
    };
    assert!(matches!(add(own).await, Err(Error::Invalid { .. })));
    for (url, version, fields) in [
        ("http://erp.example.com/", None, HookFields::default()),
        ("https://erp.example.com/", Some(2), HookFields::default()),
        (
            "https://erp.example.com/",
            None,
            HookFields {
                fuel: Some(1),
                ..HookFields::default()
            },
        ),
    ] {
        let new = HookNew {
            target: TargetNew::Webhook {
                name: "erp".parse().unwrap(),
                url: url.to_owned(),
                payload_version: version,
            },
            fields,
            ..webhook("erp")
        };
        let outcome = add(new).await;
        assert!(matches!(outcome, Err(Error::Invalid { .. })), "{outcome:?}");
    }
    let mut stale = acme.clone();
    stale.if_match = Some(9);
    let outcome = is_enabled(&world, &stale, false).await;
    assert!(
        matches!(outcome, Err(Error::RevisionChanged { .. })),
        "{outcome:?}"
    );
    assert_eq!(hooks(&world).await.len(), 1);
}

#[tokio::test]
async fn hooks_are_asked_in_the_order_that_was_chosen() {
    let (world, acme) = hooked().await;
    world.enable(&acme, "acme", "lifo", "1.0.0").await.unwrap();
    let first = HookNew {
        position: Some(1),
        ..webhook("erp")
    };
    hook::add(&world.control, &acme, MAIN, first).await.unwrap();
    assert_eq!(names(&world).await, ["erp", "fefo", "lifo"]);
    let to = |position: u32| HookChange {
        position: Some(position),
        ..HookChange::default()
    };
    for (name, position, order) in [
        ("erp", 3, ["fefo", "lifo", "erp"]),
        ("lifo", 1, ["lifo", "fefo", "erp"]),
        ("fefo", 2, ["lifo", "fefo", "erp"]),
        ("erp", 2, ["lifo", "erp", "fefo"]),
    ] {
        let name = format!("store.allocation.{name}");
        let moved = set(&world, &acme, &name, to(position)).await.unwrap();
        assert_eq!(moved.position, position);
        assert_eq!(names(&world).await, order);
        let positions: Vec<_> = hooks(&world).await.iter().map(|h| h.position).collect();
        assert_eq!(positions, [1, 2, 3]);
    }
    hook::remove(&world.control, &acme, MAIN, "store.allocation.lifo")
        .await
        .unwrap();
    let positions: Vec<_> = hooks(&world).await.iter().map(|h| h.position).collect();
    assert_eq!(positions, [1, 2]);
}

#[tokio::test]
async fn an_instance_has_a_bounded_number_of_hooks() {
    let (world, acme) = hooked().await;
    for number in 1..HOOKS_PER_INSTANCE_MAX {
        let new = webhook(&format!("w{number}"));
        hook::add(&world.control, &acme, MAIN, new).await.unwrap();
    }
    let more = hook::add(&world.control, &acme, MAIN, webhook("more")).await;
    assert_eq!(conflict(more), "too-many");
    let more = world.enable(&acme, "acme", "lifo", "1.0.0").await;
    assert_eq!(conflict(more), "too-many");

    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = PageRequest::new(Some(70), after).unwrap();
        let page = hook::list(&world.control, &acme, MAIN, &page)
            .await
            .unwrap();
        seen.extend(page.items.iter().map(|shown| shown.hook.position as usize));
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, (1..=HOOKS_PER_INSTANCE_MAX).collect::<Vec<_>>());
    let nowhere = PageRequest::new(None, Some("hok_0".to_owned())).unwrap();
    let outcome = hook::list(&world.control, &acme, MAIN, &nowhere).await;
    assert!(matches!(outcome, Err(Error::Invalid { .. })));
}

#[tokio::test]
async fn a_guard_has_policies_of_its_own() {
    let (world, acme) = world().await;
    let provider = provider(&world).await;
    let guarded = |name, kind: &'static str, function: Function<'static>| (name, kind, function);
    for (name, kind, function) in [
        guarded("gate", "guard", ALLOW),
        guarded("diary", "observe", MOVED),
    ] {
        let more = format!(
            "[extension-points.main]\ninterface = \"{name}:app/main@1.0.0\"\nkind = \"{kind}\"\ndescription = \"A test.\"\n"
        );
        let interface = format!("{name}:app/main@1.0.0");
        let package = Package {
            name,
            mount: &format!("/{name}"),
            imports: &[Interface {
                name: &interface,
                function,
            }],
            more: &more,
            ..HELLO
        };
        world.push(&provider, &package).await.unwrap();
        world.enable(&acme, "acme", name, "1.0.0").await.unwrap();
    }
    let at = |app: &str, mode, on_failure| HookNew {
        app: app.parse().unwrap(),
        point: "main".parse().unwrap(),
        mode,
        fields: HookFields {
            on_failure,
            ..HookFields::default()
        },
        ..webhook("erp")
    };
    let add = |new: HookNew| hook::add(&world.control, &acme, MAIN, new);
    let shadow = add(at("diary", HookMode::Shadow, None)).await;
    assert!(message(shadow).contains("no result"));
    let policy = add(at("gate", HookMode::Active, Some(OnFailure::Retry))).await;
    assert!(message(policy).contains("use refuse or skip"));
    add(at("gate", HookMode::Shadow, Some(OnFailure::Skip)))
        .await
        .unwrap();
    add(at("diary", HookMode::Active, Some(OnFailure::Retry)))
        .await
        .unwrap();
    let served = world.plane.served(world.id_of("acme", "main").await);
    let policies: Vec<_> = served
        .installs
        .iter()
        .flat_map(|install| &install.points)
        .map(|point| (point.kind, point.hooks[0].on_failure))
        .collect();
    assert_eq!(
        policies,
        [
            (PointKind::Observe, OnFailure::Retry),
            (PointKind::Guard, OnFailure::Skip)
        ]
    );
}
