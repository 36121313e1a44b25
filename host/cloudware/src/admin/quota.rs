//! `cloudware quota`: limits of tenants, instances and installs.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use clap::Subcommand;
use cloudware_types::Limit;
use serde_json::{Map, Value};

use super::{
    print::{self, Column, text, time},
    target::Target,
};
use crate::{Output, client::Client};

/// A verb on quotas.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Set limits; they hold from the next request on.
    #[command(after_help = "Examples:
  cloudware quota set acme fuel=2G                                for all of the tenant's instances
  cloudware quota set acme/main fuel=10M memory=16MiB             for one instance
  cloudware quota set acme/main/inventory-stock deadline=500ms    for one app in it

`cloudware limits` lists what can be limited.")]
    Set {
        /// The tenant, instance or install.
        target: Target,
        /// Limits and their values.
        #[arg(required = true, value_name = "LIMIT=VALUE", value_parser = assignment)]
        limits: Vec<(String, String)>,
        /// Why, for the audit trail.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Unset limits, so that the level below decides again.
    #[command(after_help = "Example:\n  cloudware quota unset acme/main fuel memory")]
    Unset {
        /// The tenant, instance or install.
        target: Target,
        /// Names of limits.
        #[arg(required = true, value_name = "LIMIT", value_parser = dimension)]
        limits: Vec<String>,
        /// Why, for the audit trail.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Show the limits in force.
    Show {
        /// The tenant, instance or install.
        target: Target,
    },
    /// Show where limits come from: every level that sets them, and who did.
    #[command(after_help = "Example:\n  cloudware quota explain acme/main fuel")]
    Explain {
        /// The tenant, instance or install.
        target: Target,
        /// Only this limit.
        #[arg(value_parser = dimension)]
        limit: Option<String>,
    },
}

const COLUMNS: &[Column] = &[
    Column::left("LIMIT", |v| text(&v["name"])),
    Column::right("VALUE", |v| text(&v["text"])),
    Column::left("SET FOR", |v| text(&v["level"])),
    Column::left("BY", |v| text(&in_force(v)["set_by"])),
    Column::left("AT", |v| time(&in_force(v)["set_at"])),
    Column::left("REASON", |v| text(&in_force(v)["reason"])),
];

pub(super) async fn run(command: Command, client: &Client) -> Result<()> {
    match command {
        Command::Set {
            target,
            limits,
            reason,
        } => {
            let limits = limits.into_iter();
            let changes = limits.map(|(name, value)| (name, as_json(value))).collect();
            change(client, &target, changes, reason).await
        }
        Command::Unset {
            target,
            limits,
            reason,
        } => {
            let changes = limits.into_iter().map(|name| (name, Value::Null)).collect();
            change(client, &target, changes, reason).await
        }
        Command::Show { target } => {
            let quota = client.get(&format!("{}/quota", target.path())).await?;
            show(client, &quota, None)
        }
        Command::Explain { target, limit } => {
            let quota = client.get(&format!("{}/quota", target.path())).await?;
            explain(client, &quota, limit.as_deref())
        }
    }
}

async fn change(
    client: &Client,
    target: &Target,
    changes: BTreeMap<String, Value>,
    reason: Option<String>,
) -> Result<()> {
    let names: Vec<_> = changes.keys().cloned().collect();
    let mut body: Map<String, Value> = changes.into_iter().collect();
    if let Some(reason) = reason {
        body.insert("reason".to_owned(), reason.into());
    }
    let quota = client
        .patch(&format!("{}/quota", target.path()), &body)
        .await?;
    show(client, &quota, Some(&names))
}

fn show(client: &Client, quota: &Value, only: Option<&[String]>) -> Result<()> {
    print::list(client, &chosen(quota, only), COLUMNS)
}

fn explain(client: &Client, quota: &Value, limit: Option<&str>) -> Result<()> {
    let only = limit.map(|name| vec![name.to_owned()]);
    let limits = chosen(quota, only.as_deref());
    if client.output() == Output::Json {
        return print::json(&limits);
    }
    let mut out = String::new();
    for limit in &limits {
        out.push_str(&format!(
            "{} is {}\n",
            print::bold(&text(&limit["name"])),
            text(&limit["text"])
        ));
        let settings = limit["settings"].as_array().map_or(&[][..], Vec::as_slice);
        for (index, setting) in settings.iter().enumerate() {
            let last = index + 1 == settings.len();
            out.push_str(&explained(
                setting,
                if last { "in force" } else { "overruled" },
            ));
        }
    }
    print::write(&out)
}

fn explained(setting: &Value, standing: &str) -> String {
    let mut line = format!(
        "  {:9} {:>16}  by {}",
        text(&setting["level"]),
        print::number(&setting["value"]),
        text(&setting["set_by"]),
    );
    if let Some(at) = setting.get("set_at") {
        line.push_str(&format!(", {}", time(at)));
    }
    if let Some(reason) = setting.get("reason") {
        line.push_str(&format!(", “{}”", text(reason)));
    }
    format!("{line} ({standing})\n")
}

fn chosen(quota: &Value, only: Option<&[String]>) -> Vec<Value> {
    let limits = quota["limits"].as_array().into_iter().flatten();
    let wanted = |limit: &&Value| {
        only.is_none_or(|only| only.iter().any(|name| limit["name"] == name.as_str()))
    };
    limits.filter(wanted).cloned().collect()
}

fn in_force(limit: &Value) -> &Value {
    let settings = limit["settings"].as_array();
    settings
        .and_then(|settings| settings.last())
        .unwrap_or(&Value::Null)
}

/// Plain numbers go as numbers, everything else as people write it.
fn as_json(value: String) -> Value {
    match value.parse::<u64>() {
        Ok(number) => number.into(),
        Err(_) => value.into(),
    }
}

fn assignment(text: &str) -> Result<(String, String)> {
    let Some((name, value)) = text.split_once('=') else {
        bail!("write LIMIT=VALUE, such as fuel=10M");
    };
    let known: Limit = name.parse()?;
    cloudware_types::parse_quantity(known, value)?;
    Ok((name.to_owned(), value.to_owned()))
}

fn dimension(text: &str) -> Result<String> {
    let known: Limit = text.parse()?;
    Ok(known.name().to_owned())
}
