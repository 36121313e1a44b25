//! `cloudware audit`: who changed what.

use anyhow::Result;
use clap::{Args, Subcommand};
use cloudware_types::format_exact;
use serde_json::Value;

use super::print::{self, Column, text, time};
use crate::client::Client;

/// A verb on the audit trail.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List what was done, newest first.
    #[command(after_help = "Examples:
  cloudware audit list
  cloudware audit list --tenant acme --action quota.change
  cloudware audit list --subject acme/main --output json")]
    List(List),
}

/// Which entries are listed.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only of this tenant.
    #[arg(long)]
    tenant: Option<String>,
    /// Only on this subject, such as acme/main.
    #[arg(long)]
    subject: Option<String>,
    /// Only this action, such as quota.change.
    #[arg(long)]
    action: Option<String>,
    /// At most so many entries.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Only entries older than this one, by id.
    #[arg(long, value_name = "ID")]
    after: Option<String>,
}

const COLUMNS: &[Column] = &[
    Column::left("AT", |v| time(&v["at"])),
    Column::left("WHO", |v| {
        format!("{} ({})", text(&v["actor"]), text(&v["actor_kind"]))
    }),
    Column::left("ACTION", |v| text(&v["action"])),
    Column::left("SUBJECT", |v| text(&v["subject"])),
    Column::left("CHANGE", change),
    Column::left("REASON", |v| text(&v["reason"])),
];

pub(super) async fn run(command: Command, client: &Client) -> Result<()> {
    let Command::List(list) = command;
    let limit = list.limit.to_string();
    let query = [
        ("tenant", list.tenant.as_deref()),
        ("subject", list.subject.as_deref()),
        ("action", list.action.as_deref()),
        ("limit", Some(limit.as_str())),
        ("after", list.after.as_deref()),
    ];
    let page = client.get_query("/audit", &query).await?;
    print::page(client, &page, COLUMNS)
}

/// What became different: `memory 128 MiB (default) → 16 MiB (instance)`.
fn change(entry: &Value) -> String {
    let (before, after) = (&entry["before"], &entry["after"]);
    let Some(fields) = after.as_object() else {
        return String::new();
    };
    let changed = fields
        .iter()
        .filter(|(name, value)| before[name.as_str()] != **value);
    let changed: Vec<_> = changed
        .map(|(name, value)| match &before[name.as_str()] {
            Value::Null => format!("{name} {}", value_text(name, value)),
            old => format!(
                "{name} {} → {}",
                value_text(name, old),
                value_text(name, value)
            ),
        })
        .collect();
    changed.join(", ")
}

fn value_text(name: &str, value: &Value) -> String {
    match (value.get("value"), value.get("level")) {
        (Some(number), Some(level)) => {
            let number = print::of_limit(name, number, format_exact);
            format!("{number} ({})", text(level))
        }
        _ if value.is_null() => "none".to_owned(),
        _ => text(value),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_shows_from_what_to_what() {
        let entry = json!({
            "before": { "memory": { "value": 128 << 20, "level": "default" }, "same": 1 },
            "after": { "memory": { "value": 65_537, "level": "instance" }, "same": 1 },
        });
        assert_eq!(
            change(&entry),
            "memory 128 MiB (default) → 65,537 bytes (instance)"
        );
        assert_eq!(
            change(&json!({ "after": { "state": "active" } })),
            "state active"
        );
        assert_eq!(change(&json!({})), "");
    }
}
