//! Ends of the host: what is on disk is enough to go on, and nothing else is needed.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use cloudware_deliveries::{Config, limits::PAUSES_MAX};
use cloudware_types::{DeliveryState, DesiredHook, InstanceId};
use serde_json::json;

use crate::fixture::{Fixture, RUN, failure, hook, some, statement};

#[tokio::test]
async fn what_was_in_flight_and_what_was_due_is_tried_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Fixture::at(dir.path()).await;
    let hooks = [hook("printer")];
    first.serve(&hooks);
    first.record(&hooks, json!({ "n": 1 })).await;
    let in_flight = first.attempt().await;
    first.record(&hooks, json!({ "n": 2 })).await;
    let retried = first.attempt().await.fail(failure());
    first.until(retried, DeliveryState::Retrying).await;
    let (instance, id) = (first.instance, in_flight.delivery.id);
    // Nobody closes anything, and the attempts are still under way.
    std::mem::forget(in_flight);
    std::mem::forget(first);
    let mut second = Fixture::unstarted(dir.path(), instance, Config::default());
    second.serve(&hooks);
    second.start();
    let again = second.attempt().await;
    assert_eq!((again.delivery.id, again.delivery.attempt), (id, 1));
    again.succeed();
    second.until(id, DeliveryState::Delivered).await;
    second.clock.advance(PAUSES_MAX[0]);
    let again = second.attempt().await;
    assert_eq!((again.delivery.id, again.delivery.attempt), (retried, 2));
    again.succeed();
    second.until(retried, DeliveryState::Delivered).await;
}

#[tokio::test]
async fn a_host_that_stops_lets_attempts_end_for_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::at(dir.path()).await;
    let hooks = [hook("printer")];
    fixture.serve(&hooks);
    for number in 1..=2 {
        fixture.record(&hooks, json!({ "n": number })).await;
    }
    let (ends, hangs) = (fixture.attempt().await, fixture.attempt().await);
    let stopping = tokio::spawn({
        let deliveries = std::sync::Arc::clone(&fixture.deliveries);
        async move { deliveries.stop(Duration::from_secs(2)).await }
    });
    tokio::task::yield_now().await;
    let id = ends.succeed();
    tokio::time::timeout(Duration::from_secs(20), stopping)
        .await
        .expect("it stops")
        .unwrap();
    fixture.until(id, DeliveryState::Delivered).await;
    fixture
        .until(hangs.delivery.id, DeliveryState::Pending)
        .await;
    fixture.record(&hooks, some()).await;
    fixture.assert_no_attempt();
}

/// Where the test runs itself again as the process that is to be killed.
const CHILD_DIR: &str = "CLOUDWARE_TEST_CHILD_DIR";
const CHILD_INSTANCE: &str = "CLOUDWARE_TEST_CHILD_INSTANCE";
const CHILD_HOOK: &str = "CLOUDWARE_TEST_CHILD_HOOK";

#[tokio::test]
async fn a_killed_host_loses_no_call_and_tells_none_that_was_not_committed() {
    if let Ok(dir) = std::env::var(CHILD_DIR) {
        return call_until_killed(Path::new(&dir)).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let first = Fixture::at(dir.path()).await;
    let (instance, hook) = (first.instance, hook("printer"));
    drop(first);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "restart::a_killed_host_loses_no_call_and_tells_none_that_was_not_committed",
        ])
        .args(["--nocapture", "--test-threads=1"])
        .env(CHILD_DIR, dir.path())
        .env(CHILD_INSTANCE, instance.to_string())
        .env(CHILD_HOOK, hook.id.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut committed, mut told) = (0, Vec::new());
    for line in lines.map_while(Result::ok) {
        if let Some((_, number)) = line.split_once("told: ") {
            told.push(number.parse::<i64>().unwrap());
        }
        if let Some((_, number)) = line.split_once("kept: ") {
            committed = number.parse::<i64>().unwrap();
        }
        if committed == 60 {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    let mut second = Fixture::unstarted(dir.path(), instance, Config::default());
    let mut open = second.begin(RUN).await;
    let rows = open
        .query(statement("SELECT max(id) FROM stock_items"))
        .await;
    let cloudware_instance_db::Value::Integer(items) = rows.result.unwrap().rows[0][0] else {
        panic!("no items");
    };
    open.rollback().await.result.unwrap();
    assert!(items >= committed && committed >= 60);
    second.serve(std::slice::from_ref(&hook));
    second.start();
    let records = second.records().await;
    let is_open = |state: DeliveryState| state.is_open();
    let open = records
        .iter()
        .filter(|record| is_open(record.state))
        .count();
    let mut numbers = Vec::new();
    for _ in 0..open {
        let attempt = second.attempt().await;
        numbers.push(attempt.delivery.call.arguments["n"].as_i64().unwrap());
        let id = attempt.succeed();
        second.until(id, DeliveryState::Delivered).await;
    }
    second.assert_no_attempt();
    // Each committed item was told once at least, and nothing else.
    let repeated = numbers.iter().filter(|n| told.contains(n)).count();
    assert!(repeated <= Config::default().attempts_per_instance_max);
    let mut all = [told, numbers].concat();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all, (1..=items).collect::<Vec<_>>());
}

/// Adds items, each in one transaction with a call that tells of it; every second one is undone first.
async fn call_until_killed(dir: &Path) {
    let variable = |name| std::env::var(name).unwrap();
    let instance: InstanceId = variable(CHILD_INSTANCE).parse().unwrap();
    let mut fixture = Fixture::unstarted(dir, instance, Config::default());
    let hooks = [DesiredHook {
        id: variable(CHILD_HOOK).parse().unwrap(),
        ..hook("printer")
    }];
    fixture.serve(&hooks);
    fixture.start();
    let say = |text: String| {
        let mut parent = std::io::stdout();
        writeln!(parent, "{text}").unwrap();
    };
    for number in 1_i64.. {
        for commits in [false, true] {
            let mut open = fixture.begin(RUN).await;
            let insert = format!("INSERT INTO stock_items (id) VALUES ({number})");
            open.execute(statement(&insert)).await.result.unwrap();
            let recorded = fixture
                .record_as(
                    RUN,
                    &hooks,
                    json!({ "n": if commits { number } else { -1 } }),
                )
                .await;
            recorded.result.unwrap();
            if commits {
                open.commit().await.result.unwrap();
                say(format!("kept: {number}"));
            }
        }
        // Some are answered at once, others when more have come.
        if number % 3 == 0 {
            for _ in 0..3 {
                let attempt = fixture.attempt().await;
                say(format!("told: {}", attempt.delivery.call.arguments["n"]));
                attempt.succeed();
            }
        }
    }
}
