//! Recordings: invocations as they happened, with everything that the host answered, so that they can run again
//! elsewhere. These are the words that engine, control plane and command line share; an exported file is a
//! [`RecordingFile`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Class, Digest, RecordingId};

/// What the data plane must know to record the calls of an install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredRecording {
    /// The recording.
    pub id: RecordingId,
    /// How many calls it may still take.
    pub calls_left: u32,
    /// When it ends by itself, in milliseconds since the Unix epoch.
    pub ends_at_ms: u64,
    /// Names of fields whose values are redacted.
    pub redact: Arc<[String]>,
    /// Keys of configuration values that the tenant chose. The others are in the package, where everybody reads them.
    pub private_config: Arc<BTreeSet<String>>,
}

/// One host call of a recorded invocation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostExchange {
    /// What was called, for example `kv.get`.
    pub call: String,
    /// What was asked.
    pub asked: Value,
    /// What was answered; absent where the invocation ended before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<Value>,
}

/// How a recorded invocation ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordedOutcome {
    /// It returned this, null where the function returns nothing.
    Returned(Value),
    /// It was stopped; the name of the cause, such as `trap` or `fuel`.
    Stopped(String),
}

/// One recorded invocation: a call of a function that a component exports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedCall {
    /// Version of the release that ran.
    pub version: String,
    /// Digest of its component.
    pub component: Digest,
    /// The interface that the component exports.
    pub interface: String,
    /// The function.
    pub function: String,
    /// Why it ran: as a hook, or called by another app.
    pub class: Class,
    /// The arguments by the names of the parameters.
    pub arguments: Value,
    /// What its random numbers followed from.
    pub seed: u64,
    /// Its time of day when it began, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Fuel that it was given.
    pub fuel_max: u64,
    /// The limits that held for it, by name.
    pub limits: BTreeMap<String, u64>,
    /// Its host calls in order.
    pub transcript: Vec<HostExchange>,
    /// How it ended.
    pub outcome: RecordedOutcome,
    /// Fuel that it consumed.
    pub fuel: u64,
    /// The largest memory of its sandbox, in bytes.
    pub memory_bytes: u64,
    /// Where something was replaced, such as `$.arguments.customer.iban`; empty where it is as it happened.
    #[serde(default)]
    pub redacted: Vec<String>,
    /// Names of fields to be redacted that stood somewhere, as they were given.
    #[serde(default)]
    pub redacted_names: Vec<String>,
}

/// What the data plane says of one invocation of an install that is being recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedOne {
    /// The recording that it belongs to.
    pub recording: RecordingId,
    /// The invocation, or why it can't be recorded faithfully.
    pub outcome: Result<Box<RecordedCall>, String>,
}

/// A recording as people carry it from one machine to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordingFile {
    /// [`Self::FORMAT`].
    pub format: String,
    /// The recording.
    pub id: RecordingId,
    /// The app whose component ran.
    pub app: String,
    /// The fields that were redacted by name, beside those that always are.
    #[serde(default)]
    pub redact: Vec<String>,
    /// The invocations in order.
    pub calls: Vec<RecordedCall>,
}

impl RecordingFile {
    /// The format that this version writes and reads.
    pub const FORMAT: &str = "cloudware-recording/1";
}
