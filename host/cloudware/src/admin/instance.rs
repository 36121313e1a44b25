//! `cloudware instance`: tenants' running copies of products.

use anyhow::Result;
use clap::Subcommand;
use serde_json::json;

use super::{
    print::{self, Column, text, time},
    target::{InstanceTarget, name},
};
use crate::client::Client;

/// A verb on instances.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create an instance; a tenant's first one is served under its bare host name.
    #[command(after_help = "Example:\n  cloudware instance create acme/main --product inventory")]
    Create {
        /// Tenant and new name, such as acme/main.
        instance: InstanceTarget,
        /// The product that it is made for.
        #[arg(long)]
        product: Option<String>,
    },
    /// List a tenant's instances.
    List {
        /// Name or id of the tenant.
        #[arg(value_parser = name)]
        tenant: String,
    },
    /// Show an instance.
    Show {
        /// Tenant and instance, such as acme/main.
        instance: InstanceTarget,
    },
    /// Stop serving an instance; nothing is deleted.
    Suspend {
        /// Tenant and instance, such as acme/main.
        instance: InstanceTarget,
        /// Why, for the audit trail.
        #[arg(long)]
        reason: String,
    },
    /// Serve a suspended instance again.
    Resume {
        /// Tenant and instance, such as acme/main.
        instance: InstanceTarget,
    },
}

const COLUMNS: &[Column] = &[
    Column::left("TENANT", |v| text(&v["tenant"])),
    Column::left("INSTANCE", |v| text(&v["slug"])),
    Column::left("PRODUCT", |v| text(&v["product"])),
    Column::left("DEFAULT", |v| match v["default"].as_bool() {
        Some(true) => "yes".to_owned(),
        _ => String::new(),
    }),
    Column::left("STATE", |v| text(&v["state"])),
    Column::left("REASON", |v| text(&v["state_reason"])),
    Column::left("SINCE", |v| time(&v["created_at"])),
    Column::left("ID", |v| text(&v["id"])),
];

pub(super) async fn run(command: Command, client: &Client) -> Result<()> {
    let answer = match command {
        Command::List { tenant } => {
            let items = client
                .get_all(&format!("/tenants/{tenant}/instances"))
                .await?;
            return print::list(client, &items, COLUMNS);
        }
        Command::Create { instance, product } => {
            let path = format!("/tenants/{}/instances", instance.tenant);
            let body = json!({ "slug": instance.instance, "product": product });
            client.post(&path, &body).await?
        }
        Command::Show { instance } => client.get(&instance.path()).await?,
        Command::Suspend { instance, reason } => {
            let path = format!("{}/suspend", instance.path());
            client.post(&path, &json!({ "reason": reason })).await?
        }
        Command::Resume { instance } => {
            client
                .post(&format!("{}/resume", instance.path()), &json!({}))
                .await?
        }
    };
    print::item(client, &answer, COLUMNS)
}
