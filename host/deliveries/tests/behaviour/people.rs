//! What people see of deliveries and do with them.

use std::time::Duration;

use cloudware_deliveries::{
    DeliveryFailure, DeliveryFilter, Happened, Replay,
    limits::{DEAD_KEPT, DEAD_PER_INSTANCE_MAX, ENDED_PER_INSTANCE_MAX},
};
use cloudware_types::{DeliveryId, DeliveryState, DesiredHook};
use serde_json::json;

use crate::fixture::{Fixture, POINT, eventually, failure, hook, place, some};

impl Fixture {
    /// A dead letter of this hook, which must be served.
    async fn dead(&mut self, hook: &DesiredHook) -> DeliveryId {
        self.record(std::slice::from_ref(hook), some()).await;
        let id = self.attempt().await.fail(DeliveryFailure::never("no"));
        self.until(id, DeliveryState::Dead).await;
        id
    }

    async fn count(&self, state: DeliveryState) -> u64 {
        let mut filter = DeliveryFilter {
            state: Some(state),
            count_max: 500,
            ..DeliveryFilter::default()
        };
        let mut count = 0;
        loop {
            let page = self.ids(filter.clone()).await;
            filter.before = page.last().copied();
            count += page.len() as u64;
            if page.is_empty() {
                return count;
            }
        }
    }

    async fn ids(&self, filter: DeliveryFilter) -> Vec<DeliveryId> {
        let listed = self.deliveries.list(self.instance, filter).await;
        listed
            .unwrap()
            .into_iter()
            .map(|record| record.id)
            .collect()
    }
}

#[tokio::test]
async fn a_dead_letter_is_replayed_as_if_it_had_never_been_tried() {
    let dir = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::at(dir.path()).await;
    let hooks = [hook("printer")];
    fixture.serve(&hooks);
    let id = fixture.dead(&hooks[0]).await;
    let (_, payload) = fixture
        .deliveries
        .get(fixture.instance, id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(payload, Some(some().to_string()));
    let replay = |which| fixture.deliveries.replay(fixture.instance, which);
    assert_eq!(replay(Replay::One(id)).await.unwrap(), 1);
    assert_eq!(replay(Replay::One(id)).await.unwrap(), 0, "it is not dead");
    let attempt = fixture.attempt().await;
    assert_eq!((attempt.delivery.id, attempt.delivery.attempt), (id, 1));
    let record = fixture.until(id, DeliveryState::Replayed).await;
    assert_eq!((record.attempts, record.replays), (0, 1));
    attempt.fail(failure());
    fixture.until(id, DeliveryState::Retrying).await;
    fixture.clock.advance(Duration::from_secs(5));
    fixture.attempt().await.succeed();
    fixture.until(id, DeliveryState::Delivered).await;
    let (_, payload) = fixture
        .deliveries
        .get(fixture.instance, id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(payload, None, "nobody needs it any more");
}

#[tokio::test]
async fn all_dead_letters_of_a_hook_are_replayed_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::at(dir.path()).await;
    let (printer, search) = (hook("printer"), hook("search"));
    fixture.serve(&[printer.clone(), search.clone()]);
    let letters = [
        fixture.dead(&printer).await,
        fixture.dead(&search).await,
        fixture.dead(&printer).await,
    ];
    let replay = |hook: Option<&str>| {
        let hook = hook.map(ToOwned::to_owned);
        fixture
            .deliveries
            .replay(fixture.instance, Replay::All { hook })
    };
    assert_eq!(replay(Some("scanner")).await.unwrap(), 0);
    assert_eq!(replay(Some("printer")).await.unwrap(), 2);
    assert_eq!(replay(Some(&search.id.to_string())).await.unwrap(), 1);
    assert_eq!(replay(None).await.unwrap(), 0);
    let mut tried = Vec::new();
    for _ in letters {
        tried.push(fixture.attempt().await.succeed());
    }
    tried.sort();
    assert_eq!(tried, letters);
}

#[tokio::test]
async fn lists_are_filtered_and_go_on_where_they_ended() {
    let dir = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::at(dir.path()).await;
    let (printer, search) = (hook("printer"), hook("search"));
    fixture.serve(std::slice::from_ref(&printer));
    let dead = fixture.dead(&printer).await;
    for _ in 0..3 {
        fixture.record(std::slice::from_ref(&search), some()).await;
    }
    let all = DeliveryFilter {
        count_max: 3,
        ..DeliveryFilter::default()
    };
    let first = fixture.ids(all.clone()).await;
    assert_eq!(first.len(), 3);
    let rest = DeliveryFilter {
        before: first.last().copied(),
        ..all.clone()
    };
    assert_eq!(fixture.ids(rest).await, [dead], "the oldest is last");
    let is_dead = DeliveryFilter {
        state: Some(DeliveryState::Dead),
        ..all.clone()
    };
    assert_eq!(fixture.ids(is_dead.clone()).await, [dead]);
    for (name, count) in [("search", 3), ("printer", 1), ("scanner", 0)] {
        let of_hook = DeliveryFilter {
            hook: Some(name.to_owned()),
            ..all.clone()
        };
        assert_eq!(fixture.ids(of_hook).await.len(), count, "{name}");
    }
    let neither = DeliveryFilter {
        hook: Some(search.id.to_string()),
        ..is_dead
    };
    assert_eq!(fixture.ids(neither).await, []);
}

#[tokio::test]
async fn what_a_removed_hook_was_owed_is_given_up_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::at(dir.path()).await;
    let (removed, kept) = (hook("removed"), hook("kept"));
    fixture.serve(&[removed.clone(), kept.clone()]);
    let dead = fixture.dead(&removed).await;
    let both = [removed.clone(), kept.clone()];
    fixture.record(&both, json!({ "n": 1 })).await;
    let attempts = [fixture.attempt().await, fixture.attempt().await];
    fixture.serve(std::slice::from_ref(&kept));
    let dropped = fixture
        .deliveries
        .forget_hook(fixture.instance, place(&removed))
        .await;
    assert_eq!(dropped.unwrap(), 1);
    let event = fixture.events.all().pop().unwrap();
    assert!(matches!(event.happened, Happened::Dropped { count: 1, .. }));
    assert_eq!(event.hook, place(&removed));
    // The attempt that was under way ends and changes nothing any more.
    for attempt in attempts {
        let is_removed = attempt.delivery.hook.id == removed.id;
        let id = attempt.succeed();
        let state = match is_removed {
            true => DeliveryState::Dropped,
            false => DeliveryState::Delivered,
        };
        fixture.until(id, state).await;
    }
    fixture.until(dead, DeliveryState::Dead).await;
    fixture.assert_no_attempt();
}

#[tokio::test]
async fn what_is_kept_is_bounded_in_number_and_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::at(dir.path()).await;
    let hooks: Vec<_> = (0..50).map(|n| hook(&format!("h{n}"))).collect();
    fixture.serve(&hooks);
    let calls = (DEAD_PER_INSTANCE_MAX.max(ENDED_PER_INSTANCE_MAX) / 50 + 2) as usize;
    for never in [true, false] {
        for _ in 0..calls {
            fixture.record(&hooks, some()).await;
            for _ in &hooks {
                let attempt = fixture.attempt().await;
                match never {
                    true => attempt.fail(DeliveryFailure::never("no")),
                    false => attempt.succeed(),
                };
            }
        }
    }
    fixture.until_all_ended().await;
    let one = &hooks[..1];
    for (pause, kept) in [
        (Duration::from_secs(61), DEAD_PER_INSTANCE_MAX),
        (DEAD_KEPT, 0),
    ] {
        fixture.clock.advance(pause);
        fixture.record(one, some()).await;
        let id = fixture.attempt().await.succeed();
        fixture.until(id, DeliveryState::Delivered).await;
        assert_eq!(fixture.count(DeliveryState::Dead).await, kept);
        let delivered = fixture.count(DeliveryState::Delivered).await;
        assert_eq!(delivered, kept.clamp(1, ENDED_PER_INSTANCE_MAX));
    }
    eventually("losses are told", || {
        let dropped = fixture
            .events
            .all()
            .into_iter()
            .map(|event| match &event.happened {
                Happened::Dropped {
                    count,
                    delivery: Some(_),
                    ..
                } => {
                    assert_eq!(event.hook.point, POINT, "{event:?}");
                    *count
                }
                _ => 0,
            });
        dropped.sum::<u64>() == calls as u64 * 50
    })
    .await;
}
