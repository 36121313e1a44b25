//! `cloudware stops`: why and where apps were stopped, and what to do about it.

use anyhow::{Result, ensure};
use clap::{Args, Subcommand};
use cloudware_types::format_quantity;
use serde_json::Value;

use super::{
    print::{self, Column, number, text, time},
    target::{Target, name},
};
use crate::client::Client;

/// A verb on stops.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List stops, one line for each kind of stop in a minute, in the order in which the first of each came, the newest at the top.
    #[command(after_help = "Examples:
  cloudware stops list
  cloudware stops list acme/main --cause fuel
  cloudware stops list acme/main/inventory-stock --since 2026-01-31T08:00:00Z")]
    List(List),
    /// Show a stop with everything that is known of it, and what to do about it.
    #[command(after_help = "Example:\n  cloudware stops show stp_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5")]
    Show {
        /// Id of the record, from the list.
        #[arg(value_parser = name)]
        stop: String,
    },
}

/// Which stops are listed.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// The tenant, instance or install; everything that you may see if absent.
    target: Option<Target>,
    /// Only of this app.
    #[arg(long)]
    app: Option<String>,
    /// Only by this limit, such as fuel, or of this kind: trap, no-response, overloaded.
    #[arg(long)]
    cause: Option<String>,
    /// Only what went on at this time or later, such as 2026-01-31T08:00:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// At most so many lines.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Only records older than this one, by id.
    #[arg(long, value_name = "ID")]
    after: Option<String>,
}

const LIST: &[Column] = &[
    Column::left("LAST", |v| time(&v["last_at"])),
    Column::left("INSTANCE", place),
    Column::left("APP", app),
    Column::left("CAUSE", |v| text(&v["cause"])),
    Column::right("USED", |v| quantity(v, "used")),
    Column::right("MAX", |v| quantity(v, "max")),
    Column::left("WHERE", location),
    Column::right("COUNT", |v| number(&v["count"])),
    Column::left("ID", |v| text(&v["id"])),
];

const SHOW: &[Column] = &[
    Column::left("STOP", |v| text(&v["explanation"])),
    Column::left("WHAT TO DO", |v| text(&v["advice"])),
    Column::left("CAUSE", |v| text(&v["cause"])),
    Column::left("USED", |v| quantity(v, "used")),
    Column::left("MAX", |v| quantity(v, "max")),
    Column::left("INSTANCE", place),
    Column::left("APP", app),
    Column::left("CLASS", |v| text(&v["class"])),
    Column::left("HOOK ON", |v| text(&v["hook"])),
    Column::left("FUNCTION", |v| text(&v["function"])),
    Column::left("WAITED IN", |v| text(&v["host_call"])),
    Column::left("RAN FOR", |v| format!("{} ms", number(&v["elapsed_ms"]))),
    Column::left("RESETS", |v| after_the_last(&v["resets_in_ms"])),
    Column::left("COUNT", |v| number(&v["count"])),
    Column::left("FIRST", |v| time(&v["first_at"])),
    Column::left("LAST", |v| time(&v["last_at"])),
    Column::left("REQUEST", |v| text(&v["request_id"])),
    Column::left("SPENT ON", consumers),
    Column::left("FITS PLAN", |v| texts(&v["fits"])),
    Column::left("INSTALL", |v| text(&v["install"])),
    Column::left("ID", |v| text(&v["id"])),
];

pub(super) async fn run(command: Command, client: &Client) -> Result<()> {
    let list = match command {
        Command::List(list) => list,
        Command::Show { stop } => {
            let stop = client.get(&format!("/stops/{stop}")).await?;
            return print::item(client, &stop, SHOW);
        }
    };
    let (tenant, instance, app) = list
        .target
        .as_ref()
        .map_or((None, None, None), Target::parts);
    ensure!(
        app.is_none() || list.app.is_none(),
        "the app is named twice, by the target and by --app: name it once"
    );
    let limit = list.limit.to_string();
    let query = [
        ("tenant", tenant),
        ("instance", instance),
        ("app", list.app.as_deref().or(app)),
        ("cause", list.cause.as_deref()),
        ("since", list.since.as_deref()),
        ("limit", Some(limit.as_str())),
        ("after", list.after.as_deref()),
    ];
    let page = client.get_query("/stops", &query).await?;
    print::page(client, &page, LIST)
}

/// `acme/main`; empty for providers, who are not told.
fn place(stop: &Value) -> String {
    match (stop["tenant"].as_str(), stop["instance"].as_str()) {
        (Some(tenant), Some(instance)) => format!("{tenant}/{instance}"),
        _ => String::new(),
    }
}

fn app(stop: &Value) -> String {
    format!("{} {}", text(&stop["app"]), text(&stop["version"]))
}

/// The host call that it waited in, or else the function; or that it did not come so far.
fn location(stop: &Value) -> String {
    match stop["host_call"].as_str() {
        Some(call) => call.to_owned(),
        None if stop["is_of_host"] == true => "busy host".to_owned(),
        None => text(&stop["function"]),
    }
}

/// A number in the unit of the limit that was reached.
fn quantity(stop: &Value, member: &str) -> String {
    print::of_limit(&text(&stop["limit"]), &stop[member], format_quantity)
}

/// How long after the last stop there was room again.
fn after_the_last(milliseconds: &Value) -> String {
    let Some(milliseconds) = milliseconds.as_u64() else {
        return String::new();
    };
    let (seconds, minutes) = (milliseconds.div_ceil(1_000), milliseconds.div_ceil(60_000));
    let after = match milliseconds {
        0..10_000 => format!("{milliseconds} ms"),
        10_000..600_000 => format!("{seconds} s"),
        600_000..7_200_000 => format!("{minutes} min"),
        _ => format!("{} h {} min", minutes / 60, minutes % 60),
    };
    format!("{after} after the last")
}

fn consumers(stop: &Value) -> String {
    let consumers = stop["consumers"].as_array().into_iter().flatten();
    let lines: Vec<_> = consumers
        .map(|consumer| {
            format!(
                "{} {} times, {} µs",
                text(&consumer["host_call"]),
                number(&consumer["calls"]),
                number(&consumer["microseconds"])
            )
        })
        .collect();
    lines.join("; ")
}

fn texts(values: &Value) -> String {
    let values = values.as_array().into_iter().flatten();
    values.map(text).collect::<Vec<_>>().join(", ")
}
