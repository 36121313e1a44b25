//! `cloudware bench` as people run it: what it prints, and what it says about peers that are not installed.
//! Figures themselves are not judged here: a machine that runs tests is no place to measure.

use std::process::{Command, Output};

use serde_json::Value;

/// A variable that names a peer, and a place where none is.
const NO_PEERS: [(&str, &str); 2] = [
    ("CLOUDWARE_BENCH_WASMTIME", "/nowhere/wasmtime"),
    ("CLOUDWARE_BENCH_SPIN", "/nowhere/spin"),
];

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cloudware"))
        .arg("bench")
        .args(arguments)
        .envs(NO_PEERS)
        .output()
        .expect("the binary can be run")
}

/// The figures of a bench that succeeded.
fn figures(output: &Output) -> Vec<Value> {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let stdout = String::from_utf8(output.stdout.clone()).expect("figures are text");
    stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect()
}

fn figure<'a>(figures: &'a [Value], metric: &str) -> &'a Value {
    let found = figures.iter().find(|figure| figure["metric"] == metric);
    found.unwrap_or_else(|| panic!("no figure `{metric}` in {figures:#?}"))
}

#[test]
fn parts_are_measured_in_process() {
    let output = bench(&[
        "sandbox",
        "hostcalls",
        "--rounds=1",
        "--seconds=1",
        "--output=json",
    ]);
    let figures = figures(&output);
    for metric in [
        "create and destroy",
        "call, warm sandbox",
        "kv get",
        "sql point query",
        "sql insert, inside one transaction",
    ] {
        let value = figure(&figures, metric)["value"].as_f64().unwrap();
        assert!(value > 0.0, "{metric}: {value}");
    }
    let durable = figure(&figures, "sql insert, its own transaction, durable");
    for field in ["value", "baseline", "ratio"] {
        assert!(durable[field].as_f64().unwrap() > 0.0, "{durable}");
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("machine:") && stderr.contains("profile"),
        "{stderr}"
    );
}

#[test]
fn servers_are_measured_and_missing_peers_are_named() {
    let output = bench(&[
        "hello",
        "--rounds=1",
        "--seconds=1",
        "--connections=4",
        "--output=json",
    ]);
    let figures = figures(&output);
    for server in [
        "cloudware, fresh sandbox (SDK)",
        "cloudware, warm sandbox (SDK)",
        "cloudware, fresh sandbox (minimal)",
        "cloudware, warm sandbox (minimal)",
        "axum, no sandbox",
    ] {
        let rate = figure(&figures, &format!("{server}: requests"));
        assert!(rate["value"].as_f64().unwrap() > 0.0, "{rate}");
    }
    let beside_axum = figure(
        &figures,
        "cloudware, fresh sandbox beside axum, no sandbox (SDK)",
    );
    assert!(
        beside_axum["ratio"].as_f64().unwrap() > 0.0,
        "{beside_axum}"
    );
    for peer in ["wasmtime serve", "wasmtime serve, tuned", "spin up"] {
        let missing = figure(&figures, &format!("{peer} (SDK): requests"));
        assert!(missing["value"].is_null(), "{missing}");
        assert!(
            missing["missing"].as_str().unwrap().contains("/nowhere/"),
            "{missing}"
        );
    }
}

#[test]
fn neighbours_and_limits_are_measured() {
    let output = bench(&[
        "noisy",
        "limits",
        "--only=cpu,loop",
        "--rounds=1",
        "--seconds=1",
        "--yield-fuel=100000",
        "--output=json",
    ]);
    let figures = figures(&output);
    for metric in ["p99 beside 1 cpu", "p99 beside 10 cpu", "tight loop"] {
        let compared = figure(&figures, metric);
        assert!(compared["ratio"].as_f64().unwrap() > 0.0, "{compared}");
    }
    // A share of a second of an unoptimised build may be too little for one answer.
    let share = figure(&figures, "computing victim beside 10 cpu");
    assert!(share["baseline"].as_f64().unwrap() > 0.0, "{share}");
    assert_eq!(share["target"]["ratio-at-least"], 0.9, "{share}");
    let aim = figure(&figures, "p99 beside 10 cpu");
    assert_eq!(aim["target"]["ratio-at-most"], 1.2, "{aim}");
    // Nothing else was asked for.
    let others = |figure: &&Value| figure["metric"].as_str().unwrap().contains("memory");
    assert_eq!(figures.iter().find(others), None);
}

#[test]
fn many_instances_and_many_requests_are_measured() {
    let output = bench(&[
        "density",
        "concurrency",
        "--rounds=1",
        "--seconds=1",
        "--instances=40",
        "--tenants=3",
        "--in-flight=12",
        "--output=json",
    ]);
    let figures = figures(&output);
    for metric in [
        "memory of the idle host, 40 instances",
        "first request, p99, 40 instances",
        "second request, p99, 40 instances",
        "in guests at once, 100 ms in the guest each",
        "answers, business calls",
        "p95, business calls at 640/s",
        "processor, of one core, business calls",
    ] {
        let value = figure(&figures, metric)["value"].as_f64().unwrap();
        assert!(value > 0.0, "{metric}: {value}");
    }
    let at_once = figure(&figures, "in flight, 100 ms in the guest each");
    assert_eq!(at_once["value"], 12.0);
    let errors = figure(&figures, "errors, 100 ms in the guest each");
    assert_eq!(errors["met"], true, "{errors}");
}

#[test]
fn a_part_that_is_not_there_is_named_with_those_that_are() {
    let output = bench(&["noisy", "--only=nonsense"]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("nonsense") && stderr.contains("slow-io"),
        "{stderr}"
    );
}

#[test]
fn bounds_are_refused_before_anything_starts() {
    for argument in [
        "--rounds=0",
        "--seconds=3600",
        "--connections=100000",
        "--instances=1",
        "--yield-fuel=1",
        "no-such-bench",
    ] {
        let output = bench(&["sandbox", argument]);
        assert_eq!(output.status.code(), Some(2), "{argument}");
        assert!(output.stdout.is_empty());
    }
}
