//! `cloudware token`: access tokens.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    print::{self, Column, text, time},
    target::name,
};
use crate::{Output, client::Client};

/// A verb on tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a token; its secret is printed this once.
    #[command(after_help = "Examples:
  cloudware token create \"build server\" --provider northwind
  TOKEN=$(cloudware token create console --tenant acme)")]
    Create(Create),
    /// List tokens, newest first.
    List,
    /// Make a token invalid.
    Revoke {
        /// Id of the token, from `token list`.
        #[arg(value_name = "TOKEN", value_parser = name)]
        id: String,
    },
}

/// What the token is for and for whom it speaks.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// What it is for, for people.
    name: String,
    /// The provider for which it speaks.
    #[arg(long, conflicts_with = "tenant")]
    provider: Option<String>,
    /// The tenant for which it speaks; yourself if neither is named.
    #[arg(long)]
    tenant: Option<String>,
}

const COLUMNS: &[Column] = &[
    Column::left("TOKEN", |v| text(&v["id"])),
    Column::left("KIND", |v| text(&v["kind"])),
    Column::left("OWNER", |v| text(&v["owner"])),
    Column::left("NAME", |v| text(&v["name"])),
    Column::left("SINCE", |v| time(&v["created_at"])),
    Column::left("LAST USED", |v| time(&v["last_used_at"])),
    Column::left("REVOKED", |v| time(&v["revoked_at"])),
];

pub(super) async fn run(command: Command, client: &Client) -> Result<()> {
    match command {
        Command::Create(create) => {
            let body = json!({
                "name": create.name, "provider": create.provider, "tenant": create.tenant,
            });
            let minted = client.post("/tokens", &body).await?;
            if client.output() == Output::Json {
                return print::json(&minted);
            }
            print::note("keep the secret: it is shown this once")?;
            print::write(&format!("{}\n", text(&minted["secret"])))
        }
        Command::List => print::list(client, &client.get_all("/tokens").await?, COLUMNS),
        Command::Revoke { id } => {
            let revoked = client.delete(&format!("/tokens/{id}")).await?;
            print::item(client, &revoked, COLUMNS)
        }
    }
}
