//! `cloudware quota`: limits of plans, tenants, instances and installs.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use clap::Subcommand;
use cloudware_types::Limit;
use serde_json::{Map, Value};

use super::{
    limits::ClassArg,
    print::{self, Column, text, time},
    target::QuotaTarget,
};
use crate::{Output, client::Client};

/// A verb on quotas.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Set limits; they hold from the next request on.
    #[command(after_help = "Examples:
  cloudware quota set plan/pro fuel=2G                            for all tenants that have the plan
  cloudware quota set acme fuel=2G                                for all of the tenant's instances
  cloudware quota set acme/main fuel=10M memory=16MiB             for one instance
  cloudware quota set acme/main/inventory-stock deadline=500ms    for one app in it

`cloudware limits` lists what can be limited.")]
    Set {
        /// The plan, tenant, instance or install.
        target: QuotaTarget,
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
        /// The plan, tenant, instance or install.
        target: QuotaTarget,
        /// Names of limits.
        #[arg(required = true, value_name = "LIMIT")]
        limits: Vec<Limit>,
        /// Why, for the audit trail.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Show the limits in force.
    #[command(after_help = "Examples:
  cloudware quota show acme/main                  limits of requests and of the whole instance
  cloudware quota show acme/main --usage          how much of them is used now
  cloudware quota show plan/pro --class job       limits of jobs")]
    Show {
        /// The plan, tenant, instance or install.
        target: QuotaTarget,
        /// Limits of which runs.
        #[arg(long, default_value = "request")]
        class: ClassArg,
        /// Only the limits whose present use is known, with that: of an instance or an install.
        #[arg(long)]
        usage: bool,
    },
    /// Show where limits come from: every level that sets them, and who did.
    #[command(after_help = "Examples:
  cloudware quota explain acme/main fuel
  cloudware quota explain acme/main fuel --class hook    the same as hook-fuel")]
    Explain {
        /// The plan, tenant, instance or install.
        target: QuotaTarget,
        /// Only this limit.
        limit: Option<Limit>,
        /// Limits of which runs; those of requests where nothing is said.
        #[arg(long)]
        class: Option<ClassArg>,
    },
}

const COLUMNS: &[Column] = &[
    Column::left("LIMIT", |v| text(&v["name"])),
    Column::right("VALUE", |v| text(&v["text"])),
    Column::left("SET FOR", |v| level(in_force(v))),
    Column::left("BY", |v| text(&in_force(v)["set_by"])),
    Column::left("AT", |v| time(&in_force(v)["set_at"])),
    Column::left("REASON", |v| text(&in_force(v)["reason"])),
];

const USAGE_COLUMNS: &[Column] = &[
    Column::left("LIMIT", |v| text(&v["name"])),
    Column::right("USED", |v| text(&v["used_text"])),
    Column::right("OF", |v| text(&v["text"])),
    Column::right("PERCENT", |v| format!("{} %", text(&v["percent"]))),
    Column::left("STATE", |v| text(&v["state"])),
    Column::left("SET FOR", |v| level(in_force(v))),
];

pub(super) async fn run(command: Command, client: &Client) -> Result<()> {
    match command {
        Command::Set {
            target,
            limits,
            reason,
        } => {
            let mut changes = BTreeMap::new();
            for (name, value) in limits {
                ensure!(
                    !changes.contains_key(&name),
                    "{name} is given twice: say which value it shall have"
                );
                changes.insert(name, as_json(value));
            }
            change(client, &target, changes, reason).await
        }
        Command::Unset {
            target,
            limits,
            reason,
        } => {
            let names = limits.iter().map(|limit| limit.name().to_owned());
            let changes = names.map(|name| (name, Value::Null)).collect();
            change(client, &target, changes, reason).await
        }
        Command::Show {
            target,
            class,
            usage: false,
        } => {
            let quota = client.get(&format!("{}/quota", target.path())).await?;
            print::list(client, &class.choose(limits(&quota)), COLUMNS)
        }
        Command::Show { target, class, .. } => {
            let path = format!("{}/quota", target.path());
            let quota = client.get_query(&path, &[("usage", Some("true"))]).await?;
            let mut limits = class.choose(limits(&quota));
            limits.retain(|limit| !limit["used"].is_null());
            print::list(client, &limits, USAGE_COLUMNS)
        }
        Command::Explain {
            target,
            limit,
            class,
        } => {
            let name = match (limit, class) {
                (Some(limit), Some(class)) => Some(class.limit(limit)?.name()),
                (limit, _) => limit.map(Limit::name),
            };
            let path = format!("{}/quota", target.path());
            let query = [("overrides", Some("true")), ("name", name)];
            let quota = client.get_query(&path, &query).await?;
            let limits = match name {
                Some(_) => limits(&quota).to_vec(),
                None => class.unwrap_or(ClassArg::Request).choose(limits(&quota)),
            };
            explain(client, &limits)?;
            if quota["overrides_are_cut"] == true {
                print::note("more is set within than is listed here: ask for one instance")?;
            }
            Ok(())
        }
    }
}

async fn change(
    client: &Client,
    target: &QuotaTarget,
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
    let changed = named(&quota, &names);
    print::list(client, &changed, COLUMNS)?;
    if quota["overrides_are_cut"] == true {
        return print::note(
            "more is set within than can be listed, and holds there: see `quota explain`",
        );
    }
    for limit in &changed {
        let overrides = limit["overrides"].as_array();
        if let Some(within) = overrides.and_then(|overrides| overrides.first()) {
            let (name, target) = (text(&limit["name"]), text(&within["target"]));
            let more = match overrides.map_or(0, Vec::len) {
                1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            print::note(&format!(
                "{name} is set for {target}{more} as well, and that holds there: see `quota explain`"
            ))?;
        }
    }
    Ok(())
}

fn explain(client: &Client, limits: &[Value]) -> Result<()> {
    if client.output() == Output::Json {
        return print::json(&limits);
    }
    let mut out = String::new();
    for limit in limits {
        out.push_str(&format!(
            "{} is {}\n",
            print::bold(&text(&limit["name"])),
            text(&limit["text"])
        ));
        let all = |name| limit[name].as_array().map_or(&[][..], Vec::as_slice);
        let (settings, overrides) = (all("settings"), all("overrides"));
        let names = settings.iter().chain(overrides).map(whose);
        let width = names.map(|name| name.chars().count()).max().unwrap_or(0);
        let mut tell = |setting, standing| out.push_str(&explained(setting, width, standing));
        for (index, setting) in settings.iter().enumerate() {
            let last = index + 1 == settings.len();
            tell(setting, if last { "in force" } else { "overruled" });
        }
        for within in overrides {
            tell(within, "holds there");
        }
    }
    print::write(&out)
}

/// For what a value is set: a level, or something within.
fn whose(setting: &Value) -> String {
    match setting["target"].as_str() {
        Some(target) => target.to_owned(),
        None => level(setting),
    }
}

fn explained(setting: &Value, width: usize, standing: &str) -> String {
    let mut line = format!(
        "  {:width$} {:>24}  by {}",
        whose(setting),
        text(&setting["text"]),
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

fn limits(quota: &Value) -> &[Value] {
    quota["limits"].as_array().map_or(&[], Vec::as_slice)
}

fn named(quota: &Value, names: &[String]) -> Vec<Value> {
    let wanted = |limit: &&Value| names.iter().any(|name| limit["name"] == name.as_str());
    limits(quota).iter().filter(wanted).cloned().collect()
}

/// The level of a setting, with the plan's name.
fn level(setting: &Value) -> String {
    match setting["plan"].as_str() {
        Some(plan) => format!("plan {plan}"),
        None => text(&setting["level"]),
    }
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
