//! Recorded calls that run again in this process: the transcript answers in place of the capabilities, clocks and random
//! numbers are those of the recording, and where the guest asks for something else than it did, the run ends there.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, bail};
use cloudware_capability::Tape;
use cloudware_engine::{DirectAnswer, DirectCall, Replay, World};
use cloudware_types::{
    Dimension, Limit, Limits, RecordedCall, RecordedOutcome, RecordingFile, Reuse,
};
use serde_json::{Value, json};

use super::test::{DEADLINE, Trial, shown};

/// Bytes of a file with a recording. Twice what a platform keeps of one, for files that were formatted.
pub(super) const FILE_BYTES_MAX: u64 = 16 << 20;

/// Calls of one file. A platform records at most 200 at once.
const CALLS_MAX: usize = 1_000;

/// What a recorded call came to when it ran again.
pub(super) struct Rerun {
    /// What it gave and took; no fuel is known of one that diverged.
    pub(super) answer: DirectAnswer,
    /// Where it asked for something else than it did.
    pub(super) diverged: Option<String>,
    /// Host calls that it made, and that were recorded.
    pub(super) host_calls: (usize, usize),
    /// Whether it ended as it did.
    pub(super) same_outcome: bool,
}

impl Rerun {
    /// Whether everything is as it was recorded.
    pub(super) fn is_identical(&self, call: &RecordedCall) -> bool {
        self.diverged.is_none()
            && self.same_outcome
            && self.answer.fuel == call.fuel
            && self.answer.memory_bytes == call.memory_bytes
            && self.host_calls.0 == self.host_calls.1
    }

    /// Takes what it came to now as what was recorded, where it asked the host for nothing else and can be compared.
    pub(super) fn update(&self, call: &mut RecordedCall) {
        if self.diverged.is_some() {
            return;
        }
        let outcome = match (&self.answer.result, self.answer.stopped) {
            (_, Some(cause)) => RecordedOutcome::Stopped(cause.to_owned()),
            (Ok(value), None) => RecordedOutcome::Returned(value.clone()),
            (Err(_), None) => return,
        };
        call.outcome = outcome;
        (call.fuel, call.memory_bytes) = (self.answer.fuel, self.answer.memory_bytes);
    }

    /// What it gave.
    pub(super) fn shown(&self) -> Value {
        match self.answer.stopped {
            Some(cause) => json!({ "stopped": cause }),
            None => shown(&self.answer),
        }
    }
}

/// What a call gave when it was recorded.
pub(super) fn outcome(call: &RecordedCall) -> Value {
    match &call.outcome {
        RecordedOutcome::Returned(value) => value.clone(),
        RecordedOutcome::Stopped(cause) => json!({ "stopped": cause }),
    }
}

/// Reads a recording.
///
/// # Errors
/// What is wrong with it, and where.
pub(super) fn parse(text: &str) -> Result<RecordingFile> {
    let value: Value = serde_json::from_str(text)?;
    let format = value["format"].as_str().unwrap_or_default();
    if format != RecordingFile::FORMAT {
        bail!(
            "its format is `{}`, and this version reads `{}`",
            format.chars().take(64).collect::<String>(),
            RecordingFile::FORMAT
        );
    }
    // From the text, so that an error has a line.
    let file: RecordingFile = serde_json::from_str(text)?;
    if file.calls.is_empty() {
        bail!("it has no calls: nothing was recorded");
    }
    if file.calls.len() > CALLS_MAX {
        bail!(
            "it has {} calls, and {CALLS_MAX} are read",
            file.calls.len()
        );
    }
    for (index, call) in file.calls.iter().enumerate() {
        if let Err(problem) = check(call) {
            bail!("$.calls[{index}].{problem}");
        }
    }
    Ok(file)
}

/// What is printed of a call must not be able to command a terminal.
fn check(call: &RecordedCall) -> Result<(), String> {
    if semver::Version::parse(&call.version).is_err() {
        return Err("version is no version, such as 1.0.0".to_owned());
    }
    let names = [("interface", &call.interface), ("function", &call.function)];
    for (member, name) in names {
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("{member} is no name"));
        }
    }
    let (_, most) = Dimension::Fuel.bounds();
    if call.fuel_max > most {
        return Err(format!(
            "fuel_max is more than {most}, which no run is given"
        ));
    }
    let paths = call.redacted.iter().chain(&call.redacted_names);
    match paths.flat_map(|path| path.chars()).any(char::is_control) {
        true => Err("redacted has control characters".to_owned()),
        false => Ok(()),
    }
}

/// Runs a recorded call again.
///
/// # Errors
/// Why it can't be run: the package exports no such function, its arguments are of other types.
pub(super) async fn rerun(trial: &Trial<'_>, call: &RecordedCall) -> Result<Rerun, String> {
    let limits = limits(call)?;
    let install = trial.host.install(trial.package, Reuse::Fresh);
    let bound = trial.host.bind_all(vec![install]).await;
    let (bound, _peers) = bound.map_err(|error| format!("{error:#}"))?;
    let install = bound.first().ok_or("the package is not bound")?;
    let tape = Arc::new(Tape::replaying(call.transcript.clone()));
    let direct = DirectCall {
        interface: &call.interface,
        function: &call.function,
        arguments: &call.arguments,
        deadline: DEADLINE,
        world: World {
            seed: call.seed,
            wall_clock: Duration::from_millis(call.at_ms),
        },
        replay: Some(Replay {
            tape: Arc::clone(&tape),
            class: call.class,
            limits: Arc::new(limits),
            fuel: call.fuel_max,
        }),
    };
    let answer = install.call(direct).await?;
    let same_outcome = match &call.outcome {
        RecordedOutcome::Returned(value) => answer.result.as_ref() == Ok(value),
        RecordedOutcome::Stopped(cause) => answer.stopped == Some(cause.as_str()),
    };
    Ok(Rerun {
        answer,
        diverged: tape.ended(),
        host_calls: tape.played(),
        same_outcome,
    })
}

/// The limits that held when it was recorded, but for those of clocks: this machine may be slower.
fn limits(call: &RecordedCall) -> Result<Limits, String> {
    let mut limits = Limits::default();
    for (name, value) in &call.limits {
        let limit: Limit = name.parse().map_err(|_| {
            format!("the recording has a limit that this version does not know: {name}")
        })?;
        limits
            .set(limit, *value)
            .map_err(|error| format!("a limit of the recording: {error}"))?;
    }
    for dimension in [Dimension::Deadline, Dimension::CpuTime, Dimension::SqlTime] {
        let limit = dimension.of(call.class);
        limits
            .set(limit, limit.bounds().1)
            .map_err(|error| error.to_string())?;
    }
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(change: impl FnOnce(&mut Value)) -> Result<RecordingFile> {
        let mut file = json!({
            "format": RecordingFile::FORMAT,
            "id": "rec_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5",
            "app": "ext-fefo",
            "calls": [{
                "version": "1.0.0",
                "component": cloudware_types::Digest::of(b"").to_string(),
                "interface": "a:b/c@1.0.0", "function": "f", "class": "hook",
                "arguments": {}, "seed": 1, "at_ms": 2, "fuel_max": 3,
                "limits": { "hook-fuel": 1_000_000, "hook-deadline": 50 },
                "transcript": [], "outcome": { "returned": null },
                "fuel": 4, "memory_bytes": 5,
            }],
        });
        change(&mut file);
        parse(&file.to_string())
    }

    fn refused(word: &str, change: impl FnOnce(&mut Value)) {
        let error = format!("{:#}", file(change).unwrap_err());
        assert!(error.contains(word), "no `{word}` in {error}");
    }

    #[test]
    fn a_file_that_is_damaged_or_of_another_version_is_refused_in_words() {
        file(|_| {}).unwrap();
        refused("cloudware-recording/2", |file| {
            file["format"] = json!("cloudware-recording/2")
        });
        refused("no calls", |file| file["calls"] = json!([]));
        refused("at line 1 column", |file| {
            file["calls"][0]["fuel"] = json!("much")
        });
        refused("unknown field", |file| file["calls"][0]["extra"] = json!(1));
        refused("$.calls[0].version", |file| {
            file["calls"][0]["version"] = json!("1.0.0\u{1b}[31m")
        });
        refused("$.calls[0].interface", |file| {
            file["calls"][0]["interface"] = json!("a:b\n")
        });
        refused("$.calls[0].fuel_max", |file| {
            file["calls"][0]["fuel_max"] = json!(u64::MAX)
        });
        refused("$.calls[0].redacted", |file| {
            file["calls"][0]["redacted"] = json!(["$.arguments.\u{7}"])
        });
        refused("1000", |file| {
            let call = file["calls"][0].clone();
            file["calls"] = Value::Array(vec![call; 1_001]);
        });
    }

    #[test]
    fn the_limits_are_those_of_the_recording_without_its_clocks() {
        let mut call = file(|_| {}).unwrap().calls.remove(0);
        let limits = limits(&call).unwrap();
        let fuel = Dimension::Fuel.of(cloudware_types::Class::Hook);
        let deadline = Dimension::Deadline.of(cloudware_types::Class::Hook);
        assert_eq!(limits.get(fuel), 1_000_000);
        assert_eq!(limits.get(deadline), deadline.bounds().1);
        call.limits.insert("warp".to_owned(), 1);
        assert!(super::limits(&call).unwrap_err().contains("warp"));
    }
}
