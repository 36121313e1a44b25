//! `bench hello`: requests a second of the whole pipeline (tenant routing, admission, fuel, memory, deadline,
//! metering) beside other servers of the same component, for two components: the one that an ISV writes and
//! the smallest that there can be. All servers run at once on one core, the load on another, and every round
//! asks each of them in turn, so that a change of the machine's mood meets all.

use std::{fs, net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, ensure};

use super::{
    Bench,
    figure::{Figure, Target},
    guests::{self, BuiltGuest},
    load::Load,
    machine,
    peers::{self, Missing, Peer},
    platform::Platform,
    server::Server,
};

const NAME: &str = "hello";

/// What the smallest component answers, and the peer without a sandbox.
pub(super) const ANSWER: &str = "hello";

/// What the component that is written with the SDK answers.
pub(super) const SDK_ANSWER: &str = "Hello from Rust\n";

/// The platform with a sandbox for each request.
pub(super) const FRESH: &str = "cloudware, fresh sandbox";

/// The platform with a thousand requests for each sandbox.
pub(super) const WARM: &str = "cloudware, warm sandbox";

/// The share of a round that goes before what counts.
const WARM_UP: f64 = 0.15;

/// What is compared with what, and what is aimed at for the component that is written with the SDK.
const COMPARISONS: &[(&str, &str, Option<f64>)] = &[
    (FRESH, peers::WASMTIME_DEFAULT, Some(2.5)),
    (FRESH, peers::WASMTIME_POOLED, Some(1.4)),
    (FRESH, peers::SPIN_UP, None),
    (FRESH, peers::AXUM, None),
    (WARM, peers::WASMTIME_REUSE, Some(1.5)),
    (WARM, peers::AXUM, None),
];

/// A component that all servers run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// The one that an ISV writes: Rust with the SDK and the standard library.
    Sdk,
    /// The smallest one, without any library.
    Minimal,
}

/// One server with one component, and what it gave: one value for each round.
pub(super) struct Measured {
    name: &'static str,
    /// None for the server that runs no component.
    kind: Option<Kind>,
    /// Requests a second.
    pub(super) rate: Vec<f64>,
    middle: Vec<f64>,
    tail: Vec<f64>,
    cpu: Vec<f64>,
}

/// What [`measure`] found.
pub(super) struct Found {
    all: Vec<Measured>,
    missing: Vec<(Kind, Missing)>,
}

/// One server to be asked.
struct Contender<'a> {
    address: SocketAddr,
    path: String,
    expected: &'static str,
    server: &'a Server,
    measured: Measured,
}

/// Runs the bench.
pub(super) async fn run(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    let found = measure(bench, &[Kind::Sdk, Kind::Minimal], |name| bench.wants(name)).await?;
    Ok(figures(bench, &found))
}

impl Kind {
    /// The word in figures.
    fn word(self) -> &'static str {
        match self {
            Self::Sdk => "SDK",
            Self::Minimal => "minimal",
        }
    }

    fn answer(self) -> &'static str {
        match self {
            Self::Sdk => SDK_ANSWER,
            Self::Minimal => ANSWER,
        }
    }

    /// The component as a package with a fresh sandbox for each request, and as one with warm ones.
    async fn guests(self, bench: &Bench<'_>) -> Result<[BuiltGuest; 2]> {
        let build = |guest| guests::build(guest, &bench.work, bench.context);
        match self {
            Self::Minimal => Ok([
                build(guests::HELLO).await?,
                build(guests::HELLO_WARM).await?,
            ]),
            Self::Sdk => {
                let fresh = build(guests::HELLO_SDK).await?;
                let words = [
                    ("name = \"hello-rust\"", "name = \"hello-rust-warm\""),
                    ("[http]", "[http]\nreuse = 1000"),
                ];
                let warm = fresh.variant(&words, None)?;
                Ok([fresh, warm])
            }
        }
    }
}

/// Asks every server that is wanted, by its name without the component's, in alternating rounds.
pub(super) async fn measure(
    bench: &Bench<'_>,
    kinds: &[Kind],
    wanted: impl Fn(&str) -> bool,
) -> Result<Found> {
    let say = |line: &str| bench.context.progress.say(line);
    bench.warn_of_one_core();
    let core = bench.cores.server;
    let settings = bench.settings();
    let platform = Platform::start(&bench.work.scratch(NAME), Some(core), &settings).await?;
    platform.create_instance("main").await?;
    let mut ours = Vec::new();
    let mut running: Vec<(Option<Kind>, Peer)> = Vec::new();
    let mut missing = Vec::new();
    if wanted(peers::AXUM) {
        running.push((None, tokio::task::block_in_place(|| peers::axum(core))?));
    }
    for &kind in kinds {
        let guests = kind.guests(bench).await?;
        let step = bench.context.progress.step("starting the servers");
        let component = bench.work.scratch(kind.word()).with_extension("wasm");
        fs::write(&component, &guests[0].package.component)
            .with_context(|| format!("{} can't be written", component.display()))?;
        for (name, guest) in [FRESH, WARM].into_iter().zip(&guests) {
            platform.push(&guest.archive).await?;
            let path = platform.enable("main", guest.app()).await?;
            if wanted(name) {
                ours.push((name, kind, path));
            }
        }
        let spare = bench.work.scratch("peers").join(kind.word());
        let (peers, absent) =
            tokio::task::block_in_place(|| peers::start(&component, &spare, core, &wanted))?;
        drop(step);
        running.extend(peers.into_iter().map(|peer| (Some(kind), peer)));
        for absent in absent {
            say(&format!(
                "missing: {} ({}): {}",
                absent.name,
                kind.word(),
                absent.why
            ));
            missing.push((kind, absent));
        }
    }
    ensure!(
        !ours.is_empty() || !running.is_empty(),
        "--only {} names no server",
        bench.only.join(",")
    );
    let mut contenders = Vec::new();
    for (name, kind, path) in ours {
        contenders.push(Contender {
            address: platform.address()?,
            path,
            expected: kind.answer(),
            server: &platform.server,
            measured: Measured::new(name, Some(kind)),
        });
    }
    for (kind, peer) in &running {
        contenders.push(Contender {
            address: peer.address,
            path: "/".to_owned(),
            expected: kind.map_or(ANSWER, Kind::answer),
            server: &peer.server,
            measured: Measured::new(peer.name, *kind),
        });
    }
    tokio::task::block_in_place(|| rounds(bench, &mut contenders))?;
    let all = contenders.into_iter().map(|contender| contender.measured);
    Ok(Found {
        all: all.collect(),
        missing,
    })
}

fn rounds(bench: &Bench<'_>, contenders: &mut [Contender<'_>]) -> Result<()> {
    for round in 1..=bench.rounds {
        let title = format!("round {round} of {}", bench.rounds);
        let step = bench.context.progress.step(title);
        for contender in &mut *contenders {
            step.detail(&contender.measured.label());
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
            expected: self.expected.as_bytes(),
            connections: bench.connections,
            warm_up: duration.mul_f64(WARM_UP),
            duration,
        };
        let before = self.server.cpu_seconds()?;
        let answers = machine::pinned(bench.cores.load, || load.run())?
            .with_context(|| format!("{} can't be measured", self.measured.label()))?;
        let cpu = self.server.cpu_seconds()? - before;
        let measured = &mut self.measured;
        measured.rate.push(answers.rate());
        measured.middle.push(answers.quantile(0.5));
        measured.tail.push(answers.quantile(0.99));
        measured.cpu.push(cpu * 1e6 / answers.all as f64);
        Ok(())
    }
}

impl Measured {
    fn new(name: &'static str, kind: Option<Kind>) -> Self {
        Self {
            name,
            kind,
            rate: Vec::new(),
            middle: Vec::new(),
            tail: Vec::new(),
            cpu: Vec::new(),
        }
    }

    fn label(&self) -> String {
        match self.kind {
            Some(kind) => format!("{} ({})", self.name, kind.word()),
            None => self.name.to_owned(),
        }
    }
}

impl Found {
    /// A server with a component; one that runs no component is the same for all.
    fn of(&self, kind: Kind, name: &str) -> Option<&Measured> {
        let is_it = |found: &&Measured| found.name == name && found.kind.is_none_or(|k| k == kind);
        self.all.iter().find(is_it)
    }

    /// How many times one server's requests a second are another's, with the same component.
    pub(super) fn compare(
        &self,
        bench: &'static str,
        kind: Kind,
        (ours, theirs): (&str, &str),
        aim: Option<f64>,
    ) -> Figure {
        let metric = format!("{ours} beside {theirs} ({})", kind.word());
        let figure = match (self.of(kind, ours), self.of(kind, theirs)) {
            (Some(a), Some(b)) => {
                Figure::new(bench, metric, "req/s", &a.rate).against(theirs, &a.rate, &b.rate)
            }
            _ => Figure::missing(bench, metric, "req/s", format!("{theirs} is missing")),
        };
        match aim {
            Some(least) => figure.target(Target::RatioAtLeast(least)),
            None => figure,
        }
    }
}

fn figures(bench: &Bench<'_>, found: &Found) -> Vec<Figure> {
    let mut figures = Vec::new();
    for measured in &found.all {
        let figure = |what: &str, unit, runs: &[f64]| {
            Figure::new(NAME, format!("{}: {what}", measured.label()), unit, runs)
        };
        figures.push(figure("requests", "req/s", &measured.rate));
        figures.push(figure("p50", "µs", &measured.middle));
        figures.push(figure("p99", "µs", &measured.tail));
        figures.push(figure("CPU a request", "µs", &measured.cpu));
    }
    for (kind, missing) in &found.missing {
        let metric = format!("{} ({}): requests", missing.name, kind.word());
        figures.push(Figure::missing(NAME, metric, "req/s", &missing.why));
    }
    for kind in [Kind::Sdk, Kind::Minimal] {
        let wanted = COMPARISONS
            .iter()
            .filter(|(ours, theirs, _)| bench.wants(ours) && bench.wants(theirs));
        figures.extend(wanted.map(|&(ours, theirs, aim)| {
            // The smallest component is one that nobody ships; nothing is aimed at with it.
            let aim = aim.filter(|_| kind == Kind::Sdk);
            found.compare(NAME, kind, (ours, theirs), aim)
        }));
    }
    figures
}
