//! `bench hello`: requests a second of the whole pipeline (tenant routing, admission, fuel, memory, deadline,
//! metering) beside other servers of the same component. All servers run at once on one core, the load on
//! another, and every round asks each of them in turn, so that a change of the machine's mood meets all.

use std::{fs, net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result};

use super::{
    Bench,
    figure::{Figure, Target},
    guests,
    load::Load,
    peers::{self, Missing, Peer},
    platform::Platform,
    server::Server,
};

const NAME: &str = "hello";

/// What every server answers.
pub(super) const ANSWER: &str = "hello";

/// The platform with a sandbox for each request.
const FRESH: &str = "cloudware, fresh sandbox";

/// The platform with a thousand requests for each sandbox.
const WARM: &str = "cloudware, warm sandbox";

/// The share of a round that goes before what counts.
const WARM_UP: f64 = 0.15;

/// What is compared with what, and what is aimed at.
const COMPARISONS: &[(&str, &str, Option<f64>)] = &[
    (FRESH, peers::WASMTIME_DEFAULT, Some(2.5)),
    (FRESH, peers::WASMTIME_POOLED, Some(1.4)),
    (FRESH, peers::SPIN_UP, None),
    (FRESH, peers::AXUM, None),
    (WARM, peers::WASMTIME_REUSE, Some(1.5)),
    (WARM, peers::AXUM, None),
];

/// One server to be asked, and what it gave so far.
struct Contender<'a> {
    name: &'static str,
    address: SocketAddr,
    path: String,
    server: &'a Server,
    measured: Measured,
}

/// One value for each round.
#[derive(Default)]
struct Measured {
    rate: Vec<f64>,
    middle: Vec<f64>,
    tail: Vec<f64>,
    cpu: Vec<f64>,
}

/// Runs the bench.
pub(super) async fn run(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    let say = |line: &str| bench.context.progress.say(line);
    if bench.cores.shared() {
        say(
            "warning: this machine has one core; servers and load share it, and the figures say little",
        );
    }
    let fresh = guests::build(guests::HELLO, &bench.work, bench.context).await?;
    let warm = guests::build(guests::HELLO_WARM, &bench.work, bench.context).await?;
    let component = bench.work.scratch("hello.wasm");
    fs::write(&component, &fresh.package.component)
        .with_context(|| format!("{} can't be written", component.display()))?;

    let step = bench.context.progress.step("starting the servers");
    let core = bench.cores.server;
    let platform = Platform::start(&bench.work.scratch(NAME), Some(core)).await?;
    platform.create_instance("main").await?;
    let mut paths = Vec::new();
    for guest in [&fresh, &warm] {
        platform.push(&guest.archive).await?;
        let app = guest.package.manifest.name.as_str();
        paths.push(platform.enable("main", app).await?);
    }
    let spare = bench.work.scratch("peers");
    let (peers, missing) = tokio::task::block_in_place(|| peers::start(&component, &spare, core))?;
    drop(step);
    for missing in &missing {
        say(&format!("missing: {}: {}", missing.name, missing.why));
    }

    let mut contenders = contenders(&platform, paths, &peers)?;
    tokio::task::block_in_place(|| rounds(bench, &mut contenders))?;
    Ok(figures(&contenders, &missing))
}

fn contenders<'a>(
    platform: &'a Platform,
    paths: Vec<String>,
    peers: &'a [Peer],
) -> Result<Vec<Contender<'a>>> {
    let address = platform.address()?;
    let ours = [FRESH, WARM].into_iter().zip(paths);
    let ours = ours.map(|(name, path)| Contender {
        name,
        address,
        path,
        server: &platform.server,
        measured: Measured::default(),
    });
    let theirs = peers.iter().map(|peer| Contender {
        name: peer.name,
        address: peer.address,
        path: "/".to_owned(),
        server: &peer.server,
        measured: Measured::default(),
    });
    Ok(ours.chain(theirs).collect())
}

fn rounds(bench: &Bench<'_>, contenders: &mut [Contender<'_>]) -> Result<()> {
    for round in 1..=bench.rounds {
        let title = format!("round {round} of {}", bench.rounds);
        let step = bench.context.progress.step(title);
        for contender in &mut *contenders {
            step.detail(contender.name);
            contender.measure(bench)?;
        }
    }
    Ok(())
}

impl Contender<'_> {
    fn measure(&mut self, bench: &Bench<'_>) -> Result<()> {
        let duration = Duration::from_secs(bench.seconds);
        let load = Load {
            address: self.address,
            path: &self.path,
            expected: ANSWER.as_bytes(),
            connections: bench.connections,
            warm_up: duration.mul_f64(WARM_UP),
            duration,
        };
        let before = self.server.cpu_seconds()?;
        let answers = super::machine::pinned(bench.cores.load, || load.run())?
            .with_context(|| format!("{} can't be measured", self.name))?;
        let cpu = self.server.cpu_seconds()? - before;
        self.measured.rate.push(answers.rate());
        self.measured.middle.push(answers.quantile(0.5));
        self.measured.tail.push(answers.quantile(0.99));
        self.measured.cpu.push(cpu * 1e6 / answers.all as f64);
        Ok(())
    }
}

fn figures(contenders: &[Contender<'_>], missing: &[Missing]) -> Vec<Figure> {
    let mut figures = Vec::new();
    for contender in contenders {
        let figure = |what: &str, unit, runs: &[f64]| {
            Figure::new(NAME, format!("{}: {what}", contender.name), unit, runs)
        };
        let measured = &contender.measured;
        figures.push(figure("requests", "req/s", &measured.rate));
        figures.push(figure("p50", "µs", &measured.middle));
        figures.push(figure("p99", "µs", &measured.tail));
        figures.push(figure("CPU a request", "µs", &measured.cpu));
    }
    for missing in missing {
        let metric = format!("{}: requests", missing.name);
        figures.push(Figure::missing(NAME, metric, "req/s", &missing.why));
    }
    figures.extend(COMPARISONS.iter().map(|&(ours, theirs, aim)| {
        let rate = |name| {
            let found = contenders.iter().find(|contender| contender.name == name)?;
            Some(&found.measured.rate[..])
        };
        let metric = format!("{ours} beside {theirs}");
        let figure = match (rate(ours), rate(theirs)) {
            (Some(a), Some(b)) => Figure::new(NAME, metric, "req/s", a).against(theirs, a, b),
            _ => Figure::missing(NAME, metric, "req/s", format!("{theirs} is missing")),
        };
        match aim {
            Some(least) => figure.target(Target::RatioAtLeast(least)),
            None => figure,
        }
    }));
    figures
}
