//! What was seen of hooks: states that are events, differences of those that practise, and extensions that fall back.

use cloudware_control::{
    AuditQuery, Call, Error, EventQuery, HookChange, HookShown, PageRequest, Timestamp, audit,
    event::{self, DeliveryOutcome, DeliveryReport},
    hook::{self, Difference, FallBack, Observation, StateChange},
    install,
    limits::{DIFFERENCE_BYTES_MAX, DIFFERENCES_PER_HOOK_MAX, REASON_CHARS_MAX},
    release,
};
use cloudware_types::{BreakerState, DeliveryId, HookId, HookMode, InstanceId};
use serde_json::{Value, json};

use crate::{
    FEFO_HOOK, MAIN, actions, hooked, names, provider, set,
    support::{FEFO, Package, World},
    webhook,
};

async fn shown(world: &World) -> HookShown {
    let shown = hook::get(&world.control, &Call::host(), MAIN, FEFO_HOOK).await;
    shown.unwrap()
}

fn change(hook: HookId, state: BreakerState) -> StateChange {
    StateChange {
        hook,
        at: Timestamp::now(),
        state,
        failures: 51,
    }
}

fn failure(hook: HookId, reason: &str) -> Observation {
    Observation {
        hook,
        failures: 3,
        last_failure: Some((Timestamp::from_millis(7_000), reason.to_owned())),
        compared: 0,
        different: 0,
        differences: Vec::new(),
    }
}

/// A world where the extension was moved to a newer release, and its hook.
async fn upgraded() -> (World, Call, HookId) {
    let (world, acme) = hooked().await;
    let patch = Package {
        version: "1.0.1",
        ..FEFO
    };
    world.push(&provider(&world).await, &patch).await.unwrap();
    let version = Some("1.0.1".parse().unwrap());
    install::upgrade(&world.control, &acme, MAIN, "fefo", version)
        .await
        .unwrap();
    let id = shown(&world).await.hook.id;
    (world, acme, id)
}

async fn version(world: &World) -> String {
    let install = install::get(&world.control, &Call::host(), MAIN, "fefo").await;
    install.unwrap().version.to_string()
}

fn kept(outcome: FallBack) -> String {
    match outcome {
        FallBack::Kept(reason) => reason,
        FallBack::Done(changed) => panic!("{changed:?}"),
    }
}

#[tokio::test]
async fn states_are_kept_and_told() {
    let (world, acme) = hooked().await;
    let id = shown(&world).await.hook.id;
    assert_eq!(shown(&world).await.observed.state, BreakerState::Active);
    for state in [
        BreakerState::Tripped,
        BreakerState::Probing,
        BreakerState::Active,
        BreakerState::Tripped,
    ] {
        let gone = change(HookId::generate(), state);
        world
            .events
            .hook_changed(&[change(id, state), gone])
            .await
            .unwrap();
        let observed = shown(&world).await.observed;
        assert_eq!((observed.state, observed.failures_of_last), (state, 51));
    }
    for reason in ["fuel", "trap"] {
        let lines = [failure(id, reason), failure(HookId::generate(), reason)];
        world.hooks.record(&lines).await.unwrap();
    }
    let observed = shown(&world).await.observed;
    assert_eq!(
        (observed.failures, observed.state),
        (6, BreakerState::Tripped)
    );
    let last = Some((Timestamp::from_millis(7_000), "trap".to_owned()));
    assert_eq!(observed.last_failure, last);

    let page = PageRequest::new(Some(500), None).unwrap();
    let events = event::list(&world.control, &acme, EventQuery::default(), &page).await;
    let told: Vec<_> = events
        .unwrap()
        .items
        .into_iter()
        .filter(|event| event.subject_id == id.to_string() && event.kind != "hook.add")
        .collect();
    let kinds: Vec<_> = told.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "hook.tripped",
            "hook.probing",
            "hook.healed",
            "hook.tripped"
        ]
    );
    assert_eq!(told[0].subject, "acme/main/store/allocation/fefo");
    assert_eq!(told[0].data["failures"], 51);
}

#[tokio::test]
async fn what_becomes_of_deliveries_is_told_to_the_tenant_also_of_a_hook_that_is_gone() {
    let (world, acme) = hooked().await;
    let hook = shown(&world).await.hook;
    let report = |hook_id, instance, outcome, reason: &str| DeliveryReport {
        at: Timestamp::from_millis(5_000),
        instance,
        hook: hook_id,
        app: "store".to_owned(),
        point: "allocation".to_owned(),
        name: "erp".to_owned(),
        outcome,
        count: 57,
        delivery: Some(DeliveryId::generate()),
        reason: reason.to_owned(),
    };
    let long = "x".repeat(2 * REASON_CHARS_MAX);
    let dead = report(hook.id, hook.instance_id, DeliveryOutcome::Dead, &long);
    let removed = HookId::generate();
    let told = [
        dead.clone(),
        report(removed, hook.instance_id, DeliveryOutcome::Dropped, "gone"),
        report(hook.id, hook.instance_id, DeliveryOutcome::Gone, "410"),
        report(hook.id, InstanceId::generate(), DeliveryOutcome::Dead, "no"),
    ];
    world.events.deliveries(&told).await.unwrap();
    let birch = world.tenant("birch").await;
    let seen = |call: Call| {
        let control = world.control.clone();
        async move {
            let page = PageRequest::new(Some(500), None).unwrap();
            let events = event::list(&control, &call, EventQuery::default(), &page).await;
            let kinds = ["delivery.dead", "delivery.dropped", "hook.gone"];
            let mut events = events.unwrap().items;
            events.retain(|event| kinds.contains(&event.kind.as_str()));
            events
        }
    };
    let events = seen(acme).await;
    let kinds: Vec<_> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["delivery.dead", "delivery.dropped", "hook.gone"]);
    assert_eq!(events[0].subject, "acme/main/store/allocation/erp");
    assert_eq!(events[0].subject_id, hook.id.to_string());
    assert_eq!(events[1].subject_id, removed.to_string());
    let data = &events[0].data;
    assert_eq!(data["delivery"], json!(dead.delivery));
    assert_eq!(
        (&data["count"], &data["point"]),
        (&json!(57), &json!("allocation"))
    );
    assert_eq!(data["reason"].as_str().unwrap().len(), REASON_CHARS_MAX);
    assert!(seen(birch).await.is_empty());
    assert!(seen(provider(&world).await).await.is_empty());
}

#[tokio::test]
async fn a_provider_sees_how_the_hooks_of_its_extension_do_and_not_whose_they_are() {
    let (world, acme) = hooked().await;
    let id = shown(&world).await.hook.id;
    hook::add(&world.control, &acme, MAIN, webhook("erp"))
        .await
        .unwrap();
    let seen = async |call: &Call| {
        let page = PageRequest::default();
        hook::of_app(&world.control, call, "fefo", &page).await
    };
    let northwind = provider(&world).await;
    let hooks = seen(&northwind).await.unwrap().items;
    let [before] = hooks.as_slice() else {
        panic!("{hooks:?}");
    };
    assert_eq!((before.id, before.observed.failures), (id, 0));
    assert_eq!(before.version.to_string(), "1.0.0");
    assert_eq!(
        (before.app.as_str(), before.point.as_str()),
        ("store", "allocation")
    );
    world.hooks.record(&[failure(id, "trap")]).await.unwrap();
    world
        .events
        .hook_changed(&[change(id, BreakerState::Tripped)])
        .await
        .unwrap();
    let after = seen(&northwind).await.unwrap().items.remove(0).observed;
    assert_eq!((after.state, after.failures), (BreakerState::Tripped, 3));
    let contoso = world.provider("contoso").await;
    let refused = seen(&contoso).await;
    assert!(
        matches!(refused, Err(Error::NotFound { .. })),
        "{refused:?}"
    );
    let refused = seen(&acme).await;
    assert!(matches!(refused, Err(Error::Forbidden(_))), "{refused:?}");
}

#[tokio::test]
async fn a_hook_that_is_enabled_again_begins_with_a_clean_record() {
    let (world, acme) = hooked().await;
    let id = shown(&world).await.hook.id;
    let tripped = [change(id, BreakerState::Tripped)];
    world.events.hook_changed(&tripped).await.unwrap();
    let enabled = |is_enabled| HookChange {
        is_enabled: Some(is_enabled),
        ..HookChange::default()
    };
    set(&world, &acme, FEFO_HOOK, enabled(false)).await.unwrap();
    let state = shown(&world).await.observed.state;
    assert_eq!(state, BreakerState::Tripped, "nothing was mended yet");
    set(&world, &acme, FEFO_HOOK, enabled(true)).await.unwrap();
    let observed = shown(&world).await.observed;
    assert_eq!(
        (observed.state, observed.failures_of_last),
        (BreakerState::Active, 0)
    );
}

#[tokio::test]
async fn a_hook_that_practises_is_compared() {
    let (world, acme) = hooked().await;
    let id = shown(&world).await.hook.id;
    let mode = |mode| HookChange {
        mode: Some(mode),
        ..HookChange::default()
    };
    set(&world, &acme, FEFO_HOOK, mode(HookMode::Shadow))
        .await
        .unwrap();
    let differing = |number: usize, got: Value| Difference {
        at: Timestamp::from_millis(number as i64),
        call: "store/allocation.pick".to_owned(),
        arguments: json!({ "quantity": number }),
        expected: json!(1),
        got,
    };
    let count = DIFFERENCES_PER_HOOK_MAX + 5;
    let observation = |differences: Vec<Difference>| Observation {
        failures: 0,
        last_failure: None,
        compared: 100,
        different: differences.len() as u64,
        differences,
        ..failure(id, "")
    };
    let many = (0..count).map(|number| differing(number, json!(2)));
    let large = Value::String("x".repeat(3 * DIFFERENCE_BYTES_MAX));
    world
        .hooks
        .record(&[
            observation(many.collect()),
            observation(vec![differing(count, large)]),
        ])
        .await
        .unwrap();
    let seen = shown(&world).await;
    assert_eq!(
        (seen.observed.compared, seen.observed.different),
        (200, count as u64 + 1)
    );
    assert_eq!(seen.differences.len(), DIFFERENCES_PER_HOOK_MAX);
    let newest = seen.differences[0].got.as_str().unwrap();
    assert!(newest.len() < 2 * DIFFERENCE_BYTES_MAX, "{}", newest.len());
    assert_eq!(seen.differences[1], differing(count - 1, json!(2)));
    // Whoever lets it practise again wants to know of the new practice.
    for next in [HookMode::Active, HookMode::Shadow] {
        set(&world, &acme, FEFO_HOOK, mode(next)).await.unwrap();
    }
    let seen = shown(&world).await;
    assert_eq!((seen.observed.compared, seen.differences.len()), (0, 0));
}

#[tokio::test]
async fn a_release_whose_hook_is_tripped_is_left() {
    let (world, acme, id) = upgraded().await;
    let fall_back = || hook::fall_back(&world.control, id);
    assert!(kept(fall_back().await.unwrap()).contains("not tripped"));
    world.hooks.record(&[failure(id, "trap")]).await.unwrap();
    let tripped = change(id, BreakerState::Tripped);
    world
        .events
        .hook_changed(std::slice::from_ref(&tripped))
        .await
        .unwrap();
    let FallBack::Done(changed) = fall_back().await.unwrap() else {
        panic!("it was kept");
    };
    assert_eq!(changed.install.version.to_string(), "1.0.0");
    assert_eq!(names(&world).await, ["fefo"]);
    let observed = shown(&world).await.observed;
    assert_eq!(
        (observed.state, observed.failures),
        (BreakerState::Active, 0)
    );
    let query = AuditQuery {
        action: Some("hook.fall-back".to_owned()),
        ..AuditQuery::default()
    };
    let page = PageRequest::default();
    let trail = audit::list(&world.control, &acme, query, &page)
        .await
        .unwrap();
    let [entry] = trail.items.as_slice() else {
        panic!("{trail:?}");
    };
    assert_eq!(
        (entry.actor.as_str(), entry.actor_kind.as_str()),
        ("platform", "platform")
    );
    let reason = entry.reason.as_deref().unwrap();
    assert!(
        reason.contains("51 of its last 100") && reason.contains("trap"),
        "{reason}"
    );
    assert_eq!(entry.after.as_ref().unwrap()["version"], "1.0.0");
    assert_eq!(actions(&world, "install.rollback").await.len(), 1);

    // Once more, as after a restart, and for what is told of the release that was left.
    world.events.hook_changed(&[tripped]).await.unwrap();
    assert!(kept(fall_back().await.unwrap()).contains("not tripped"));
    // The release before is tripped too: there is none before it.
    let again = change(id, BreakerState::Tripped);
    world.events.hook_changed(&[again]).await.unwrap();
    let reason = kept(fall_back().await.unwrap());
    assert!(reason.contains("rolled back"), "{reason}");
    assert_eq!(version(&world).await, "1.0.0");
    assert_eq!(actions(&world, "hook.fall-back").await.len(), 1);
}

#[tokio::test]
async fn a_release_is_kept_where_there_is_no_way_back() {
    let (world, acme, id) = upgraded().await;
    let erp = hook::add(&world.control, &acme, MAIN, webhook("erp"))
        .await
        .unwrap();
    let hooks = [id, erp.hook.id];
    let tripped = hooks.map(|hook| change(hook, BreakerState::Tripped));
    world.events.hook_changed(&tripped).await.unwrap();
    let erp = hook::fall_back(&world.control, erp.hook.id).await.unwrap();
    assert!(kept(erp).contains("webhook"));
    let practise = HookChange {
        mode: Some(HookMode::Shadow),
        ..HookChange::default()
    };
    set(&world, &acme, FEFO_HOOK, practise).await.unwrap();
    let practising = hook::fall_back(&world.control, id).await.unwrap();
    assert!(kept(practising).contains("practises"));
    let use_it = HookChange {
        mode: Some(HookMode::Active),
        ..HookChange::default()
    };
    set(&world, &acme, FEFO_HOOK, use_it).await.unwrap();
    release::yank(
        &world.control,
        &provider(&world).await,
        ("fefo", "1.0.0"),
        "worse",
    )
    .await
    .unwrap();
    let yanked = hook::fall_back(&world.control, id).await.unwrap();
    assert!(kept(yanked).contains("was yanked"));
    assert_eq!(version(&world).await, "1.0.1");
    let gone = hook::fall_back(&world.control, HookId::generate())
        .await
        .unwrap();
    assert!(kept(gone).contains("gone"));
    assert!(actions(&world, "hook.fall-back").await.is_empty());
}
