//! Recordings: how many calls and bytes are kept, what the data plane is told, and when one ends.

#![allow(clippy::unwrap_used, reason = "a test that fails says so")]

mod support;

use std::{collections::BTreeMap, time::Duration};

use cloudware_control::{
    Call, Error, Recording, RecordingNew,
    limits::{RECORDING_BYTES_MAX, RECORDING_TIME_MAX, RECORDINGS_PER_INSTANCE_MAX},
    recording,
};
use cloudware_types::{
    Class, DesiredRecording, Digest, RecordedCall, RecordedOne, RecordedOutcome,
};
use serde_json::{Value, json};
use support::{FEFO, STORE, World};

fn new() -> RecordingNew {
    RecordingNew {
        app: "fefo".parse().unwrap(),
        calls: None,
        time: None,
        redact: vec!["iban".to_owned()],
        is_shared: false,
    }
}

async fn start(world: &World, call: &Call, new: RecordingNew) -> Result<Recording, Error> {
    recording::start(&world.control, call, ("acme", "main"), new).await
}

/// A world where acme has `hello`.
async fn world() -> (World, Call) {
    let world = World::new().await;
    let provider = world.provider("northwind").await;
    let acme = world.tenant("acme").await;
    for package in [&STORE, &FEFO] {
        world.push(&provider, package).await.unwrap();
        world
            .enable(&acme, "acme", package.name, "1.0.0")
            .await
            .unwrap();
    }
    (world, acme)
}

/// A call with so many bytes of arguments.
fn call(recording: &Recording, bytes: usize) -> RecordedOne {
    RecordedOne {
        recording: recording.id,
        outcome: Ok(Box::new(RecordedCall {
            version: "1.0.0".to_owned(),
            component: Digest::of(b"component"),
            interface: "a:b/c".to_owned(),
            function: "f".to_owned(),
            class: Class::Hook,
            arguments: json!({ "text": "x".repeat(bytes) }),
            seed: u64::MAX,
            at_ms: 1,
            fuel_max: 2,
            limits: BTreeMap::new(),
            transcript: Vec::new(),
            outcome: RecordedOutcome::Returned(Value::Null),
            fuel: 3,
            memory_bytes: 4,
            redacted: Vec::new(),
            redacted_names: Vec::new(),
        })),
    }
}

async fn desired(world: &World) -> Option<std::sync::Arc<DesiredRecording>> {
    let served = world.plane.served(world.id_of("acme", "main").await);
    served
        .installs
        .iter()
        .find_map(|install| install.recording.clone())
}

#[tokio::test]
async fn the_data_plane_is_told_while_it_runs() {
    let (world, acme) = world().await;
    assert_eq!(desired(&world).await, None);
    let started = start(&world, &acme, new()).await.unwrap();
    let told = desired(&world).await.unwrap();
    assert_eq!((told.id, told.calls_left), (started.id, 20));
    assert_eq!(*told.redact, ["iban".to_owned()]);
    let again = start(&world, &acme, new()).await;
    assert!(matches!(again, Err(Error::Conflict { .. })), "{again:?}");
    recording::stop(&world.control, &acme, &started.id.to_string())
        .await
        .unwrap();
    assert_eq!(desired(&world).await, None);
    let late = [call(&started, 1)];
    world.recordings.record(&late).await.unwrap();
    let kept = recording::get(&world.control, &acme, &started.id.to_string()).await;
    assert_eq!(kept.unwrap().calls, 0, "nothing comes after the end");
}

#[tokio::test]
async fn it_ends_with_the_calls_that_it_was_to_have() {
    let (world, acme) = world().await;
    let two = RecordingNew {
        calls: Some(2),
        ..new()
    };
    let started = start(&world, &acme, two).await.unwrap();
    let skipped = RecordedOne {
        recording: started.id,
        outcome: Err("it was too large".to_owned()),
    };
    let calls = [call(&started, 1), skipped, call(&started, 2)];
    world.recordings.record(&calls).await.unwrap();
    let id = started.id.to_string();
    let kept = recording::get(&world.control, &acme, &id).await.unwrap();
    assert_eq!((kept.calls, kept.skipped), (1, 1));
    assert_eq!(kept.skipped_reason.as_deref(), Some("it was too large"));
    assert!(kept.ended.is_some(), "{kept:?}");
    let file = recording::export(&world.control, &acme, &id).await.unwrap();
    let expected = calls[0].outcome.clone().unwrap();
    assert_eq!(
        file.calls,
        [*expected],
        "what was recorded is what is exported"
    );
    let removed = recording::remove(&world.control, &acme, &id).await.unwrap();
    world.recordings.record(&[call(&removed, 1)]).await.unwrap();
    let gone = recording::get(&world.control, &acme, &id).await;
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
}

#[tokio::test]
async fn bytes_and_numbers_are_bounded_and_the_bound_is_told() {
    let (world, acme) = world().await;
    let many = RecordingNew {
        calls: Some(200),
        ..new()
    };
    let started = start(&world, &acme, many).await.unwrap();
    for _ in 0..=RECORDING_BYTES_MAX >> 20 {
        let large = [call(&started, 1 << 20)];
        world.recordings.record(&large).await.unwrap();
    }
    let id = started.id.to_string();
    let kept = recording::get(&world.control, &acme, &id).await.unwrap();
    assert!(
        kept.bytes <= RECORDING_BYTES_MAX && kept.calls > 0,
        "{kept:?}"
    );
    let (_, reason) = kept.ended.unwrap();
    assert!(
        reason.contains(&RECORDING_BYTES_MAX.to_string()),
        "{reason}"
    );
    for _ in 1..RECORDINGS_PER_INSTANCE_MAX {
        let started = start(&world, &acme, new()).await.unwrap();
        recording::stop(&world.control, &acme, &started.id.to_string())
            .await
            .unwrap();
    }
    let refused = start(&world, &acme, new()).await.unwrap_err().to_string();
    assert!(refused.contains("remove one"), "{refused}");
}

#[tokio::test]
async fn what_is_out_of_bounds_is_refused_by_name() {
    let (world, acme) = world().await;
    let cases = [
        (
            "calls",
            RecordingNew {
                calls: Some(0),
                ..new()
            },
        ),
        (
            "calls",
            RecordingNew {
                calls: Some(201),
                ..new()
            },
        ),
        (
            "seconds",
            RecordingNew {
                time: Some(Duration::ZERO),
                ..new()
            },
        ),
        (
            "seconds",
            RecordingNew {
                time: Some(RECORDING_TIME_MAX + Duration::from_secs(1)),
                ..new()
            },
        ),
        (
            "redact",
            RecordingNew {
                redact: vec![String::new()],
                ..new()
            },
        ),
        (
            "redact",
            RecordingNew {
                redact: vec!["x".repeat(65)],
                ..new()
            },
        ),
        (
            "redact",
            RecordingNew {
                redact: vec!["x".to_owned(); 51],
                ..new()
            },
        ),
    ];
    for (field, wrong) in cases {
        match start(&world, &acme, wrong).await {
            Err(Error::Invalid { field: told, .. }) => assert_eq!(told, field),
            other => panic!("{field}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn old_recordings_are_removed_and_young_ones_are_not() {
    let (world, acme) = world().await;
    let started = start(&world, &acme, new()).await.unwrap();
    assert_eq!(world.recordings.forget_old().await.unwrap(), 0);
    // A minute more than the fourteen days.
    world
        .raw_sql("UPDATE recordings SET started_at = started_at - 14 * 86400000 - 60000")
        .await
        .unwrap();
    assert_eq!(world.recordings.forget_old().await.unwrap(), 1);
    let gone = recording::get(&world.control, &acme, &started.id.to_string()).await;
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
}
