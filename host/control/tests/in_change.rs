//! A migration that takes long: what concerns the whole instance does not wait for it, and another change of
//! the same install is refused at once.

#![allow(clippy::unwrap_used, reason = "a test that fails says so")]

mod support;

use cloudware_control::{
    Call, Error, InstallChanged, InstallState, QuotaChange, QuotaTarget, install, instance, quota,
    release, tenant,
};
use cloudware_types::{Dimension::Fuel, InstanceId};
use support::{HELLO, Package, STOCK, World, conflict};
use tokio::task::JoinHandle;

const MAIN: (&str, &str) = ("acme", "main");

/// A world where stock 1.0.0 and hello are enabled for acme, with stock 1.1.0 published.
async fn world() -> (World, Call, InstanceId) {
    let world = World::new().await;
    let provider = world.provider("northwind").await;
    let acme = world.tenant("acme").await;
    let newer = Package {
        version: "1.1.0",
        schema: 2,
        ..STOCK
    };
    for package in [STOCK, newer, HELLO] {
        world.push(&provider, &package).await.unwrap();
    }
    world.enable(&acme, "acme", "stock", "1.0.0").await.unwrap();
    world.enable(&acme, "acme", "hello", "1.0.0").await.unwrap();
    let id = world.id_of("acme", "main").await;
    (world, acme, id)
}

fn begin_upgrade(world: &World, call: &Call) -> JoinHandle<Result<InstallChanged, Error>> {
    let (control, call) = (world.control.clone(), call.clone());
    tokio::spawn(async move { install::upgrade(&control, &call, MAIN, "stock", None).await })
}

async fn set_fuel(world: &World, operator: &Call, value: u64) {
    let target = QuotaTarget::Tenant {
        tenant: "acme".to_owned(),
        instance: None,
        app: None,
    };
    let change = QuotaChange {
        values: [(Fuel.into(), Some(value))].into(),
        reason: None,
    };
    quota::change(&world.control, operator, &target, change)
        .await
        .unwrap();
}

fn served(world: &World, id: InstanceId) -> Vec<String> {
    let installs = world.plane.served(id).installs.into_iter();
    installs
        .map(|install| format!("{} {}", install.app, install.version))
        .collect()
}

#[tokio::test]
async fn quotas_hold_while_tables_are_migrated() {
    let (world, acme, id) = world().await;
    let operator = world.operator().await;
    let gate = world.plane.hold_migrations();
    let upgrade = begin_upgrade(&world, &acme);
    gate.arrival().await;
    set_fuel(&world, &operator, 7).await;
    let now = world.plane.served(id);
    assert_eq!(now.limits.get(Fuel), 7);
    assert!(
        now.installs
            .iter()
            .all(|install| install.limits.get(Fuel) == 7)
    );
    assert_eq!(
        served(&world, id),
        ["hello 1.0.0", "stock 1.0.0"],
        "the old release serves until the tables are ready"
    );
    assert!(!upgrade.is_finished());
    gate.open();
    assert_eq!(
        upgrade.await.unwrap().unwrap().install.version.to_string(),
        "1.1.0"
    );
    assert_eq!(served(&world, id), ["hello 1.0.0", "stock 1.1.0"]);
    assert_eq!(world.plane.served(id).installs[1].limits.get(Fuel), 7);
}

#[tokio::test]
async fn what_is_suspended_while_tables_are_migrated_stays_suspended() {
    let (world, acme, id) = world().await;
    let operator = world.operator().await;
    let gate = world.plane.hold_migrations();
    let upgrade = begin_upgrade(&world, &acme);
    gate.arrival().await;
    tenant::suspend(&world.control, &operator, "acme", "overdue")
        .await
        .unwrap();
    assert!(served(&world, id).is_empty());
    instance::suspend(&world.control, &operator, "acme", "main", "moving")
        .await
        .unwrap();
    tenant::resume(&world.control, &operator, "acme")
        .await
        .unwrap();
    assert!(!upgrade.is_finished());
    gate.open();
    upgrade.await.unwrap().unwrap();
    assert!(
        served(&world, id).is_empty(),
        "the upgrade does not wake it"
    );
    instance::resume(&world.control, &operator, "acme", "main")
        .await
        .unwrap();
    assert_eq!(served(&world, id), ["hello 1.0.0", "stock 1.1.0"]);
}

#[tokio::test]
async fn another_change_of_the_same_install_is_refused_at_once() {
    let (world, acme, id) = world().await;
    let gate = world.plane.hold_migrations();
    let upgrade = begin_upgrade(&world, &acme);
    gate.arrival().await;
    let again = install::upgrade(&world.control, &acme, MAIN, "stock", None).await;
    let message = again.as_ref().unwrap_err().to_string();
    assert!(
        message.contains("acme/main/stock is being changed"),
        "{message}"
    );
    assert_eq!(conflict(again), "in-change");
    let back = install::rollback(&world.control, &acme, MAIN, "stock").await;
    assert_eq!(conflict(back), "in-change");
    let disabled = install::disable(&world.control, &acme, MAIN, "stock").await;
    assert_eq!(conflict(disabled), "in-change");
    let enabled = world.enable(&acme, "acme", "stock", "1.0.0").await;
    assert_eq!(conflict(enabled), "in-change");
    let other = install::disable(&world.control, &acme, MAIN, "hello")
        .await
        .unwrap();
    assert_eq!(other.state, InstallState::Disabled);
    assert_eq!(served(&world, id), ["stock 1.0.0"]);
    gate.open();
    upgrade.await.unwrap().unwrap();
    install::disable(&world.control, &acme, MAIN, "stock")
        .await
        .unwrap();
    assert!(served(&world, id).is_empty(), "it can be changed again");
}

#[tokio::test]
async fn what_apps_take_is_decided_after_the_change_that_runs() {
    let (world, acme, id) = world().await;
    let provider = world
        .call(&world.secret(Some("northwind"), None).await)
        .await;
    let rival = Package {
        name: "rival",
        mount: "/other",
        ..STOCK
    };
    for package in [rival] {
        world.push(&provider, &package).await.unwrap();
    }
    let second = world.instance("acme", "second").await;
    let gate = world.plane.hold_migrations();
    let enable = |app: &'static str| {
        let (control, call) = (world.control.clone(), acme.clone());
        let request = cloudware_control::EnableRequest {
            app: app.to_owned(),
            version: Some("1.0.0".parse().unwrap()),
            config: Default::default(),
            mount: None,
        };
        tokio::spawn(
            async move { install::enable(&control, &call, ("acme", "second"), request).await },
        )
    };
    let first = enable("stock");
    gate.arrival().await;
    let rival = enable("rival");
    gate.open();
    assert!(first.await.unwrap().is_ok());
    assert_eq!(
        conflict(rival.await.unwrap()),
        "namespace-taken",
        "two apps never migrate the same tables"
    );
    assert_eq!(served(&world, second), ["stock 1.0.0"]);
    assert_eq!(
        world.plane.schema(id, "stock"),
        1,
        "the other instance is as it was"
    );
}

#[tokio::test]
async fn a_release_that_is_withdrawn_while_tables_are_migrated_is_withdrawn_at_once() {
    let (world, acme, id) = world().await;
    let operator = world.operator().await;
    let gate = world.plane.hold_migrations();
    let upgrade = begin_upgrade(&world, &acme);
    gate.arrival().await;
    release::yank(&world.control, &operator, ("stock", "1.0.0"), "broken")
        .await
        .unwrap();
    assert_eq!(served(&world, id), ["hello 1.0.0"]);
    gate.open();
    upgrade.await.unwrap().unwrap();
    assert_eq!(served(&world, id), ["hello 1.0.0", "stock 1.1.0"]);
}
