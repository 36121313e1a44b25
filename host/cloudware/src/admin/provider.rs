//! `cloudware provider`: organisations that publish apps.

use anyhow::Result;
use clap::Subcommand;
use serde_json::json;

use super::print::{self, Column, text, time};
use crate::client::Client;

/// A verb on providers.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a provider.
    #[command(
        after_help = "Example:\n  cloudware provider create northwind --title \"Northwind Software\""
    )]
    Create {
        /// Its name, unique on the platform.
        slug: String,
        /// Its name for people.
        #[arg(long)]
        title: Option<String>,
    },
    /// List providers.
    List,
}

const COLUMNS: &[Column] = &[
    Column::left("PROVIDER", |v| text(&v["slug"])),
    Column::left("TITLE", |v| text(&v["title"])),
    Column::left("SINCE", |v| time(&v["created_at"])),
    Column::left("ID", |v| text(&v["id"])),
];

pub(super) async fn run(command: Command, client: &Client) -> Result<()> {
    match command {
        Command::Create { slug, title } => {
            let body = json!({ "slug": slug, "title": title });
            print::item(client, &client.post("/providers", &body).await?, COLUMNS)
        }
        Command::List => print::list(client, &client.get_all("/providers").await?, COLUMNS),
    }
}
