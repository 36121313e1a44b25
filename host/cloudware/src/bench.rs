//! `cloudware bench`: measures this binary, beside its peers where they are installed. Each bench measures in
//! alternating rounds and prints medians; `benches/README.md` says how to read them.

mod concurrency;
mod density;
mod deploy;
mod figure;
mod guests;
mod hello;
mod hooks;
mod hostcalls;
mod limits;
mod load;
mod machine;
mod noisy;
mod offline;
mod peer;
mod peers;
mod plain;
mod platform;
mod resources;
mod sandbox;
mod server;
mod work;

use std::time::Duration;

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::isv::Context;

pub(crate) use peer::PeerArgs;

use figure::Report;
use machine::Cores;
use platform::Setting;
use work::Work;

/// Measures this binary, beside its peers.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Peers are looked for on the PATH and in CLOUDWARE_BENCH_WASMTIME and CLOUDWARE_BENCH_SPIN; \
one that is not installed is said to be missing.

Examples:
  cloudware bench                            all benches
  cloudware bench hello --rounds 9           requests a second, beside wasmtime and others
  cloudware bench noisy --only cpu,memory    what a tenant notices of greedy neighbours of these kinds
  cloudware bench limits noisy --yield-fuel 100000   what it costs, and brings, to yield more often
  cloudware bench sandbox --output json      one JSON object for each figure"
)]
pub(crate) struct BenchArgs {
    /// The benches to run [default: all].
    #[arg(value_enum)]
    names: Vec<Name>,
    /// Rounds; medians are over them.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds that one measurement takes in a round.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Connections of the load generator.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=load::CONNECTIONS_MAX as i64))]
    connections: u16,
    /// Only the parts whose name contains one of these: servers of `hello`, operations of `hostcalls`,
    /// neighbours of `noisy`, workloads of `limits`, loads of `concurrency`.
    #[arg(long, value_name = "TEXT", value_delimiter = ',')]
    only: Vec<String>,
    /// Fuel between two points where a guest lets others run, in place of the engine's own setting.
    #[arg(long, value_name = "FUEL", value_parser = clap::value_parser!(u64).range(10_000..=1_000_000_000))]
    yield_fuel: Option<u64>,
    /// Instances of `density`.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(20..=1_000_000))]
    instances: u32,
    /// Tenants of `concurrency`.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    tenants: u32,
    /// Requests in flight, and connections, of `concurrency`.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    in_flight: u32,
}

/// A bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Name {
    /// Requests a second of the whole pipeline, beside its peers.
    Hello,
    /// Creating and destroying sandboxes, and calls without sockets.
    Sandbox,
    /// Calls of key-value data and SQL by a guest.
    Hostcalls,
    /// Asking extension points, memory of hooks, and changes of them.
    Hooks,
    /// Publishing, enabling, starting, and memory of idle instances.
    Deploy,
    /// What a tenant notices of neighbours that take what they can get.
    Noisy,
    /// What the limits cost a guest that computes.
    Limits,
    /// A host with very many idle instances.
    Density,
    /// Very many requests in flight over many tenants.
    Concurrency,
}

/// What every bench is given.
struct Bench<'a> {
    context: &'a Context,
    work: Work,
    cores: Cores,
    rounds: u32,
    seconds: u64,
    connections: usize,
    only: Vec<String>,
    yield_fuel: Option<u64>,
    instances: u32,
    tenants: u32,
    in_flight: u32,
}

impl BenchArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// What could not be measured, and why. A peer that is not installed is no error.
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let bench = Bench {
            context,
            work: Work::open()?,
            cores: Cores::of_this_process()?,
            rounds: self.rounds,
            seconds: self.seconds,
            connections: usize::from(self.connections),
            only: self.only,
            yield_fuel: self.yield_fuel,
            instances: self.instances,
            tenants: self.tenants,
            in_flight: self.in_flight,
        };
        context.progress.say(&machine::description());
        if cfg!(debug_assertions) {
            context
                .progress
                .say("warning: built without optimisation; figures of such a build mean nothing");
        }
        let report = Report::new(context.output);
        let names = match self.names.as_slice() {
            [] => Name::value_variants(),
            some => some,
        };
        for name in names {
            let figures = match name {
                Name::Hello => hello::run(&bench).await?,
                Name::Sandbox => sandbox::run(&bench).await?,
                Name::Hostcalls => hostcalls::run(&bench).await?,
                Name::Hooks => hooks::run(&bench).await?,
                Name::Deploy => deploy::run(&bench).await?,
                Name::Noisy => noisy::run(&bench).await?,
                Name::Limits => limits::run(&bench).await?,
                Name::Density => density::run(&bench).await?,
                Name::Concurrency => concurrency::run(&bench).await?,
            };
            report.print(&figures)?;
        }
        Ok(())
    }
}

impl Bench<'_> {
    /// Whether a part of a bench is to be measured.
    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|text| part.contains(text.as_str()))
    }

    /// The parts of these that are to be measured.
    ///
    /// # Errors
    /// None of them: what was asked for is not there.
    fn wanted<T: Copy>(&self, parts: &[T], name: impl Fn(T) -> &'static str) -> Result<Vec<T>> {
        let all = parts.iter().copied();
        let wanted: Vec<T> = all.filter(|&part| self.wants(name(part))).collect();
        if wanted.is_empty() {
            let names: Vec<&str> = parts.iter().map(|&part| name(part)).collect();
            bail!(
                "--only {} names none of: {}",
                self.only.join(","),
                names.join(", ")
            );
        }
        Ok(wanted)
    }

    /// The settings of every platform that is measured.
    fn settings(&self) -> Vec<Setting> {
        let fuel = self.yield_fuel.iter();
        fuel.map(|fuel| ("CLOUDWARE_ENGINE__FUEL_YIELD_INTERVAL", fuel.to_string()))
            .collect()
    }

    /// Says so where servers and load can't have a core each.
    fn warn_of_one_core(&self) {
        if self.cores.shared() {
            self.context.progress.say(
                "warning: this machine has one core; servers and load share it, and the figures say little",
            );
        }
    }

    /// How long one measurement takes.
    fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// Runs a future to its end on a thread of its own that stays on one core, with a runtime of one
    /// thread, so that nothing moves between cores while it is measured.
    fn pinned<T: Send>(&self, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        tokio::task::block_in_place(|| {
            machine::pinned(self.cores.load, || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                runtime.block_on(work)
            })
        })?
    }
}
