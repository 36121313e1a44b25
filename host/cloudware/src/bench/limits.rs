//! `bench limits`: what it costs a guest that computes to be bounded. The same component computes the same, in
//! turns, in this host's engine with every limit in force and in a plain engine without any. Then the whole
//! pipeline, in which limits are part of every request, beside servers that have none.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use cloudware_engine::BoundInstall;
use cloudware_types::Reuse;

use crate::local::{self as host, Host, largest_limits};

use super::{
    Bench,
    figure::{Figure, Target, median},
    guests::{self, BuiltGuest},
    hello::{self, Kind},
    peers,
    plain::Plain,
};

const NAME: &str = "limits";

/// How long one call is to take: long enough that what happens before and after computing weighs nothing.
const CALL_TIME: Duration = Duration::from_millis(20);

/// Calls of which the quickest says how long the work takes.
const CALIBRATION_CALLS: u32 = 5;

/// The name of the whole pipeline among the parts.
const PIPELINE: &str = "pipeline";

/// A workload: its path in the guest, and its name in figures.
type Workload = (&'static str, &'static str);

const WORKLOADS: [Workload; 5] = [
    ("loop", "tight loop"),
    ("branches", "branches (sieve)"),
    ("map", "hash map"),
    ("json", "JSON"),
    ("regex", "regular expressions"),
];

/// The same component in both engines.
struct Both {
    limited: Arc<BoundInstall>,
    plain: Plain,
    /// The limited one stops when this is gone.
    _host: Host,
}

/// Milliseconds of each call of one workload, in turns.
struct Calls {
    limited: Vec<f64>,
    plain: Vec<f64>,
}

/// Runs the bench.
pub(super) async fn run(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    let names = WORKLOADS.map(|(path, _)| path).into_iter();
    let parts: Vec<&str> = names.chain([PIPELINE]).collect();
    let parts = bench.wanted(&parts, |part| part)?;
    let workloads: Vec<Workload> = WORKLOADS
        .into_iter()
        .filter(|(path, _)| parts.contains(path))
        .collect();
    let mut figures = Vec::new();
    if !workloads.is_empty() {
        figures.extend(computing(bench, &workloads).await?);
    }
    if parts.contains(&PIPELINE) {
        figures.extend(pipeline(bench).await?);
    }
    Ok(figures)
}

async fn computing(bench: &Bench<'_>, workloads: &[Workload]) -> Result<Vec<Figure>> {
    let guest = guests::build(guests::COMPUTE, &bench.work, bench.context).await?;
    let step = bench.context.progress.step("measuring limits");
    let folder = bench.work.scratch(NAME);
    let measured = bench.pinned(async {
        let both = Both::new(bench, folder, &guest).await?;
        let mut measured = Vec::new();
        for &(path, name) in workloads {
            step.detail(name);
            measured.push(both.measure(bench, path).await?);
        }
        Ok(measured)
    })?;
    drop(step);
    let mut figures = Vec::new();
    let mut ratios = Vec::new();
    for (calls, (_, name)) in measured.iter().zip(workloads) {
        let figure = Figure::new(NAME, *name, "ms", &calls.limited);
        figures.push(figure.against("without limits", &calls.limited, &calls.plain));
        let within = calls.limited.iter().zip(&calls.plain);
        let ratio = within.map(|(limited, plain)| limited / plain);
        ratios.extend(median(&ratio.collect::<Vec<f64>>()));
    }
    let mean = geometric_mean(&ratios);
    figures.push(
        Figure::new(NAME, "geometric mean of the ratios", "×", &[mean])
            .target(Target::ValueAtMost(1.3)),
    );
    Ok(figures)
}

async fn pipeline(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    let beside = [(peers::WASMTIME_DEFAULT, 2.8), (peers::SPIN_UP, 3.5)];
    let wanted =
        |name: &str| name == hello::FRESH || beside.iter().any(|&(theirs, _)| theirs == name);
    let found = hello::measure(bench, &[Kind::Sdk], wanted).await?;
    let compare = |&(theirs, aim): &(&str, f64)| {
        found.compare(NAME, Kind::Sdk, (hello::FRESH, theirs), Some(aim))
    };
    Ok(beside.iter().map(compare).collect())
}

fn geometric_mean(values: &[f64]) -> f64 {
    let sum: f64 = values.iter().map(|value| value.ln()).sum();
    (sum / values.len().max(1) as f64).exp()
}

impl Both {
    /// To be made on the thread that is measured: the engine's threads stay where it is.
    async fn new(bench: &Bench<'_>, folder: PathBuf, guest: &BuiltGuest) -> Result<Self> {
        let host = Host::new(&folder, bench.yield_fuel, largest_limits())?;
        Ok(Self {
            limited: host.bind(&guest.package, Reuse::Fresh).await?,
            plain: Plain::new(&guest.package.component)?,
            _host: host,
        })
    }

    async fn measure(&self, bench: &Bench<'_>, workload: &str) -> Result<Calls> {
        let rounds = self.calibrate(workload).await?;
        let path = format!("/{workload}/{rounds}");
        let mut calls = Calls {
            limited: Vec::new(),
            plain: Vec::new(),
        };
        let time = bench.duration() * bench.rounds;
        let began = Instant::now();
        while calls.plain.is_empty() || began.elapsed() < time {
            let (limited, sum) = self.limited(&path).await?;
            let (plain, plain_sum) = self.plain(&path).await?;
            ensure!(
                sum == plain_sum,
                "`{workload}` gave {sum:?} with limits and {plain_sum:?} without"
            );
            calls.limited.push(limited);
            calls.plain.push(plain);
        }
        Ok(calls)
    }

    /// How many rounds take about [`CALL_TIME`] without limits.
    async fn calibrate(&self, workload: &str) -> Result<u64> {
        let aim = CALL_TIME.as_secs_f64() * 1_000.0;
        let mut rounds: u64 = 1;
        loop {
            let path = format!("/{workload}/{rounds}");
            let mut took = f64::INFINITY;
            // The quickest was disturbed least.
            for _ in 0..CALIBRATION_CALLS {
                took = took.min(self.plain(&path).await?.0);
            }
            if took >= aim / 2.0 {
                return Ok(((rounds as f64 * aim / took) as u64).max(1));
            }
            rounds *= 2;
        }
    }

    /// Milliseconds of a call with limits, and its answer.
    async fn limited(&self, path: &str) -> Result<(f64, bytes::Bytes)> {
        let began = Instant::now();
        let sum = host::call(&self.limited, path).await?;
        Ok((began.elapsed().as_secs_f64() * 1_000.0, sum))
    }

    /// Milliseconds of a call without, and its answer.
    async fn plain(&self, path: &str) -> Result<(f64, bytes::Bytes)> {
        let began = Instant::now();
        let sum = self.plain.call(path).await?;
        Ok((began.elapsed().as_secs_f64() * 1_000.0, sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_geometric_mean_treats_twice_and_half_alike() {
        assert!((geometric_mean(&[2.0, 0.5]) - 1.0).abs() < 1e-12);
        assert!((geometric_mean(&[1.2]) - 1.2).abs() < 1e-12);
    }
}
