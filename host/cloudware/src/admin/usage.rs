//! `cloudware usage`: what was consumed.

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use super::{
    print::{self, Column, bytes, nanoseconds, number, text, time},
    target::Target,
};
use crate::{Output, client::Client};

/// A verb on usage.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show usage by instance and app.
    #[command(after_help = "Examples:
  cloudware usage show                                    everything, for operators
  cloudware usage show acme/main                          one instance
  cloudware usage show acme --step day --from 2026-01-01T00:00:00Z
  cloudware usage show acme/main --by hook                what each hook of it used")]
    Show(Show),
}

/// Which usage is shown.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The tenant, instance or install. If absent, an operator sees everything, and a tenant all that is its own;
    /// providers see no usage.
    target: Option<Target>,
    /// From this time on, such as 2026-01-31T08:00:00Z.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Before this time.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// One row for each step of time instead of totals.
    #[arg(long)]
    step: Option<Step>,
    /// One row for each hook as well, and the app's own without them.
    #[arg(long)]
    by: Option<By>,
    /// Only this meter, such as kv-operations.
    #[arg(long)]
    meter: Option<String>,
}

/// How finely usage is added up.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Step {
    Minute,
    Hour,
    Day,
}

impl Step {
    fn word(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }
}

/// What has a row of its own beside each app.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum By {
    Hook,
}

impl By {
    fn word(self) -> &'static str {
        match self {
            Self::Hook => "hook",
        }
    }
}

const FROM: Column = Column::left("FROM", |v| time(&v["from"]));

const PLACE: [Column; 3] = [
    Column::left("TENANT", |v| text(&v["tenant"])),
    Column::left("INSTANCE", |v| text(&v["instance"])),
    Column::left("APP", |v| text(&v["app"])),
];

const AS_HOOK: Column = Column::left("AS HOOK", |v| hook(&v["hook"]));

/// Where one meter was asked for.
const ONE_METER: [Column; 2] = [
    Column::left("METER", |v| {
        only_meter(v).map_or_else(String::new, |(name, _)| name.clone())
    }),
    Column::right("USED", |v| {
        only_meter(v).map_or_else(String::new, |(name, used)| measured(name, used))
    }),
];

const COLUMNS: [Column; 16] = [
    Column::right("REQUESTS", |v| number(meter(v, "requests"))),
    Column::right("STOPS", |v| number(meter(v, "stops"))),
    Column::right("FUEL", |v| number(meter(v, "fuel"))),
    Column::right("CPU", |v| nanoseconds(meter(v, "cpu-ns"))),
    Column::right("PEAK MEMORY", |v| bytes(meter(v, "memory-peak-bytes"))),
    Column::right("MEMORY·TIME", |v| byte_seconds(meter(v, "memory-byte-ms"))),
    Column::right("STORAGE", |v| bytes(meter(v, "storage-bytes"))),
    Column::right("IN", |v| bytes(meter(v, "request-bytes"))),
    Column::right("OUT", |v| bytes(meter(v, "response-bytes"))),
    Column::right("LOG LOST", |v| bytes(meter(v, "log-bytes-lost"))),
    Column::right("SQL", |v| number(meter(v, "sql-statements"))),
    Column::right("SQL TIME", |v| nanoseconds(meter(v, "sql-ns"))),
    Column::right("ROWS READ", |v| number(meter(v, "sql-rows-read"))),
    Column::right("WRITTEN", |v| number(meter(v, "sql-rows-written"))),
    Column::right("HOOK CALLS", |v| number(meter(v, "hook-calls"))),
    Column::right("FAILED", |v| number(meter(v, "hook-failures"))),
];

const COLUMNS_BY_HOOK: [Column; 8] = [
    Column::right("CALLS", |v| number(meter(v, "hook-calls"))),
    Column::right("FAILED", |v| number(meter(v, "hook-failures"))),
    Column::right("WEBHOOK CALLS", |v| number(meter(v, "webhook-calls"))),
    Column::right("FAILED", |v| number(meter(v, "webhook-failures"))),
    Column::right("REQUESTS", |v| number(meter(v, "requests"))),
    Column::right("FUEL", |v| number(meter(v, "fuel"))),
    Column::right("CPU", |v| nanoseconds(meter(v, "cpu-ns"))),
    Column::right("PEAK MEMORY", |v| bytes(meter(v, "memory-peak-bytes"))),
];

pub(super) async fn run(command: Command, client: &Client) -> Result<()> {
    let Command::Show(show) = command;
    let place = show.target.as_ref().map(Target::split);
    let (path, app) = match &place {
        Some((path, app)) => (format!("{path}/usage"), *app),
        None => ("/usage".to_owned(), None),
    };
    let query = [
        ("app", app),
        ("from", show.from.as_deref()),
        ("to", show.to.as_deref()),
        ("step", show.step.map(Step::word)),
        ("by", show.by.map(By::word)),
        ("meter", show.meter.as_deref()),
    ];
    let usage = client.get_query(&path, &query).await?;
    if client.output() == Output::Json {
        return print::json(&usage);
    }
    let items = usage["items"].as_array().map_or(&[][..], Vec::as_slice);
    let step = show.step.map(|_| FROM).into_iter();
    let place = step.chain(PLACE).chain(show.by.map(|By::Hook| AS_HOOK));
    let columns: Vec<Column> = match (show.meter, show.by) {
        (Some(_), _) => place.chain(ONE_METER).collect(),
        (None, Some(By::Hook)) => place.chain(COLUMNS_BY_HOOK).collect(),
        (None, None) => place.chain(COLUMNS).collect(),
    };
    print::list(client, items, &columns)
}

fn only_meter(usage: &Value) -> Option<(&String, &Value)> {
    usage["meters"].as_object()?.iter().next()
}

/// The name of a hook, or its id once it was removed.
fn hook(value: &Value) -> String {
    match &value["name"] {
        Value::Null => text(&value["id"]),
        name => text(name),
    }
}

fn meter<'a>(row: &'a Value, name: &str) -> &'a Value {
    &row["meters"][name]
}

/// What a meter says, in the unit that its name ends with.
fn measured(meter: &str, value: &Value) -> String {
    let unit = match meter.trim_end_matches("-lost").rsplit_once('-') {
        Some((of, "ms")) if of.ends_with("-byte") => byte_seconds,
        Some((_, "bytes")) => bytes,
        Some((_, "ns")) => nanoseconds,
        _ => number,
    };
    unit(value)
}

/// Byte-milliseconds as people say them: `1.50 MiB·s`.
fn byte_seconds(value: &Value) -> String {
    let byte_seconds = value.as_u64().unwrap_or(0) as f64 / 1e3;
    match byte_seconds / 1_048_576.0 {
        mebibytes if mebibytes < 1_024.0 => format!("{mebibytes:.2} MiB·s"),
        mebibytes => format!("{:.2} GiB·s", mebibytes / 1_024.0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn memory_over_time_is_readable() {
        assert_eq!(byte_seconds(&json!(1_048_576 * 1_500)), "1.50 MiB·s");
        assert_eq!(byte_seconds(&json!(2_000_u64 << 30)), "2.00 GiB·s");
        assert_eq!(byte_seconds(&Value::Null), "0.00 MiB·s");
    }

    #[test]
    fn a_meter_is_shown_in_its_unit() {
        let shown = |meter| measured(meter, &json!(3_145_728));
        assert_eq!(shown("kv-operations"), "3,145,728");
        assert_eq!(shown("cpu-ns"), "3.1 ms");
        assert_eq!(shown("storage-bytes"), "3 MiB");
        assert_eq!(shown("log-bytes-lost"), "3 MiB");
        assert_eq!(shown("memory-byte-ms"), "0.00 MiB·s");
    }
}
