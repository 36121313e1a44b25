//! The commands of operators and tenants: nouns with verbs, one file for each noun. Each verb is one
//! call of the REST API; what the API answers is printed as a table for people or as JSON.

mod app;
mod audit;
mod delivery;
mod event;
mod hook;
mod host;
mod install;
mod instance;
mod limits;
mod plan;
mod point;
mod print;
mod provider;
mod quota;
mod recording;
mod release;
mod stop;
mod target;
mod tenant;
mod token;
mod trace;
mod usage;
mod whoami;

use anyhow::Result;
use clap::Subcommand;

use crate::client::Client;

/// A noun.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Organisations that publish apps.
    #[command(subcommand)]
    Provider(provider::Command),
    /// Named sets of quotas, of which a tenant has at most one.
    #[command(subcommand)]
    Plan(plan::Command),
    /// Customer organisations.
    #[command(subcommand)]
    Tenant(tenant::Command),
    /// Tenants' running copies of products.
    #[command(subcommand)]
    Instance(instance::Command),
    /// Apps enabled in instances.
    #[command(subcommand)]
    Install(install::Command),
    /// What fills the extension points of apps: extensions and webhooks.
    #[command(subcommand)]
    Hook(hook::Command),
    /// What hooks on observe points are owed.
    #[command(subcommand)]
    Delivery(delivery::Command),
    /// Extension points: where apps ask others.
    #[command(subcommand)]
    Point(point::Command),
    /// The catalog of apps.
    #[command(subcommand)]
    App(app::Command),
    /// Versions of apps.
    #[command(subcommand)]
    Release(release::Command),
    /// Limits of plans, tenants, instances and installs.
    #[command(subcommand)]
    Quota(quota::Command),
    /// What was consumed.
    #[command(subcommand)]
    Usage(usage::Command),
    /// Why and where apps were stopped.
    #[command(subcommand)]
    Stops(stop::Command),
    /// What requests were made of in which apps asked hooks or called each other.
    #[command(subcommand)]
    Trace(trace::Command),
    /// Calls of an app as they happened, to be run again elsewhere.
    #[command(subcommand)]
    Recording(recording::Command),
    /// What happened, to be followed.
    #[command(subcommand)]
    Events(event::Command),
    /// Who changed what.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Access tokens.
    #[command(subcommand)]
    Token(token::Command),
    /// Show everything that can be limited, with defaults and bounds.
    #[command(after_help = "Examples:
  cloudware limits                 limits of requests and of whole instances
  cloudware limits --class hook    limits of hooks")]
    Limits {
        /// Limits of which runs.
        #[arg(long, default_value = "request")]
        class: limits::ClassArg,
    },
    /// Show what the host has to do at this moment.
    #[command(
        after_help = "LAG is how long what is ready waits for a thread that serves sockets; less than 10 ms is 0. While it is longer
than an instance's queue-time, new requests of that instance are refused, but for ten a second; while it is
longer than four times as much, all of them.

Examples:
  cloudware host
  cloudware --output json host"
    )]
    Host,
    /// Show for whom the token speaks.
    Whoami,
}

/// Runs a command.
///
/// # Errors
/// What the platform refuses, in its words, or why it cannot be reached.
pub(crate) async fn run(command: Command, client: &Client) -> Result<()> {
    match command {
        Command::Provider(command) => provider::run(command, client).await,
        Command::Plan(command) => plan::run(command, client).await,
        Command::Tenant(command) => tenant::run(command, client).await,
        Command::Instance(command) => instance::run(command, client).await,
        Command::Install(command) => install::run(command, client).await,
        Command::Delivery(command) => delivery::run(command, client).await,
        Command::Hook(command) => hook::run(command, client).await,
        Command::Point(command) => point::run(command, client).await,
        Command::App(command) => app::run(command, client).await,
        Command::Release(command) => release::run(command, client).await,
        Command::Quota(command) => quota::run(command, client).await,
        Command::Usage(command) => usage::run(command, client).await,
        Command::Stops(command) => stop::run(command, client).await,
        Command::Trace(command) => trace::run(command, client).await,
        Command::Recording(command) => recording::run(command, client).await,
        Command::Events(command) => event::run(command, client).await,
        Command::Audit(command) => audit::run(command, client).await,
        Command::Token(command) => token::run(command, client).await,
        Command::Limits { class } => limits::run(class, client).await,
        Command::Host => host::run(client).await,
        Command::Whoami => whoami::run(client).await,
    }
}
