//! Installs: what is enabled is served with tables at its schema, and a change that fails leaves
//! everything as it was.

#![allow(clippy::unwrap_used, reason = "a test that fails says so")]

mod support;

use std::collections::BTreeMap;

use cloudware_control::{
    AuditQuery, Call, EnableRequest, Error, InstallState, PageRequest, audit, install, instance,
    tenant,
};
use support::{HELLO, Package, STOCK, World, conflict};

const MAIN: (&str, &str) = ("acme", "main");

const STOCK_1_1: Package<'_> = Package {
    version: "1.1.0",
    schema: 2,
    ..STOCK
};

/// A world with stock 1.0.0 and 1.1.0 published and 1.0.0 enabled for acme.
async fn world() -> (World, Call) {
    let world = World::new().await;
    let provider = world.provider("northwind").await;
    let acme = world.tenant("acme").await;
    for package in [STOCK, STOCK_1_1, HELLO] {
        world.push(&provider, &package).await.unwrap();
    }
    world.enable(&acme, "acme", "stock", "1.0.0").await.unwrap();
    (world, acme)
}

async fn served(world: &World) -> Vec<String> {
    let id = world.id_of("acme", "main").await;
    let installs = world.plane.served(id).installs.into_iter();
    installs
        .map(|i| format!("{} {}", i.app, i.version))
        .collect()
}

#[tokio::test]
async fn an_enabled_app_is_served_as_its_manifest_says() {
    let (world, acme) = world().await;
    let id = world.id_of("acme", "main").await;
    assert_eq!(world.plane.schema(id, "stock"), 1);
    let request = EnableRequest {
        app: "hello".to_owned(),
        version: None,
        config: BTreeMap::new(),
        mount: Some("/greet".to_owned()),
    };
    install::enable(&world.control, &acme, MAIN, request)
        .await
        .unwrap();
    let served = world.plane.served(id);
    assert!(served.is_default && served.unavailable.is_none());
    let [hello, stock] = served.installs.as_slice() else {
        panic!("{served:?}");
    };
    assert_eq!(hello.http.as_ref().unwrap().mount, "/greet");
    assert!(hello.grants.is_empty() && hello.database_namespace.is_none());
    assert_eq!(stock.grants, ["sql"]);
    assert_eq!(stock.database_namespace.as_deref(), Some("stock"));
    assert_eq!(stock.config["currency"], "EUR");
    let all = world.control.desired_all().await.unwrap();
    assert_eq!(format!("{:?}", all), format!("{:?}", [served]));
}

#[tokio::test]
async fn configuration_and_mounts_are_checked() {
    let (world, acme) = world().await;
    install::disable(&world.control, &acme, MAIN, "stock")
        .await
        .unwrap();
    let enable = |config: &[(&str, &str)], mount: Option<&str>| {
        let request = EnableRequest {
            app: "stock".to_owned(),
            version: None,
            config: config
                .iter()
                .map(|(k, v)| (k.to_string(), Some(v.to_string())))
                .collect(),
            mount: mount.map(ToOwned::to_owned),
        };
        install::enable(&world.control, &acme, MAIN, request)
    };
    let long = "x".repeat(5_000);
    for config in [[("colour", "red")], [("currency", long.as_str())]] {
        assert!(
            matches!(enable(&config, None).await, Err(Error::Invalid { .. })),
            "{config:?}"
        );
    }
    for mount in ["", "stock", "/stock/", "//", "/a//b", "/../x", "/ä"] {
        let outcome = enable(&[], Some(mount)).await;
        assert!(matches!(outcome, Err(Error::Invalid { .. })), "{mount}");
    }
    let changed = enable(&[("currency", "CHF")], Some("/")).await.unwrap();
    assert_eq!(
        changed.install.version.to_string(),
        "1.0.0",
        "the version that it had"
    );
    let id = world.id_of("acme", "main").await;
    assert_eq!(world.plane.served(id).installs[0].config["currency"], "CHF");
}

#[tokio::test]
async fn apps_of_an_instance_share_neither_mount_nor_tables() {
    let (world, acme) = world().await;
    let provider = world
        .call(&world.secret(Some("northwind"), None).await)
        .await;
    let same_mount = Package {
        name: "mount",
        mount: "/stock",
        ..HELLO
    };
    let same_tables = Package {
        name: "tables",
        mount: "/other",
        ..STOCK
    };
    world.push(&provider, &same_mount).await.unwrap();
    world.push(&provider, &same_tables).await.unwrap();
    let enable = |app: &'static str| world.enable(&acme, "acme", app, "1.0.0");
    assert_eq!(conflict(enable("mount").await), "mount-taken");
    assert_eq!(conflict(enable("tables").await), "namespace-taken");
    install::disable(&world.control, &acme, MAIN, "stock")
        .await
        .unwrap();
    assert_eq!(conflict(enable("tables").await), "namespace-taken");
    enable("mount").await.unwrap();
    assert_eq!(conflict(enable("stock").await), "mount-taken");
}

#[tokio::test]
async fn configuration_of_an_enabled_app_is_changed_where_it_is() {
    let (world, acme) = world().await;
    let id = world.id_of("acme", "main").await;
    let request = |config: &[(&str, Option<&str>)], version: Option<&str>| EnableRequest {
        app: "stock".to_owned(),
        version: version.map(|version| version.parse().unwrap()),
        config: config
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.map(ToOwned::to_owned)))
            .collect(),
        mount: None,
    };
    let enable = async |request| install::enable(&world.control, &acme, MAIN, request).await;
    let changed = enable(request(&[("currency", Some("CHF"))], None))
        .await
        .unwrap();
    assert_eq!(changed.install.config["currency"], "CHF");
    assert_eq!(world.plane.served(id).installs[0].config["currency"], "CHF");
    assert_eq!(served(&world).await, ["stock 1.0.0"]);
    // Without a change, or for another version, it is a mistake.
    assert_eq!(conflict(enable(request(&[], None)).await), "already-so");
    let other = request(&[("currency", Some("USD"))], Some("1.1.0"));
    assert_eq!(conflict(enable(other).await), "already-so");
    for wrong in [Some("red"), None] {
        let wrong = enable(request(&[("colour", wrong)], None)).await;
        assert!(matches!(wrong, Err(Error::Invalid { .. })), "{wrong:?}");
    }
    assert_eq!(world.plane.served(id).installs[0].config["currency"], "CHF");
    // Back to what the manifest says.
    let given_up = enable(request(&[("currency", None)], None)).await.unwrap();
    assert!(given_up.install.config.is_empty(), "{given_up:?}");
    assert_eq!(world.plane.served(id).installs[0].config["currency"], "EUR");
}

#[tokio::test]
async fn an_upgrade_goes_up_and_back() {
    let (world, acme) = world().await;
    let id = world.id_of("acme", "main").await;
    let up = install::upgrade(&world.control, &acme, MAIN, "stock", None)
        .await
        .unwrap();
    assert_eq!(
        (
            up.install.version.to_string().as_str(),
            world.plane.schema(id, "stock")
        ),
        ("1.1.0", 2)
    );
    assert_eq!(served(&world).await, ["stock 1.1.0"]);
    let again = install::upgrade(&world.control, &acme, MAIN, "stock", None).await;
    assert_eq!(conflict(again), "already-so");
    let back = install::rollback(&world.control, &acme, MAIN, "stock")
        .await
        .unwrap();
    assert_eq!(
        (
            back.install.version.to_string().as_str(),
            world.plane.schema(id, "stock")
        ),
        ("1.0.0", 1)
    );
    assert_eq!(served(&world).await, ["stock 1.0.0"]);
    let query = AuditQuery {
        subject: Some("acme/main/stock".to_owned()),
        ..AuditQuery::default()
    };
    let trail = audit::list(&world.control, &acme, query, &PageRequest::default())
        .await
        .unwrap();
    let actions: Vec<_> = trail
        .items
        .iter()
        .map(|entry| entry.action.as_str())
        .collect();
    assert_eq!(
        actions,
        ["install.rollback", "install.upgrade", "install.enable"]
    );
    assert_eq!(trail.items[1].before.as_ref().unwrap()["version"], "1.0.0");
    assert_eq!(trail.items[1].after.as_ref().unwrap()["version"], "1.1.0");
}

#[tokio::test]
async fn a_release_that_cannot_be_served_is_taken_back() {
    let (world, acme) = world().await;
    let id = world.id_of("acme", "main").await;
    world.plane.refuse_version(Some("1.1.0"));
    let outcome = install::upgrade(&world.control, &acme, MAIN, "stock", None).await;
    assert!(
        matches!(outcome, Err(Error::TakenBack { .. })),
        "{outcome:?}"
    );
    assert_eq!(served(&world).await, ["stock 1.0.0"]);
    assert_eq!(world.plane.schema(id, "stock"), 1);
    let kept = install::get(&world.control, &acme, MAIN, "stock")
        .await
        .unwrap();
    assert_eq!(kept.version.to_string(), "1.0.0");

    world.plane.refuse_version(Some("1.0.0"));
    install::disable(&world.control, &acme, MAIN, "stock")
        .await
        .unwrap();
    let outcome = world.enable(&acme, "acme", "stock", "1.0.0").await;
    assert!(
        matches!(outcome, Err(Error::TakenBack { .. })),
        "{outcome:?}"
    );
    let kept = install::get(&world.control, &acme, MAIN, "stock")
        .await
        .unwrap();
    assert_eq!(kept.state, InstallState::Disabled);
}

#[tokio::test]
async fn tables_that_cannot_change_keep_the_release() {
    let (world, acme) = world().await;
    let id = world.id_of("acme", "main").await;
    world.plane.refuse_migration(Some(2));
    let outcome = install::upgrade(&world.control, &acme, MAIN, "stock", None).await;
    let message = outcome.unwrap_err().to_string();
    assert!(message.contains("no such table: stock_items"), "{message}");
    assert_eq!(served(&world).await, ["stock 1.0.0"]);

    world.plane.refuse_migration(Some(1));
    install::upgrade(&world.control, &acme, MAIN, "stock", None)
        .await
        .unwrap();
    let outcome = install::rollback(&world.control, &acme, MAIN, "stock").await;
    assert!(
        matches!(outcome, Err(Error::Migration { .. })),
        "{outcome:?}"
    );
    assert_eq!(served(&world).await, ["stock 1.1.0"]);
    assert_eq!(world.plane.schema(id, "stock"), 2);
}

#[tokio::test]
async fn there_is_no_way_back_without_down_sql() {
    let (world, acme) = world().await;
    let provider = world
        .call(&world.secret(Some("northwind"), None).await)
        .await;
    let one_way = Package {
        version: "1.2.0",
        schema: 3,
        has_down: false,
        ..STOCK
    };
    world.push(&provider, &one_way).await.unwrap();
    install::upgrade(&world.control, &acme, MAIN, "stock", None)
        .await
        .unwrap();
    let back = install::rollback(&world.control, &acme, MAIN, "stock").await;
    assert_eq!(conflict(back), "no-way-back");
    assert_eq!(served(&world).await, ["stock 1.2.0"]);
    install::disable(&world.control, &acme, MAIN, "stock")
        .await
        .unwrap();
    let older = world.enable(&acme, "acme", "stock", "1.0.0").await;
    assert_eq!(conflict(older), "no-way-back");
}

#[tokio::test]
async fn a_start_repairs_what_a_crash_interrupted() {
    let (world, acme) = world().await;
    let id = world.id_of("acme", "main").await;
    // As a crash leaves it between the migration and the switch of an upgrade.
    world.plane.set_schema(id, "stock", 2);
    world
        .raw_sql(
            "INSERT INTO release_changes
             SELECT l.id, l.release_id, r.id, 0 FROM installs l
             JOIN releases r ON r.app_id = l.app_id AND r.version = '1.1.0'",
        )
        .await
        .unwrap();
    let desired = world.control.start().await.unwrap();
    assert_eq!(desired[0].installs[0].version.to_string(), "1.0.0");
    assert_eq!(world.plane.schema(id, "stock"), 1);
    install::upgrade(&world.control, &acme, MAIN, "stock", None)
        .await
        .unwrap();
    world.control.start().await.unwrap();
    assert_eq!(
        world.plane.schema(id, "stock"),
        2,
        "nothing is left to repair"
    );
}

#[tokio::test]
async fn of_changes_of_one_install_at_the_same_time_one_wins() {
    let (world, acme) = world().await;
    let revision = install::get(&world.control, &acme, MAIN, "stock")
        .await
        .unwrap()
        .revision;
    let changes = (0..8).map(|_| {
        let (control, mut call) = (world.control.clone(), acme.clone());
        call.if_match = Some(revision);
        tokio::spawn(async move {
            install::upgrade(&control, &call, MAIN, "stock", None)
                .await
                .map(drop)
        })
    });
    let mut winners = 0;
    for change in changes.collect::<Vec<_>>() {
        match change.await.unwrap() {
            Ok(()) => winners += 1,
            Err(Error::RevisionChanged { .. }) => {}
            Err(Error::Conflict { code, .. }) => assert_eq!(code, "in-change"),
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(winners, 1);
    assert_eq!(served(&world).await, ["stock 1.1.0"]);
}

#[tokio::test]
async fn what_is_suspended_is_not_served_and_comes_back_as_it_was() {
    let (world, acme) = world().await;
    let operator = world.operator().await;
    let id = world.id_of("acme", "main").await;
    tenant::suspend(&world.control, &operator, "acme", "overdue")
        .await
        .unwrap();
    let served_now = world.plane.served(id);
    assert!(served_now.installs.is_empty());
    assert_eq!(
        served_now.unavailable.as_deref(),
        Some("the tenant is suspended")
    );
    let refused = install::disable(&world.control, &acme, MAIN, "stock").await;
    assert!(matches!(refused, Err(Error::Forbidden(_))), "{refused:?}");
    instance::suspend(&world.control, &operator, "acme", "main", "moving")
        .await
        .unwrap();
    tenant::resume(&world.control, &operator, "acme")
        .await
        .unwrap();
    let unavailable = world.plane.served(id).unavailable;
    assert_eq!(unavailable.as_deref(), Some("the instance is suspended"));
    instance::resume(&world.control, &operator, "acme", "main")
        .await
        .unwrap();
    assert_eq!(served(&world).await, ["stock 1.0.0"]);
    let again = tenant::resume(&world.control, &operator, "acme").await;
    assert_eq!(conflict(again), "already-so");
}
