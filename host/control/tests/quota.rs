//! Quotas: the strongest level wins, everybody can see which one it is, and it holds from the next
//! invocation on.

#![allow(clippy::unwrap_used, reason = "a test that fails says so")]

mod support;

use std::collections::BTreeMap;

use cloudware_control::{
    AuditQuery, Call, EffectiveLimit, Error, InstanceLoad, PageRequest, QuotaChange, QuotaLevel,
    QuotaTarget, Timestamp, audit, install, quota,
};
use cloudware_types::{
    Class,
    Dimension::{self, Concurrency, Deadline, Fuel, Memory, Storage},
    Limit, Meter, Meters, UsageRecord,
};
use support::{Package, STOCK, World};

const TENANT: (&str, Option<&str>, Option<&str>) = ("acme", None, None);
const INSTANCE: (&str, Option<&str>, Option<&str>) = ("acme", Some("main"), None);
const INSTALL: (&str, Option<&str>, Option<&str>) = ("acme", Some("main"), Some("stock"));

fn target((tenant, instance, app): (&str, Option<&str>, Option<&str>)) -> QuotaTarget {
    QuotaTarget::Tenant {
        tenant: tenant.to_owned(),
        instance: instance.map(ToOwned::to_owned),
        app: app.map(ToOwned::to_owned),
    }
}

async fn set(
    world: &World,
    call: &Call,
    place: (&str, Option<&str>, Option<&str>),
    values: &[(Dimension, Option<u64>)],
) -> Result<Vec<EffectiveLimit>, Error> {
    let change = QuotaChange {
        values: values
            .iter()
            .map(|&(dimension, value)| (dimension.into(), value))
            .collect::<BTreeMap<_, _>>(),
        reason: Some("a test".to_owned()),
    };
    quota::change(&world.control, call, &target(place), change).await
}

/// A world where acme has stock, whose manifest lowers the fuel.
async fn world() -> (World, Call) {
    let world = World::new().await;
    let provider = world.provider("northwind").await;
    let package = Package {
        more: "[limits]\nfuel = \"500M\"\n",
        ..STOCK
    };
    world.push(&provider, &package).await.unwrap();
    let acme = world.tenant("acme").await;
    world.enable(&acme, "acme", "stock", "1.0.0").await.unwrap();
    let operator = world.operator().await;
    (world, operator)
}

async fn served(world: &World, dimension: Dimension) -> (u64, u64) {
    let served = world.plane.served(world.id_of("acme", "main").await);
    let install = served.installs[0].limits.get(dimension);
    (served.limits.get(dimension), install)
}

#[tokio::test]
async fn the_strongest_level_wins_and_is_served_at_once() {
    let (world, operator) = world().await;
    let default = Limit::from(Fuel).default_value();
    assert_eq!(served(&world, Fuel).await, (default, 500_000_000));
    set(&world, &operator, TENANT, &[(Fuel, Some(900))])
        .await
        .unwrap();
    assert_eq!(served(&world, Fuel).await, (900, 900));
    set(&world, &operator, INSTALL, &[(Fuel, Some(700))])
        .await
        .unwrap();
    assert_eq!(served(&world, Fuel).await, (900, 700));
    set(
        &world,
        &operator,
        INSTANCE,
        &[(Fuel, Some(800)), (Memory, Some(1 << 20))],
    )
    .await
    .unwrap();
    assert_eq!(served(&world, Fuel).await, (800, 700));
    assert_eq!(served(&world, Memory).await, (1 << 20, 1 << 20));
    for place in [TENANT, INSTANCE, INSTALL] {
        set(&world, &operator, place, &[(Fuel, None)])
            .await
            .unwrap();
    }
    assert_eq!(served(&world, Fuel).await, (default, 500_000_000));
}

#[tokio::test]
async fn a_limit_says_where_it_comes_from() {
    let (world, operator) = world().await;
    set(&world, &operator, TENANT, &[(Fuel, Some(900))])
        .await
        .unwrap();
    let limits = set(&world, &operator, INSTALL, &[(Fuel, Some(700))])
        .await
        .unwrap();
    assert_eq!(limits.len(), Limit::all().len());
    let fuel = limits
        .iter()
        .find(|limit| limit.limit == Fuel.into())
        .unwrap();
    let chain: Vec<_> = fuel.settings.iter().map(|s| (s.level, s.value)).collect();
    assert_eq!(
        chain,
        [
            (QuotaLevel::Default, Limit::from(Fuel).default_value()),
            (QuotaLevel::Manifest, 500_000_000),
            (QuotaLevel::Tenant, 900),
            (QuotaLevel::Install, 700),
        ]
    );
    assert_eq!(fuel.in_force().reason.as_deref(), Some("a test"));
    assert_eq!(fuel.in_force().set_by, "test");
    assert!(fuel.in_force().set_at.is_some());
    let desired = served(&world, Fuel).await;
    assert_eq!(
        desired.1,
        fuel.in_force().value,
        "what is shown is what is served"
    );
}

#[tokio::test]
async fn the_trail_shows_from_what_to_what() {
    let (world, operator) = world().await;
    set(
        &world,
        &operator,
        INSTANCE,
        &[(Fuel, Some(10)), (Deadline, Some(50))],
    )
    .await
    .unwrap();
    set(&world, &operator, INSTANCE, &[(Fuel, Some(20))])
        .await
        .unwrap();
    let query = AuditQuery {
        action: Some("quota.change".to_owned()),
        ..AuditQuery::default()
    };
    let trail = audit::list(&world.control, &operator, query, &PageRequest::default()).await;
    let entry = &trail.unwrap().items[0];
    assert_eq!(
        (entry.subject.as_str(), entry.actor.as_str()),
        ("acme/main", "test")
    );
    let fuel = |value: u64| serde_json::json!({ "fuel": { "value": value, "level": "instance" } });
    assert_eq!(entry.before, Some(fuel(10)));
    assert_eq!(entry.after, Some(fuel(20)));
    assert_eq!(entry.request_id, "test-request");
}

#[tokio::test]
async fn what_is_so_already_leaves_no_trace() {
    let (world, operator) = world().await;
    let trail = async || {
        let query = AuditQuery {
            action: Some("quota.change".to_owned()),
            ..AuditQuery::default()
        };
        let page = PageRequest::default();
        let trail = audit::list(&world.control, &operator, query, &page).await;
        trail.unwrap().items
    };
    set(&world, &operator, INSTANCE, &[(Fuel, None)])
        .await
        .unwrap();
    assert!(trail().await.is_empty(), "unset what nobody set");
    let first = set(&world, &operator, INSTANCE, &[(Fuel, Some(10))]).await;
    let again = set(&world, &operator, INSTANCE, &[(Fuel, Some(10))]).await;
    assert_eq!(trail().await.len(), 1, "set to the value that it has");
    let set_at = |limits: Vec<EffectiveLimit>| {
        let fuel = limits.into_iter().find(|limit| limit.limit == Fuel.into());
        fuel.unwrap().in_force().set_at
    };
    assert_eq!(set_at(first.unwrap()), set_at(again.unwrap()));
    let mixed = [(Fuel, Some(10)), (Memory, Some(1 << 20)), (Deadline, None)];
    set(&world, &operator, INSTANCE, &mixed).await.unwrap();
    let trail = trail().await;
    assert_eq!(trail.len(), 2);
    let changed = trail[0].after.as_ref().unwrap().as_object().unwrap();
    assert!(changed.keys().eq(["memory"]), "{changed:?}");
}

#[tokio::test]
async fn a_repeated_change_tries_again_what_was_not_taken_over() {
    let (world, operator) = world().await;
    world.plane.refuse_version(Some("1.0.0"));
    let refused = set(&world, &operator, INSTANCE, &[(Fuel, Some(10))]).await;
    assert!(matches!(refused, Err(Error::Apply(_))), "{refused:?}");
    world.plane.refuse_version(None);
    set(&world, &operator, INSTANCE, &[(Fuel, Some(10))])
        .await
        .unwrap();
    assert_eq!(served(&world, Fuel).await.0, 10);
}

#[tokio::test]
async fn limits_of_hooks_and_jobs_go_the_same_way() {
    let (world, operator) = world().await;
    let hook = Fuel.of(Class::Hook);
    let change = |place, value| {
        let change = QuotaChange {
            values: [(hook, value)].into(),
            reason: None,
        };
        let (control, operator) = (world.control.clone(), operator.clone());
        async move { quota::change(&control, &operator, &target(place), change).await }
    };
    change(TENANT, Some(900)).await.unwrap();
    let limits = change(INSTALL, Some(700)).await.unwrap();
    let shown = limits.iter().find(|limit| limit.limit == hook).unwrap();
    let levels: Vec<_> = shown.settings.iter().map(|s| (s.level, s.value)).collect();
    assert_eq!(
        levels,
        [
            (QuotaLevel::Default, hook.default_value()),
            (QuotaLevel::Tenant, 900),
            (QuotaLevel::Install, 700),
        ]
    );
    let served = world.plane.served(world.id_of("acme", "main").await);
    let installed = &served.installs[0].limits;
    assert_eq!((served.limits.get(hook), installed.get(hook)), (900, 700));
    assert_eq!(installed.get(Fuel), 500_000_000, "requests are apart");
}

#[tokio::test]
async fn a_present_value_is_known_of_single_instances() {
    let (world, operator) = world().await;
    let id = world.id_of("acme", "main").await;
    let load = InstanceLoad {
        storage_bytes: 12_345,
        used: vec![(Concurrency, 7), (Dimension::LogRate, 99)],
    };
    world.plane.set_load(id, load);
    let install = install::get(&world.control, &operator, ("acme", "main"), "stock")
        .await
        .unwrap();
    let now = u64::try_from(Timestamp::now().minutes()).unwrap();
    // The minute and the day may turn while the test runs: these last longer than it.
    let (soon, yesterday) = (now + 60, now - 24 * 60);
    for (minute, fuel) in [(soon, 1_000), (yesterday, 300_000)] {
        let mut meters = Meters::default();
        meters[Meter::Fuel] = fuel;
        world.plane.consume(UsageRecord {
            source: format!("test/{minute}/{fuel}"),
            instance: id,
            install: install.id,
            app: install.app.clone(),
            hook: None,
            minute,
            meters,
        });
    }
    for place in [INSTANCE, INSTALL] {
        let used = quota::used(&world.control, &operator, &target(place))
            .await
            .unwrap();
        assert_eq!(used[&Storage.into()], 12_345);
        assert_eq!(used[&Concurrency.into()], 7);
        assert_eq!(used[&Dimension::LogRate.into()], 99);
        assert_eq!(used[&Dimension::FuelPerMinute.into()], 1_000);
        assert_eq!(used[&Dimension::FuelPerDay.into()], 1_000);
        assert_eq!(used.len(), 5);
    }
    world.plan("pro").await;
    for place in [target(TENANT), QuotaTarget::Plan("pro".to_owned())] {
        let refused = quota::used(&world.control, &operator, &place).await;
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn values_out_of_bounds_change_nothing() {
    let (world, operator) = world().await;
    let applied = world.plane.applied();
    for (place, values) in [
        (INSTANCE, &[(Memory, Some(1))][..]),
        (INSTANCE, &[(Fuel, Some(5)), (Deadline, Some(0))]),
        (INSTALL, &[(Storage, Some(1 << 20))]),
        (INSTALL, &[(Concurrency, None)]),
        (INSTANCE, &[]),
    ] {
        let outcome = set(&world, &operator, place, values).await;
        assert!(
            matches!(outcome, Err(Error::Invalid { .. })),
            "{values:?}: {outcome:?}"
        );
    }
    assert_eq!(
        served(&world, Fuel).await.0,
        Limit::from(Fuel).default_value()
    );
    assert_eq!(world.plane.applied(), applied);
}

#[tokio::test]
async fn a_tenants_quota_reaches_all_of_its_instances_and_no_other() {
    let (world, operator) = world().await;
    world.tenant("birch").await;
    let second = world.instance("acme", "second").await;
    set(&world, &operator, TENANT, &[(Storage, Some(1 << 20))])
        .await
        .unwrap();
    let birch = world.id_of("birch", "main").await;
    assert_eq!(world.plane.served(second).limits.get(Storage), 1 << 20);
    assert_eq!(
        world.plane.served(birch).limits.get(Storage),
        Limit::from(Storage).default_value()
    );
    let all = world.control.desired_all().await.unwrap();
    for desired in all {
        let served = world.plane.served(desired.id);
        assert_eq!(desired.limits, served.limits);
    }
}

#[tokio::test]
async fn concurrent_changes_end_with_what_is_recorded() {
    let (world, operator) = world().await;
    let world = std::sync::Arc::new(world);
    let changes: Vec<_> = (1..=20)
        .map(|value| {
            let (world, operator) = (world.clone(), operator.clone());
            tokio::spawn(async move {
                set(&world, &operator, INSTANCE, &[(Fuel, Some(value))])
                    .await
                    .unwrap();
            })
        })
        .collect();
    for change in changes {
        change.await.unwrap();
    }
    let recorded = quota::get(&world.control, &operator, &target(INSTANCE))
        .await
        .unwrap();
    let recorded = recorded
        .iter()
        .find(|limit| limit.limit == Fuel.into())
        .unwrap();
    assert_eq!(served(&world, Fuel).await.0, recorded.in_force().value);
}

#[tokio::test]
async fn what_is_set_within_is_named_beside_what_holds_for_the_whole() {
    let (world, operator) = world().await;
    world.tenant("birch").await;
    for (place, fuel) in [(INSTALL, 7_000), (INSTANCE, 9_000)] {
        let values = [(Fuel, Some(fuel)), (Deadline, Some(50))];
        set(&world, &operator, place, &values[..]).await.unwrap();
    }
    let acme = world.call(&world.secret(None, Some("acme")).await).await;
    let within = async |place| {
        let fuel = [Fuel.into()];
        let found = quota::overrides(&world.control, &acme, &target(place), &fuel).await?;
        assert!(!found.is_cut);
        let found = found.first.into_iter();
        let found = found.map(|within| (within.target, within.setting.value));
        Ok::<_, Error>(found.collect::<Vec<_>>())
    };
    let (main, stock) = (
        ("acme/main".to_owned(), 9_000),
        ("acme/main/stock".to_owned(), 7_000),
    );
    assert_eq!(within(TENANT).await.unwrap(), [main, stock.clone()]);
    assert_eq!(within(INSTANCE).await.unwrap(), [stock]);
    assert_eq!(within(INSTALL).await.unwrap(), []);
    let birch = within(("birch", None, None)).await;
    assert!(matches!(birch, Err(Error::NotFound { .. })), "{birch:?}");
    for (limits, expected) in [
        (&[][..], 4),
        (&[Fuel.into(), Deadline.into()], 4),
        (&[Fuel.of(Class::Hook), Memory.into()], 0),
    ] {
        let found = quota::overrides(&world.control, &acme, &target(TENANT), limits).await;
        assert_eq!(found.unwrap().first.len(), expected, "{limits:?}");
    }
}
