//! Stops and events: what is kept, how much of it, and in which order.

#![allow(clippy::unwrap_used, reason = "a test that fails says so")]

mod support;

use cloudware_control::{
    Call, EventQuery, NearLimit, PageRequest, StopEntry, StopQuery, Timestamp, event,
    limits::STOPS_PER_INSTANCE_MAX, stop, tenant,
};
use cloudware_types::{
    Class, Dimension, InstallId, InstanceId, Limit, Stop, StopCause, StopRecord,
};
use support::{HELLO, World};

/// A world where acme has an app, and one kind of stop of it.
async fn world() -> (World, StopRecord) {
    let world = World::new().await;
    let provider = world.provider("northwind").await;
    world.push(&provider, &HELLO).await.unwrap();
    let acme = world.tenant("acme").await;
    let install = world.enable(&acme, "acme", "hello", "1.0.0").await.unwrap();
    let tenant = tenant::get(&world.control, &Call::host(), "acme").await;
    let record = StopRecord {
        first_ms: 60_000,
        last_ms: 60_500,
        tenant: tenant.unwrap().id,
        instance: install.instance_id,
        install: install.id,
        request_id: "first".to_owned(),
        stop: Stop {
            cause: StopCause::limit(Dimension::Memory, Class::Request, 2, 1),
            app: "hello".to_owned(),
            version: "1.0.0".to_owned(),
            hook: None,
            function: Some("hello::grow".to_owned()),
            host_call: None,
            elapsed_ms: 1,
            class: Class::Request,
            resets_in_ms: None,
            fits: Vec::new(),
            consumers: Vec::new(),
            is_of_host: false,
        },
        count: 2,
    };
    (world, record)
}

async fn stops(world: &World) -> Vec<StopEntry> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = PageRequest::new(Some(500), after).unwrap();
        let query = StopQuery::default();
        let page = stop::list(&world.control, &Call::host(), query, &page).await;
        let page = page.unwrap();
        all.extend(page.items);
        match page.next {
            Some(next) => after = Some(next),
            None => return all,
        }
    }
}

#[tokio::test]
async fn stops_of_one_kind_and_minute_are_one_record() {
    let (world, record) = world().await;
    world.plane.stop(record.clone());
    assert_eq!(stops(&world).await[0].count, 2);
    let mut later = StopRecord {
        first_ms: 100_000,
        last_ms: 110_000,
        request_id: "second".to_owned(),
        count: 3,
        ..record.clone()
    };
    later.stop.elapsed_ms += 1;
    let shown = later.stop.clone();
    world.plane.stop(later);
    // What is handed over again, or late, is not the last of them.
    world.plane.stop(StopRecord {
        count: 1,
        ..record.clone()
    });
    let [entry] = stops(&world).await.try_into().unwrap();
    assert_eq!((entry.count, entry.request_id.as_str()), (6, "second"));
    assert_eq!(entry.first_at, Timestamp::from_millis(60_000));
    assert_eq!(entry.last_at, Timestamp::from_millis(110_000));
    assert_eq!(entry.stop, shown);

    let mut differing = [
        record.clone(),
        record.clone(),
        record.clone(),
        record.clone(),
    ];
    differing[0].first_ms = 120_000;
    differing[1].stop.function = None;
    differing[2].stop.version = "1.1.0".to_owned();
    differing[3].stop.cause = StopCause::Trap {
        message: "unreachable".to_owned(),
    };
    for record in differing {
        world.plane.stop(record);
    }
    assert_eq!(stops(&world).await.len(), 5);
}

#[tokio::test]
async fn the_oldest_stops_of_an_instance_go() {
    let (world, record) = world().await;
    let other = StopRecord {
        instance: world.instance("acme", "second").await,
        install: InstallId::generate(),
        ..record.clone()
    };
    world.plane.stop(other.clone());
    for minute in 1..=STOPS_PER_INSTANCE_MAX + 10 {
        world.plane.stop(StopRecord {
            first_ms: minute * 60_000,
            last_ms: minute * 60_000,
            ..record.clone()
        });
    }
    let kept = stops(&world).await;
    let of = |instance: InstanceId| {
        let slug = if instance == record.instance {
            "main"
        } else {
            "second"
        };
        let own = kept.iter().filter(move |entry| {
            entry
                .place
                .as_ref()
                .is_some_and(|(_, name)| name.as_str() == slug)
        });
        own.map(|entry| entry.first_at.minutes())
            .collect::<Vec<_>>()
    };
    assert_eq!(of(other.instance).len(), 1);
    let minutes = of(record.instance);
    assert_eq!(minutes.len() as u64, STOPS_PER_INSTANCE_MAX);
    assert_eq!(minutes.iter().min(), Some(&11), "the oldest are gone");
}

#[tokio::test]
async fn events_come_in_order_and_stay() {
    let (world, record) = world().await;
    let near = |limit: Dimension, hour: i64| NearLimit {
        at: Timestamp::from_millis(hour * 3_600_000 + 1),
        tenant: record.tenant,
        instance: record.instance,
        instance_name: "acme/main".to_owned(),
        install: record.install,
        app: "hello".parse().unwrap(),
        limit: Limit::from(limit),
        used: 9,
        max: 10,
    };
    // As two hosts, or two starts of one, would notice it.
    let fuel = near(Dimension::FuelPerDay, 5);
    world
        .events
        .near_limit(&[fuel.clone(), fuel.clone()])
        .await
        .unwrap();
    let later = [
        fuel,
        near(Dimension::FuelPerDay, 6),
        near(Dimension::Storage, 5),
        // By another app, and after a change of the limit.
        NearLimit {
            install: InstallId::generate(),
            ..near(Dimension::Storage, 5)
        },
        NearLimit {
            max: 11,
            ..near(Dimension::Storage, 5)
        },
    ];
    world.events.near_limit(&later).await.unwrap();
    let acme = world.call(&world.secret(None, Some("acme")).await).await;
    let types = async |call: &Call, kind: Option<&str>| {
        let query = EventQuery {
            tenant: None,
            kind: kind.map(str::to_owned),
        };
        let page = PageRequest::new(Some(500), None).unwrap();
        let page = event::list(&world.control, call, query, &page)
            .await
            .unwrap();
        let ids: Vec<_> = page.items.iter().map(|event| event.id).collect();
        assert!(ids.is_sorted());
        page.items
            .into_iter()
            .map(|event| event.kind)
            .collect::<Vec<_>>()
    };
    assert_eq!(types(&acme, Some(event::NEAR_LIMIT)).await.len(), 4);
    let own = types(&acme, None).await;
    assert!(own.contains(&"install.enable".to_owned()), "{own:?}");
    assert!(!own.contains(&"provider.create".to_owned()), "{own:?}");
    let provider = world
        .call(&world.secret(Some("northwind"), None).await)
        .await;
    let of_provider = types(&provider, None).await;
    assert!(!of_provider.contains(&"install.enable".to_owned()));
    assert!(!of_provider.is_empty());
    for statement in ["UPDATE events SET type = ''", "DELETE FROM events"] {
        assert!(world.raw_sql(statement).await.is_err(), "{statement}");
    }
}
