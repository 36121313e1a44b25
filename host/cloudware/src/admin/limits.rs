//! `cloudware limits`: everything that can be limited, and the choice of classes that keeps tables of
//! limits short.

use anyhow::{Result, bail};
use clap::ValueEnum;
use cloudware_types::{Class, Limit, format_exact};
use serde_json::Value;

use super::print::{self, Column, text};
use crate::client::Client;

/// Limits of which invocations are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClassArg {
    /// Of requests, and of whole instances.
    Request,
    /// Of hooks.
    Hook,
    /// Of jobs.
    Job,
    /// Of everything.
    All,
}

impl ClassArg {
    /// The limits of these invocations, from a list of all.
    pub(crate) fn choose(self, limits: &[Value]) -> Vec<Value> {
        let Some(class) = self.class() else {
            return limits.to_vec();
        };
        let limits = limits.iter();
        limits
            .filter(|limit| limit["class"] == class.name())
            .cloned()
            .collect()
    }

    /// The limit of the same resource for these invocations.
    ///
    /// # Errors
    /// They are of all classes, and each class has its own; or the limit is named as that of another class.
    pub(crate) fn limit(self, limit: Limit) -> Result<Limit> {
        match self.class() {
            Some(class) if limit.class() != Class::Request && limit.class() != class => {
                bail!("{limit} is a limit of another class than --class says")
            }
            Some(class) => Ok(limit.dimension().of(class)),
            None => bail!("--class all takes no LIMIT: choose one class, or leave out the limit"),
        }
    }

    fn class(self) -> Option<Class> {
        match self {
            Self::Request => Some(Class::Request),
            Self::Hook => Some(Class::Hook),
            Self::Job => Some(Class::Job),
            Self::All => None,
        }
    }
}

const COLUMNS: &[Column] = &[
    Column::left("LIMIT", |v| text(&v["name"])),
    Column::left("OF ONE", |v| text(&v["scope"])),
    Column::right("DEFAULT", |v| quantity(v, "default")),
    Column::right("LEAST", |v| quantity(v, "min")),
    Column::right("MOST", |v| quantity(v, "max")),
    Column::left("WHAT AND WHY", |v| text(&v["reason"])),
];

pub(super) async fn run(class: ClassArg, client: &Client) -> Result<()> {
    let limits = client.get("/limits").await?;
    let limits = limits.as_array().map_or(&[][..], Vec::as_slice);
    print::list(client, &class.choose(limits), COLUMNS)
}

fn quantity(limit: &Value, field: &str) -> String {
    print::of_limit(&text(&limit["name"]), &limit[field], format_exact)
}
