//! `cloudware trace`: what composed requests were made of, and whose code took what.

use std::io::Write as _;

use anyhow::Result;
use clap::Subcommand;
use serde_json::Value;

use super::{
    print::{self, Column, number, text, time},
    target::{InstanceTarget, request_id},
};
use crate::{Output, client::Client};

/// A verb on traces.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List composed requests, newest first: those in which apps asked hooks or called each other.
    #[command(after_help = "Examples:\n  cloudware trace list\n  cloudware trace list acme/main")]
    List {
        /// Tenant and instance, such as acme/main. If absent, an operator sees everything, and a tenant all that is its own.
        instance: Option<InstanceTarget>,
        /// At most so many lines.
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Only what is behind this cursor, which a list before said.
        #[arg(long, value_name = "CURSOR")]
        after: Option<String>,
    },
    /// Show what a request was made of: each app and hook with its time, fuel and memory.
    #[command(after_help = "Example:
  cloudware trace show 0192f0c1a2b37c4d8e9fa0b1c2d3e4f5    the x-request-id of an answer")]
    Show {
        /// The request's id.
        #[arg(value_parser = request_id)]
        request: String,
    },
}

const LIST: &[Column] = &[
    Column::left("BEGAN", |v| time(&v["began_at"])),
    Column::left("INSTANCE", place),
    Column::left("REQUEST", |v| text(&v["request_id"])),
    Column::left("CALL", |v| text(&v["spans"][0]["call"])),
    Column::right("PARTS", |v| {
        v["spans"].as_array().map_or(0, Vec::len).to_string()
    }),
    Column::right("WALL", |v| microseconds(&v["wall_us"])),
    Column::right("FUEL", |v| number(&v["fuel"])),
    Column::left("FAILED", failed),
];

const SPANS: &[Column] = &[
    Column::left("PART", |v| text(&v["part"])),
    Column::left("CALL", |v| text(&v["call"])),
    Column::left("OUTCOME", |v| text(&v["outcome"])),
    Column::right("WALL", |v| microseconds(&v["wall_us"])),
    Column::right("CPU", |v| microseconds(&v["cpu_us"])),
    Column::right("FUEL", |v| number(&v["fuel"])),
    Column::right("SHARE", |v| {
        format!("{:.1} %", v["fuel_percent"].as_f64().unwrap_or(0.0))
    }),
    Column::right("MEMORY", |v| kibibytes(&v["memory_bytes"])),
];

pub(super) async fn run(command: Command, client: &Client) -> Result<()> {
    match command {
        Command::List {
            instance,
            limit,
            after,
        } => {
            let of = instance.as_ref();
            let tenant = of.map(|target| target.tenant.as_str());
            let slug = of.map(|target| target.instance.as_str());
            let limit = limit.to_string();
            let query = [
                ("tenant", tenant),
                ("instance", slug),
                ("limit", Some(limit.as_str())),
                ("after", after.as_deref()),
            ];
            let page = client.get_query("/traces", &query).await?;
            print::page(client, &page, LIST)
        }
        Command::Show { request } => {
            let trace = client.get(&format!("/traces/{request}")).await?;
            if client.output() == Output::Json {
                return print::item(client, &trace, LIST);
            }
            let mut out = std::io::stdout().lock();
            writeln!(
                out,
                "{} on {}, {}, {} of all together\n",
                text(&trace["spans"][0]["call"]),
                place(&trace),
                microseconds(&trace["wall_us"]),
                format_args!("{} fuel", number(&trace["fuel"])),
            )?;
            drop(out);
            print::list(client, &indented(&trace), SPANS)
        }
    }
}

/// The spans with a name that shows who called whom.
fn indented(trace: &Value) -> Vec<Value> {
    let spans = trace["spans"].as_array().cloned().unwrap_or_default();
    let depth_of = |mut index: usize| {
        let mut depth = 0;
        // A parent lies before its child, so that this ends.
        while let Some(parent) = spans[index]["parent"].as_u64() {
            let parent = usize::try_from(parent).unwrap_or(0);
            if parent >= index {
                break;
            }
            depth += 1;
            index = parent;
        }
        depth
    };
    let part = |(index, span): (usize, &Value)| {
        let mut name = "  ".repeat(depth_of(index)) + &text(&span["app"]);
        for more in ["version", "point"] {
            if let Some(text) = span[more].as_str() {
                name = format!("{name} {text}");
            }
        }
        if span["shadow"] == true {
            name.push_str(" (shadow)");
        }
        let mut span = span.clone();
        span["part"] = name.into();
        span
    };
    spans.iter().enumerate().map(part).collect()
}

fn place(trace: &Value) -> String {
    format!("{}/{}", text(&trace["tenant"]), text(&trace["instance"]))
}

/// The parts that did not end well. A hook that refused did what it is for.
fn failed(trace: &Value) -> String {
    let spans = trace["spans"].as_array().into_iter().flatten();
    let failed = spans.filter(|span| span["outcome"] != "ok" && span["outcome"] != "refused");
    let told: Vec<_> = failed
        .map(|span| format!("{}: {}", text(&span["app"]), text(&span["outcome"])))
        .collect();
    told.join("; ")
}

fn microseconds(value: &Value) -> String {
    match value.as_u64() {
        Some(micros @ 10_000..) => format!("{:.1} ms", micros as f64 / 1_000.0),
        _ => format!("{} µs", number(value)),
    }
}

fn kibibytes(value: &Value) -> String {
    format!("{} KiB", value.as_u64().unwrap_or(0) / 1_024)
}
