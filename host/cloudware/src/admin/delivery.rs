//! `cloudware delivery`: what hooks on observe points are owed, and dead letters that are tried again.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    print::{self, Column, number, text, time},
    target::{InstanceTarget, name},
};
use crate::client::Client;

/// A verb on deliveries.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List an instance's deliveries, newest first.
    #[command(after_help = "Examples:
  cloudware delivery list acme/main
  cloudware delivery list acme/main --state dead --hook erp")]
    List(List),
    /// Show a delivery with what its hook is told.
    Show {
        /// Tenant and instance, such as acme/main.
        instance: InstanceTarget,
        /// The delivery's id.
        #[arg(value_parser = name)]
        delivery: String,
    },
    /// Try dead deliveries again.
    #[command(after_help = "Examples:
  cloudware delivery replay acme/main dlv_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5
  cloudware delivery replay acme/main --all-dead --hook erp")]
    Replay(Replay),
}

/// Which deliveries are listed.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Tenant and instance, such as acme/main.
    instance: InstanceTarget,
    /// Only those that are pending, retrying, replayed, delivered, dead or dropped.
    #[arg(long)]
    state: Option<String>,
    /// Only those of this hook, by id or name.
    #[arg(long)]
    hook: Option<String>,
    /// At most so many lines.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Only deliveries older than this one, by id.
    #[arg(long, value_name = "ID")]
    after: Option<String>,
}

/// Which deliveries are tried again.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// Tenant and instance, such as acme/main.
    instance: InstanceTarget,
    /// The delivery's id.
    #[arg(value_parser = name, required_unless_present = "all_dead", conflicts_with = "all_dead")]
    delivery: Option<String>,
    /// All that are dead.
    #[arg(long)]
    all_dead: bool,
    /// Of those only the ones of this hook, by id or name.
    #[arg(long, requires = "all_dead")]
    hook: Option<String>,
}

const LIST: &[Column] = &[
    Column::left("ID", |v| text(&v["id"])),
    Column::left("STATE", |v| text(&v["state"])),
    Column::left("HOOK", |v| text(&v["hook_name"])),
    Column::left("EVENT", |v| text(&v["event"])),
    Column::left("CREATED", |v| time(&v["created_at"])),
    Column::right("ATTEMPTS", |v| number(&v["attempts"])),
    Column::left("DUE", |v| time(&v["due_at"])),
    Column::left("REASON", |v| text(&v["reason"])),
];

const SHOW: &[Column] = &[
    Column::left("ID", |v| text(&v["id"])),
    Column::left("STATE", |v| text(&v["state"])),
    Column::left("REASON", |v| text(&v["reason"])),
    Column::left("HOOK", |v| text(&v["hook_name"])),
    Column::left("HOOK ID", |v| text(&v["hook"])),
    Column::left("EVENT", |v| text(&v["event"])),
    Column::left("REQUEST", |v| text(&v["request_id"])),
    Column::left("CREATED", |v| time(&v["created_at"])),
    Column::left("CHANGED", |v| time(&v["changed_at"])),
    Column::left("DUE", |v| time(&v["due_at"])),
    Column::left("ATTEMPTS", |v| number(&v["attempts"])),
    Column::left("REPLAYS", |v| number(&v["replays"])),
    Column::left("ARGUMENTS", |v| match &v["arguments"] {
        serde_json::Value::Null => String::new(),
        arguments => arguments.to_string(),
    }),
];

const REPLAYED: &[Column] = &[Column::left("REPLAYED", |v| number(&v["replayed"]))];

pub(super) async fn run(command: Command, client: &Client) -> Result<()> {
    match command {
        Command::List(list) => {
            let limit = list.limit.to_string();
            let query = [
                ("state", list.state.as_deref()),
                ("hook", list.hook.as_deref()),
                ("limit", Some(limit.as_str())),
                ("after", list.after.as_deref()),
            ];
            let path = format!("{}/deliveries", list.instance.path());
            let page = client.get_query(&path, &query).await?;
            print::page(client, &page, LIST)
        }
        Command::Show { instance, delivery } => {
            let path = format!("{}/deliveries/{delivery}", instance.path());
            print::item(client, &client.get(&path).await?, SHOW)
        }
        Command::Replay(replay) => {
            let instance = replay.instance.path();
            let Some(delivery) = replay.delivery else {
                let body = json!({ "hook": replay.hook });
                let path = format!("{instance}/replay-dead");
                return print::item(client, &client.post(&path, &body).await?, REPLAYED);
            };
            let path = format!("{instance}/deliveries/{delivery}/replay");
            print::item(client, &client.post(&path, &json!({})).await?, SHOW)
        }
    }
}
