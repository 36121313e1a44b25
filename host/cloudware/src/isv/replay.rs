//! `cloudware replay`: what a platform recorded, or a call that is known, runs again here, with one or several versions
//! of its package, side by side.

use std::path::PathBuf;

use anyhow::{Result, bail};
use cloudware_packages::Package;
use cloudware_types::{RecordedCall, RecordingFile};
use serde::Serialize;
use serde_json::Value;

use super::{
    Context,
    recorded::{self, Rerun},
    test::{CallFile, Known, Trial, open, read_file, shown},
};

/// Runs what was recorded, or a call that is known, with several versions of a package, side by side.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "FILE is a recording (cloudware recording export), or a call as `cloudware test` takes it.
What the host answered is in the recording: the run goes the same way, to the instruction of fuel, and where a version asks
for something else than the recorded one did, it ends there and says so. With the recorded version itself a difference is
a failure, unless values were redacted.

Examples:
  cloudware replay recording.json dist/ext-fefo-1.0.0.cwp
  cloudware replay recording.json dist/ext-fefo-1.0.0.cwp dist/ext-fefo-1.1.0.cwp
  cloudware replay calls/oldest-first.json ext-fefo"
)]
pub(crate) struct ReplayArgs {
    /// The file of the recording or of the call.
    file: PathBuf,
    /// An archive or a package's folder; several are compared.
    #[arg(value_name = "PACKAGE", required_unless_present = "with")]
    packages: Vec<PathBuf>,
    /// Another package.
    #[arg(long, value_name = "PACKAGE")]
    with: Vec<PathBuf>,
}

/// One version of a replayed call.
#[derive(Debug, Serialize)]
struct Replayed {
    package: String,
    result: Value,
    fuel: u64,
    memory_bytes: u64,
    /// Whether result and fuel are those of the file; absent where it has none.
    identical: Option<bool>,
}

/// A recorded call with every version.
#[derive(Debug, Serialize)]
struct ReplayedCall {
    /// Its number in the recording, from 1.
    number: usize,
    /// What was called.
    call: String,
    /// The version that was recorded.
    version: String,
    /// What it gave.
    result: Value,
    fuel: u64,
    memory_bytes: u64,
    host_calls: usize,
    /// Where values were redacted.
    redacted: Vec<String>,
    runs: Vec<ReplayedRun>,
}

/// A recorded call with one version.
#[derive(Debug, Serialize)]
struct ReplayedRun {
    package: String,
    /// Whether it is the component that was recorded.
    recorded: bool,
    /// Whether result, fuel, memory and host calls are those that were recorded.
    identical: bool,
    /// What it gives; null where it diverged or can't run.
    result: Value,
    /// Fuel that it took; absent where it diverged or can't run.
    fuel: Option<u64>,
    memory_bytes: Option<u64>,
    /// Where it asked for something else than what was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    diverged: Option<String>,
    /// Why it can't run at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

impl ReplayArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// A file that can't be read or a call that can't be made; a recorded version that does not do what it did.
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let file = read_file(&self.file)?;
        let packages = self.packages.iter().chain(&self.with);
        let packages: Vec<Package> = packages.map(|path| open(path)).collect::<Result<_>>()?;
        match file {
            CallFile::Known(known) => replay_known(&known, &packages, context).await,
            CallFile::Recording(recording) => {
                replay_recording(&recording, &packages, context).await
            }
        }
    }
}

async fn replay_known(known: &Known, packages: &[Package], context: &Context) -> Result<()> {
    let mut replayed = Vec::new();
    for package in packages {
        let trial = Trial::new(package).await?;
        let answer = trial.call(known).await?;
        replayed.push(Replayed {
            package: name_of(package),
            identical: known.is_identical(&answer),
            result: shown(&answer),
            fuel: answer.fuel,
            memory_bytes: answer.memory_bytes,
        });
    }
    let lines: Vec<_> = replayed
        .iter()
        .map(|run| {
            let identical = match run.identical {
                Some(true) => ", as in the file",
                Some(false) => ", NOT as in the file",
                None => "",
            };
            format!(
                "{}: {} fuel, {} bytes of memory{identical}\n  {}",
                run.package, run.fuel, run.memory_bytes, run.result
            )
        })
        .collect();
    context.print(&lines.join("\n"), &replayed)
}

async fn replay_recording(
    recording: &RecordingFile,
    packages: &[Package],
    context: &Context,
) -> Result<()> {
    for package in packages {
        if package.manifest.name.as_str() != recording.app {
            bail!(
                "{} is not what was recorded: the recording is of {}",
                package.manifest.name,
                recording.app
            );
        }
    }
    let mut calls: Vec<_> = recording.calls.iter().enumerate().map(replayed).collect();
    for package in packages {
        let step = context
            .progress
            .step(format!("running {}", name_of(package)));
        let trial = Trial::new(package).await?;
        for (replayed, call) in calls.iter_mut().zip(&recording.calls) {
            let rerun = recorded::rerun(&trial, call).await;
            replayed.runs.push(run_of(package, call, rerun));
        }
        drop(step);
    }
    let text: Vec<_> = calls.iter().map(lines).collect();
    context.print(&text.join("\n"), &calls)?;
    let wrong = calls.iter().filter(|call| call.has_failed()).count();
    if wrong > 0 {
        bail!(
            "{wrong} of {} calls did not run as they were recorded",
            calls.len()
        );
    }
    Ok(())
}

fn name_of(package: &Package) -> String {
    format!("{} {}", package.manifest.name, package.manifest.version)
}

fn replayed((index, call): (usize, &RecordedCall)) -> ReplayedCall {
    ReplayedCall {
        number: index + 1,
        call: format!("{}.{}", call.interface, call.function),
        version: call.version.clone(),
        result: recorded::outcome(call),
        fuel: call.fuel,
        memory_bytes: call.memory_bytes,
        host_calls: call.transcript.len(),
        redacted: call.redacted.clone(),
        runs: Vec::new(),
    }
}

fn run_of(package: &Package, call: &RecordedCall, rerun: Result<Rerun, String>) -> ReplayedRun {
    let mut run = ReplayedRun {
        package: name_of(package),
        recorded: package.component_digest == call.component,
        identical: false,
        result: Value::Null,
        fuel: None,
        memory_bytes: None,
        diverged: None,
        refused: None,
    };
    match rerun {
        Err(reason) => run.refused = Some(reason),
        Ok(rerun) => {
            run.identical = rerun.is_identical(call);
            if rerun.diverged.is_none() {
                run.result = rerun.shown();
                run.fuel = Some(rerun.answer.fuel);
                run.memory_bytes = Some(rerun.answer.memory_bytes);
            }
            run.diverged = rerun.diverged;
        }
    }
    run
}

impl ReplayedCall {
    /// Whether the version that was recorded does something else, though it is given the same.
    fn has_failed(&self) -> bool {
        self.redacted.is_empty() && self.runs.iter().any(|run| run.recorded && !run.identical)
    }
}

/// A recorded call for people.
fn lines(call: &ReplayedCall) -> String {
    let redacted = match call.redacted.len() {
        0 => String::new(),
        places => format!(", redacted in {places} places"),
    };
    let mut lines = vec![
        format!("call {}: {}{redacted}", call.number, call.call),
        format!(
            "  recorded {}: {} fuel, {} bytes of memory, {} host calls",
            call.version, call.fuel, call.memory_bytes, call.host_calls
        ),
        format!("    {}", call.result),
    ];
    for run in &call.runs {
        lines.push(line(call, run));
        if run.fuel.is_some() && run.result != call.result {
            lines.push(format!("    {}", run.result));
        }
    }
    lines.join("\n")
}

fn line(call: &ReplayedCall, run: &ReplayedRun) -> String {
    if let Some(diverged) = &run.diverged {
        return format!("  {} diverged: {diverged}", run.package);
    }
    if let Some(refused) = &run.refused {
        return format!("  {} can't run it: {refused}", run.package);
    }
    let (fuel, memory) = (run.fuel.unwrap_or(0), run.memory_bytes.unwrap_or(0));
    let difference = i128::from(fuel) - i128::from(call.fuel);
    let verdict = match (run.identical, run.recorded && call.redacted.is_empty()) {
        (true, _) => "identical",
        (false, true) => "NOT as it was recorded",
        (false, false) if run.result == call.result => "the same result",
        (false, false) => "ANOTHER RESULT",
    };
    format!(
        "  {}: {fuel} fuel ({difference:+}), {memory} bytes of memory, {verdict}",
        run.package
    )
}
