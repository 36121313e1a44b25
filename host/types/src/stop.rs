//! Stops: why the host ended or refused an invocation, in one typed record that goes from the
//! engine to the caller, the tenant and the ledger.

use serde::{Deserialize, Serialize};

use crate::{
    Class, Dimension, InstallId, InstanceId, Limit, Scope, TenantId, Unit, format_quantity,
};

/// What ended or refused an invocation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "kebab-case")]
pub enum StopCause {
    /// A limit was reached.
    Limit {
        /// The limit.
        limit: Limit,
        /// How much had been used, or was asked for, when the host stopped it; in the limit's unit.
        used: u64,
        /// The limit's value.
        max: u64,
    },
    /// The guest trapped by its own doing, for example an unreachable instruction or a panic.
    Trap {
        /// The trap in the engine's words.
        message: String,
    },
    /// The guest finished without setting a response, or set one that HTTP does not allow.
    NoResponse {
        /// What was wrong with it.
        message: String,
    },
    /// The host had no sandbox, or no memory for it, free; no fault of the guest.
    Overloaded {
        /// After how many seconds to try again.
        retry_after_seconds: u32,
    },
}

impl StopCause {
    /// A limit of a run of `class`, or of the instance, was reached.
    #[must_use]
    pub fn limit(dimension: Dimension, class: Class, used: u64, max: u64) -> Self {
        Self::Limit {
            limit: dimension.of(class),
            used,
            max,
        }
    }
}

/// What an invocation spent on one kind of host call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumer {
    /// The host call, for example `sql.query`.
    pub host_call: String,
    /// How often it was called.
    pub calls: u64,
    /// How long the calls took together, in microseconds of wall time.
    pub microseconds: u64,
}

/// A stopped invocation, explained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stop {
    /// What ended it.
    #[serde(flatten)]
    pub cause: StopCause,
    /// The app whose code ran.
    pub app: String,
    /// The release that ran, as `version`.
    pub version: String,
    /// The extension point that it filled, as `app/point`; `None` where it was not called as a hook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<String>,
    /// The innermost guest function that the engine could name.
    pub function: Option<String>,
    /// The host call that the guest was waiting in, if it was in one; or that it waited for its request
    /// ([`Self::REQUEST_BODY`]) or for whoever takes its answer ([`Self::RESPONSE_BODY`], [`Self::EGRESS_RATE`]).
    pub host_call: Option<String>,
    /// How long the invocation had run, in milliseconds of wall time.
    pub elapsed_ms: u64,
    /// Why the code ran.
    pub class: Class,
    /// After how many milliseconds the same request may find room again, where time makes room.
    pub resets_in_ms: Option<u64>,
    /// Plans under which the limit would not have been reached, by name, the smallest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fits: Vec<String>,
    /// The host calls that took the most time, the longest first; at most [`Self::CONSUMERS_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consumers: Vec<Consumer>,
    /// Whether a limit was reached because of what the host has to do for all, and not for the instance: nobody pays for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_of_host: bool,
}

/// Stops of one kind that an install had in one minute, as the data plane hands them to the control plane.
#[derive(Clone, Debug, PartialEq)]
pub struct StopRecord {
    /// When the first of them happened, in milliseconds since the Unix epoch.
    pub first_ms: u64,
    /// When the last of them happened, in milliseconds since the Unix epoch.
    pub last_ms: u64,
    /// The tenant that owns the instance.
    pub tenant: TenantId,
    /// The instance.
    pub instance: InstanceId,
    /// The install whose code ran.
    pub install: InstallId,
    /// The request that the last of them ended; empty where none is known.
    pub request_id: String,
    /// The last of them.
    pub stop: Stop,
    /// How many there were, this one included.
    pub count: u64,
}

impl Stop {
    /// Host calls that a stop lists.
    pub const CONSUMERS_MAX: usize = 5;

    /// Where a guest waits that has read all that has come of its request's body.
    pub const REQUEST_BODY: &str = "http.request-body";

    /// Where a guest waits that has written more of its answer than was taken.
    pub const RESPONSE_BODY: &str = "http.response-body";

    /// Where a guest waits that has written more of its answer than the instance may send.
    pub const EGRESS_RATE: &str = "egress-rate";

    /// Where a guest waits for a function that another app exports.
    pub const APP_CALL: &str = "call";

    /// Where a guest waits for the hooks of one of its extension points.
    pub const HOOK_CALL: &str = "hook";

    /// Where a guest waits until what happened is kept for those who observe it.
    pub const OBSERVE_CALL: &str = "observe";

    /// One sentence for people: what happened, used against max, where.
    #[must_use]
    pub fn explanation(&self) -> String {
        self.explained(true)
    }

    /// The same for whoever may not know how much was used and may be.
    #[must_use]
    pub fn explanation_without_amounts(&self) -> String {
        self.explained(false)
    }

    /// Whether a limit was reached that bounds all of the instance, other apps included.
    #[must_use]
    pub fn is_of_instance(&self) -> bool {
        matches!(self.cause, StopCause::Limit { limit, .. } if limit.dimension().scope() == Scope::Instance)
    }

    fn explained(&self, says_amounts: bool) -> String {
        let mut place = match (&self.function, self.host_call.as_deref()) {
            (_, Some(Self::REQUEST_BODY)) => {
                " while waiting for the body of its request".to_owned()
            }
            (_, Some(Self::RESPONSE_BODY)) => {
                " while waiting for its answer to be taken".to_owned()
            }
            (_, Some(Self::EGRESS_RATE)) => {
                " while its answer was held back by egress-rate".to_owned()
            }
            (_, Some(Self::APP_CALL)) => " while waiting for another app".to_owned(),
            (_, Some(Self::HOOK_CALL)) => " while waiting for its hooks".to_owned(),
            (_, Some(Self::OBSERVE_CALL)) => " while handing over what others observe".to_owned(),
            (_, Some(call)) => format!(" while waiting in {call}"),
            (Some(function), None) => format!(" in function {function}"),
            (None, None) => String::new(),
        };
        if let Some(hook) = &self.hook {
            place.push_str(" as a hook on ");
            place.push_str(hook);
        }
        match &self.cause {
            StopCause::Limit { limit, used, max } if self.is_of_host => {
                let [used, max] = [used, max].map(|value| format_quantity(limit.unit(), *value));
                let amounts = match says_amounts {
                    true => format!(" for {used}, and {limit} of its instance is {max}"),
                    false => " for too long".to_owned(),
                };
                format!(
                    "the host has more to do than it can: {} {} would wait{amounts}",
                    self.app, self.version
                )
            }
            StopCause::Limit { limit, used, max } => {
                let whose = match limit.dimension().scope() {
                    Scope::Invocation => "",
                    Scope::Instance => "the instance of ",
                };
                let [used, max] = [used, max].map(|value| format_quantity(limit.unit(), *value));
                let amounts = match says_amounts {
                    true => format!(": {used} of {max}"),
                    false => String::new(),
                };
                format!(
                    "{whose}{} {} reached its limit {limit}{amounts}{place}, after {} ms",
                    self.app, self.version, self.elapsed_ms,
                )
            }
            StopCause::Trap { message } => {
                format!("{} {} trapped{place}: {message}", self.app, self.version)
            }
            StopCause::NoResponse { message } => {
                format!(
                    "{} {} gave no valid response: {message}",
                    self.app, self.version
                )
            }
            StopCause::Overloaded { .. } => {
                "the host has no sandbox, or no memory for it, free; try again shortly".to_owned()
            }
        }
    }

    /// The HTTP status for the caller of a stopped request, by one table.
    #[must_use]
    pub fn http_status(&self) -> u16 {
        match &self.cause {
            StopCause::Limit { limit, .. } => match limit.dimension() {
                // Not 408 where the body of the request was late: clients repeat such a request by themselves
                // (RFC 9110, 15.5.9), and the app may have acted on it.
                Dimension::Deadline | Dimension::SqlTime | Dimension::ExtensionTime => 504,
                Dimension::Recursion => 508,
                Dimension::RequestBytes => 413,
                Dimension::Concurrency
                | Dimension::RequestRate
                | Dimension::FuelPerMinute
                | Dimension::FuelPerDay
                | Dimension::CpuWeight
                | Dimension::QueueTime
                | Dimension::EgressRate
                | Dimension::LogRate => 429,
                Dimension::Storage => 507,
                Dimension::Fuel
                | Dimension::CpuTime
                | Dimension::Memory
                | Dimension::Stack
                | Dimension::Handles
                | Dimension::HostCalls
                | Dimension::ResponseBytes
                | Dimension::LogBytes
                | Dimension::SqlStatements
                | Dimension::SqlRowsRead
                | Dimension::SqlRowsWritten
                | Dimension::KvOperations
                | Dimension::OutboundCalls => 503,
            },
            StopCause::Trap { .. } | StopCause::NoResponse { .. } => 502,
            StopCause::Overloaded { .. } => 503,
        }
    }

    /// The short machine-readable kind, the last part of the problem type.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.cause {
            StopCause::Limit { .. } => "limit-reached",
            StopCause::Trap { .. } => "trap",
            StopCause::NoResponse { .. } => "no-response",
            StopCause::Overloaded { .. } => "overloaded",
        }
    }

    /// The name by which stops of one cause are counted and found: the limit's, or the [`Self::kind`].
    #[must_use]
    pub fn cause_name(&self) -> &'static str {
        match &self.cause {
            StopCause::Limit { limit, .. } => limit.name(),
            _ => self.kind(),
        }
    }

    /// Where it happened, which with the cause and the version makes stops of one kind: the function, or else what it waited in,
    /// or `host`; empty where nothing is known.
    #[must_use]
    pub fn place(&self) -> &str {
        match (&self.function, &self.host_call) {
            _ if self.is_of_host => "host",
            (Some(place), _) | (None, Some(place)) => place,
            (None, None) => "",
        }
    }

    /// Whether this limit ended it.
    #[must_use]
    pub fn is_for(&self, limit: Limit) -> bool {
        matches!(self.cause, StopCause::Limit { limit: reached, .. } if reached == limit)
    }

    /// The unit of `used` and `max`, where a limit ended it.
    #[must_use]
    pub fn unit(&self) -> Option<Unit> {
        match &self.cause {
            StopCause::Limit { limit, .. } => Some(limit.unit()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explanation_names_limit_used_max_and_place() {
        let stop = Stop {
            cause: StopCause::limit(Dimension::Fuel, Class::Request, 1_000, 1_000),
            app: "inventory-stock".into(),
            version: "1.0.0".into(),
            hook: None,
            function: Some("stock::pick".into()),
            host_call: None,
            elapsed_ms: 3,
            class: Class::Request,
            resets_in_ms: None,
            fits: Vec::new(),
            consumers: Vec::new(),
            is_of_host: false,
        };
        assert_eq!(
            stop.explanation(),
            "inventory-stock 1.0.0 reached its limit fuel: 1,000 fuel of 1,000 fuel in function stock::pick, after 3 ms"
        );
        assert_eq!(stop.http_status(), 503);
        let waiting = Stop {
            cause: StopCause::limit(Dimension::Deadline, Class::Request, 500, 500),
            host_call: Some(Stop::HOOK_CALL.into()),
            ..stop.clone()
        };
        assert_eq!(
            waiting.explanation(),
            "inventory-stock 1.0.0 reached its limit deadline: 500 ms of 500 ms while waiting for its hooks, after 3 ms"
        );
        // It may be others that have taken what an instance may have.
        let stop = Stop {
            cause: StopCause::limit(Dimension::Concurrency, Class::Request, 3, 2),
            function: None,
            ..stop
        };
        assert_eq!(
            stop.explanation(),
            "the instance of inventory-stock 1.0.0 reached its limit concurrency: 3 of 2, after 3 ms"
        );
        assert_eq!(
            stop.explanation_without_amounts(),
            "the instance of inventory-stock 1.0.0 reached its limit concurrency, after 3 ms"
        );
        let stop = Stop {
            cause: StopCause::limit(Dimension::QueueTime, Class::Request, 312, 100),
            is_of_host: true,
            ..stop
        };
        assert_eq!(
            stop.explanation(),
            "the host has more to do than it can: inventory-stock 1.0.0 would wait for 312 ms, and queue-time of its \
             instance is 100 ms"
        );
        assert_eq!(
            stop.explanation_without_amounts(),
            "the host has more to do than it can: inventory-stock 1.0.0 would wait for too long"
        );
    }
}
