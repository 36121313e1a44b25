//! `cloudware app`: the catalog.

use anyhow::Result;
use clap::Subcommand;

use super::{
    print::{self, Column, text, time},
    target::name,
};
use crate::client::Client;

/// A verb on apps.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List apps.
    List,
    /// Show an app.
    Show {
        /// Name or id.
        #[arg(value_parser = name)]
        app: String,
    },
}

const COLUMNS: &[Column] = &[
    Column::left("APP", |v| text(&v["slug"])),
    Column::left("LATEST", |v| text(&v["latest"])),
    Column::left("PRODUCT", |v| text(&v["product"])),
    Column::left("PROVIDER", |v| text(&v["provider"])),
    Column::left("TITLE", |v| text(&v["title"])),
];

const DETAILS: &[Column] = &[
    Column::left("APP", |v| text(&v["slug"])),
    Column::left("TITLE", |v| text(&v["title"])),
    Column::left("DESCRIPTION", |v| text(&v["description"])),
    Column::left("LATEST", |v| text(&v["latest"])),
    Column::left("PRODUCT", |v| text(&v["product"])),
    Column::left("PROVIDER", |v| text(&v["provider"])),
    Column::left("SINCE", |v| time(&v["created_at"])),
    Column::left("ID", |v| text(&v["id"])),
];

pub(super) async fn run(command: Command, client: &Client) -> Result<()> {
    match command {
        Command::List => print::list(client, &client.get_all("/apps").await?, COLUMNS),
        Command::Show { app } => {
            print::item(client, &client.get(&format!("/apps/{app}")).await?, DETAILS)
        }
    }
}
