//! Recording invocations as they happen: each gets a world of its own and a tape, and what it came to is redacted
//! before anybody else sees it. An install that is not recorded has no recorder, and its calls cost nothing.

mod redact;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use cloudware_capability::Tape;
use cloudware_types::{
    Class, DesiredRecording, Dimension, Limits, RecordedCall, RecordedOne, RecordedOutcome,
};
use futures_util::FutureExt as _;
use serde_json::Value;
use wasmtime::component::{Val, types::ComponentFunc};

use crate::{
    BoundInstall, World, clock,
    hook::{Failure, from_json, function_arguments, to_json},
    limits::{RECORDED_CALL_BYTES_MAX, RECORDED_CALLS_PER_SECOND, RECORDED_TAPE_BYTES_MAX},
    rate::Rate,
};
use redact::Redaction;

/// Records calls of one install, until there are enough.
pub(crate) struct Recorder {
    desired: Arc<DesiredRecording>,
    room: Arc<Room>,
}

/// What a recording still takes, shared by all bindings of the install while it runs.
pub(crate) struct Room {
    left: AtomicU32,
    rate: Rate,
}

impl Room {
    pub(crate) fn new(calls: u32) -> Self {
        Self {
            left: AtomicU32::new(calls),
            rate: Rate::default(),
        }
    }

    /// Takes the place of one call. Who asks too often is not refused for good: the next moment's call is as good.
    fn take(&self) -> bool {
        if self.left.load(Ordering::Relaxed) == 0 {
            return false;
        }
        if self
            .rate
            .take(clock::coarse(), RECORDED_CALLS_PER_SECOND)
            .is_err()
        {
            return false;
        }
        let taken = |left: u32| left.checked_sub(1);
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken);
        taken.is_ok()
    }
}

/// An invocation that is being recorded, and what it is given. Whatever becomes of it is told once.
pub(crate) struct Begun {
    pub(crate) world: World,
    pub(crate) tape: Arc<Tape>,
    install: Arc<BoundInstall>,
    recording: Arc<DesiredRecording>,
    outcome: Option<Result<Box<RecordedCall>, String>>,
}

/// An invocation that has ended.
pub(crate) struct EndedCall<'a> {
    pub(crate) interface: &'a str,
    pub(crate) function: &'a str,
    pub(crate) ty: &'a ComponentFunc,
    pub(crate) class: Class,
    pub(crate) limits: &'a Limits,
    pub(crate) fuel_max: u64,
    pub(crate) arguments: &'a [Val],
    pub(crate) result: &'a Result<Vec<Val>, Failure>,
    pub(crate) fuel: u64,
    pub(crate) memory_bytes: u64,
}

impl Recorder {
    pub(crate) fn new(desired: Arc<DesiredRecording>, room: Arc<Room>) -> Self {
        Self { desired, room }
    }

    /// Begins to record an invocation of its install; `None` where there are enough for now or at all, or the time is
    /// over.
    pub(crate) fn begin(&self, install: &Arc<BoundInstall>) -> Option<Begun> {
        let now = u64::try_from(clock::unix_coarse().as_millis()).unwrap_or(u64::MAX);
        if now >= self.desired.ends_at_ms {
            return None;
        }
        if !self.room.take() {
            return None;
        }
        Some(Begun {
            world: World {
                seed: rand::random(),
                wall_clock: Duration::from_millis(now),
            },
            tape: Arc::new(Tape::recording(RECORDED_TAPE_BYTES_MAX)),
            install: Arc::clone(install),
            recording: Arc::clone(&self.desired),
            outcome: None,
        })
    }
}

impl Begun {
    /// It did not come about.
    pub(crate) fn refused(self, failure: &Failure) {
        self.told(Err(did_not_run(failure)));
    }

    /// Says what became of it, as it is dropped.
    fn told(mut self, outcome: Result<Box<RecordedCall>, String>) {
        self.outcome = Some(outcome);
    }

    /// Tells the observer what the invocation came to, or why that can't be recorded faithfully. What is redacted
    /// is looked for on a thread that may compute.
    pub(crate) fn end(self, ended: &EndedCall<'_>) -> impl Future<Output = ()> + Send + use<> {
        let gathered = self.gathered(ended);
        let ty = ended.ty.clone();
        let concluded = tokio::task::spawn_blocking(move || {
            let redaction = Redaction::new(&self.recording.redact);
            let outcome = gathered.and_then(|mut call| {
                redaction.apply(&mut call)?;
                check(&call, &ty)?;
                Ok(Box::new(call))
            });
            self.told(outcome);
        });
        // Where it panicked, it has been told of as it was dropped.
        concluded.map(drop)
    }

    fn gathered(&self, ended: &EndedCall<'_>) -> Result<RecordedCall, String> {
        Ok(RecordedCall {
            version: self.install.identity.version.clone(),
            component: self.install.component,
            interface: ended.interface.to_owned(),
            function: ended.function.to_owned(),
            class: ended.class,
            outcome: outcome(ended.result)?,
            arguments: function_arguments(ended.ty.params(), ended.arguments),
            seed: self.world.seed,
            at_ms: u64::try_from(self.world.wall_clock.as_millis()).unwrap_or(u64::MAX),
            fuel_max: ended.fuel_max,
            limits: ended
                .limits
                .iter()
                .map(|(limit, value)| (limit.name().to_owned(), value))
                .collect(),
            transcript: self.tape.take()?,
            fuel: ended.fuel,
            memory_bytes: ended.memory_bytes,
            redacted: Vec::new(),
            redacted_names: Vec::new(),
        })
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let outcome = self.outcome.take();
        let outcome = outcome.unwrap_or_else(|| Err("nobody waited for its end".to_owned()));
        let recorded = RecordedOne {
            recording: self.recording.id,
            outcome,
        };
        self.install
            .observer
            .recorded(&self.install.identity, recorded);
    }
}

fn did_not_run(failure: &Failure) -> String {
    format!("it did not run: {}", failure.name())
}

/// How it ended. What a clock ended does not end in the same place each time.
fn outcome(result: &Result<Vec<Val>, Failure>) -> Result<RecordedOutcome, String> {
    let stop = match result {
        Ok(values) => {
            let value = values.first().map_or(Value::Null, to_json);
            return Ok(RecordedOutcome::Returned(value));
        }
        Err(Failure::Stopped(stop)) => stop,
        Err(failure) => return Err(did_not_run(failure)),
    };
    let by_clock = match stop.cause {
        cloudware_types::StopCause::Limit { limit, .. } => matches!(
            limit.dimension(),
            Dimension::Deadline
                | Dimension::CpuTime
                | Dimension::SqlTime
                | Dimension::ExtensionTime
        ),
        _ => false,
    };
    if by_clock {
        return Err(format!(
            "it was ended by {}, which is not in the same place each time",
            stop.cause_name()
        ));
    }
    Ok(RecordedOutcome::Stopped(stop.cause_name().to_owned()))
}

/// Refuses what would not be the same when it is read again: a recording is right, or there is none.
fn check(call: &RecordedCall, ty: &ComponentFunc) -> Result<(), String> {
    for (name, ty) in ty.params() {
        let value = call.arguments.get(name).unwrap_or(&Value::Null);
        from_json(&ty, value, &format!("$.arguments.{name}")).map_err(|error| {
            format!(
                "what would stand in place of a redacted value is none of its type: {}",
                error.at
            )
        })?;
    }
    let text = serde_json::to_string(call).map_err(|_| "it can't be written down".to_owned())?;
    if text.len() > RECORDED_CALL_BYTES_MAX {
        return Err(format!(
            "it has {} bytes, and a call may have {RECORDED_CALL_BYTES_MAX}",
            text.len()
        ));
    }
    match serde_json::from_str::<RecordedCall>(&text) {
        Ok(read) if read == *call => Ok(()),
        _ => Err("it has a number that is not the same when it is read again".to_owned()),
    }
}
