//! `cloudware whoami`: for whom the token speaks.

use anyhow::Result;

use super::print::{self, Column, text};
use crate::client::Client;

const COLUMNS: &[Column] = &[
    Column::left("KIND", |v| text(&v["kind"])),
    Column::left("ID", |v| text(&v["id"])),
    Column::left("ACTOR", |v| text(&v["actor"])),
    Column::left("TOKEN", |v| text(&v["token"])),
];

pub(super) async fn run(client: &Client) -> Result<()> {
    print::item(client, &client.get("/whoami").await?, COLUMNS)
}
