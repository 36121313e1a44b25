//! Quotas: the strongest level wins, everybody can see which one it is, and it holds from the next
//! invocation on.

#![allow(clippy::unwrap_used, reason = "a test that fails says so")]

mod support;

use std::collections::BTreeMap;

use cloudware_control::{
    AuditQuery, Call, EffectiveLimit, Error, PageRequest, QuotaChange, QuotaLevel, QuotaTarget,
    audit, quota,
};
use cloudware_types::{
    Dimension::{self, Concurrency, Deadline, Fuel, Memory, Storage},
    Limit,
};
use support::{Package, STOCK, World};

const TENANT: (&str, Option<&str>, Option<&str>) = ("acme", None, None);
const INSTANCE: (&str, Option<&str>, Option<&str>) = ("acme", Some("main"), None);
const INSTALL: (&str, Option<&str>, Option<&str>) = ("acme", Some("main"), Some("stock"));

fn target((tenant, instance, app): (&str, Option<&str>, Option<&str>)) -> QuotaTarget {
    QuotaTarget {
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
