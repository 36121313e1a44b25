//! `cloudware tenant`: customer organisations.

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

use super::{
    print::{self, Column, text, time},
    target::name,
};
use crate::client::Client;

/// A verb on tenants.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a tenant.
    #[command(
        after_help = "Example:\n  cloudware tenant create acme --title \"Acme Clothing\" --plan pro"
    )]
    Create {
        /// Its name, unique on the platform and part of its host name.
        slug: String,
        /// Its name for people.
        #[arg(long)]
        title: Option<String>,
        /// Its plan.
        #[arg(long, value_parser = name)]
        plan: Option<String>,
    },
    /// List tenants.
    List,
    /// Show a tenant.
    Show {
        /// Name or id.
        #[arg(value_parser = name)]
        tenant: String,
    },
    /// Give a tenant a plan; what it sets holds from the next request on.
    #[command(
        after_help = "Example:\n  cloudware tenant set-plan acme pro --reason \"contract 4711\""
    )]
    SetPlan {
        /// Name or id.
        #[arg(value_parser = name)]
        tenant: String,
        /// Name or id of the plan.
        #[arg(value_parser = name)]
        plan: String,
        /// Why, for the audit trail.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Take a tenant's plan away; what is set for the tenant itself stays.
    UnsetPlan {
        /// Name or id.
        #[arg(value_parser = name)]
        tenant: String,
        /// Why, for the audit trail.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Stop serving all of a tenant's instances; nothing is deleted.
    #[command(
        after_help = "Example:\n  cloudware tenant suspend acme --reason \"invoice 4711 is overdue\""
    )]
    Suspend {
        /// Name or id.
        #[arg(value_parser = name)]
        tenant: String,
        /// Why, for the audit trail.
        #[arg(long)]
        reason: String,
    },
    /// Serve a suspended tenant's instances again.
    Resume {
        /// Name or id.
        #[arg(value_parser = name)]
        tenant: String,
    },
}

const COLUMNS: &[Column] = &[
    Column::left("TENANT", |v| text(&v["slug"])),
    Column::left("TITLE", |v| text(&v["title"])),
    Column::left("PLAN", |v| text(&v["plan"])),
    Column::left("STATE", |v| text(&v["state"])),
    Column::left("REASON", |v| text(&v["state_reason"])),
    Column::left("SINCE", |v| time(&v["created_at"])),
    Column::left("ID", |v| text(&v["id"])),
];

pub(super) async fn run(command: Command, client: &Client) -> Result<()> {
    let answer = match command {
        Command::List => {
            return print::list(client, &client.get_all("/tenants").await?, COLUMNS);
        }
        Command::Create { slug, title, plan } => {
            let body = json!({ "slug": slug, "title": title, "plan": plan });
            client.post("/tenants", &body).await?
        }
        Command::Show { tenant } => client.get(&format!("/tenants/{tenant}")).await?,
        Command::SetPlan {
            tenant,
            plan,
            reason,
        } => set_plan(client, &tenant, Some(&plan), reason).await?,
        Command::UnsetPlan { tenant, reason } => set_plan(client, &tenant, None, reason).await?,
        Command::Suspend { tenant, reason } => {
            let path = format!("/tenants/{tenant}/suspend");
            client.post(&path, &json!({ "reason": reason })).await?
        }
        Command::Resume { tenant } => {
            client
                .post(&format!("/tenants/{tenant}/resume"), &json!({}))
                .await?
        }
    };
    print::item(client, &answer, COLUMNS)
}

async fn set_plan(
    client: &Client,
    tenant: &str,
    plan: Option<&str>,
    reason: Option<String>,
) -> Result<Value> {
    let body = json!({ "plan": plan, "reason": reason });
    client.put(&format!("/tenants/{tenant}/plan"), &body).await
}
