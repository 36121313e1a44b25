//! `cloudware recording`: calls of an app as they happened in an instance, to be run again elsewhere.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    print::{self, Column, bytes, number, text, time},
    target::{InstanceTarget, name},
};
use crate::client::Client;

/// A verb on recordings.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Record the next calls of an app: a hook's, or typed calls of other apps.
    #[command(
        after_help = "What opens something (authorization, cookies, API keys, configuration values that were chosen for the
instance) is replaced before anything is kept; --redact names further fields, wherever they stand.

Examples:
  cloudware recording start acme/main --app ext-fefo
  cloudware recording start acme/main --app ext-fefo --calls 5 --for 1h --redact iban --redact email
  cloudware recording start acme/main --app ext-fefo --share    the provider of ext-fefo may see and export it"
    )]
    Start(Start),
    /// List recordings, newest first.
    #[command(
        after_help = "Examples:\n  cloudware recording list\n  cloudware recording list acme/main"
    )]
    List {
        /// Tenant and instance, such as acme/main; everything that you may see if absent.
        instance: Option<InstanceTarget>,
        /// At most so many lines.
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Only what is behind this cursor, which a list before said.
        #[arg(long, value_name = "CURSOR")]
        after: Option<String>,
    },
    /// Show a recording.
    Show {
        /// The recording's id.
        #[arg(value_parser = name)]
        recording: String,
    },
    /// Write a recording as a file that `cloudware replay` takes.
    #[command(after_help = "Examples:
  cloudware recording export rec_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5 > recording.json
  cloudware recording export rec_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5 --to calls/monday.json
  cloudware replay recording.json dist/ext-fefo-1.0.0.cwp dist/ext-fefo-1.1.0.cwp")]
    Export {
        /// The recording's id.
        #[arg(value_parser = name)]
        recording: String,
        /// The file [default: standard output].
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// End a recording; what it has stays.
    Stop {
        /// The recording's id.
        #[arg(value_parser = name)]
        recording: String,
    },
    /// Remove a recording with everything that it has.
    Remove {
        /// The recording's id.
        #[arg(value_parser = name)]
        recording: String,
    },
}

/// What is recorded.
#[derive(Debug, Args)]
pub(crate) struct Start {
    /// Tenant and instance, such as acme/main.
    instance: InstanceTarget,
    /// The app whose calls are recorded; an extension to record what its hooks are asked.
    #[arg(long, value_parser = name)]
    app: String,
    /// How many calls, at most 200 [default: 20].
    #[arg(long)]
    calls: Option<u32>,
    /// How long, such as 90s, 10m or 1h, at most a day [default: 10m].
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
    /// Name of a field whose values are replaced before anything is kept; may be given several times.
    #[arg(long, value_name = "FIELD")]
    redact: Vec<String>,
    /// Let the provider of the app see and export the recording.
    #[arg(long)]
    share: bool,
}

const LIST: &[Column] = &[
    Column::left("ID", |v| text(&v["id"])),
    Column::left("STATE", |v| text(&v["state"])),
    Column::left("INSTANCE", place),
    Column::left("APP", |v| text(&v["app"])),
    Column::right("CALLS", calls),
    Column::right("SKIPPED", |v| number(&v["skipped"])),
    Column::right("BYTES", |v| bytes(&v["bytes"])),
    Column::left("SHARED", |v| text(&v["shared"])),
    Column::left("STARTED", |v| time(&v["started_at"])),
];

const SHOW: &[Column] = &[
    Column::left("ID", |v| text(&v["id"])),
    Column::left("STATE", |v| text(&v["state"])),
    Column::left("BECAUSE", |v| text(&v["ended_reason"])),
    Column::left("INSTANCE", place),
    Column::left("APP", |v| text(&v["app"])),
    Column::left("CALLS", calls),
    Column::left("SKIPPED", |v| number(&v["skipped"])),
    Column::left("SKIPPED BECAUSE", |v| text(&v["skipped_reason"])),
    Column::left("BYTES", |v| bytes(&v["bytes"])),
    Column::left("REDACTED", redacted),
    Column::left("SHARED", |v| text(&v["shared"])),
    Column::left("STARTED", |v| time(&v["started_at"])),
    Column::left("ENDS", |v| time(&v["ends_at"])),
    Column::left("REMOVED", |v| time(&v["removed_at"])),
];

/// The names that are redacted. Where there are calls, those that none of them has are marked: they may be written
/// wrongly.
fn redacted(recording: &Value) -> String {
    let found = recording["redact_found"].as_array();
    let is_found = |name: &Value| found.is_some_and(|found| found.contains(name));
    let has_calls = recording["calls"] != 0;
    let names = recording["redact"].as_array().into_iter().flatten();
    let names = names.map(|name| match is_found(name) || !has_calls {
        true => text(name),
        false => format!("{} (in no call)", text(name)),
    });
    names.collect::<Vec<_>>().join(", ")
}

pub(super) async fn run(command: Command, client: &Client) -> Result<()> {
    let path = |recording: &str| format!("/recordings/{recording}");
    let answer = match command {
        Command::Start(start) => {
            let body = json!({
                "app": start.app, "calls": start.calls, "redact": start.redact, "share": start.share,
                "seconds": start.time.map(|time| time.as_secs()),
            });
            let path = format!("{}/recordings", start.instance.path());
            client.post(&path, &body).await?
        }
        Command::List {
            instance,
            limit,
            after,
        } => {
            let of = instance.as_ref();
            let limit = limit.to_string();
            let query = [
                ("tenant", of.map(|target| target.tenant.as_str())),
                ("instance", of.map(|target| target.instance.as_str())),
                ("limit", Some(limit.as_str())),
                ("after", after.as_deref()),
            ];
            let page = client.get_query("/recordings", &query).await?;
            return print::page(client, &page, LIST);
        }
        Command::Show { recording } => client.get(&path(&recording)).await?,
        Command::Export { recording, to } => {
            let file = client.get(&format!("{}/export", path(&recording))).await?;
            return match to {
                None => print::json(&file),
                Some(to) => {
                    let text = serde_json::to_string_pretty(&file)? + "\n";
                    let unwritable = || format!("{} can't be written", to.display());
                    if let Some(folder) = to.parent() {
                        std::fs::create_dir_all(folder).with_context(unwritable)?;
                    }
                    std::fs::write(&to, text).with_context(unwritable)?;
                    let calls = file["calls"].as_array().map_or(0, Vec::len);
                    print::note(&format!("{calls} calls are in {}", to.display()))
                }
            };
        }
        Command::Stop { recording } => {
            let path = format!("{}/stop", path(&recording));
            client.post(&path, &json!({})).await?
        }
        Command::Remove { recording } => client.delete(&path(&recording)).await?,
    };
    print::item(client, &answer, SHOW)
}

/// How many calls it has of how many.
fn calls(recording: &Value) -> String {
    format!(
        "{} of {}",
        number(&recording["calls"]),
        number(&recording["calls_max"])
    )
}

fn place(recording: &Value) -> String {
    match recording["tenant"].as_str() {
        Some(tenant) => format!("{tenant}/{}", text(&recording["instance"])),
        None => String::new(),
    }
}

fn duration(written: &str) -> Result<Duration, String> {
    let wrong = || format!("`{written}` is no time: write it as 90s, 10m or 1h");
    let unit = written.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        _ => return Err(wrong()),
    };
    let count: u64 = written[..written.len() - 1].parse().map_err(|_| wrong())?;
    let seconds = count.checked_mul(seconds).ok_or_else(wrong)?;
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_with_their_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3_600)));
        for wrong in [
            "",
            "10",
            "m",
            "-1m",
            "1d",
            "99999999999999999999h",
            "1\u{e9}",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
