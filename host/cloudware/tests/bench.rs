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
        "cloudware, fresh sandbox",
        "cloudware, warm sandbox",
        "axum, no sandbox",
    ] {
        let rate = figure(&figures, &format!("{server}: requests"));
        assert!(rate["value"].as_f64().unwrap() > 0.0, "{rate}");
    }
    let beside_axum = figure(&figures, "cloudware, fresh sandbox beside axum, no sandbox");
    assert!(
        beside_axum["ratio"].as_f64().unwrap() > 0.0,
        "{beside_axum}"
    );
    for peer in ["wasmtime serve", "wasmtime serve, tuned", "spin up"] {
        let missing = figure(&figures, &format!("{peer}: requests"));
        assert!(missing["value"].is_null(), "{missing}");
        assert!(
            missing["missing"].as_str().unwrap().contains("/nowhere/"),
            "{missing}"
        );
    }
}

#[test]
fn bounds_are_refused_before_anything_starts() {
    for argument in [
        "--rounds=0",
        "--seconds=3600",
        "--connections=100000",
        "no-such-bench",
    ] {
        let output = bench(&["sandbox", argument]);
        assert_eq!(output.status.code(), Some(2), "{argument}");
        assert!(output.stdout.is_empty());
    }
}
