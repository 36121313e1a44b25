//! `cloudware events`: what happened, oldest first.

use anyhow::Result;
use clap::{Args, Subcommand};

use super::print::{self, Column, text, time};
use crate::client::Client;

/// A verb on events.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List what happened, oldest first; go on with --after and the last id.
    #[command(after_help = "Examples:
  cloudware events list
  cloudware events list --after evt_0000000000000042
  cloudware events list --type quota.near-limit --tenant acme --output json")]
    List(List),
}

/// Which events are listed.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only of this tenant.
    #[arg(long)]
    tenant: Option<String>,
    /// Only of this type, such as install.enable.
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// At most so many events.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Only events behind this one, by id.
    #[arg(long, value_name = "ID")]
    after: Option<String>,
}

const COLUMNS: &[Column] = &[
    Column::left("ID", |v| text(&v["id"])),
    Column::left("AT", |v| time(&v["at"])),
    Column::left("TYPE", |v| text(&v["type"])),
    Column::left("SUBJECT", |v| text(&v["subject"])),
    Column::left("DATA", |v| members(&v["data"])),
];

pub(super) async fn run(command: Command, client: &Client) -> Result<()> {
    let Command::List(list) = command;
    let limit = list.limit.to_string();
    let query = [
        ("tenant", list.tenant.as_deref()),
        ("type", list.kind.as_deref()),
        ("limit", Some(limit.as_str())),
        ("after", list.after.as_deref()),
    ];
    let page = client.get_query("/events", &query).await?;
    print::page(client, &page, COLUMNS)
}

/// Members that are there, each as `name=value`.
fn members(value: &serde_json::Value) -> String {
    let members = value.as_object().into_iter().flatten();
    let present: Vec<_> = members
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| format!("{name}={}", text(value)))
        .collect();
    present.join(" ")
}
