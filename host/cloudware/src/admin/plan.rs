//! `cloudware plan`: named sets of quotas.

use anyhow::Result;
use clap::Subcommand;
use serde_json::json;

use super::{
    print::{self, Column, number, text, time},
    target::name,
};
use crate::client::Client;

/// A verb on plans.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a plan.
    #[command(after_help = "Example:
  cloudware plan create pro --title Professional
  cloudware quota set plan/pro fuel=4G storage=10GiB
  cloudware tenant set-plan acme pro")]
    Create {
        /// Its name, unique on the platform.
        slug: String,
        /// Its name for people.
        #[arg(long)]
        title: Option<String>,
    },
    /// List plans.
    List,
    /// Show a plan; `quota show plan/NAME` shows what it sets.
    Show {
        /// Name or id.
        #[arg(value_parser = name)]
        plan: String,
    },
    /// Delete a plan that no tenant has.
    Delete {
        /// Name or id.
        #[arg(value_parser = name)]
        plan: String,
        /// Why, for the audit trail.
        #[arg(long)]
        reason: Option<String>,
    },
}

const COLUMNS: &[Column] = &[
    Column::left("PLAN", |v| text(&v["slug"])),
    Column::left("TITLE", |v| text(&v["title"])),
    Column::right("TENANTS", |v| number(&v["tenants"])),
    Column::left("SINCE", |v| time(&v["created_at"])),
    Column::left("ID", |v| text(&v["id"])),
];

pub(super) async fn run(command: Command, client: &Client) -> Result<()> {
    let answer = match command {
        Command::List => {
            return print::list(client, &client.get_all("/plans").await?, COLUMNS);
        }
        Command::Create { slug, title } => {
            let body = json!({ "slug": slug, "title": title });
            client.post("/plans", &body).await?
        }
        Command::Show { plan } => client.get(&format!("/plans/{plan}")).await?,
        Command::Delete { plan, reason } => {
            let query = [("reason", reason.as_deref())];
            let path = format!("/plans/{plan}");
            client.delete_query(&path, &query).await?
        }
    };
    print::item(client, &answer, COLUMNS)
}
