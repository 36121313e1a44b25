//! `cloudware test`: runs what an extension exports against calls that are known, and fails where a result is another
//! one, or takes more fuel or memory than it did by more than a budget.
//!
//! A call is a JSON file in the package's folder `calls/`; a recording that was exported there is as many calls as it
//! has. Runs happen in this process, in sandboxes as on a platform, with an empty private database, and with clocks
//! and random numbers that are the same each time: equal components consume equal fuel, to the instruction.

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
use cloudware_types::{Limits, RecordedCall, RecordingFile, Reuse};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{
    Context,
    check::{archive_path, read_archive},
    recorded::{self, Rerun},
};
use crate::local::Host;

/// Calls of one package: a person reads them.
const CALLS_MAX: usize = 10_000;

/// Bytes of one call's file; what a webhook may send, too.
const CALL_BYTES_MAX: u64 = 4 << 20;

/// How long one call may take; a hook has 50 ms on a platform, and fuel bounds it there and here.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// Where a package keeps its calls.
pub(super) const FOLDER: &str = "calls";

/// Runs an extension against calls that are known.
#[derive(Debug, clap::Args)]
#[command(after_help = "A call is a file in calls/:
  { \"interface\": \"inventory:stock/allocation@1.0.0\", \"function\": \"allocate\",
    \"arguments\": { … by the names of the parameters … }, \"config\": { … }, \"result\": … }
--update writes what each gives now, with its fuel and memory; later runs are compared with it.
A recording that was exported there (`cloudware recording export`) is compared with what it recorded. Where values were
redacted, a call may go another way than it did; --update takes the way that it goes now, unless it asks the host for
something else than it did.

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

/// A call that is known.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Known {
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
    pub(super) result: Option<Value>,
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
            let mut known = match read_file(file)? {
                CallFile::Known(known) => known,
                CallFile::Recording(mut recording) => {
                    for (number, call) in recording.calls.iter_mut().enumerate() {
                        let rerun = recorded::rerun(&trial, call).await;
                        if let (true, Ok(rerun)) = (self.update, &rerun) {
                            rerun.update(call);
                        }
                        let name = format!("{} {}", name_of(file), number + 1);
                        tried.push(judge_recorded(name, call, &rerun, self.budget));
                    }
                    if self.update {
                        write_file(file, &recording)?;
                    }
                    continue;
                }
            };
            let answer = trial
                .call(&known)
                .await
                .with_context(|| file.display().to_string())?;
            drop(step);
            if self.update {
                known.update(&answer);
                write_file(file, &known)?;
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

/// What a file of calls is.
pub(super) enum CallFile {
    /// One call, written by a person.
    Known(Known),
    /// What a platform recorded.
    Recording(RecordingFile),
}

/// A package that is tried.
pub(super) struct Trial<'a> {
    pub(super) host: Host,
    pub(super) package: &'a Package,
    _folder: tempfile::TempDir,
}

impl<'a> Trial<'a> {
    pub(super) async fn new(package: &'a Package) -> Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder can be made")?;
        let host = Host::new(folder.path(), None, Arc::new(Limits::default()))?;
        host.compile(package).await?;
        Ok(Self {
            host,
            package,
            _folder: folder,
        })
    }

    pub(super) async fn call(&self, known: &Known) -> Result<DirectAnswer> {
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
            replay: None,
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

    pub(super) fn is_identical(&self, answer: &DirectAnswer) -> Option<bool> {
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
            problems.extend(before.and_then(|before| beyond(what, now, before, budget)));
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

/// What a recorded call came to, compared with what it was.
fn judge_recorded(
    name: String,
    call: &RecordedCall,
    rerun: &Result<Rerun, String>,
    budget: u64,
) -> Tried {
    let mut problems = Vec::new();
    let (mut result, mut fuel, mut memory_bytes) = (Value::Null, 0, 0);
    match rerun {
        Err(reason) => problems.push(reason.clone()),
        Ok(rerun) => {
            (fuel, memory_bytes) = (rerun.answer.fuel, rerun.answer.memory_bytes);
            result = rerun.shown();
            match &rerun.diverged {
                Some(diverged) => problems.push(format!("diverged: {diverged}")),
                None => {
                    let outcome = recorded::outcome(call);
                    if result != outcome {
                        problems.push(format!("it gave {result}, and recorded was {outcome}"));
                    }
                    problems.extend(beyond("fuel", fuel, call.fuel, budget));
                    let memory = beyond("bytes of memory", memory_bytes, call.memory_bytes, budget);
                    problems.extend(memory);
                }
            }
        }
    }
    let passed = problems.is_empty();
    if !passed && !call.redacted.is_empty() {
        problems.push(format!(
            "values of it were redacted ({}), so that it may go another way than it did: --update takes this way as \
             right where it did not diverge; record it anew without redacting what the component decides by",
            named(&call.redacted)
        ));
    }
    Tried {
        call: name,
        passed,
        problems,
        result,
        fuel,
        fuel_before: Some(call.fuel),
        memory_bytes,
        memory_bytes_before: Some(call.memory_bytes),
    }
}

/// The first of many places, for a person.
fn named(places: &[String]) -> String {
    const SHOWN: usize = 3;
    let first = places.iter().take(SHOWN).map(String::as_str);
    let first = first.collect::<Vec<_>>().join(", ");
    match places.len().saturating_sub(SHOWN) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// What is wrong where something takes more than it did by more than a budget.
fn beyond(what: &str, now: u64, before: u64, budget: u64) -> Option<String> {
    let max = before.saturating_add(before.saturating_mul(budget) / 100);
    (now > max)
        .then(|| format!("it took {now} {what} and may take {max} ({before} and {budget} %)"))
}

pub(super) fn shown(answer: &DirectAnswer) -> Value {
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

pub(super) fn open(path: &Path) -> Result<Package> {
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

/// Reads a call or a recording.
pub(super) fn read_file(path: &Path) -> Result<CallFile> {
    let unreadable = || format!("{} can't be read", path.display());
    let bytes = fs::metadata(path).with_context(unreadable)?.len();
    if bytes > recorded::FILE_BYTES_MAX {
        bail!(
            "{} has {bytes} bytes; a recording has at most {}",
            path.display(),
            recorded::FILE_BYTES_MAX
        );
    }
    let text = fs::read_to_string(path).with_context(unreadable)?;
    let is_neither = || format!("{} is neither a call nor a recording", path.display());
    let value: Value = serde_json::from_str(&text).with_context(is_neither)?;
    if value.get("format").is_some() {
        let recording = recorded::parse(&text);
        return Ok(CallFile::Recording(recording.with_context(|| {
            format!("{} is no recording that can be used", path.display())
        })?));
    }
    if bytes > CALL_BYTES_MAX {
        bail!(
            "{} has {bytes} bytes; a call has at most {CALL_BYTES_MAX}",
            path.display()
        );
    }
    let known = serde_json::from_value(value);
    Ok(CallFile::Known(known.with_context(|| {
        format!("{} is no call", path.display())
    })?))
}

fn write_file(path: &Path, content: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(content)? + "\n";
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
            stopped: None,
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
