//! `cloudware limits`: everything that can be limited.

use anyhow::Result;
use cloudware_types::{Limit, format_quantity};
use serde_json::Value;

use super::print::{self, Column, text};
use crate::client::Client;

const COLUMNS: &[Column] = &[
    Column::left("LIMIT", |v| text(&v["name"])),
    Column::left("OF ONE", |v| text(&v["scope"])),
    Column::right("DEFAULT", |v| quantity(v, "default")),
    Column::right("LEAST", |v| quantity(v, "min")),
    Column::right("MOST", |v| quantity(v, "max")),
    Column::left("WHAT AND WHY", |v| text(&v["reason"])),
];

pub(super) async fn run(client: &Client) -> Result<()> {
    let limits = client.get("/limits").await?;
    let limits = limits.as_array().map_or(&[][..], Vec::as_slice);
    print::list(client, limits, COLUMNS)
}

/// A value with its unit, for limits that this version of the command knows.
fn quantity(limit: &Value, field: &str) -> String {
    let known = limit["name"]
        .as_str()
        .and_then(|name| name.parse::<Limit>().ok());
    match (known, limit[field].as_u64()) {
        (Some(known), Some(value)) => format_quantity(known.unit(), value),
        _ => text(&limit[field]),
    }
}
