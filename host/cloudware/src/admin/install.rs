//! `cloudware install`: apps enabled in instances.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    print::{self, Column, text, time},
    target::{AppAt, InstanceTarget, Target},
};
use crate::client::Client;

/// A verb on installs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Enable an app in an instance, or change configuration and mount of one that is enabled.
    ///
    /// Enabling consents to the capabilities that the app asks for. Configuration that was chosen before stays where it is
    /// neither chosen anew nor unset, also while the app was disabled.
    #[command(after_help = "Examples:
  cloudware install enable acme/main inventory-stock@1.0.0
  cloudware install enable acme/main inventory-stock --config currency=CHF --mount /warehouse
  cloudware install enable acme/main inventory-stock --config currency=EUR      enabled already: changed from the next request on
  cloudware install enable acme/main inventory-stock --unset currency")]
    Enable {
        #[command(flatten)]
        place: Place,
        /// A value for one of the app's configuration keys.
        #[arg(long = "config", value_name = "KEY=VALUE", value_parser = pair)]
        config: Vec<(String, String)>,
        /// A configuration key that goes back to the app's default.
        #[arg(long, value_name = "KEY")]
        unset: Vec<String>,
        /// Another path prefix in the site than the app's own.
        #[arg(long, value_name = "PATH")]
        mount: Option<String>,
    },
    /// Stop serving an app; its data stays.
    Disable {
        #[command(flatten)]
        place: Place,
    },
    /// List an instance's installs.
    List {
        /// Tenant and instance, such as acme/main.
        instance: InstanceTarget,
    },
    /// Show an install.
    Show {
        #[command(flatten)]
        place: Place,
    },
    /// Move an install to another version.
    #[command(after_help = "Examples:
  cloudware install upgrade acme/main inventory-stock@1.1.0
  cloudware install upgrade acme/main inventory-stock          to the newest")]
    Upgrade {
        #[command(flatten)]
        place: Place,
    },
    /// Move an install back to the version before.
    Rollback {
        #[command(flatten)]
        place: Place,
    },
}

/// An install: `acme/main inventory-stock`, or in one word `acme/main/inventory-stock`.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Tenant and instance, such as acme/main.
    #[arg(value_name = "INSTANCE")]
    target: Target,
    /// The app, where it takes a version as APP@VERSION.
    app: Option<AppAt>,
}

const COLUMNS: &[Column] = &[
    Column::left("TENANT", |v| text(&v["tenant"])),
    Column::left("INSTANCE", |v| text(&v["instance"])),
    Column::left("APP", |v| text(&v["app"])),
    Column::left("VERSION", |v| text(&v["version"])),
    Column::left("PREVIOUS", |v| text(&v["previous"])),
    Column::left("STATE", |v| match v["release_state"].as_str() {
        Some("yanked") => format!("{}, yanked", text(&v["state"])),
        _ => text(&v["state"]),
    }),
    Column::left("PATH", |v| text(&v["path"])),
    Column::left("GRANTS", |v| words(&v["grants"])),
];

const DETAILS: &[Column] = &[
    Column::left("INSTALL", |v| {
        let part = |name: &str| text(&v[name]);
        format!("{}/{}/{}", part("tenant"), part("instance"), part("app"))
    }),
    Column::left("ID", |v| text(&v["id"])),
    Column::left("VERSION", |v| text(&v["version"])),
    Column::left("PREVIOUS", |v| text(&v["previous"])),
    Column::left("STATE", |v| text(&v["state"])),
    Column::left("RELEASE", |v| text(&v["release_state"])),
    Column::left("MOUNT", |v| text(&v["mount"])),
    Column::left("PATH", |v| text(&v["path"])),
    Column::left("GRANTS", |v| words(&v["grants"])),
    Column::left("CONFIG", |v| match v["config"].as_object() {
        Some(config) if !config.is_empty() => text(&v["config"]),
        _ => String::new(),
    }),
    Column::left("HOOKED ON", |v| hooks(&v["hooks"])),
    Column::left("SINCE", |v| time(&v["created_at"])),
];

pub(super) async fn run(command: Command, client: &Client) -> Result<()> {
    let answer = match command {
        Command::List { instance } => {
            let items = client
                .get_all(&format!("{}/installs", instance.path()))
                .await?;
            return print::list(client, &items, COLUMNS);
        }
        Command::Enable {
            place,
            config,
            unset,
            mount,
        } => {
            let (instance, app) = place.target.install(place.app)?;
            let chosen = config.into_iter().map(|(key, value)| (key, Some(value)));
            let mut config: BTreeMap<_, _> = chosen.collect();
            for key in unset {
                if let Some(Some(_)) = config.insert(key.clone(), None) {
                    anyhow::bail!(
                        "Either choose {key} with --config or --unset it: both at once mean nothing."
                    );
                }
            }
            let body = json!({
                "app": app.app, "version": app.version, "config": config, "mount": mount,
            });
            client
                .post(&format!("{}/installs", instance.path()), &body)
                .await?
        }
        Command::Show { place } => client.get(&place.path()?.0).await?,
        Command::Disable { place } => verb(client, place, "disable").await?,
        Command::Rollback { place } => verb(client, place, "rollback").await?,
        Command::Upgrade { place } => {
            let (path, version) = place.path()?;
            let body = json!({ "version": version });
            client.post(&format!("{path}/upgrade"), &body).await?
        }
    };
    print::item(client, &answer, DETAILS)?;
    for note in answer["notes"].as_array().into_iter().flatten() {
        print::note(&print::clean(&format!("note: {}", text(note))))?;
    }
    Ok(())
}

async fn verb(client: &Client, place: Place, verb: &str) -> Result<serde_json::Value> {
    let (path, _) = place.path()?;
    client.post(&format!("{path}/{verb}"), &json!({})).await
}

impl Place {
    /// The path of the install in the API, and the version that was named.
    fn path(self) -> Result<(String, Option<String>)> {
        let (instance, app) = self.target.install(self.app)?;
        Ok((
            format!("{}/installs/{}", instance.path(), app.app),
            app.version,
        ))
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

/// Hooks that were registered with a change, as `app/point/name`.
fn hooks(list: &serde_json::Value) -> String {
    let hooks = list.as_array().into_iter().flatten();
    let hooks: Vec<_> = hooks
        .map(|v| {
            let part = |name: &str| text(&v[name]);
            format!("{}/{}/{}", part("app"), part("point"), part("name"))
        })
        .collect();
    hooks.join(", ")
}

fn words(list: &serde_json::Value) -> String {
    let words = list.as_array().into_iter().flatten();
    let words: Vec<_> = words.filter_map(|word| word.as_str()).collect();
    words.join(", ")
}
