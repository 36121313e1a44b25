//! `cloudware release`: versions of apps.

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    print::{self, Column, bytes, text, time},
    target::{AppAt, name},
};
use crate::client::Client;

/// A verb on releases.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List an app's releases, newest push first.
    List {
        /// Name or id of the app.
        #[arg(value_parser = name)]
        app: String,
    },
    /// Show a release.
    Show {
        /// The release, as APP@VERSION.
        release: AppAt,
    },
    /// Stop offering a release as the newest; its installs go on.
    Deprecate(Withdrawal),
    /// Take a release out of service for good; its installs are not served any more.
    #[command(
        after_help = "Example:\n  cloudware release yank inventory-stock@1.0.0 --reason \"loses movements\""
    )]
    Yank(Withdrawal),
}

/// A release and why it is withdrawn.
#[derive(Debug, Args)]
pub(crate) struct Withdrawal {
    /// The release, as APP@VERSION.
    release: AppAt,
    /// Why, for tenants and the audit trail.
    #[arg(long)]
    reason: String,
}

const COLUMNS: &[Column] = &[
    Column::left("APP", |v| text(&v["app"])),
    Column::left("VERSION", |v| text(&v["version"])),
    Column::left("STATE", |v| text(&v["state"])),
    Column::right("SIZE", |v| bytes(&v["size_bytes"])),
    Column::right("SCHEMA", |v| text(&v["schema"])),
    Column::left("PUSHED", |v| time(&v["created_at"])),
    Column::left("DIGEST", |v| text(&v["digest"])),
];

const DETAILS: &[Column] = &[
    Column::left("RELEASE", |v| {
        format!("{}@{}", text(&v["app"]), text(&v["version"]))
    }),
    Column::left("TITLE", |v| text(&v["title"])),
    Column::left("DESCRIPTION", |v| text(&v["description"])),
    Column::left("PROVIDER", |v| text(&v["provider"])),
    Column::left("STATE", |v| text(&v["state"])),
    Column::left("REASON", |v| text(&v["state_reason"])),
    Column::left("MOUNT", |v| text(&v["mount"])),
    Column::left("SCHEMA", |v| text(&v["schema"])),
    Column::left("CAPABILITIES", |v| asked(&v["capabilities"])),
    Column::left("OFFERS", |v| points(&v["extension_points"])),
    Column::left("IMPLEMENTS", |v| asked(&v["implements"])),
    Column::left("NEEDS", |v| asked(&v["dependencies"])),
    Column::left("CALLS", |v| asked(&v["calls"])),
    Column::left("SERVES", |v| asked(&v["services"])),
    Column::left("CONFIG", |v| keys(&v["config"])),
    Column::left("SIZE", |v| bytes(&v["size_bytes"])),
    Column::left("DIGEST", |v| text(&v["digest"])),
    Column::left("PUSHED", |v| time(&v["created_at"])),
    Column::left("ID", |v| text(&v["id"])),
];

pub(super) async fn run(command: Command, client: &Client) -> Result<()> {
    let answer = match command {
        Command::List { app } => {
            let items = client.get_all(&format!("/apps/{app}/releases")).await?;
            return print::list(client, &items, COLUMNS);
        }
        Command::Show { release } => client.get(&path(&release)?).await?,
        Command::Deprecate(withdrawal) => withdraw(client, withdrawal, "deprecate").await?,
        Command::Yank(withdrawal) => withdraw(client, withdrawal, "yank").await?,
    };
    print::item(client, &answer, DETAILS)
}

async fn withdraw(
    client: &Client,
    withdrawal: Withdrawal,
    verb: &str,
) -> Result<serde_json::Value> {
    let path = format!("{}/{verb}", path(&withdrawal.release)?);
    client
        .post(&path, &json!({ "reason": withdrawal.reason }))
        .await
}

fn path(release: &AppAt) -> Result<String> {
    match &release.version {
        Some(version) => Ok(format!("/apps/{}/releases/{version}", release.app)),
        None => bail!("name the version too: {}@VERSION", release.app),
    }
}

/// Extension points with their kinds.
fn points(points: &serde_json::Value) -> String {
    let points = points.as_object().into_iter().flatten();
    let points: Vec<_> = points
        .map(|(name, point)| format!("{name} ({})", text(&point["kind"])))
        .collect();
    points.join(", ")
}

/// What is asked for or offered, each with its reason.
fn asked(texts: &serde_json::Value) -> String {
    let asked = texts.as_object().into_iter().flatten();
    let asked: Vec<_> = asked
        .map(|(name, reason)| format!("{name} ({})", text(reason)))
        .collect();
    asked.join(", ")
}

fn keys(config: &serde_json::Value) -> String {
    let keys = config.as_object().into_iter().flatten();
    let keys: Vec<_> = keys
        .map(|(name, key)| format!("{name}={}", text(&key["default"])))
        .collect();
    keys.join(", ")
}
