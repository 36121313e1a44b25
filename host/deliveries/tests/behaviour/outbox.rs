//! A call is told to its hooks if and only if the transaction of the caller is committed.

use cloudware_deliveries::{
    RecordError,
    limits::{OPEN_PER_INSTANCE_MAX, PAYLOAD_BYTES_MAX},
};
use cloudware_instance_db::Error;
use cloudware_types::DeliveryState;
use serde_json::json;

use crate::fixture::{BEGIN_MS, Fixture, RUN, hook, place, some, statement};

#[tokio::test]
async fn a_call_in_no_transaction_is_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::at(dir.path()).await;
    let hooks = [hook("printer"), hook("search")];
    fixture.serve(&hooks);
    fixture.record(&hooks, some()).await;
    let attempts = [fixture.attempt().await, fixture.attempt().await];
    for attempt in attempts {
        let delivery = &attempt.delivery;
        assert_eq!(delivery.call.arguments, some());
        assert_eq!(delivery.call.function, "moved");
        assert_eq!((delivery.attempt, delivery.called_ms), (1, BEGIN_MS));
        assert_eq!(delivery.instance, fixture.instance);
        let id = attempt.succeed();
        let record = fixture.until(id, DeliveryState::Delivered).await;
        assert_eq!((record.attempts, record.due_ms, record.items), (1, None, 2));
    }
    let ids: Vec<_> = fixture.records().await.iter().map(|r| r.hook).collect();
    assert_eq!(ids, hooks.map(|hook| hook.id), "in the order of hooks");
    fixture.assert_no_attempt();
}

#[tokio::test]
async fn a_call_is_told_when_the_transaction_of_its_run_is_committed_and_not_before() {
    let dir = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::at(dir.path()).await;
    let hooks = [hook("printer")];
    fixture.serve(&hooks);
    let mut open = fixture.begin(RUN).await;
    open.execute(statement("INSERT INTO stock_items (id) VALUES (1)"))
        .await
        .result
        .unwrap();
    for number in 1..=3 {
        let recorded = fixture.record_as(RUN, &hooks, json!({ "n": number })).await;
        recorded.result.unwrap();
    }
    // Another reason to look finds nothing yet.
    fixture.serve(&[hooks[0].clone(), hook("new")]);
    assert_eq!(fixture.records().await, []);
    fixture.assert_no_attempt();
    open.commit().await.result.unwrap();
    for number in 1..=3 {
        let attempt = fixture.attempt().await;
        assert_eq!(attempt.delivery.call.arguments, json!({ "n": number }));
        attempt.succeed();
    }
}

#[tokio::test]
async fn a_call_is_never_told_when_the_transaction_of_its_run_is_undone() {
    let dir = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::at(dir.path()).await;
    let hooks = [hook("printer")];
    fixture.serve(&hooks);
    let open = fixture.begin(RUN).await;
    let recorded = fixture.record_as(RUN, &hooks, some()).await;
    recorded.result.unwrap();
    open.rollback().await.result.unwrap();
    let open = fixture.begin(RUN).await;
    let recorded = fixture.record_as(RUN, &hooks, some()).await;
    recorded.result.unwrap();
    drop(open);
    // What comes after shows that nothing was before.
    fixture.record(&hooks, json!({ "last": true })).await;
    let attempt = fixture.attempt().await;
    assert_eq!(attempt.delivery.call.arguments, json!({ "last": true }));
    let id = attempt.succeed();
    assert_eq!(fixture.records().await.len(), 1);
    fixture.until(id, DeliveryState::Delivered).await;
    fixture.assert_no_attempt();
}

#[tokio::test]
async fn arguments_are_bounded_and_refused_without_harm_to_the_transaction() {
    let dir = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::at(dir.path()).await;
    let hooks = [hook("printer")];
    fixture.serve(&hooks);
    let mut open = fixture.begin(RUN).await;
    let frame = json!({ "text": "" }).to_string().len();
    let fits = json!({ "text": "x".repeat(PAYLOAD_BYTES_MAX - frame) });
    let large = json!({ "text": "x".repeat(PAYLOAD_BYTES_MAX - frame + 1) });
    let recorded = fixture.record_as(RUN, &hooks, large).await;
    assert_eq!(recorded.result, Err(RecordError::TooLarge));
    let recorded = fixture.record_as(RUN, &hooks, fits.clone()).await;
    recorded.result.unwrap();
    open.execute(statement("INSERT INTO stock_items (id) VALUES (1)"))
        .await
        .result
        .unwrap();
    open.commit().await.result.unwrap();
    let attempt = fixture.attempt().await;
    assert_eq!(attempt.delivery.call.arguments, fits);
    attempt.succeed();
}

#[tokio::test]
async fn hooks_that_take_nothing_end_in_a_refusal_and_not_in_a_full_disk() {
    let dir = tempfile::tempdir().unwrap();
    let fixture = Fixture::at(dir.path()).await;
    // Many hooks for each call, none of them served.
    let hooks: Vec<_> = (0..500).map(|n| hook(&format!("h{n}"))).collect();
    for _ in 0..OPEN_PER_INSTANCE_MAX / 500 {
        fixture.record(&hooks, some()).await;
    }
    let refused = fixture.record_as(0, &hooks[..1], some()).await;
    let error = refused.result.unwrap_err();
    assert_eq!(
        error,
        RecordError::TooMany {
            open: OPEN_PER_INSTANCE_MAX
        }
    );
    assert!(error.to_string().contains("delivery list"), "{error}");
    // The ones that nobody waits for any more make room.
    let gone = &hooks[0];
    let dropped = fixture
        .deliveries
        .forget_hook(fixture.instance, place(gone))
        .await;
    assert_eq!(dropped.unwrap(), OPEN_PER_INSTANCE_MAX / 500);
    fixture.record(&hooks[1..2], some()).await;
}

#[tokio::test]
async fn the_storage_quota_holds_and_what_was_delivered_is_noted_beyond_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::at(dir.path()).await;
    fixture.storage_bytes_max = 256 << 10;
    let hooks = [hook("printer")];
    let large = json!({ "text": "x".repeat(50_000) });
    let mut written = 0;
    let refused = loop {
        match fixture.record_as(0, &hooks, large.clone()).await.result {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, RecordError::Database(Error::Full));
    assert!((1..6).contains(&written), "{written}");
    fixture.serve(&hooks);
    for _ in 0..written {
        let id = fixture.attempt().await.succeed();
        fixture.until(id, DeliveryState::Delivered).await;
    }
    // Payloads that are delivered have made room.
    fixture.record(&hooks, large).await;
}

#[tokio::test]
async fn a_call_without_hooks_touches_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let fixture = Fixture::unstarted(
        dir.path(),
        cloudware_types::InstanceId::generate(),
        cloudware_deliveries::Config::default(),
    );
    fixture.record(&[], some()).await;
    assert!(!fixture.databases.exists(fixture.instance));
    assert_eq!(fixture.records().await, []);
    assert!(!fixture.databases.exists(fixture.instance));
}
