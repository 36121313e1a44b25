//! `bench noisy`: what a tenant notices of others that take what they can get. A modest tenant is measured
//! alone, beside one greedy neighbour and beside ten, on one core, in alternating phases; each kind of greed
//! for itself and all together. Latency is measured from when a request was due, so that a host that keeps a
//! client waiting can't hide it.

use std::{net::SocketAddr, ops::RangeInclusive, time::Duration};

use anyhow::{Context as _, Result, ensure};

use super::{
    Bench,
    figure::{Figure, Target, median},
    guests,
    load::{Ask, Expected, Failures, Mix, Outcome, Pace, Traffic},
    machine,
    platform::{Platform, Tenant},
};

const NAME: &str = "noisy";

/// Neighbours in each phase; the first is the victim alone.
const PHASES: [usize; 3] = [0, 1, 10];

/// What the modest victim asks for: little, at an even pace.
const VICTIM_RATE: f64 = 500.0;
const VICTIM_CONNECTIONS: usize = 64;

/// What victims that compute or query ask for: as much as they get.
const BUSY_CONNECTIONS: usize = 4;

/// Processor time of one request of the victim that computes.
const COMPUTING_TIME: Duration = Duration::from_millis(5);

/// Processor time of one request of a neighbour that computes: ten times as long.
const GREEDY_TURNS: u64 = 10;

/// The share of a phase that goes before what counts.
const WARM_UP: f64 = 0.2;

/// How often the calibration is tried, and how near is near enough.
const CALIBRATIONS_MAX: u32 = 5;
const CALIBRATED: RangeInclusive<f64> = 0.9..=1.1;

/// Rounds of the calibration's first request.
const CALIBRATION_ROUNDS: u64 = 1_000_000;

/// How often a slow client sends a byte or reads a little.
const SLOW_EVERY: Duration = Duration::from_millis(20);

/// Body that slow clients announce and never finish, and answer that they never read to its end.
const SLOW_BYTES: u64 = 8 << 20;

/// Bytes that one request for memory touches.
const MEMORY_BYTES: u64 = 16 << 20;

/// Statements of one request to the database.
const STATEMENTS: u64 = 50;

/// A kind of greed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Greed {
    Cpu,
    Sql,
    Memory,
    SlowIo,
    Mixed,
}

const GREEDS: [Greed; 5] = [
    Greed::Cpu,
    Greed::Sql,
    Greed::Memory,
    Greed::SlowIo,
    Greed::Mixed,
];

/// The bench's tenants on a platform.
struct Tenants {
    address: SocketAddr,
    victim: String,
    neighbours: Vec<String>,
    /// Rounds of `/spin` that take [`COMPUTING_TIME`].
    rounds: u64,
}

/// What the phases with one number of neighbours gave, one value for each round.
#[derive(Default)]
struct Phase {
    middle: Vec<f64>,
    tail: Vec<f64>,
    rate: Vec<f64>,
    /// Requests that the neighbours were answered, a second.
    greedy: Vec<f64>,
    refused: u64,
    refusal: Option<String>,
}

/// Runs the bench.
pub(super) async fn run(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    bench.warn_of_one_core();
    if let Err(why) = machine::pinned(bench.cores.load, machine::go_first)? {
        bench.context.progress.say(&format!(
            "warning: the load generator can't go before what else this machine does ({why}), and tails contain that: \
             run the bench as root or with CAP_SYS_NICE"
        ));
    }
    let greeds = bench.wanted(&GREEDS, Greed::name)?;
    let guest = guests::build(guests::NOISY, &bench.work, bench.context).await?;
    let step = bench.context.progress.step("preparing the tenants");
    let core = Some(bench.cores.server);
    let platform = Platform::open(&bench.work.scratch(NAME), core, &bench.settings()).await?;
    platform.push(&guest.archive).await?;
    let most = PHASES.into_iter().max().unwrap_or_default();
    let mut paths = Vec::new();
    for number in 0..=most {
        let tenant = platform.tenant(&format!("tenant-{number}")).await?;
        paths.push(join(&tenant, guest.app()).await?);
    }
    let mut tenants = Tenants {
        address: platform.address()?,
        victim: paths.remove(0),
        neighbours: paths,
        rounds: CALIBRATION_ROUNDS,
    };
    tokio::task::block_in_place(|| tenants.calibrate(bench))?;
    drop(step);
    tokio::task::block_in_place(|| {
        let mut figures = Vec::new();
        for &greed in &greeds {
            figures.extend(modest(bench, &tenants, greed)?);
        }
        for work in [Work::Computing, Work::Querying] {
            for &greed in greeds.iter().filter(|greed| greed.is_busy()) {
                figures.extend(busy(bench, &tenants, work, greed)?);
            }
        }
        Ok(figures)
    })
}

async fn join(tenant: &Tenant<'_>, app: &str) -> Result<String> {
    tenant.raise_quota().await?;
    tenant.create_instance("main").await?;
    tenant.enable("main", app).await
}

impl Greed {
    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Sql => "sql",
            Self::Memory => "memory",
            Self::SlowIo => "slow-io",
            Self::Mixed => "mixed",
        }
    }

    /// The load of one neighbour, whose app is at `path`.
    fn traffic(self, tenants: &Tenants, path: &str) -> Vec<Traffic> {
        let address = tenants.address;
        let closed = |rest: String, connections| Traffic {
            asks: vec![Ask::get(
                address,
                &format!("{path}{rest}"),
                Expected::Success,
            )],
            connections,
            pace: Pace::Closed,
            failures: Failures::Counted,
        };
        match self {
            Self::Cpu => {
                let rounds = tenants.rounds * GREEDY_TURNS;
                vec![closed(format!("spin?rounds={rounds}"), 8)]
            }
            Self::Sql => vec![closed(format!("sql?statements={STATEMENTS}"), 8)],
            Self::Memory => vec![closed(format!("memory?bytes={MEMORY_BYTES}"), 4)],
            Self::SlowIo => {
                let slow = |ask, pace| Traffic {
                    asks: vec![ask],
                    connections: 16,
                    pace,
                    failures: Failures::Counted,
                };
                let body = Ask::begin_post(address, &format!("{path}slow"), SLOW_BYTES);
                let answer = format!("{path}slow?bytes={SLOW_BYTES}");
                vec![
                    slow(body, Pace::SlowBody(SLOW_EVERY)),
                    slow(
                        Ask::get(address, &answer, Expected::Success),
                        Pace::SlowReader(SLOW_EVERY),
                    ),
                ]
            }
            // A quarter of each.
            Self::Mixed => [Self::Cpu, Self::Sql, Self::Memory, Self::SlowIo]
                .into_iter()
                .flat_map(|greed| greed.traffic(tenants, path))
                .map(|traffic| Traffic {
                    connections: traffic.connections / 4,
                    ..traffic
                })
                .collect(),
        }
    }

    /// Whether neighbours of this kind take as much of the processor as they get.
    fn is_busy(self) -> bool {
        self != Self::SlowIo
    }

    /// Whether every neighbour of this kind gets answers, if only few; slow clients never wait for theirs.
    fn is_answered(self) -> bool {
        self != Self::SlowIo
    }
}

impl Tenants {
    /// Finds how many rounds take as long as a request of the victim that computes.
    fn calibrate(&mut self, bench: &Bench<'_>) -> Result<()> {
        let traffic = Traffic {
            asks: vec![self.spin()],
            connections: 1,
            pace: Pace::Closed,
            failures: Failures::Fatal,
        };
        for _ in 0..CALIBRATIONS_MAX {
            let mut traffic = traffic.clone();
            traffic.asks = vec![self.spin()];
            let outcomes = self.measure(bench, vec![traffic])?;
            // The quickest was disturbed least.
            let took = outcomes[0].answers.quantile(0.0) / 1e6;
            if took == 0.0 {
                // Not one answer in all the time: much less is tried next.
                self.rounds = (self.rounds / 16).max(1);
                continue;
            }
            let factor = COMPUTING_TIME.as_secs_f64() / took;
            if CALIBRATED.contains(&factor) {
                return Ok(());
            }
            self.rounds = ((self.rounds as f64 * factor) as u64).max(1);
        }
        bench.context.progress.say(
            "warning: the same work takes a different time each time; something else is busy on this machine",
        );
        Ok(())
    }

    /// A request of the victim that computes.
    fn spin(&self) -> Ask {
        let path = format!("{}spin?rounds={}", self.victim, self.rounds);
        Ask::get(self.address, &path, Expected::Body(b"spun".to_vec()))
    }

    /// The load of the first `count` neighbours.
    fn greedy(&self, greed: Greed, count: usize) -> Vec<Traffic> {
        let neighbours = self.neighbours.iter().take(count);
        neighbours
            .flat_map(|path| greed.traffic(self, path))
            .collect()
    }

    fn measure(&self, bench: &Bench<'_>, traffic: Vec<Traffic>) -> Result<Vec<Outcome>> {
        let duration = bench.duration();
        let mix = Mix {
            address: self.address,
            traffic,
            warm_up: duration.mul_f64(WARM_UP),
            duration,
            window: Duration::ZERO,
        };
        Ok(machine::pinned(bench.cores.load, || {
            // Where that is not allowed, it was said at the beginning.
            let _ = machine::go_first();
            mix.run()
        })??)
    }

    /// One phase: the victim's load beside that of so many neighbours.
    fn phase(
        &self,
        bench: &Bench<'_>,
        victim: &Traffic,
        (greed, count): (Greed, usize),
        phase: &mut Phase,
    ) -> Result<()> {
        let mut traffic = vec![victim.clone()];
        traffic.extend(self.greedy(greed, count));
        let mut outcomes = self
            .measure(bench, traffic)
            .with_context(|| format!("the victim beside {count} {} neighbours", greed.name()))?;
        let victim = outcomes.remove(0);
        phase.middle.push(victim.answers.quantile(0.5));
        phase.tail.push(victim.answers.quantile(0.99));
        phase.rate.push(victim.answers.rate());
        let answered: f64 = outcomes.iter().map(|outcome| outcome.answers.rate()).sum();
        phase.greedy.push(answered);
        phase.refused += outcomes.iter().map(|outcome| outcome.failed).sum::<u64>();
        let refusal = outcomes
            .into_iter()
            .find_map(|outcome| outcome.first_failure);
        if greed.is_answered() && count > 0 && answered == 0.0 {
            let why = refusal
                .as_deref()
                .unwrap_or("they were given no answer in time");
            bench.context.progress.say(&format!(
                "{count} {} neighbours were answered nothing: {why}",
                greed.name()
            ));
        }
        phase.refusal = phase.refusal.take().or(refusal);
        Ok(())
    }

    /// All phases in alternating rounds.
    fn phases(
        &self,
        bench: &Bench<'_>,
        victim: &Traffic,
        greed: Greed,
    ) -> Result<[Phase; PHASES.len()]> {
        let mut phases: [Phase; PHASES.len()] = Default::default();
        for round in 1..=bench.rounds {
            let title = format!(
                "{} neighbours, round {round} of {}",
                greed.name(),
                bench.rounds
            );
            let step = bench.context.progress.step(title);
            for (&count, phase) in PHASES.iter().zip(&mut phases) {
                step.detail(&format!("{count} of them"));
                self.phase(bench, victim, (greed, count), phase)?;
            }
        }
        Ok(phases)
    }
}

/// The victim that asks for little.
fn modest(bench: &Bench<'_>, tenants: &Tenants, greed: Greed) -> Result<Vec<Figure>> {
    let path = format!("{}hello", tenants.victim);
    let victim = Traffic {
        asks: vec![Ask::get(
            tenants.address,
            &path,
            Expected::Body(b"hello".to_vec()),
        )],
        connections: VICTIM_CONNECTIONS,
        pace: Pace::Open(VICTIM_RATE),
        failures: Failures::Fatal,
    };
    let phases = tenants.phases(bench, &victim, greed)?;
    let (alone, crowded) = phases.split_first().context("there are phases")?;
    let mut figures = Vec::new();
    for (phase, count) in crowded.iter().zip(&PHASES[1..]) {
        let beside = format!("beside {count} {}", greed.name());
        let figure = |what: &str, unit, runs: &[f64]| {
            Figure::new(NAME, format!("{what} {beside}"), unit, runs)
        };
        figures.push(
            figure("p99", "µs", &phase.tail)
                .against("alone", &phase.tail, &alone.tail)
                .target(Target::RatioAtMost(1.2)),
        );
        figures.push(figure("p50", "µs", &phase.middle).against(
            "alone",
            &phase.middle,
            &alone.middle,
        ));
        // It asks for less than its share, which is to be all it asks for.
        figures.push(
            figure("answers", "req/s", &phase.rate)
                .against("alone", &phase.rate, &alone.rate)
                .target(Target::RatioAtLeast(0.9)),
        );
        figures.push(figure("neighbours' answers", "req/s", &phase.greedy));
        say_refusals(bench, phase, &beside);
    }
    Ok(figures)
}

/// What a victim does that takes what it gets, and whose share of the processor is measured.
#[derive(Clone, Copy, Debug)]
enum Work {
    Computing,
    /// Its database works for it.
    Querying,
}

impl Work {
    fn name(self) -> &'static str {
        match self {
            Self::Computing => "computing",
            Self::Querying => "querying",
        }
    }

    fn ask(self, tenants: &Tenants) -> Ask {
        match self {
            Self::Computing => tenants.spin(),
            Self::Querying => {
                let path = format!("{}sql?statements={STATEMENTS}", tenants.victim);
                Ask::get(tenants.address, &path, Expected::Body(b"queried".to_vec()))
            }
        }
    }
}

/// The victim that takes what it gets.
fn busy(bench: &Bench<'_>, tenants: &Tenants, work: Work, greed: Greed) -> Result<Vec<Figure>> {
    let name = work.name();
    let victim = Traffic {
        asks: vec![work.ask(tenants)],
        connections: BUSY_CONNECTIONS,
        pace: Pace::Closed,
        failures: Failures::Fatal,
    };
    let phases = tenants.phases(bench, &victim, greed)?;
    let (alone, crowded) = phases.split_first().context("there are phases")?;
    let alone_rate = median(&alone.rate).unwrap_or_default();
    let metric = format!("{name} victim alone ({})", greed.name());
    let mut figures = vec![Figure::new(NAME, metric, "req/s", &alone.rate)];
    for (phase, &count) in crowded.iter().zip(&PHASES[1..]) {
        let fair = |rate: &f64| rate / (count + 1) as f64;
        let shares: Vec<f64> = alone.rate.iter().map(fair).collect();
        let beside = format!("beside {count} {}", greed.name());
        let metric = format!("{name} victim {beside}");
        figures.push(
            Figure::new(NAME, metric, "req/s", &phase.rate)
                .against("its fair share", &phase.rate, &shares)
                .target(Target::RatioAtLeast(0.9)),
        );
        say_refusals(bench, phase, &beside);
    }
    ensure!(alone_rate > 0.0, "the {name} victim was answered nothing");
    Ok(figures)
}

fn say_refusals(bench: &Bench<'_>, phase: &Phase, beside: &str) {
    if let Some(refusal) = &phase.refusal {
        bench.context.progress.say(&format!(
            "{beside}: neighbours were refused or cut off {} times; first: {refusal}",
            phase.refused
        ));
    }
}
