//! Plans: what a plan sets holds for its tenants from the next invocation on, and everybody can see that it
//! comes from there.

#![allow(clippy::unwrap_used, reason = "a test that fails says so")]

mod support;

use cloudware_control::{
    AuditQuery, Call, Error, PageRequest, PlanNew, QuotaChange, QuotaLevel, QuotaTarget, TenantNew,
    audit, plan, quota, tenant,
};
use cloudware_types::{
    Dimension::{self, Fuel, Memory, Storage},
    Limit,
};
use support::{Package, STOCK, World, conflict};

/// A world with the plans free and pro, where acme has stock, whose manifest lowers the fuel.
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
    world.plan("free").await;
    world.plan("pro").await;
    let operator = world.operator().await;
    (world, operator)
}

async fn set(world: &World, target: QuotaTarget, dimension: Dimension, value: Option<u64>) {
    let change = QuotaChange {
        values: [(dimension.into(), value)].into(),
        reason: Some("a test".to_owned()),
    };
    let operator = Call::host();
    quota::change(&world.control, &operator, &target, change)
        .await
        .unwrap();
}

fn of_plan(name: &str) -> QuotaTarget {
    QuotaTarget::Plan(name.to_owned())
}

fn of_install() -> QuotaTarget {
    QuotaTarget::Tenant {
        tenant: "acme".to_owned(),
        instance: Some("main".to_owned()),
        app: Some("stock".to_owned()),
    }
}

fn of_tenant() -> QuotaTarget {
    QuotaTarget::Tenant {
        tenant: "acme".to_owned(),
        instance: None,
        app: None,
    }
}

async fn assign(world: &World, operator: &Call, plan: Option<&str>) {
    tenant::set_plan(&world.control, operator, "acme", plan, Some("sold"))
        .await
        .unwrap();
}

/// The values of the instance and of its install, as they are served.
async fn served(world: &World, dimension: Dimension) -> (u64, u64) {
    let served = world.plane.served(world.id_of("acme", "main").await);
    let install = served.installs[0].limits.get(dimension);
    (served.limits.get(dimension), install)
}

#[tokio::test]
async fn a_plan_is_stronger_than_a_manifest_and_weaker_than_a_tenant() {
    let (world, operator) = world().await;
    let default = Limit::from(Fuel).default_value();
    assign(&world, &operator, Some("pro")).await;
    assert_eq!(served(&world, Fuel).await, (default, 500_000_000));
    set(&world, of_plan("pro"), Fuel, Some(900_000_000)).await;
    assert_eq!(served(&world, Fuel).await, (900_000_000, 900_000_000));
    set(&world, of_tenant(), Fuel, Some(80)).await;
    assert_eq!(served(&world, Fuel).await, (80, 80));
    let limits = quota::get(&world.control, &operator, &of_install())
        .await
        .unwrap();
    let fuel = limits.iter().find(|l| l.limit == Fuel.into()).unwrap();
    let levels: Vec<_> = fuel.settings.iter().map(|s| (s.level, s.value)).collect();
    assert_eq!(
        levels,
        [
            (QuotaLevel::Default, default),
            (QuotaLevel::Manifest, 500_000_000),
            (QuotaLevel::Plan, 900_000_000),
            (QuotaLevel::Tenant, 80),
        ]
    );
    let from_plan = &fuel.settings[2];
    assert_eq!(from_plan.plan.as_ref().unwrap().as_str(), "pro");
    assert_eq!(from_plan.reason.as_deref(), Some("a test"));
    set(&world, of_tenant(), Fuel, None).await;
    assert_eq!(served(&world, Fuel).await, (900_000_000, 900_000_000));
    assign(&world, &operator, None).await;
    assert_eq!(served(&world, Fuel).await, (default, 500_000_000));
}

#[tokio::test]
async fn a_plan_reaches_every_instance_of_its_tenants_and_no_other() {
    let (world, operator) = world().await;
    world.tenant("birch").await;
    for number in 0..30 {
        world.instance("acme", &format!("i{number}")).await;
    }
    assign(&world, &operator, Some("pro")).await;
    set(&world, of_plan("pro"), Storage, Some(1 << 20)).await;
    let birch = world.id_of("birch", "main").await;
    let default = Limit::from(Storage).default_value();
    let all = world.control.desired_all().await.unwrap();
    assert_eq!(all.len(), 32);
    for desired in all {
        let served = world.plane.served(desired.id);
        let expected = if desired.id == birch {
            default
        } else {
            1 << 20
        };
        assert_eq!(served.limits.get(Storage), expected);
        assert_eq!(desired.limits, served.limits, "what is read at a start");
    }
    let most = world.plane.applying_most();
    assert!((2..=8).contains(&most), "{most} at the same time");
}

#[tokio::test]
async fn plans_that_would_fit_are_served_and_stay_current() {
    let (world, operator) = world().await;
    assign(&world, &operator, Some("free")).await;
    set(&world, of_plan("free"), Fuel, Some(100)).await;
    set(&world, of_plan("pro"), Fuel, Some(1_000)).await;
    let fitting = async |used| {
        let served = world.plane.served(world.id_of("acme", "main").await);
        served.installs[0].other_plans.fitting(Fuel, used, 100)
    };
    assert_eq!(fitting(100).await, ["pro"]);
    assert!(fitting(1_000).await.is_empty());
    set(&world, of_plan("pro"), Fuel, Some(5_000)).await;
    assert_eq!(fitting(1_000).await, ["pro"]);
    set(&world, of_plan("pro"), Fuel, None).await;
    assert_eq!(
        fitting(1_000).await,
        ["pro"],
        "a plan that sets nothing leaves what the manifest says"
    );
    assert!(fitting(500_000_000).await.is_empty());
    world.plan("basic").await;
    assert_eq!(fitting(1_000).await, ["basic", "pro"]);
    let started = world.control.start().await.unwrap();
    let after_start = &started[0].installs[0].other_plans;
    assert_eq!(after_start.fitting(Fuel, 1_000, 100), ["basic", "pro"]);
    plan::delete(&world.control, &operator, "basic", None)
        .await
        .unwrap();
    assert_eq!(fitting(1_000).await, ["pro"]);
    set(&world, of_tenant(), Fuel, Some(200)).await;
    assert!(
        fitting(200).await.is_empty(),
        "what the tenant has of its own no plan changes"
    );
}

#[tokio::test]
async fn what_a_plan_is_refused_is_said() {
    let (world, operator) = world().await;
    let new = |slug: &str| PlanNew {
        slug: slug.parse().unwrap(),
        title: None,
    };
    let again = plan::create(&world.control, &operator, new("pro")).await;
    assert_eq!(conflict(again), "already-exists");
    let unknown = tenant::set_plan(&world.control, &operator, "acme", Some("gold"), None).await;
    assert_eq!(unknown.unwrap_err().to_string(), "there is no plan `gold`");
    assign(&world, &operator, Some("pro")).await;
    let in_use = plan::delete(&world.control, &operator, "pro", None).await;
    let message = in_use.as_ref().unwrap_err().to_string();
    assert!(message.contains("1 tenant:"), "{message}");
    assert_eq!(conflict(in_use), "in-use");
    let tenant = TenantNew {
        slug: "birch".parse().unwrap(),
        title: None,
        plan: Some("gold".to_owned()),
    };
    let unknown = tenant::create(&world.control, &operator, tenant).await;
    assert!(matches!(unknown, Err(Error::NotFound { noun: "plan", .. })));
    let reserved = TenantNew {
        slug: "plan".parse().unwrap(),
        title: None,
        plan: None,
    };
    let reserved = tenant::create(&world.control, &operator, reserved).await;
    assert!(matches!(reserved, Err(Error::Invalid { .. })));
}

#[tokio::test]
async fn a_tenant_is_created_with_its_plan() {
    let (world, operator) = world().await;
    set(&world, of_plan("pro"), Memory, Some(1 << 20)).await;
    let new = TenantNew {
        slug: "birch".parse().unwrap(),
        title: None,
        plan: Some("pro".to_owned()),
    };
    let birch = tenant::create(&world.control, &operator, new)
        .await
        .unwrap();
    assert_eq!(birch.plan.unwrap().as_str(), "pro");
    let id = world.instance("birch", "main").await;
    assert_eq!(world.plane.served(id).limits.get(Memory), 1 << 20);
    let pro = plan::get(&world.control, &operator, "pro").await.unwrap();
    assert_eq!(pro.tenants, Some(1));
}

#[tokio::test]
async fn tenants_see_plans_and_operators_alone_change_them() {
    let (world, operator) = world().await;
    let acme = world.call(&world.secret(None, Some("acme")).await).await;
    let page = PageRequest::default();
    let plans = plan::list(&world.control, &acme, &page).await.unwrap();
    let names: Vec<_> = plans.items.iter().map(|plan| plan.slug.as_str()).collect();
    assert_eq!(names, ["free", "pro"]);
    assert!(plans.items.iter().all(|plan| plan.tenants.is_none()));
    let outcome = tenant::set_plan(&world.control, &acme, "acme", Some("pro"), None).await;
    assert!(matches!(outcome, Err(Error::Forbidden(_))), "{outcome:?}");
    let outcome = plan::delete(&world.control, &acme, "pro", None).await;
    assert!(matches!(outcome, Err(Error::Forbidden(_))), "{outcome:?}");
    assign(&world, &operator, Some("pro")).await;
    let own = tenant::get(&world.control, &acme, "acme").await.unwrap();
    assert_eq!(own.plan.unwrap().as_str(), "pro");
}

#[tokio::test]
async fn the_trail_has_every_change_once() {
    let (world, operator) = world().await;
    set(&world, of_plan("pro"), Fuel, Some(7)).await;
    for plan in [Some("pro"), Some("pro"), Some("free"), None, None] {
        assign(&world, &operator, plan).await;
    }
    plan::delete(&world.control, &operator, "pro", Some("not sold any more"))
        .await
        .unwrap();
    let trail = async |subject: &str, call: &Call| {
        let query = AuditQuery {
            subject: Some(subject.to_owned()),
            ..AuditQuery::default()
        };
        let page = PageRequest::default();
        let trail = audit::list(&world.control, call, query, &page).await;
        trail.unwrap().items
    };
    let of_plan = trail("plan/pro", &operator).await;
    let actions: Vec<_> = of_plan.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["plan.delete", "quota.change", "plan.create"]);
    assert_eq!(of_plan[0].before.as_ref().unwrap()["quotas"]["fuel"], 7);
    assert_eq!(of_plan[0].reason.as_deref(), Some("not sold any more"));
    let acme = world.call(&world.secret(None, Some("acme")).await).await;
    let of_acme = trail("acme", &acme).await;
    let moves: Vec<_> = of_acme
        .iter()
        .filter(|entry| entry.action == "tenant.set-plan")
        .map(|entry| {
            let plan = |value: &Option<serde_json::Value>| value.as_ref().unwrap()["plan"].clone();
            (plan(&entry.before), plan(&entry.after))
        })
        .collect();
    assert_eq!(
        moves,
        [
            ("free".into(), serde_json::Value::Null),
            ("pro".into(), "free".into()),
            (serde_json::Value::Null, "pro".into()),
        ]
    );
    assert!(trail("plan/pro", &acme).await.is_empty());
}
