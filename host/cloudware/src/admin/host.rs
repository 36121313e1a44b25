//! `cloudware host`: what the host has to do.

use anyhow::Result;

use super::print::{self, Column, bytes, text};
use crate::client::Client;

const COLUMNS: &[Column] = &[
    Column::left("INSTANCES", |v| text(&v["instances"])),
    Column::left("SANDBOXES", |v| {
        format!("{} of {}", text(&v["sandboxes"]), text(&v["sandboxes_max"]))
    }),
    Column::left("MEMORY", |v| {
        format!(
            "{} of {}",
            bytes(&v["memory_bytes"]),
            bytes(&v["memory_bytes_max"])
        )
    }),
    Column::left("RUNS WAITING", |v| text(&v["waiting"])),
    Column::left("LAG", |v| format!("{} ms", text(&v["lag_ms"]))),
    Column::left("TASKS", |v| text(&v["tasks"])),
];

pub(super) async fn run(client: &Client) -> Result<()> {
    print::item(client, &client.get("/host").await?, COLUMNS)
}
