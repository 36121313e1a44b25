//! `bench sandbox`: what a sandbox costs by itself, and a whole call without sockets, on one thread. A plain wasmtime
//! engine is called in turns with the host's, so that it is seen what a call costs anyway.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};
use cloudware_engine::{BoundInstall, Sandbox};
use cloudware_types::Reuse;

use crate::local::{self as host, Host, largest_limits};

use super::{
    Bench,
    figure::{Figure, Target},
    guests, hello,
    plain::Plain,
};

const NAME: &str = "sandbox";

/// Times that something is done between two looks at the clock.
const BATCH: u32 = 500;

/// Requests that one warm sandbox serves.
const WARM_REQUESTS_MAX: u32 = 1_000;

/// Batches of each kind, alternating.
struct Batches {
    create: Vec<f64>,
    fresh: Vec<f64>,
    warm: Vec<f64>,
    plain: Vec<f64>,
}

/// Runs the bench.
pub(super) async fn run(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    let guest = guests::build(guests::HELLO, &bench.work, bench.context).await?;
    let step = bench.context.progress.step("measuring sandboxes");
    let host = Host::new(
        &bench.work.scratch(NAME),
        bench.yield_fuel,
        largest_limits(),
    )?;
    let fresh = host.bind(&guest.package, Reuse::Fresh).await?;
    let reuse = Reuse::Warm {
        requests_max: WARM_REQUESTS_MAX,
    };
    let warm = host.bind(&guest.package, reuse).await?;
    let plain = Plain::new(&guest.package.component)?;
    let end = Duration::from_secs(bench.seconds) * bench.rounds;
    let batches = bench.pinned(measure(&fresh, &warm, &plain, end))?;
    drop(step);
    Ok(vec![
        Figure::new(NAME, "create and destroy", "µs", &batches.create)
            .target(Target::ValueAtMost(15.0)),
        Figure::new(NAME, "call, fresh sandbox", "µs", &batches.fresh),
        Figure::new(NAME, "call, warm sandbox", "µs", &batches.warm).against(
            "fresh",
            &batches.warm,
            &batches.fresh,
        ),
        Figure::new(NAME, "call, warm, limits on", "µs", &batches.warm).against(
            "plain wasmtime",
            &batches.warm,
            &batches.plain,
        ),
    ])
}

async fn measure(
    fresh: &Arc<BoundInstall>,
    warm: &Arc<BoundInstall>,
    plain: &Plain,
    time: Duration,
) -> Result<Batches> {
    let mut batches = Batches {
        create: Vec::new(),
        fresh: Vec::new(),
        warm: Vec::new(),
        plain: Vec::new(),
    };
    // The first batch finds cold caches.
    create(fresh).await?;
    calls(fresh).await?;
    calls(warm).await?;
    plain_calls(plain).await?;
    let began = Instant::now();
    while batches.create.is_empty() || began.elapsed() < time {
        batches.create.push(create(fresh).await?);
        batches.fresh.push(calls(fresh).await?);
        batches.warm.push(calls(warm).await?);
        batches.plain.push(plain_calls(plain).await?);
    }
    Ok(batches)
}

/// Microseconds to make a sandbox and throw it away.
async fn create(install: &BoundInstall) -> Result<f64> {
    let began = Instant::now();
    for _ in 0..BATCH {
        let sandbox = Sandbox::instantiate(install).await;
        drop(sandbox.map_err(|error| anyhow!("the sandbox can't be made: {error:#}"))?);
    }
    Ok(each(began))
}

/// Microseconds of a whole call.
async fn calls(install: &Arc<BoundInstall>) -> Result<f64> {
    let began = Instant::now();
    for _ in 0..BATCH {
        let body = host::call(install, "/").await?;
        ensure!(body == hello::ANSWER, "the guest answered {body:?}");
    }
    Ok(each(began))
}

/// Microseconds of a call to a warm sandbox of a plain engine. Each serves as many requests as one of the host.
async fn plain_calls(plain: &Plain) -> Result<f64> {
    let mut sandbox = plain.sandbox().await?;
    let began = Instant::now();
    for _ in 0..BATCH {
        let body = sandbox.call("/").await?;
        ensure!(body == hello::ANSWER, "the guest answered {body:?}");
    }
    Ok(each(began))
}

fn each(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e6 / f64::from(BATCH)
}
