//! `bench density`: a host with very many instances of twenty packages that nobody uses: what they take of its
//! memory, how long it starts with them, and how soon any of them answers when somebody comes.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    Bench,
    figure::{Figure, Target, quantile},
    guests::{self, BuiltGuest},
    hello,
    load::{self, Ask, Expected},
    machine,
    offline::Offline,
    platform::Platform,
};

const NAME: &str = "density";

/// Packages, each with a component of its own.
const PACKAGES: u32 = 20;

/// Instances of each tenant.
const INSTANCES_PER_TENANT: u32 = 1_000;

/// Instances that are made over the API to see how quickly that goes.
const SAMPLE: u32 = 400;

/// How many are made at once: connections to the API, or calls of the control plane.
const MADE_AT_ONCE: usize = 8;

/// How long making all of them over the API may take. Where it would take longer, the rest is made in the data
/// folder by the same functions of the control plane, without HTTP and without serving them meanwhile.
const API_TIME_MAX: Duration = Duration::from_secs(120);

/// Instances that are asked.
const ASKED: u32 = 2_000;

/// Which package, tenant and instance.
#[derive(Clone, Copy)]
struct Place(u32);

impl Place {
    fn tenant(self) -> String {
        format!("tenant-{}", self.0 / INSTANCES_PER_TENANT)
    }

    fn instance(self) -> String {
        format!("instance-{}", self.0)
    }

    fn app(self) -> String {
        app(self.0 % PACKAGES)
    }

    /// Where its app is, mounted under its name.
    fn path(self) -> String {
        format!("/t/{}/{}/{}/", self.tenant(), self.instance(), self.app())
    }
}

fn app(package: u32) -> String {
    format!("hello-{package}")
}

/// What was found while instances were made.
struct Made {
    /// Instances a second over the API.
    rate: f64,
    /// Instances a second in the data folder, where the rest was made there.
    offline_rate: Option<f64>,
}

/// Runs the bench.
pub(super) async fn run(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    bench.warn_of_one_core();
    let guest = guests::build(guests::HELLO_SDK, &bench.work, bench.context).await?;
    let data = bench.work.scratch(NAME);
    let core = Some(bench.cores.server);
    let settings = bench.settings();
    let platform = Platform::open(&data, core, &settings).await?;
    publish(bench, &platform, &guest).await?;
    // What compiling took of the memory is no part of what an idle host has.
    tokio::task::block_in_place(|| platform.server.stop())?;
    let platform = Platform::open(&data, core, &settings).await?;
    let empty = platform.server.resident_bytes()?;
    let made = make(bench, platform, &data).await?;

    let step = bench.context.progress.step("starting with all of them");
    let platform = Platform::open(&data, core, &settings).await?;
    let started = platform.ready_after.as_secs_f64() * 1_000.0;
    let idle = platform.server.resident_bytes()?;
    drop(step);
    let (first, second) = tokio::task::block_in_place(|| ask(bench, &platform))?;
    let asked = platform.server.resident_bytes()?;

    let megabytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let each = (idle as f64 - empty as f64) / f64::from(bench.instances);
    let count = bench.instances;
    let figure = |what: &str, unit, value: f64| {
        Figure::new(NAME, format!("{what}, {count} instances"), unit, &[value])
    };
    let mut figures = vec![
        figure("memory of the idle host", "MiB", megabytes(idle))
            .against("of an empty one", &[megabytes(idle)], &[megabytes(empty)])
            .target(Target::ValueAtMost(2_048.0)),
        figure("memory after requests", "MiB", megabytes(asked)),
        figure("memory of one more", "bytes", each),
        figure("start → ready", "ms", started),
        figure("first request, p50", "ms", quantile(&first, 0.5)),
        figure("first request, p99", "ms", quantile(&first, 0.99))
            .against(
                "the second",
                &[quantile(&first, 0.99)],
                &[quantile(&second, 0.99)],
            )
            .target(Target::ValueAtMost(20.0)),
        figure("second request, p50", "ms", quantile(&second, 0.5)),
        figure("second request, p99", "ms", quantile(&second, 0.99))
            .target(Target::ValueAtMost(1.0)),
        Figure::new(NAME, "made over the API", "instances/s", &[made.rate]),
    ];
    if let Some(rate) = made.offline_rate {
        let metric = "made in the data folder";
        figures.push(Figure::new(NAME, metric, "instances/s", &[rate]));
    }
    Ok(figures)
}

/// Publishes the packages: the same program, each as another app with another component.
async fn publish(bench: &Bench<'_>, platform: &Platform, guest: &BuiltGuest) -> Result<()> {
    let step = bench.context.progress.step("publishing the packages");
    for package in 0..PACKAGES {
        let name = app(package);
        let words = [("name = \"hello-rust\"", format!("name = \"{name}\""))];
        let words = words.each_ref().map(|(from, to)| (*from, to.as_str()));
        let variant = guest.variant(&words, Some(&name))?;
        platform.push(&variant.archive).await?;
        step.detail(&name);
    }
    Ok(())
}

/// Makes all instances, and ends the platform.
async fn make(bench: &Bench<'_>, platform: Platform, data: &Path) -> Result<Made> {
    let step = bench.context.progress.step("making instances");
    for number in (0..bench.instances).step_by(INSTANCES_PER_TENANT as usize) {
        platform.tenant(&Place(number).tenant()).await?;
    }
    let sample = SAMPLE.min(bench.instances);
    let began = Instant::now();
    over_api(&platform, 0..sample).await?;
    let rate = f64::from(sample) / began.elapsed().as_secs_f64();
    let rest = sample..bench.instances;
    let takes = f64::from(bench.instances - sample) / rate;
    if takes <= API_TIME_MAX.as_secs_f64() {
        over_api(&platform, rest).await?;
        tokio::task::block_in_place(|| platform.server.stop())?;
        return Ok(Made {
            rate,
            offline_rate: None,
        });
    }
    step.detail(&format!(
        "over the API it would take {takes:.0} s; making them in the data folder"
    ));
    tokio::task::block_in_place(|| platform.server.stop())?;
    let offline = Offline::open(data).await?;
    let began = Instant::now();
    let count = rest.len();
    let made = stream::iter(rest.map(Place)).map(|place| {
        let (offline, step) = (&offline, &step);
        async move {
            offline
                .make(&place.tenant(), &place.instance(), &place.app())
                .await?;
            if place.0.is_multiple_of(INSTANCES_PER_TENANT) {
                step.detail(&place.instance());
            }
            anyhow::Ok(())
        }
    });
    made.buffer_unordered(MADE_AT_ONCE)
        .try_collect::<()>()
        .await?;
    let offline_rate = count as f64 / began.elapsed().as_secs_f64();
    offline.close().await;
    Ok(Made {
        rate,
        offline_rate: Some(offline_rate),
    })
}

async fn over_api(platform: &Platform, numbers: std::ops::Range<u32>) -> Result<()> {
    let made = stream::iter(numbers.map(Place)).map(|place| async move {
        let tenant = platform.known_tenant(&place.tenant());
        tenant.create_instance(&place.instance()).await?;
        let path = tenant.enable(&place.instance(), &place.app()).await?;
        anyhow::ensure!(
            path == place.path(),
            "the app is at `{path}` and was expected at `{}`",
            place.path()
        );
        Ok(())
    });
    made.buffer_unordered(MADE_AT_ONCE).try_collect().await
}

/// Milliseconds of the first and of the second request to a sample of all instances.
fn ask(bench: &Bench<'_>, platform: &Platform) -> Result<(Vec<f64>, Vec<f64>)> {
    let step = bench.context.progress.step("asking instances");
    let address = platform.address()?;
    let expected = Expected::Body(hello::SDK_ANSWER.as_bytes().to_vec());
    let asks: Vec<Ask> = sample(bench.instances, ASKED)
        .map(|number| Ask::get(address, &Place(number).path(), expected.clone()))
        .flat_map(|ask| [ask.clone(), ask])
        .collect();
    let latencies = machine::pinned(bench.cores.load, || load::one_by_one(address, &asks))?
        .context("an instance can't be asked")?;
    drop(step);
    let milliseconds = |latency: &Duration| latency.as_secs_f64() * 1_000.0;
    let every_other = |from: usize| {
        let chosen = latencies.iter().skip(from).step_by(2);
        chosen.map(milliseconds).collect()
    };
    Ok((every_other(0), every_other(1)))
}

/// Up to `count` different numbers below `all`, without order: steps of about the golden ratio that have no
/// divisor in common with `all` come to every number once.
fn sample(all: u32, count: u32) -> impl Iterator<Item = u32> {
    let golden = (f64::from(all) * 0.618) as u32;
    let step = (golden.max(1)..).find(|&step| common_divisor(step, all) == 1);
    let step = u64::from(step.unwrap_or(1));
    (0..u64::from(count.min(all))).map(move |index| {
        u32::try_from(index * step % u64::from(all)).expect("a rest is smaller than its divisor")
    })
}

fn common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_sample_has_no_number_twice() {
        for all in [20, 100, 1_000, 100_000] {
            let chosen: Vec<u32> = sample(all, ASKED).collect();
            assert_eq!(chosen.len() as u32, all.min(ASKED));
            assert!(chosen.iter().all(|&number| number < all));
            assert_eq!(chosen.iter().collect::<BTreeSet<_>>().len(), chosen.len());
        }
    }
}
