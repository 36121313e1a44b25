//! `bench sandbox`: what a sandbox costs by itself, and a whole call without sockets, on one thread.

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
};

const NAME: &str = "sandbox";

/// Times that something is done between two looks at the clock.
const BATCH: u32 = 500;

/// Requests that one warm sandbox serves.
const WARM: Reuse = Reuse::Warm {
    requests_max: 1_000,
};

/// Batches of each kind, alternating.
struct Batches {
    create: Vec<f64>,
    fresh: Vec<f64>,
    warm: Vec<f64>,
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
    let warm = host.bind(&guest.package, WARM).await?;
    let end = Duration::from_secs(bench.seconds) * bench.rounds;
    let batches = bench.pinned(measure(&fresh, &warm, end))?;
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
    ])
}

async fn measure(
    fresh: &Arc<BoundInstall>,
    warm: &Arc<BoundInstall>,
    time: Duration,
) -> Result<Batches> {
    let mut batches = Batches {
        create: Vec::new(),
        fresh: Vec::new(),
        warm: Vec::new(),
    };
    // The first batch finds cold caches.
    create(fresh).await?;
    calls(fresh).await?;
    calls(warm).await?;
    let began = Instant::now();
    while batches.create.is_empty() || began.elapsed() < time {
        batches.create.push(create(fresh).await?);
        batches.fresh.push(calls(fresh).await?);
        batches.warm.push(calls(warm).await?);
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

fn each(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e6 / f64::from(BATCH)
}
