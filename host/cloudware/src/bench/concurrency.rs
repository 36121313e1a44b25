//! `bench concurrency`: very many requests in flight over very many tenants. First each waits in its guest, so
//! that all are there at once; then the calls of a business application, as many as there is room for, and at
//! the rate that the planned number of people makes. What the machine uses meanwhile is printed beside what it
//! may use.

use std::{
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use cloudware_types::InstanceId;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;

use super::{
    Bench,
    figure::{Figure, Target, quantile},
    guests,
    load::{Ask, Expected, Failures, Mix, Outcome, Pace, Traffic},
    machine,
    platform::Platform,
    resources::{self, Meter, Shares},
};

const NAME: &str = "concurrency";

/// How long each request waits in its guest.
const WAIT: Duration = Duration::from_millis(100);

/// Requests a second that are to be sustained: one in twenty of 12,500 people.
const SUSTAINED: f64 = 625.0;

/// Requests a second that are sent, a little more, so that what is answered shows what can be sustained.
const OFFERED: f64 = 640.0;

/// Sandboxes beyond the requests in flight, for those that are being torn down.
const SANDBOXES_SPARE: u32 = 100;

/// Files and sockets beyond two for each connection: databases, packages, listeners.
const FILES_SPARE: u64 = 8_192;

/// Tenants that are prepared at once.
const PREPARED_AT_ONCE: usize = 8;

/// The share of a round that goes before what counts.
const WARM_UP: f64 = 0.3;

/// What is in stock of the one item that each tenant has, so that picking never empties it.
const QUANTITY: u64 = 500_000_000;

/// A kind of load.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    /// All requests wait in their guests.
    Wait,
    /// The business application, as much as there is room for.
    Business,
    /// The business application at the rate that is to be sustained.
    Sustained,
}

const PARTS: [Part; 3] = [Part::Wait, Part::Business, Part::Sustained];

/// What all rounds of one part gave.
#[derive(Default)]
struct Rounds {
    rate: Vec<f64>,
    quantiles: [Vec<f64>; 3],
    in_flight: Vec<f64>,
    within_window: Vec<f64>,
    failed: Vec<f64>,
    first_failure: Option<String>,
    shares: Vec<Shares>,
}

/// Milliseconds that a purchase may take until its instance has all that it needs.
const PROVISIONED_WITHIN_MS: f64 = 500.0;

/// Microseconds within which an id is made.
const ID_WITHIN_US: f64 = 1_000.0;

/// Ids that are made to know how long that takes.
const IDS: usize = 100_000;

const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)];

/// A platform with its tenants.
struct Prepared {
    platform: Platform,
    data: PathBuf,
    address: SocketAddr,
    /// Where the app that waits is, for each tenant.
    waiting: Vec<String>,
    /// Where the business application is.
    business: Vec<String>,
    /// Milliseconds that each instance took to be made, with both apps and the tables of one.
    provisioned_ms: Vec<f64>,
}

/// Runs the bench.
pub(super) async fn run(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    bench.warn_of_one_core();
    let parts = bench.wanted(&PARTS, Part::name)?;
    machine::allow_open_files(2 * u64::from(bench.in_flight) + FILES_SPARE)?;
    let prepared = prepare(bench).await?;
    let mut figures = made(&prepared);
    for part in parts {
        let rounds = tokio::task::block_in_place(|| rounds(bench, &prepared, part))?;
        figures.extend(part.figures(bench, rounds));
    }
    Ok(figures)
}

/// How long it takes to make what is made for everyone who buys.
fn made(prepared: &Prepared) -> Vec<Figure> {
    let provisioned = [quantile(&prepared.provisioned_ms, 0.95)];
    let ids: Vec<f64> = (0..IDS)
        .map(|_| {
            let began = Instant::now();
            std::hint::black_box(InstanceId::generate());
            began.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    vec![
        Figure::new(
            NAME,
            format!(
                "p95, an instance with two apps and tables is made, {PREPARED_AT_ONCE} at once"
            ),
            "ms",
            &provisioned,
        )
        .target(Target::ValueAtMost(PROVISIONED_WITHIN_MS)),
        Figure::new(NAME, "p99, an id is made", "µs", &[quantile(&ids, 0.99)])
            .target(Target::ValueAtMost(ID_WITHIN_US)),
    ]
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Business => "business",
            Self::Sustained => "sustained",
        }
    }

    fn traffic(self, bench: &Bench<'_>, prepared: &Prepared) -> Traffic {
        let address = prepared.address;
        let asks = match self {
            Self::Wait => {
                let path = |app: &String| format!("{app}wait?ms={}", WAIT.as_millis());
                let ask = |app| Ask::get(address, &path(app), Expected::Body(b"waited".to_vec()));
                prepared.waiting.iter().map(ask).collect()
            }
            Self::Business | Self::Sustained => mix(address, &prepared.business),
        };
        Traffic {
            asks,
            connections: bench.in_flight as usize,
            pace: match self {
                Self::Sustained => Pace::Open(OFFERED),
                _ => Pace::Closed,
            },
            failures: Failures::Counted,
        }
    }

    fn figures(self, bench: &Bench<'_>, rounds: Rounds) -> Vec<Figure> {
        if let Some(failure) = &rounds.first_failure {
            let line = format!("{}: the first failure: {failure}", self.name());
            bench.context.progress.say(&line);
        }
        let during = match self {
            Self::Wait => format!("{} ms in the guest each", WAIT.as_millis()),
            Self::Business => "business calls".to_owned(),
            Self::Sustained => format!("business calls at {OFFERED}/s"),
        };
        let figure = |what: &str, unit, runs: &[f64]| {
            Figure::new(NAME, format!("{what}, {during}"), unit, runs)
        };
        let all = Target::ValueAtLeast(f64::from(bench.in_flight));
        let mut figures = vec![
            figure("errors", "requests", &rounds.failed).target(Target::ValueAtMost(0.0)),
            // Where they come at a rate, as many are in flight as have not been answered yet.
            match self {
                Self::Sustained => figure("in flight", "requests", &rounds.in_flight),
                Self::Wait | Self::Business => {
                    figure("in flight", "requests", &rounds.in_flight).target(all)
                }
            },
        ];
        let rate = figure("answers", "req/s", &rounds.rate);
        figures.push(match self {
            Self::Sustained => rate.target(Target::ValueAtLeast(SUSTAINED)),
            _ => rate,
        });
        if self == Self::Wait {
            // Each of these had begun before the first of them ended, for a client that reads at once.
            let at_once = figure("in guests at once", "requests", &rounds.within_window);
            figures.push(at_once);
        }
        for ((name, _), runs) in QUANTILES.iter().zip(&rounds.quantiles) {
            let latency = figure(name, "ms", runs);
            figures.push(match (self, *name) {
                (Self::Sustained, "p95") => latency.target(Target::ValueAtMost(50.0)),
                (Self::Sustained | Self::Business, "p99") => {
                    latency.target(Target::ValueAtMost(3_000.0))
                }
                _ => latency,
            });
        }
        figures.extend(resources::figures(NAME, &during, &rounds.shares));
        figures
    }
}

/// Starts a platform with room for all requests, and gives each tenant both apps and something in stock.
/// Quotas are the defaults: what is asked of one tenant is within them.
async fn prepare(bench: &Bench<'_>) -> Result<Prepared> {
    let noisy = guests::build(guests::NOISY, &bench.work, bench.context).await?;
    let stock = guests::build(guests::STOCK, &bench.work, bench.context).await?;
    let mut settings = bench.settings();
    let sandboxes = (bench.in_flight + SANDBOXES_SPARE).to_string();
    settings.push(("CLOUDWARE_ENGINE__SANDBOXES_MAX", sandboxes));
    let data = bench.work.scratch(NAME);
    let core = Some(bench.cores.server);
    let platform = Platform::open(&data, core, &settings).await?;
    platform.push(&noisy.archive).await?;
    platform.push(&stock.archive).await?;
    let step = bench
        .context
        .progress
        .step(format!("making {} tenants", bench.tenants));
    let tenants = stream::iter(0..bench.tenants).map(|number| {
        let (platform, step) = (&platform, &step);
        let (noisy, stock) = (noisy.app(), stock.app());
        async move {
            let slug = format!("tenant-{number}");
            let tenant = platform.tenant(&slug).await?;
            let began = Instant::now();
            tenant.create_instance("main").await?;
            let waiting = tenant.enable("main", noisy).await?;
            let business = tenant.enable("main", stock).await?;
            let took = began.elapsed().as_secs_f64() * 1_000.0;
            fill(platform, &business)
                .await
                .with_context(|| format!("{slug} can't be given its stock"))?;
            step.detail(&slug);
            anyhow::Ok((took, (waiting, business)))
        }
    });
    let made: Vec<(f64, (String, String))> = tenants
        .buffer_unordered(PREPARED_AT_ONCE)
        .try_collect()
        .await?;
    drop(step);
    let (provisioned_ms, (waiting, business)) = made.into_iter().unzip();
    Ok(Prepared {
        address: platform.address()?,
        platform,
        data,
        waiting,
        business,
        provisioned_ms,
    })
}

async fn fill(platform: &Platform, site: &str) -> Result<()> {
    let location = json!({ "warehouse": "MAIN", "zone": "A", "bin": "01" });
    let item = json!({ "sku": "SCREW-4", "title": "Screws 4 mm", "unit": "box" });
    let receipt = json!({ "sku": "SCREW-4", "location": "MAIN-A-01", "quantity": QUANTITY });
    for (path, body) in [
        ("locations", location),
        ("items", item),
        ("receipts", receipt),
    ] {
        platform.post_to(&format!("{site}{path}"), &body).await?;
    }
    Ok(())
}

/// What people do with stock, for all tenants: seven of ten calls look, three change something. Calls of one
/// tenant are far from each other.
fn mix(address: SocketAddr, sites: &[String]) -> Vec<Ask> {
    let get =
        |site: &str, path: &str| Ask::get(address, &format!("{site}{path}"), Expected::Success);
    let post =
        |site: &str, path: &str, body: &str| Ask::post(address, &format!("{site}{path}"), body);
    let pick = r#"{"sku":"SCREW-4","quantity":1,"actor":"bench"}"#;
    let receive = r#"{"sku":"SCREW-4","location":"MAIN-A-01","quantity":2,"actor":"bench"}"#;
    let calls: [&dyn Fn(&str) -> Ask; 10] = [
        &|site| get(site, "stock?sku=SCREW-4"),
        &|site| get(site, "items/SCREW-4"),
        &|site| post(site, "picks", pick),
        &|site| get(site, "stock?sku=SCREW-4"),
        &|site| get(site, "movements?sku=SCREW-4&limit=10"),
        &|site| post(site, "receipts", receive),
        &|site| get(site, "stock?sku=SCREW-4"),
        &|site| get(site, "items/SCREW-4"),
        &|site| post(site, "picks", pick),
        &|site| get(site, "items"),
    ];
    // Neighbouring requests are of different tenants and of different kinds.
    let turns = 0..calls.len();
    turns
        .flat_map(|turn| {
            let calls = &calls;
            let ask = move |(number, site): (usize, &String)| calls[(turn + number) % 10](site);
            sites.iter().enumerate().map(ask)
        })
        .collect()
}

fn rounds(bench: &Bench<'_>, prepared: &Prepared, part: Part) -> Result<Rounds> {
    let mut rounds = Rounds::default();
    let traffic = part.traffic(bench, prepared);
    for round in 1..=bench.rounds {
        let title = format!("{}, round {round} of {}", part.name(), bench.rounds);
        let step = bench.context.progress.step(title);
        let duration = bench.duration();
        let mix = Mix {
            address: prepared.address,
            traffic: vec![traffic.clone()],
            warm_up: duration.mul_f64(WARM_UP),
            duration,
            window: WAIT,
        };
        // Connecting is no part of the load.
        let mut meter = None;
        let begin = || meter = Some(Meter::begin(&prepared.platform.server, &prepared.data));
        let outcomes = machine::pinned(bench.cores.load, || mix.run_after(begin))??;
        let shares = meter.context("a run that ends has begun")??.end()?;
        for outcome in outcomes {
            rounds.add(outcome);
        }
        rounds.shares.push(shares);
        drop(step);
    }
    Ok(rounds)
}

impl Rounds {
    fn add(&mut self, outcome: Outcome) {
        self.rate.push(outcome.answers.rate());
        for ((_, share), runs) in QUANTILES.iter().zip(&mut self.quantiles) {
            runs.push(outcome.answers.quantile(*share) / 1_000.0);
        }
        self.in_flight.push(outcome.in_flight as f64);
        self.within_window.push(outcome.within_window as f64);
        self.failed
            .push((outcome.failed + outcome.unanswered) as f64);
        self.first_failure = self.first_failure.take().or(outcome.first_failure);
    }
}
