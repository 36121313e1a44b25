//! `cloudware bench`: measures this binary, beside its peers where they are installed. Each bench measures in
//! alternating rounds and prints medians; `benches/README.md` says how to read them.

mod deploy;
mod figure;
mod guests;
mod hello;
mod host;
mod hostcalls;
mod load;
mod machine;
mod peer;
mod peers;
mod platform;
mod sandbox;
mod server;
mod work;

use anyhow::Result;
use clap::ValueEnum;

use crate::isv::Context;

pub(crate) use peer::PeerArgs;

use figure::Report;
use machine::Cores;
use work::Work;

/// Measures this binary, beside its peers.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Peers are looked for on the PATH and in CLOUDWARE_BENCH_WASMTIME and CLOUDWARE_BENCH_SPIN; \
one that is not installed is said to be missing.

Examples:
  cloudware bench                            all benches
  cloudware bench hello --rounds 9           requests a second, beside wasmtime and others
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
    /// Publishing, enabling, starting, and memory of idle instances.
    Deploy,
}

/// What every bench is given.
struct Bench<'a> {
    context: &'a Context,
    work: Work,
    cores: Cores,
    rounds: u32,
    seconds: u64,
    connections: usize,
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
                Name::Deploy => deploy::run(&bench).await?,
            };
            report.print(&figures)?;
        }
        Ok(())
    }
}

impl Bench<'_> {
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
