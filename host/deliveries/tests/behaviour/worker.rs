//! Attempts: when they are made, how often, how many at the same time, and what becomes of a delivery.

use std::time::Duration;

use cloudware_deliveries::{
    Clock as _, Config, DeliveryFailure, Happened, Outlook, Replay,
    limits::{ATTEMPTS_MAX, PAUSES_MAX, UNSERVED_KEPT},
};
use cloudware_instance_db::Error;
use cloudware_types::{DeliveryRecord, DeliveryState, DesiredHook, InstanceId, OnFailure};

use crate::fixture::{Fixture, eventually, failure, hook, some};

#[tokio::test]
async fn a_failing_delivery_is_tried_for_a_day_and_then_is_a_dead_letter() {
    let dir = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::at(dir.path()).await;
    let hooks = [hook("printer")];
    fixture.serve(&hooks);
    fixture.record(&hooks, some()).await;
    for (number, pause) in (1..).zip(PAUSES_MAX) {
        let attempt = fixture.attempt().await;
        assert_eq!(attempt.delivery.attempt, number);
        let id = attempt.fail(failure());
        let is_noted = |record: &DeliveryRecord| record.attempts == number;
        let record = fixture.until_it(id, "noted", is_noted).await;
        assert_eq!(record.state, DeliveryState::Retrying);
        assert_eq!(
            record.reason.as_deref(),
            Some("the printer is out of paper")
        );
        let due = Duration::from_millis(record.due_ms.unwrap() - record.changed_ms);
        assert!(due <= pause, "{due:?} of {pause:?}");
        if !due.is_zero() {
            fixture.clock.advance(due - Duration::from_millis(1));
            fixture.assert_no_attempt();
            fixture.clock.advance(Duration::from_millis(1));
        }
    }
    let id = fixture.attempt().await.fail(failure());
    let record = fixture.until(id, DeliveryState::Dead).await;
    assert_eq!((record.attempts, record.due_ms), (ATTEMPTS_MAX, None));
    eventually("it is told", || !fixture.events.all().is_empty()).await;
    let event = fixture.events.all().pop().unwrap();
    assert_eq!(
        (event.hook.id, event.hook.name.as_str()),
        (hooks[0].id, "printer")
    );
    assert_eq!(
        event.happened,
        Happened::Dead {
            delivery: id,
            reason: "the printer is out of paper".into()
        }
    );
    fixture.clock.advance(Duration::from_secs(86_400));
    fixture.assert_no_attempt();
}

#[tokio::test]
async fn a_hook_decides_what_a_failure_means() {
    let dir = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::at(dir.path()).await;
    let may_fail = DesiredHook {
        on_failure: OnFailure::Skip,
        ..hook("may-fail")
    };
    let gone = DeliveryFailure {
        reason: "410 Gone".into(),
        outlook: Outlook::Gone,
    };
    let asks = DeliveryFailure {
        reason: "429".into(),
        outlook: Outlook::Retry {
            after: Some(Duration::from_secs(900)),
        },
    };
    for (hook, failure, state) in [
        (may_fail, failure(), DeliveryState::Dropped),
        (
            hook("never"),
            DeliveryFailure::never("no"),
            DeliveryState::Dead,
        ),
        (hook("gone"), gone, DeliveryState::Dead),
        (hook("asks"), asks, DeliveryState::Retrying),
    ] {
        fixture.serve(std::slice::from_ref(&hook));
        fixture.record(std::slice::from_ref(&hook), some()).await;
        let id = fixture.attempt().await.fail(failure);
        let record = fixture.until(id, state).await;
        match state {
            DeliveryState::Retrying => {
                assert!(record.due_ms.unwrap() >= record.changed_ms + 900_000);
            }
            _ => assert_eq!(record.due_ms, None),
        }
    }
    eventually("events", || fixture.events.all().len() == 4).await;
    let happened: Vec<_> = fixture
        .events
        .all()
        .into_iter()
        .map(|event| (event.hook.name, event.happened))
        .collect();
    assert!(
        matches!(&happened[0], (name, Happened::Dropped { count: 1, .. }) if name == "may-fail")
    );
    assert!(matches!(&happened[1], (name, Happened::Dead { .. }) if name == "never"));
    assert!(matches!(&happened[2], (name, Happened::Dead { .. }) if name == "gone"));
    assert!(matches!(&happened[3], (name, Happened::Gone { .. }) if name == "gone"));
}

#[tokio::test]
async fn what_was_not_tried_is_no_attempt_and_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::at(dir.path()).await;
    let may_fail = DesiredHook {
        on_failure: OnFailure::Skip,
        ..hook("may-fail")
    };
    fixture.serve(std::slice::from_ref(&may_fail));
    fixture
        .record(std::slice::from_ref(&may_fail), some())
        .await;
    let minute = Duration::from_secs(60);
    for _ in 0..2 * ATTEMPTS_MAX {
        let attempt = fixture.attempt().await;
        assert_eq!(attempt.delivery.attempt, 1);
        let rests = DeliveryFailure {
            reason: "it rests".into(),
            outlook: Outlook::NotTried { after: minute },
        };
        let now_ms = fixture.clock.now_ms();
        let id = attempt.fail(rests);
        let waits = |record: &DeliveryRecord| record.due_ms == Some(now_ms + 60_000);
        let record = fixture.until_it(id, "waits", waits).await;
        assert_eq!(
            (record.state, record.attempts),
            (DeliveryState::Retrying, 0)
        );
        fixture.clock.advance(minute);
    }
    let id = fixture.attempt().await.succeed();
    fixture.until(id, DeliveryState::Delivered).await;
}

#[tokio::test]
async fn a_target_that_panics_is_a_failure_and_not_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::at(dir.path()).await;
    let hooks = [hook("printer")];
    fixture.serve(&hooks);
    fixture.record(&hooks, some()).await;
    let attempt = fixture.attempt().await;
    let id = attempt.delivery.id;
    drop(attempt);
    let record = fixture.until(id, DeliveryState::Retrying).await;
    assert!(record.reason.unwrap().contains("operator's log"));
    fixture.clock.advance(PAUSES_MAX[0]);
    fixture.attempt().await.succeed();
    fixture.until(id, DeliveryState::Delivered).await;
}

#[tokio::test]
async fn attempts_are_bounded_for_each_instance_and_hook() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        attempts_per_instance_max: 4,
        ..Config::default()
    };
    let mut fixture = Fixture::unstarted(dir.path(), InstanceId::generate(), config);
    fixture.start();
    let (slow, quick) = (hook("slow"), hook("quick"));
    fixture.serve(&[slow.clone(), quick.clone()]);
    for _ in 0..6 {
        fixture.record(std::slice::from_ref(&slow), some()).await;
    }
    let mut held = vec![fixture.attempt().await, fixture.attempt().await];
    // The slow hook has all that one hook may have; the others find a place.
    fixture.record(std::slice::from_ref(&quick), some()).await;
    let attempt = fixture.attempt().await;
    assert_eq!(attempt.delivery.hook.id, quick.id);
    let id = attempt.succeed();
    fixture.until(id, DeliveryState::Delivered).await;
    fixture.assert_no_attempt();
    for _ in 0..4 {
        held.remove(0).succeed();
        held.push(fixture.attempt().await);
    }
    let last: Vec<_> = held.into_iter().map(|attempt| attempt.succeed()).collect();
    fixture.until(last[1], DeliveryState::Delivered).await;
    fixture.assert_no_attempt();
    assert_eq!(fixture.records().await.len(), 7);
}

#[tokio::test]
async fn attempts_of_all_instances_are_bounded_and_each_gets_its_turn() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        attempts_max: 1,
        ..Config::default()
    };
    let mut fixture = Fixture::unstarted(dir.path(), InstanceId::generate(), config);
    fixture.start();
    let hooks = [hook("printer")];
    let instances = [fixture.instance, InstanceId::generate()];
    for instance in instances {
        fixture.instance = instance;
        fixture.serve(&hooks);
        for _ in 0..3 {
            fixture.record(&hooks, some()).await;
        }
    }
    let mut seen = Vec::new();
    for _ in 0..6 {
        let attempt = fixture.attempt().await;
        fixture.assert_no_attempt();
        seen.push(attempt.delivery.instance);
        attempt.succeed();
    }
    let first_of_second = seen.iter().position(|one| *one == instances[1]).unwrap();
    assert!(first_of_second < 3, "{seen:?}");
}

#[tokio::test]
async fn what_a_disabled_hook_is_owed_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::at(dir.path()).await;
    let (kept, disabled) = (hook("kept"), hook("disabled"));
    fixture.serve(&[kept.clone(), disabled.clone()]);
    fixture
        .record(std::slice::from_ref(&disabled), some())
        .await;
    let id = fixture.attempt().await.fail(failure());
    fixture.until(id, DeliveryState::Retrying).await;
    fixture.serve(std::slice::from_ref(&kept));
    fixture.clock.advance(PAUSES_MAX[0]);
    // Work for the other hook shows that a round has passed it over.
    fixture.record(std::slice::from_ref(&kept), some()).await;
    let other = fixture.attempt().await;
    assert_eq!(other.delivery.hook.id, kept.id);
    let other = other.succeed();
    fixture.until(other, DeliveryState::Delivered).await;
    fixture.assert_no_attempt();
    let enabled = DesiredHook {
        deadline_ms: 70,
        ..disabled
    };
    fixture.serve(&[kept, enabled]);
    let attempt = fixture.attempt().await;
    assert_eq!((attempt.delivery.id, attempt.delivery.attempt), (id, 2));
    assert_eq!(attempt.delivery.hook.deadline_ms, 70, "as it is now");
    attempt.succeed();
    fixture.until(id, DeliveryState::Delivered).await;
}

#[tokio::test]
async fn what_is_never_served_again_is_given_up_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::at(dir.path()).await;
    let (kept, lost) = (hook("kept"), hook("lost"));
    for _ in 0..3 {
        fixture.record(std::slice::from_ref(&lost), some()).await;
    }
    fixture
        .clock
        .advance(UNSERVED_KEPT + Duration::from_secs(1));
    fixture.serve(std::slice::from_ref(&kept));
    fixture.record(std::slice::from_ref(&kept), some()).await;
    let id = fixture.attempt().await.succeed();
    fixture.until(id, DeliveryState::Delivered).await;
    eventually("it is told", || fixture.events.all().len() == 1).await;
    let event = fixture.events.all().remove(0);
    assert_eq!(event.hook.name, "lost");
    assert!(matches!(event.happened, Happened::Dropped { count: 3, .. }));
    assert_eq!(fixture.records().await.len(), 1);
}

#[tokio::test]
async fn databases_of_idle_instances_are_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::unstarted(dir.path(), InstanceId::generate(), Config::default());
    let hooks = [hook("printer")];
    fixture.record(&hooks, some()).await;
    fixture.start();
    fixture.serve(&hooks);
    let id = fixture.attempt().await.succeed();
    fixture.until(id, DeliveryState::Delivered).await;
    let other = fixture.instance;
    // An instance without a database has nothing due, and gets none by being looked at.
    fixture.instance = InstanceId::generate();
    fixture.serve(&hooks);
    fixture.serve(&hooks);
    fixture.serve(&[]);
    fixture.instance = other;
    fixture.record(&hooks, some()).await;
    fixture.attempt().await.succeed();
    assert_eq!(fixture.databases.open_count(), 1);
}

#[tokio::test]
async fn a_database_that_fails_delays_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::at(dir.path()).await;
    let hooks = [hook("printer")];
    fixture.serve(&hooks);
    fixture.record(&hooks, some()).await;
    let attempt = fixture.attempt().await;
    let id = attempt.delivery.id;
    // Somebody holds the file, longer than SQLite waits for it.
    let name = fixture.instance.to_string();
    let file = dir.path().join("instances").join(&name[name.len() - 2..]);
    let held = rusqlite::Connection::open(file.join(format!("{name}.db"))).unwrap();
    held.execute_batch("BEGIN IMMEDIATE").unwrap();
    attempt.succeed();
    // Writers take turns, so the round that notes it has failed when the second of these has.
    for _ in 0..2 {
        let replay = Replay::All { hook: None };
        let refused = fixture.deliveries.replay(fixture.instance, replay).await;
        assert_eq!(refused, Err(Error::Busy));
    }
    held.execute_batch("ROLLBACK").unwrap();
    let is_noted = |record: &DeliveryRecord| {
        fixture.clock.advance(Duration::from_secs(1));
        record.state == DeliveryState::Delivered
    };
    fixture.until_it(id, "noted", is_noted).await;
    fixture.assert_no_attempt();
}
