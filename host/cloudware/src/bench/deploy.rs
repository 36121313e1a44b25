//! `bench deploy`: how long a change takes until its first answer, how soon a host is ready, and what an idle
//! instance costs in memory. Everything over the API and real sockets, as an ISV and an operator do it.

use std::{path::Path, time::Instant};

use anyhow::{Context as _, Result, ensure};

use super::{
    Bench,
    figure::{Figure, Target},
    guests::{self, BuiltGuest},
    hello,
    platform::{self, Content, Platform},
};

const NAME: &str = "deploy";

/// Idle instances whose memory is measured.
const INSTANCES: u32 = 1_000;

/// Instances made before, so that what a host makes once is made.
const INSTANCES_BEFORE: u32 = 100;

/// Milliseconds of each round.
#[derive(Default)]
struct Changes {
    push: Vec<f64>,
    enable: Vec<f64>,
}

/// Runs the bench.
pub(super) async fn run(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    let guest = guests::build(guests::HELLO, &bench.work, bench.context).await?;
    let data = bench.work.scratch(NAME);
    let platform = Platform::start(&data, None, &bench.settings()).await?;
    let empty = milliseconds(platform.ready_after);
    let changes = changes(bench, &platform, &guest).await?;
    let (memory, each) = instances(bench, &platform, &guest).await?;
    tokio::task::block_in_place(|| platform.server.stop())?;

    let full = tokio::task::block_in_place(|| starts(bench, &data, Content::Kept))?;
    let demo = tokio::task::block_in_place(|| {
        let data = bench.work.scratch("demo");
        let step = bench.context.progress.step("building the demo");
        platform::start(&data, Content::Demo, None, &bench.settings())?
            .server
            .stop()?;
        drop(step);
        starts(bench, &data, Content::Demo)
    })?;
    let known = INSTANCES + INSTANCES_BEFORE;
    Ok(vec![
        Figure::new(NAME, "push → first answer", "ms", &changes.push),
        Figure::new(NAME, "enable → first answer", "ms", &changes.enable)
            .target(Target::ValueAtMost(100.0)),
        Figure::new(NAME, "start → ready, new data folder", "ms", &[empty]),
        Figure::new(
            NAME,
            format!("start → ready, {known} instances"),
            "ms",
            &full,
        ),
        Figure::new(NAME, "start → ready, demo", "ms", &demo).target(Target::ValueAtMost(2_000.0)),
        Figure::new(NAME, "create an instance and enable an app", "ms", &each),
        Figure::new(NAME, "memory of 1,000 idle instances", "MB", &[memory])
            .target(Target::ValueAtMost(10.0)),
    ])
}

/// Each round publishes a release that nobody has compiled before, and enables it in a new instance.
async fn changes(bench: &Bench<'_>, platform: &Platform, guest: &BuiltGuest) -> Result<Changes> {
    let app = guest.package.manifest.name.as_str();
    let mut changes = Changes::default();
    for round in 1..=bench.rounds {
        let step = bench
            .context
            .progress
            .step(format!("publishing, round {round} of {}", bench.rounds));
        let archive = release(guest, round)?;
        let instance = format!("round-{round}");
        platform.create_instance(&instance).await?;
        let pushed = Instant::now();
        platform.push(&archive).await?;
        let enabled = Instant::now();
        let path = platform.enable(&instance, app).await?;
        answer(platform, &path).await?;
        changes.push.push(milliseconds(pushed.elapsed()));
        changes.enable.push(milliseconds(enabled.elapsed()));
        drop(step);
    }
    Ok(changes)
}

/// The guest as another version with another component.
fn release(guest: &BuiltGuest, round: u32) -> Result<Vec<u8>> {
    let version = &guest.package.manifest.version;
    let before = format!("version = \"{version}\"");
    let after = format!("version = \"{}.{round}.0\"", version.major);
    let release = guest.variant(&[(&before, &after)], Some(&format!("round {round}")))?;
    Ok(release.archive)
}

/// Asks once and expects the guest's answer.
async fn answer(platform: &Platform, path: &str) -> Result<()> {
    let url = format!("{}{path}", platform.api);
    let response = reqwest::get(&url)
        .await
        .context("the app can't be reached")?;
    let status = response.status();
    let body = response.text().await?;
    ensure!(
        status.is_success() && body == hello::ANSWER,
        "the app answered {status}: {body}"
    );
    Ok(())
}

/// Megabytes that a thousand more idle instances with an app take, and the milliseconds to make each.
async fn instances(
    bench: &Bench<'_>,
    platform: &Platform,
    guest: &BuiltGuest,
) -> Result<(f64, Vec<f64>)> {
    let app = guest.package.manifest.name.as_str();
    let step = bench
        .context
        .progress
        .step(format!("making {} instances", INSTANCES_BEFORE + INSTANCES));
    let mut each = Vec::new();
    let mut before = 0;
    for number in 0..INSTANCES_BEFORE + INSTANCES {
        if number == INSTANCES_BEFORE {
            before = platform.server.resident_bytes()?;
        }
        let slug = format!("idle-{number}");
        let began = Instant::now();
        platform.create_instance(&slug).await?;
        platform.enable(&slug, app).await?;
        each.push(milliseconds(began.elapsed()));
        step.detail(&slug);
    }
    let after = platform.server.resident_bytes()?;
    let megabytes = (after as f64 - before as f64) / 1e6;
    Ok((megabytes * 1_000.0 / f64::from(INSTANCES), each))
}

/// Milliseconds from the start of a process to its announcement, on data that is there already.
fn starts(bench: &Bench<'_>, data: &Path, content: Content) -> Result<Vec<f64>> {
    let mut runs = Vec::new();
    for round in 1..=bench.rounds {
        let title = format!("starting, round {round} of {}", bench.rounds);
        let step = bench.context.progress.step(title);
        let started = platform::start(data, content, None, &bench.settings())?;
        runs.push(milliseconds(started.ready_after));
        started.server.stop()?;
        drop(step);
    }
    Ok(runs)
}

fn milliseconds(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
