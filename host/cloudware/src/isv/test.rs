//! `cloudware test`: runs what an extension exports against calls that are known, and fails where a result is another
//! one, or takes more fuel or memory than it did by more than a budget. `cloudware replay`: the same call with
//! several versions of a package, side by side.
//!
//! A call is a JSON file in the package's folder `calls/`. Runs happen in this process, in sandboxes as on a platform,
//! with an empty private database, and with clocks and random numbers that are the same each time: equal
//! components consume equal fuel, to the instruction.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use cloudware_engine::{DirectAnswer, DirectCall, World};
use cloudware_packages::Package;
use cloudware_types::{Limits, Reuse};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{
    Context,
    check::{archive_path, read_archive},
};
use crate::local::Host;

/// Calls of one package: a person reads them.
const CALLS_MAX: usize = 10_000;

/// Bytes of one call's file; what a webhook may send, too.
const CALL_BYTES_MAX: u64 = 4 << 20;

/// How long one call may take; a hook has 50 ms on a platform, and fuel bounds it there and here.
const DEADLINE: Duration = Duration::from_secs(10);

/// Where a package keeps its calls.
const FOLDER: &str = "calls";

/// Runs an extension against calls that are known.
#[derive(Debug, clap::Args)]
#[command(after_help = "A call is a file in calls/:
  { \"interface\": \"inventory:stock/allocation@1.0.0\", \"function\": \"allocate\",
    \"arguments\": { … by the names of the parameters … }, \"config\": { … }, \"result\": … }
--update writes what each gives now, with its fuel and memory; later runs are compared with it.

Examples:
  cloudware test                      the package in this folder, as it was built
  cloudware test ext-fefo --budget 5  fail where a call takes over 5 % more fuel or memory than it did
  cloudware test ext-fefo --update    take what it gives now as right")]
pub(crate) struct TestArgs {
    /// A package's folder or an archive.
    #[arg(default_value = ".")]
    package: PathBuf,
    /// Where the calls are [default: calls/ beside the manifest].
    #[arg(long, value_name = "DIR")]
    calls: Option<PathBuf>,
    /// Percent by which fuel and memory may grow.
    #[arg(long, value_name = "PERCENT", default_value_t = 10)]
    budget: u64,
    /// Write what the calls give now into their files.
    #[arg(long)]
    update: bool,
}

/// Runs one call with several versions of a package, side by side.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cloudware replay calls/oldest-first.json --with dist/ext-fefo-1.0.0.cwp --with dist/ext-fefo-1.1.0.cwp")]
pub(crate) struct ReplayArgs {
    /// The call's file.
    call: PathBuf,
    /// An archive or a package's folder; several are compared.
    #[arg(long, value_name = "PACKAGE", required = true)]
    with: Vec<PathBuf>,
}

/// A call that is known.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    /// The interface that the component exports.
    interface: String,
    /// The function.
    function: String,
    /// Configuration values that differ from the manifest's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    config: BTreeMap<String, String>,
    /// The arguments by the names of the parameters.
    arguments: Value,
    /// What random numbers follow from.
    #[serde(default)]
    seed: u64,
    /// The time of day, in milliseconds since the Unix epoch.
    #[serde(default)]
    at_ms: u64,
    /// What it should give; null is a value too, `none`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    result: Option<Value>,
    /// Fuel that it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fuel: Option<u64>,
    /// Memory that it took, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    memory_bytes: Option<u64>,
}

/// A member that is there, whatever it is.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// What became of one call.
#[derive(Debug, Serialize)]
struct Tried {
    call: String,
    passed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
    result: Value,
    fuel: u64,
    fuel_before: Option<u64>,
    memory_bytes: u64,
    memory_bytes_before: Option<u64>,
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

impl TestArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// A call that can't be read or made, or any that did not pass.
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let package = open(&self.package)?;
        let folder = match (&self.calls, self.package.is_dir()) {
            (Some(folder), _) => folder.clone(),
            (None, true) => self.package.join(FOLDER),
            (None, false) => bail!("Say with --calls where the calls are: an archive has none."),
        };
        let files = call_files(&folder)?;
        let trial = Trial::new(&package).await?;
        let mut tried = Vec::new();
        for (index, file) in files.iter().enumerate() {
            let step = context
                .progress
                .step(format!("call {} of {}", index + 1, files.len()));
            let mut known = read_call(file)?;
            let answer = trial
                .call(&known)
                .await
                .with_context(|| file.display().to_string())?;
            drop(step);
            if self.update {
                known.update(&answer);
                write_call(file, &known)?;
            }
            tried.push(known.judge(name_of(file), &answer, self.budget));
        }
        let failed = tried.iter().filter(|tried| !tried.passed).count();
        context.print(&table(&tried), &tried)?;
        if failed > 0 {
            bail!("{failed} of {} calls failed", tried.len());
        }
        Ok(())
    }
}

impl ReplayArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// A call that can't be read or made.
    pub(crate) async fn run(self, context: &Context) -> Result<()> {
        let known = read_call(&self.call)?;
        let mut replayed = Vec::new();
        for path in &self.with {
            let package = open(path)?;
            let trial = Trial::new(&package).await?;
            let answer = trial.call(&known).await?;
            replayed.push(Replayed {
                package: format!("{} {}", package.manifest.name, package.manifest.version),
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
}

/// A package that is tried.
struct Trial<'a> {
    host: Host,
    package: &'a Package,
    _folder: tempfile::TempDir,
}

impl<'a> Trial<'a> {
    async fn new(package: &'a Package) -> Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder can be made")?;
        let host = Host::new(folder.path(), None, Arc::new(Limits::default()))?;
        host.compile(package).await?;
        Ok(Self {
            host,
            package,
            _folder: folder,
        })
    }

    async fn call(&self, known: &Known) -> Result<DirectAnswer> {
        let mut install = self.host.install(self.package, Reuse::Fresh);
        let defaults = self.package.manifest.config.iter();
        let mut config: BTreeMap<_, _> = defaults
            .map(|(key, entry)| (key.clone(), entry.default.clone()))
            .collect();
        for (key, value) in &known.config {
            if config.insert(key.clone(), value.clone()).is_none() {
                bail!(
                    "{} has no configuration key `{key}`",
                    self.package.manifest.name
                );
            }
        }
        install.config = Arc::new(config);
        let (bound, _peers) = self.host.bind_all(vec![install]).await?;
        let install = bound.first().context("the package is bound")?;
        let call = DirectCall {
            interface: &known.interface,
            function: &known.function,
            arguments: &known.arguments,
            deadline: DEADLINE,
            world: World {
                seed: known.seed,
                wall_clock: Duration::from_millis(known.at_ms),
            },
        };
        install
            .call(call)
            .await
            .map_err(|reason| anyhow!("{reason}"))
    }
}

impl Known {
    fn update(&mut self, answer: &DirectAnswer) {
        if let Ok(result) = &answer.result {
            self.result = Some(result.clone());
            self.fuel = Some(answer.fuel);
            self.memory_bytes = Some(answer.memory_bytes);
        }
    }

    fn is_identical(&self, answer: &DirectAnswer) -> Option<bool> {
        let (result, fuel) = (self.result.as_ref()?, self.fuel?);
        Some(answer.result.as_ref() == Ok(result) && answer.fuel == fuel)
    }

    fn judge(&self, call: String, answer: &DirectAnswer, budget: u64) -> Tried {
        let mut problems = Vec::new();
        match (&answer.result, &self.result) {
            (Err(reason), _) => problems.push(reason.clone()),
            (Ok(_), None) => problems.push("the file has no result: run with --update".to_owned()),
            (Ok(got), Some(expected)) if got != expected => {
                problems.push(format!("it gave {got} and should give {expected}"));
            }
            (Ok(_), Some(_)) => {}
        }
        let mut within = |what: &str, now: u64, before: Option<u64>| {
            let Some(before) = before else { return };
            let max = before.saturating_add(before.saturating_mul(budget) / 100);
            if now > max {
                problems.push(format!(
                    "it took {now} {what} and may take {max} ({before} and {budget} %)"
                ));
            }
        };
        within("fuel", answer.fuel, self.fuel);
        within("bytes of memory", answer.memory_bytes, self.memory_bytes);
        Tried {
            call,
            passed: problems.is_empty(),
            problems,
            result: shown(answer),
            fuel: answer.fuel,
            fuel_before: self.fuel,
            memory_bytes: answer.memory_bytes,
            memory_bytes_before: self.memory_bytes,
        }
    }
}

fn shown(answer: &DirectAnswer) -> Value {
    match &answer.result {
        Ok(value) => value.clone(),
        Err(reason) => serde_json::json!({ "failed": reason }),
    }
}

fn table(tried: &[Tried]) -> String {
    let mut lines = Vec::new();
    for run in tried {
        let word = if run.passed { "ok    " } else { "FAILED" };
        let change = match run.fuel_before {
            Some(before) if before > 0 => {
                let percent = (run.fuel as f64 / before as f64 - 1.0) * 100.0;
                format!(" ({percent:+.1} %)")
            }
            _ => String::new(),
        };
        lines.push(format!(
            "{word} {}: {} fuel{change}, {} bytes of memory",
            run.call, run.fuel, run.memory_bytes
        ));
        lines.extend(
            run.problems
                .iter()
                .map(|problem| format!("       {problem}")),
        );
    }
    lines.join("\n")
}

fn open(path: &Path) -> Result<Package> {
    let archive = archive_path(path, None)?;
    let bytes = read_archive(&archive)?;
    cloudware_packages::read(&bytes, None)
        .map_err(|problems| super::context::refused(&archive.display().to_string(), &problems))
}

/// The calls in a folder, by name.
fn call_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| {
        format!(
            "{} can't be read. Make it, with one JSON file for each call (see `cloudware test --help`)",
            folder.display()
        )
    })?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .take(CALLS_MAX)
        .collect();
    files.sort();
    if files.is_empty() {
        bail!(
            "{} has no calls: files that end with .json",
            folder.display()
        );
    }
    Ok(files)
}

fn read_call(path: &Path) -> Result<Known> {
    let unreadable = || format!("{} can't be read", path.display());
    let bytes = fs::metadata(path).with_context(unreadable)?.len();
    if bytes > CALL_BYTES_MAX {
        bail!(
            "{} has {bytes} bytes; a call has at most {CALL_BYTES_MAX}",
            path.display()
        );
    }
    let text = fs::read_to_string(path).with_context(unreadable)?;
    serde_json::from_str(&text).with_context(|| format!("{} is no call", path.display()))
}

fn write_call(path: &Path, known: &Known) -> Result<()> {
    let text = serde_json::to_string_pretty(known)? + "\n";
    super::cache::write_whole(path, text.as_bytes())
        .with_context(|| format!("{} can't be written", path.display()))
}

fn name_of(path: &Path) -> String {
    let name = path.file_stem().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn known() -> Known {
        serde_json::from_value(json!({
            "interface": "a:b/c@1.0.0", "function": "f", "arguments": {}, "result": 1,
            "fuel": 1_000, "memory_bytes": 65_536,
        }))
        .unwrap()
    }

    fn answer(result: Result<Value, String>, fuel: u64) -> DirectAnswer {
        DirectAnswer {
            result,
            fuel,
            memory_bytes: 65_536,
            cpu_nanoseconds: 0,
        }
    }

    #[test]
    fn wrong_results_and_too_much_fuel_fail() {
        let passed = |result, fuel| {
            let tried = known().judge("f".into(), &answer(result, fuel), 10);
            (tried.passed, tried.problems.join("; "))
        };
        assert!(
            passed(Ok(json!(1)), 1_100).0,
            "ten percent more is within the budget"
        );
        let (ok, why) = passed(Ok(json!(1)), 1_101);
        assert!(!ok && why.contains("1101 fuel and may take 1100"), "{why}");
        let (ok, why) = passed(Ok(json!(2)), 1_000);
        assert!(!ok && why.contains("gave 2 and should give 1"), "{why}");
        let (ok, why) = passed(Err("it trapped".into()), 1_000);
        assert!(!ok && why.contains("it trapped"), "{why}");
    }

    #[test]
    fn a_replay_is_identical_to_the_instruction() {
        assert_eq!(
            known().is_identical(&answer(Ok(json!(1)), 1_000)),
            Some(true)
        );
        assert_eq!(
            known().is_identical(&answer(Ok(json!(1)), 1_001)),
            Some(false)
        );
    }
}
