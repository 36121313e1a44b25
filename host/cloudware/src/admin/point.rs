//! `cloudware point`: extension points of the apps that are enabled in an instance.

use anyhow::{Result, bail};
use clap::Subcommand;
use serde_json::Value;

use super::{
    hook,
    print::{self, Column, number, text},
    target::{InstanceTarget, PointName},
};
use crate::{Output, client::Client};

/// A verb on extension points.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List an instance's extension points with the hooks on each, in the order in which they are asked.
    #[command(after_help = "Example:\n  cloudware point list acme/main")]
    List {
        /// Tenant and instance, such as acme/main.
        instance: InstanceTarget,
    },
    /// Show an extension point with its functions and their types.
    #[command(after_help = "Example:\n  cloudware point show acme/main inventory-stock/allocation")]
    Show {
        /// Tenant and instance, such as acme/main.
        instance: InstanceTarget,
        /// The extension point as app/point.
        point: PointName,
    },
}

const COLUMNS: &[Column] = &[
    Column::left("POINT", name),
    Column::left("KIND", |v| text(&v["kind"])),
    Column::left("INTERFACE", |v| text(&v["interface"])),
    Column::left("HOOKS", hooks),
    Column::left("DESCRIPTION", |v| text(&v["description"])),
];

const DETAILS: &[Column] = &[
    Column::left("POINT", name),
    Column::left("VERSION", |v| text(&v["version"])),
    Column::left("KIND", |v| text(&v["kind"])),
    Column::left("DESCRIPTION", |v| text(&v["description"])),
    Column::left("INTERFACE", |v| text(&v["interface"])),
    Column::left("ON FAILURE", |v| text(&v["defaults"]["on_failure"])),
    Column::left("DEADLINE", |v| {
        format!("{} ms", number(&v["defaults"]["deadline_ms"]))
    }),
    Column::left("FUEL", |v| number(&v["defaults"]["fuel"])),
    Column::left("FUEL PER ITEM", |v| number(&v["defaults"]["fuel_per_item"])),
    Column::left("HOOKS", hooks),
];

pub(super) async fn run(command: Command, client: &Client) -> Result<()> {
    match command {
        Command::List { instance } => {
            print::list(client, &points(client, &instance).await?, COLUMNS)
        }
        Command::Show { instance, point } => {
            let points = points(client, &instance).await?;
            let found = points
                .iter()
                .find(|v| v["app"] == point.app.as_str() && v["name"] == point.point.as_str());
            let Some(found) = found else {
                bail!(
                    "no app that is enabled in {}/{} has an extension point {}/{}: `cloudware point list` shows them",
                    instance.tenant,
                    instance.instance,
                    point.app,
                    point.point
                );
            };
            print::item(client, found, DETAILS)?;
            match client.output() {
                Output::Json => Ok(()),
                Output::Text => print::write(&functions(found)),
            }
        }
    }
}

async fn points(client: &Client, instance: &InstanceTarget) -> Result<Vec<Value>> {
    client.get_all(&format!("{}/points", instance.path())).await
}

/// `app/point`.
fn name(point: &Value) -> String {
    format!("{}/{}", text(&point["app"]), text(&point["name"]))
}

/// The hooks in their order, with the state of those that are not simply called.
fn hooks(point: &Value) -> String {
    let hooks = point["hooks"].as_array().into_iter().flatten();
    let names: Vec<_> = hooks
        .map(|one| match hook::state(one).as_str() {
            "active" => text(&one["name"]),
            state => format!("{} ({state})", text(&one["name"])),
        })
        .collect();
    names.join(", ")
}

/// The functions, each with a line before it, because types are long.
fn functions(point: &Value) -> String {
    let functions = point["functions"].as_array().into_iter().flatten();
    functions
        .map(|function| {
            let line = format!("{}: {}", text(&function["name"]), text(&function["type"]));
            format!("\n{}\n", print::clean(&line))
        })
        .collect()
}
