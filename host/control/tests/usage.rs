//! Usage: counted once, added up right, kept for good.

#![allow(clippy::unwrap_used, reason = "a test that fails says so")]

mod support;

use cloudware_control::{Error, Timestamp, UsageBy, UsageHook, UsageQuery, UsageStep, usage};
use cloudware_types::{HookId, InstanceId, Meter, Meters, UsageRecord};
use support::{HELLO, World};

async fn world() -> (World, UsageRecord) {
    let world = World::new().await;
    let provider = world.provider("northwind").await;
    world.push(&provider, &HELLO).await.unwrap();
    let acme = world.tenant("acme").await;
    let install = world.enable(&acme, "acme", "hello", "1.0.0").await.unwrap();
    let mut meters = Meters::default();
    for (index, &meter) in Meter::ALL.iter().enumerate() {
        meters[meter] = index as u64 + 1;
    }
    let record = UsageRecord {
        source: "host-1/1".to_owned(),
        instance: install.instance_id,
        install: install.id,
        app: install.app,
        hook: None,
        minute: 1_000,
        meters,
    };
    (world, record)
}

#[tokio::test]
async fn a_record_counts_once() {
    let (world, record) = world().await;
    let operator = world.operator().await;
    let next = UsageRecord {
        source: "host-1/2".to_owned(),
        ..record.clone()
    };
    world
        .ledger
        .record(&[record.clone(), record.clone()])
        .await
        .unwrap();
    world.ledger.record(&[record.clone(), next]).await.unwrap();
    let rows = usage::query(&world.control, &operator, UsageQuery::default())
        .await
        .unwrap();
    let [row] = rows.as_slice() else {
        panic!("{rows:?}");
    };
    assert_eq!(
        (row.tenant.as_str(), row.instance.as_str(), row.app.as_str()),
        ("acme", "main", "hello")
    );
    for (meter, reading) in record.meters.iter() {
        let expected = if meter.is_peak() {
            reading
        } else {
            2 * reading
        };
        assert_eq!(row.meters[meter], expected, "{}", meter.name());
    }
    for statement in ["UPDATE usage SET fuel = 0", "DELETE FROM usage"] {
        assert!(world.raw_sql(statement).await.is_err(), "{statement}");
    }
}

#[tokio::test]
async fn usage_is_asked_for_by_time_and_place() {
    let (world, record) = world().await;
    for (sequence, minute) in [1_000, 1_019, 1_020, 1_440].into_iter().enumerate() {
        world.plane.consume(UsageRecord {
            source: format!("host-1/{sequence}"),
            minute,
            ..record.clone()
        });
    }
    let acme = world.call(&world.secret(None, Some("acme")).await).await;
    let requests = |query: UsageQuery| {
        let (control, acme) = (world.control.clone(), acme.clone());
        async move {
            let rows = usage::query(&control, &acme, query).await.unwrap();
            let rows = rows.into_iter();
            rows.map(|row| (row.from, row.meters[Meter::Requests]))
                .collect::<Vec<_>>()
        }
    };
    let at = |minute: u64| Some(Timestamp::from_minutes(minute));
    assert_eq!(requests(UsageQuery::default()).await, [(None, 4)]);
    let hours = UsageQuery {
        step: UsageStep::Hour,
        ..UsageQuery::default()
    };
    assert_eq!(
        requests(hours).await,
        [(at(960), 2), (at(1_020), 1), (at(1_440), 1)]
    );
    let days = UsageQuery {
        step: UsageStep::Day,
        ..UsageQuery::default()
    };
    assert_eq!(requests(days).await, [(at(0), 3), (at(1_440), 1)]);
    let part = UsageQuery {
        from: at(1_019),
        to: at(1_440),
        ..UsageQuery::default()
    };
    assert_eq!(requests(part).await, [(None, 2)]);
    let other_app = UsageQuery {
        app: Some("stock".parse().unwrap()),
        ..UsageQuery::default()
    };
    assert_eq!(requests(other_app).await, []);
}

/// Rows with a hook are a part of their app's: together they are what a question without hooks gives.
#[tokio::test]
async fn usage_by_hook_adds_up_to_the_apps_own() {
    let (world, record) = world().await;
    let removed = HookId::generate();
    let as_hook = UsageRecord {
        source: "host-1/2".to_owned(),
        hook: Some(removed),
        ..record.clone()
    };
    let again = UsageRecord {
        source: "host-1/3".to_owned(),
        minute: record.minute + 1,
        ..as_hook.clone()
    };
    let records = [record.clone(), as_hook, again];
    for _ in 0..2 {
        world.ledger.record(&records).await.unwrap();
    }
    let operator = world.operator().await;
    let ask = async |by| {
        let query = UsageQuery {
            by,
            ..UsageQuery::default()
        };
        usage::query(&world.control, &operator, query)
            .await
            .unwrap()
    };
    let rows = ask(UsageBy::Hook).await;
    let hooks: Vec<_> = rows.iter().map(|row| row.hook.clone()).collect();
    let of_removed = UsageHook {
        id: removed,
        name: None,
    };
    assert_eq!(hooks, [None, Some(of_removed)]);
    assert_eq!(rows[0].meters, record.meters);
    assert_eq!(
        rows[1].meters[Meter::HookCalls],
        2 * record.meters[Meter::HookCalls]
    );
    let [whole] = &ask(UsageBy::App).await[..] else {
        panic!("one app has one row");
    };
    let mut sum = rows[0].meters;
    sum.join(&rows[1].meters);
    assert_eq!((&whole.meters, &whole.hook), (&sum, &None));
}

#[tokio::test]
async fn a_tenant_sees_its_own_usage_only() {
    let (world, record) = world().await;
    world.ledger.record(&[record]).await.unwrap();
    let birch = world.tenant("birch").await;
    let provider = world.provider("contoso").await;
    let all = usage::query(&world.control, &birch, UsageQuery::default())
        .await
        .unwrap();
    assert!(all.is_empty());
    let acme = UsageQuery {
        tenant: Some("acme".to_owned()),
        ..UsageQuery::default()
    };
    let outcome = usage::query(&world.control, &birch, acme).await;
    assert!(
        matches!(outcome, Err(Error::NotFound { .. })),
        "{outcome:?}"
    );
    let outcome = usage::query(&world.control, &provider, UsageQuery::default()).await;
    assert!(matches!(outcome, Err(Error::Forbidden(_))), "{outcome:?}");
}

#[tokio::test]
async fn a_reading_beyond_reason_does_not_break_the_sums() {
    let (world, mut record) = world().await;
    record.meters[Meter::Fuel] = u64::MAX;
    for sequence in 0..3 {
        record.source = format!("host-1/{sequence}");
        record.instance = InstanceId::clone(&record.instance);
        world.ledger.record(&[record.clone()]).await.unwrap();
    }
    let operator = world.operator().await;
    let rows = usage::query(&world.control, &operator, UsageQuery::default())
        .await
        .unwrap();
    assert_eq!(rows[0].meters[Meter::Fuel], 3 << 50);
}
