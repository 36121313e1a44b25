//! `cloudware hook`: what fills the extension points of an instance's apps.

mod chosen;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use cloudware_types::{Unit, format_quantity};
use serde_json::{Value, json};

use super::{
    print::{self, Column, number, text, time},
    target::{HookName, InstanceTarget, PointName, name},
};
use crate::{Output, client::Client};
use chosen::{Chosen, Unset};

/// A verb on hooks.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List an instance's hooks, by extension point and in the order in which they are asked; or the hooks that call an
    /// app in all instances, for its provider.
    #[command(after_help = "Examples:
  cloudware hook list acme/main
  cloudware hook list --app ext-fefo")]
    List {
        /// Tenant and instance, such as acme/main.
        #[arg(required_unless_present = "app")]
        instance: Option<InstanceTarget>,
        /// The app that is called.
        #[arg(long, value_parser = name, conflicts_with = "instance")]
        app: Option<String>,
    },
    /// Show a hook and how it is called.
    #[command(after_help = "Example:
  cloudware hook show acme/main inventory-stock/allocation/ext-fefo")]
    Show(Place),
    /// Add a webhook, or an extension whose hook was removed; extensions are hooked on by themselves when they are
    /// enabled.
    #[command(after_help = "Examples:
  cloudware hook add acme/main inventory-stock/after-stock-moved --webhook erp --url https://erp.example.com/moved
  cloudware hook add acme/main inventory-stock/allocation --extension ext-fefo --mode shadow")]
    Add(Add),
    /// Change a hook; the change holds from the next call on.
    #[command(after_help = "Examples:
  cloudware hook set acme/main inventory-stock/allocation/ext-fefo --deadline 20ms --on-failure skip
  cloudware hook set acme/main inventory-stock/allocation/ext-fefo --mode shadow
  cloudware hook set acme/main inventory-stock/allocation/ext-fefo --unset deadline")]
    Set(Set),
    /// Give a hook another place among those of its point.
    #[command(after_help = "Example:
  cloudware hook move acme/main inventory-stock/allocation/ext-fefo 1")]
    Move {
        #[command(flatten)]
        place: Place,
        /// The place, from 1.
        position: u32,
    },
    /// Call a hook again.
    Enable(Place),
    /// Stop calling a hook; it keeps its place.
    Disable(Place),
    /// Remove a hook. An extension is hooked on again when it or the app is enabled the next time.
    #[command(after_help = "Example:
  cloudware hook remove acme/main inventory-stock/after-stock-moved/erp")]
    Remove(Place),
    /// Give a webhook a new key, which is printed this once.
    #[command(after_help = "Examples:
  SECRET=$(cloudware hook rotate-key acme/main inventory-stock/after-stock-moved/erp)
  cloudware hook rotate-key acme/main inventory-stock/after-stock-moved/erp --revoke-previous")]
    RotateKey {
        #[command(flatten)]
        place: Place,
        /// Make the key before invalid at once, because it got into wrong hands; otherwise both sign until the next
        /// rotation.
        #[arg(long)]
        revoke_previous: bool,
    },
}

/// A hook of an instance.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Tenant and instance, such as acme/main.
    instance: InstanceTarget,
    /// The hook as app/point/name, or its id.
    hook: HookName,
}

impl Place {
    fn path(&self) -> String {
        format!("{}/hooks/{}", self.instance.path(), self.hook.segment())
    }
}

/// What is added.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Tenant and instance, such as acme/main.
    instance: InstanceTarget,
    /// The extension point as app/point.
    point: PointName,
    /// The extension that is called, by its app.
    #[arg(long, value_name = "APP", value_parser = name, required_unless_present = "webhook")]
    extension: Option<String>,
    /// What the webhook is called.
    #[arg(long, value_name = "NAME", value_parser = name, conflicts_with = "extension", requires = "url")]
    webhook: Option<String>,
    /// Where the webhook is called.
    #[arg(long, requires = "webhook")]
    url: Option<String>,
    /// Version of the payload that the endpoint was written for [default: the newest].
    #[arg(long, value_name = "N", requires = "webhook")]
    payload_version: Option<u32>,
    /// Its place among the hooks of the point, from 1 [default: the end].
    #[arg(long, value_name = "N")]
    position: Option<u32>,
    /// Add it without calling it.
    #[arg(long)]
    disabled: bool,
    #[command(flatten)]
    chosen: Chosen,
}

/// What is changed.
#[derive(Debug, Args)]
pub(crate) struct Set {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    chosen: Chosen,
    /// Go back to what the point says; may be given several times.
    #[arg(long, value_name = "NAME")]
    unset: Vec<Unset>,
    /// Where the webhook is called.
    #[arg(long)]
    url: Option<String>,
    /// Version of the payload that the endpoint was written for.
    #[arg(long, value_name = "N")]
    payload_version: Option<u32>,
}

const COLUMNS: &[Column] = &[
    Column::left("POINT", point),
    Column::right("PLACE", |v| number(&v["position"])),
    Column::left("HOOK", |v| text(&v["name"])),
    Column::left("TARGET", |v| text(&v["target"])),
    Column::left("STATE", state),
    Column::left("ON FAILURE", |v| text(&v["effect"]["on_failure"])),
    Column::right("DEADLINE", |v| {
        quantity(Unit::Milliseconds, &v["effect"]["deadline_ms"])
    }),
    Column::right("FUEL", |v| number(&v["effect"]["fuel"])),
    Column::left("ID", |v| text(&v["id"])),
];

const COLUMNS_OF_APP: &[Column] = &[
    Column::left("POINT", point),
    Column::left("VERSION", |v| text(&v["version"])),
    Column::left("STATE", state_of_app),
    Column::left("SINCE", |v| time(&v["state_since"])),
    Column::right("FAILURES", |v| number(&v["failures"])),
    Column::left("LAST FAILURE", |v| text(&v["last_failure"]["reason"])),
    Column::left("INSTALL", |v| text(&v["install"])),
    Column::left("ID", |v| text(&v["id"])),
];

const DETAILS: &[Column] = &[
    Column::left("HOOK", |v| format!("{}/{}", point(v), text(&v["name"]))),
    Column::left("INSTANCE", |v| {
        format!("{}/{}", text(&v["tenant"]), text(&v["instance"]))
    }),
    Column::left("PLACE", |v| number(&v["position"])),
    Column::left("TARGET", |v| text(&v["target"])),
    Column::left("URL", |v| text(&v["webhook"]["url"])),
    Column::left("PAYLOAD", |v| text(&v["webhook"]["payload_version"])),
    Column::left("KEYS SINCE", |v| times(&v["webhook"]["keys"])),
    Column::left("STATE", state),
    Column::left("STATE SINCE", |v| time(&v["state_since"])),
    Column::left("FAILURES", |v| number(&v["failures"])),
    Column::left("LAST FAILURE", |v| text(&v["last_failure"]["reason"])),
    Column::left("FAILED AT", |v| time(&v["last_failure"]["at"])),
    Column::left("COMPARED", compared),
    Column::left("ON FAILURE", |v| chosen(v, "on_failure", text)),
    Column::left("DEADLINE", |v| {
        chosen(v, "deadline_ms", |value| {
            quantity(Unit::Milliseconds, value)
        })
    }),
    Column::left("FUEL", |v| chosen(v, "fuel", number)),
    Column::left("FUEL PER ITEM", |v| chosen(v, "fuel_per_item", number)),
    Column::left("FUEL AT MOST", |v| number(&v["effect"]["fuel_max"])),
    Column::left("MEMORY", |v| {
        chosen(v, "memory", |value| quantity(Unit::Bytes, value))
    }),
    Column::left("SINCE", |v| time(&v["created_at"])),
    Column::left("ID", |v| text(&v["id"])),
];

pub(super) async fn run(command: Command, client: &Client) -> Result<()> {
    let hook = match command {
        Command::List { instance, app } => {
            let (path, columns) = match (instance, app) {
                (Some(instance), _) => (format!("{}/hooks", instance.path()), COLUMNS),
                (None, app) => {
                    let app = app.unwrap_or_default();
                    (format!("/apps/{app}/hooks"), COLUMNS_OF_APP)
                }
            };
            let items = client.get_all(&path).await?;
            return print::list(client, &items, columns);
        }
        Command::Add(add) => return added(client, add).await,
        Command::RotateKey {
            place,
            revoke_previous,
        } => {
            let body = json!({ "revoke_previous": revoke_previous });
            let path = format!("{}/rotate-key", place.path());
            return secret(client, &client.post(&path, &body).await?);
        }
        Command::Show(place) => {
            let hook = client.get(&place.path()).await?;
            print::item(client, &hook, DETAILS)?;
            return match client.output() {
                Output::Json => Ok(()),
                Output::Text => print::write(&differences(&hook)),
            };
        }
        Command::Set(set) => {
            let hook = client.patch(&set.place.path(), &set.body()?).await?;
            warn_of_open_data(&hook)?;
            hook
        }
        Command::Move { place, position } => {
            let body = json!({ "position": position });
            client.patch(&place.path(), &body).await?
        }
        Command::Enable(place) => {
            client
                .patch(&place.path(), &json!({ "enabled": true }))
                .await?
        }
        Command::Disable(place) => {
            client
                .patch(&place.path(), &json!({ "enabled": false }))
                .await?
        }
        Command::Remove(place) => client.delete(&place.path()).await?,
    };
    print::item(client, &hook, DETAILS)
}

/// Says what it means that a hook on data is left out where it fails.
fn warn_of_open_data(hook: &Value) -> Result<()> {
    let is_on_data = matches!(
        hook["point"].as_str(),
        Some("before-access" | "after-access")
    );
    if is_on_data && hook["on_failure"] == "skip" {
        print::note("where this hook fails, nothing is refused, restricted or masked by it")?;
    }
    Ok(())
}

async fn added(client: &Client, add: Add) -> Result<()> {
    let mut body = add.chosen.body();
    body.insert("app".to_owned(), add.point.app.into());
    body.insert("point".to_owned(), add.point.point.into());
    body.insert("enabled".to_owned(), (!add.disabled).into());
    if let Some(position) = add.position {
        body.insert("position".to_owned(), position.into());
    }
    let is_webhook = add.webhook.is_some();
    match add.webhook {
        Some(name) => {
            let webhook = json!({
                "name": name, "url": add.url, "payload_version": add.payload_version,
            });
            body.insert("webhook".to_owned(), webhook);
        }
        None => {
            body.insert("extension".to_owned(), add.extension.into());
        }
    }
    let path = format!("{}/hooks", add.instance.path());
    let hook = client.post(&path, &body).await?;
    match is_webhook {
        true => secret(client, &hook),
        false => print::item(client, &hook, DETAILS),
    }
}

/// A new key alone on standard output, so that it can be taken into a variable.
fn secret(client: &Client, hook: &Value) -> Result<()> {
    if client.output() == Output::Json {
        return print::json(hook);
    }
    print::note("keep the key: it is shown this once, and signs what the webhook is sent")?;
    print::write(&format!("{}\n", text(&hook["secret"])))
}

impl Set {
    fn body(&self) -> Result<serde_json::Map<String, Value>> {
        let mut body = self.chosen.body();
        for unset in &self.unset {
            let member = unset.member();
            if body
                .insert(member.to_owned(), Value::Null)
                .is_some_and(|chosen| !chosen.is_null())
            {
                let option = member.trim_end_matches("_ms").replace('_', "-");
                bail!("Either set {option} or --unset it: both at once mean nothing.");
            }
        }
        if let Some(url) = &self.url {
            body.insert("url".to_owned(), url.clone().into());
        }
        if let Some(version) = self.payload_version {
            body.insert("payload_version".to_owned(), version.into());
        }
        if body.is_empty() {
            bail!(
                "Say what is to change, such as --deadline 20ms (see `cloudware hook set --help`)."
            );
        }
        Ok(body)
    }
}

/// The state of a hook of which it is not told how it is called at present.
fn state_of_app(hook: &Value) -> String {
    match (&hook["enabled"], hook["mode"].as_str()) {
        (Value::Bool(false), _) => "disabled".to_owned(),
        (_, Some("shadow")) => "shadow".to_owned(),
        _ => text(&hook["state"]),
    }
}

/// `app/point`.
fn point(hook: &Value) -> String {
    format!("{}/{}", text(&hook["app"]), text(&hook["point"]))
}

/// Whether it is called, and if its result is used.
pub(super) fn state(hook: &Value) -> String {
    match (
        hook["enabled"].as_bool(),
        &hook["effect"],
        hook["state"].as_str(),
    ) {
        (Some(false), _, _) => "disabled".to_owned(),
        (_, Value::Null, _) => "not called".to_owned(),
        (_, _, Some(state @ ("tripped" | "probing"))) => state.to_owned(),
        _ => text(&hook["mode"]),
    }
}

/// How often it differed while it practised.
fn compared(hook: &Value) -> String {
    match &hook["shadow"] {
        Value::Null => String::new(),
        shadow => format!(
            "{} times, {} different",
            number(&shadow["compared"]),
            number(&shadow["different"])
        ),
    }
}

/// Where it differed, the newest first, a paragraph each.
fn differences(hook: &Value) -> String {
    let differences = hook["shadow"]["differences"].as_array();
    differences
        .into_iter()
        .flatten()
        .map(|one| {
            let line = |title: &str, value: &Value| {
                format!("  {title:9} {}\n", print::clean(&value.to_string()))
            };
            format!(
                "\n{} {}\n{}{}{}",
                time(&one["at"]),
                print::bold(&print::clean(&text(&one["call"]))),
                line("arguments", &one["arguments"]),
                line("used", &one["expected"]),
                line("said", &one["got"])
            )
        })
        .collect()
}

/// What holds, and where it comes from if that is the point.
fn chosen(hook: &Value, member: &str, show: impl Fn(&Value) -> String) -> String {
    match (&hook[member], &hook["effect"][member]) {
        (Value::Null, Value::Null) => String::new(),
        (Value::Null, effect) => format!("{} (as the point says)", show(effect)),
        (own, effect) if effect.is_null() || own == effect => show(own),
        (own, effect) => format!("{} (of {} that were chosen)", show(effect), show(own)),
    }
}

fn quantity(unit: Unit, value: &Value) -> String {
    match value.as_u64() {
        Some(value) => format_quantity(unit, value),
        None => String::new(),
    }
}

fn times(list: &Value) -> String {
    let times = list.as_array().into_iter().flatten();
    times.map(time).collect::<Vec<_>>().join(", ")
}
