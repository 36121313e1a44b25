//! Traces: what one request was composed of. Every run of an app, a hook or a called app is a span with what it
//! used itself, so that everyone sees whose code burned the budget.

use serde::{Deserialize, Serialize};

use crate::{HookOutcome, InstallId, InstanceId, TenantId};

/// One composed request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// The request's id, which the caller got as `x-request-id`.
    pub request_id: String,
    /// When it began, in milliseconds since the Unix epoch.
    pub began_ms: u64,
    /// The tenant that owns the instance.
    pub tenant: TenantId,
    /// The instance.
    pub instance: InstanceId,
    /// What ran, in the order of beginning; the first is the app that the request was for.
    pub spans: Vec<Span>,
    /// Spans that were left out because there were more than [`Self::SPANS_MAX`].
    pub omitted: u64,
}

/// One run within a composed request. What it used is its own: what it called has spans of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// Index of the span that called it; `None` for the first.
    pub parent: Option<u32>,
    /// The install whose code ran; `None` for a webhook.
    pub install: Option<InstallId>,
    /// The app, or the webhook's name.
    pub app: String,
    /// The release's version; empty for a webhook.
    pub version: String,
    /// The extension point that it filled, as `app/point`; `None` for apps.
    pub point: Option<String>,
    /// The function or the request, for example `allocate` or `GET /stock`.
    pub call: String,
    /// How it ended: `ok`, `refused` by a hook whose answer is a refusal, or the name of what stopped it.
    pub outcome: String,
    /// Whether it ran only to be compared.
    #[serde(default)]
    pub shadow: bool,
    /// When it began, in microseconds since the request did.
    pub began_us: u64,
    /// Wall time in microseconds, with what it called.
    pub wall_us: u64,
    /// Processor time inside its own sandbox, in microseconds.
    pub cpu_us: u64,
    /// Fuel of its own.
    pub fuel: u64,
    /// The largest memory of its sandbox, in bytes.
    pub memory_bytes: u64,
}

impl Trace {
    /// Spans of one trace. A request that calls more hooks than this is told by its first ones.
    pub const SPANS_MAX: usize = 200;
}

impl HookOutcome {
    /// The word in traces and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Abstained => "abstained",
            Self::Failed => "failed",
            Self::NotCalled => "not-called",
        }
    }
}
