//! `cloudware`: the platform and its tools in one binary. Data goes to standard output, messages and progress
//! to standard error; exit code 1 is a failure, 2 a command line that can't be understood.

mod admin;
mod bench;
mod client;
mod config;
mod credentials;
mod demo;
mod isv;
mod local;
mod logs;
mod observers;
mod plane;
mod ready;
mod sources;
mod storage;
mod up;
mod watch;

use std::{io::Write, net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    client::Client,
    config::{Config, Overrides},
    credentials::Credentials,
    ready::Ready,
};

/// A request makes and frees many small pieces of memory on one thread; a whole request is some percent faster
/// with this allocator than with the system's (see ARCHITECTURE.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Hosts SaaS applications as sandboxed WebAssembly components.
#[derive(Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Examples:
  cloudware up --demo                                   run the platform with three tenants
  cloudware new hello --language rust                   begin a package
  cloudware build hello && cloudware push hello         build it and publish it
  cloudware install enable acme/main hello              give it to a tenant
  cloudware quota set acme/main fuel=50M memory=32MiB   limit an instance
  cloudware usage show acme/main                        see what it used")]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Args, Clone, Debug)]
struct Global {
    /// Address of the platform's API [default: what the data folder's credentials say].
    #[arg(long, global = true, env = "CLOUDWARE_API", value_name = "URL")]
    api: Option<String>,
    /// Token to call the API with [default: what the data folder's credentials say].
    #[arg(long, global = true, env = "CLOUDWARE_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Data folder of the platform on this machine.
    #[arg(long, global = true, env = "CLOUDWARE_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// How results are printed.
    #[arg(
        long,
        global = true,
        env = "CLOUDWARE_OUTPUT",
        value_enum,
        default_value_t = Output::Text
    )]
    output: Output,
}

/// How results are printed on standard output, and errors on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// JSON.
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Run the platform.
    Up(UpArgs),
    /// Begin a new package.
    New(isv::NewArgs),
    /// Build a package from source.
    Build(isv::BuildArgs),
    /// Say what the platform would say about a package.
    Check(isv::CheckArgs),
    /// Run an extension against calls that are known, with a budget of fuel and memory.
    Test(isv::TestArgs),
    /// Run what a platform recorded, or a known call, with several versions of a package, side by side.
    Replay(isv::ReplayArgs),
    /// Publish a package.
    Push(isv::PushArgs),
    #[command(flatten)]
    Admin(admin::Command),
    /// Measure this binary, beside its peers.
    Bench(bench::BenchArgs),
    /// The peer of `bench hello` without any sandbox.
    #[command(hide = true)]
    BenchPeer(bench::PeerArgs),
    /// Compiles a component for a running platform.
    #[command(hide = true, name = up::COMPILE_COMMAND)]
    Compile {
        /// What the platform says.
        settings: String,
    },
}

/// `cloudware up`
#[derive(Args)]
#[command(
    after_help = "Configuration comes from the file, then from CLOUDWARE_… variables \
(CLOUDWARE_ENGINE__SANDBOXES_MAX=500), then from these options.

Examples:
  cloudware up                                  keep everything in ./cloudware-data
  cloudware up --demo                           the same, with applications and three tenants
  cloudware up --listen 0.0.0.0:80 --data /var/lib/cloudware --config /etc/cloudware.toml
  cloudware up --demo --output json             print one JSON object when ready"
)]
struct UpArgs {
    /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Configuration file.
    #[arg(long, env = "CLOUDWARE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Build the bundled packages and run them for three tenants.
    #[arg(long)]
    demo: bool,
}

/// After how many pieces of work a thread looks what has arrived at sockets. A piece may be a page that takes 50 µs: with
/// the runtime's own 61, who came last would wait for three milliseconds before anybody knew of him.
const EVENT_INTERVAL: u32 = 8;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() && wants_json() => {
            let told = anyhow::anyhow!("{}", not_understood(&error));
            let _ = writeln!(std::io::stderr(), "{}", client::error_json(&told));
            return ExitCode::from(2);
        }
        Err(error) => error.exit(),
    };
    // Without the asynchronous runtime: it is bounded as a process.
    if let Command::Compile { settings } = &cli.command {
        return cloudware_engine::compile_for_parent(settings).into();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .build()
        .expect("the asynchronous runtime can start");
    let output = cli.global.output;
    let outcome = runtime.block_on(run(cli));
    // Work that was not awaited must not keep the process.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut stderr = std::io::stderr();
            let _ = match output {
                Output::Text => writeln!(stderr, "error: {error:#}"),
                Output::Json => writeln!(stderr, "{}", client::error_json(&error)),
            };
            ExitCode::FAILURE
        }
    }
}

/// Whether JSON is wanted, of a command line that can't be understood.
fn wants_json() -> bool {
    let arguments = std::env::args_os().map(|it| it.to_string_lossy().into_owned());
    let arguments: Vec<_> = arguments.take_while(|it| it != "--").collect();
    let of = |at: usize| match arguments[at].strip_prefix("--output") {
        Some("") => arguments.get(at + 1).map(String::as_str),
        Some(assigned) => assigned.strip_prefix('='),
        None => None,
    };
    match (0..arguments.len()).filter_map(of).next_back() {
        Some(said) => said == "json",
        None => std::env::var_os("CLOUDWARE_OUTPUT").is_some_and(|set| set == "json"),
    }
}

/// What was wrong with a command line, without the heading that people get.
fn not_understood(error: &clap::Error) -> String {
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    text.trim_end().to_owned()
}

async fn run(cli: Cli) -> Result<()> {
    let global = cli.global;
    match cli.command {
        Command::Up(args) => up(args, global).await,
        Command::New(args) => args.run(&context(&global)).await,
        Command::Build(args) => args.run(&context(&global)).await,
        Command::Check(args) => args.run(&context(&global)).await,
        Command::Test(args) => args.run(&context(&global)).await,
        Command::Replay(args) => args.run(&context(&global)).await,
        Command::Push(args) => {
            let role = match args.provider() {
                Some(_) => Role::Operator,
                None => Role::Provider,
            };
            args.run(&context(&global), &client(&global, role)?).await
        }
        Command::Admin(command) => admin::run(command, &client(&global, Role::Operator)?).await,
        Command::Bench(args) => args.run(&context(&global)).await,
        Command::BenchPeer(args) => args.run().await,
        Command::Compile { .. } => unreachable!("it is run before the runtime starts"),
    }
}

async fn up(args: UpArgs, global: Global) -> Result<()> {
    let config = Config::load(Overrides {
        file: args.config,
        listen: args.listen,
        data: global.data,
    })?;
    let writing = logs::init(&config)?;
    let content = if args.demo {
        up::Content::Demo
    } else {
        up::Content::Kept
    };
    tokio::select! {
        ended = up::run(config, content, |ready| announce(ready, global.output)) => ended,
        () = writing.tell_of_losses() => Ok(()),
    }
}

fn announce(ready: &Ready, output: Output) {
    let written = match output {
        Output::Text => writeln!(std::io::stderr(), "{}", ready.text()),
        Output::Json => {
            let mut stdout = std::io::stdout().lock();
            let line = serde_json::to_string(ready).expect("the announcement is plain data");
            writeln!(stdout, "{line}").and_then(|()| stdout.flush())
        }
    };
    if let Err(error) = written {
        tracing::warn!(%error, "the announcement can't be written");
    }
}

fn context(global: &Global) -> isv::Context {
    isv::Context {
        output: match global.output {
            Output::Text => isv::Output::Text,
            Output::Json => isv::Output::Json,
        },
        host: up::host_interfaces(),
        progress: isv::Progress::stderr(),
    }
}

/// The default of the data folder, as in the configuration.
const DATA: &str = "cloudware-data";

/// For whom a command speaks where no token is given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The platform's staff.
    Operator,
    /// The demo's provider where there is one, else the operator.
    Provider,
}

/// A client with the address and token that were given, or else those of the local platform.
fn client(global: &Global, role: Role) -> Result<Client> {
    check_data(global)?;
    let data = global.data.clone().unwrap_or_else(|| PathBuf::from(DATA));
    let local = Credentials::read(&data)?;
    let api = global
        .api
        .clone()
        .or_else(|| local.as_ref().map(|local| local.api.clone()))
        .unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
    let token = global.token.clone().or_else(|| {
        local
            .filter(|local| local.api == api.trim_end_matches('/'))
            .map(|local| local.token(role))
    });
    Ok(Client::new(&api, token)?.with_output(global.output))
}

/// Refuses a data folder that was named and is not there, where address or token would come from it: the command would
/// speak to another platform than was meant.
fn check_data(global: &Global) -> Result<()> {
    let Some(data) = &global.data else {
        return Ok(());
    };
    let is_needed = global.api.is_none() || global.token.is_none();
    // A folder that can't be looked at is refused where its credentials are read.
    if is_needed && matches!(data.try_exists(), Ok(false)) {
        bail!(
            "there is no data folder {}: name the one that `cloudware up` keeps with --data or CLOUDWARE_DATA, or say \
             where the platform is with --api and --token",
            data.display()
        );
    }
    Ok(())
}
