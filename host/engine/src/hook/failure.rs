//! Why a hook gave no usable answer.

use std::{fmt, time::Duration};

use cloudware_types::{Limit, Stop};

use super::WebhookFailed;

/// Why a call of a hook, or of another app's interface, failed.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// Its run was stopped: a limit, a trap.
    Stopped(Box<Stop>),
    /// It can't be called as it is: gone, not exported, of another type.
    Unfit(String),
    /// An endpoint did not answer as it should.
    Webhook(String),
    /// An endpoint says that it is gone for good.
    Gone(String),
    /// It is tripped.
    Tripped(Duration),
    /// The request's budget for hooks is used up, and it was not asked.
    Budget {
        /// Which hooks had how much of it.
        spenders: String,
        /// The limit that the budget is.
        limit: Limit,
    },
    /// Its end came before its own deadline, or because of hooks that it asked.
    CutOff {
        /// Whose time ended, and who had had it.
        reason: String,
        /// The limit that was reached.
        limit: Limit,
        /// Whether it had most of that time.
        is_its_own: bool,
    },
    /// A limit of its whole instance leaves it no turn for now.
    PutOff {
        /// Which, and how much was used.
        reason: String,
        /// The limit.
        limit: Limit,
        /// When it may be tried again.
        after: Duration,
    },
    /// The call would go in a circle, or too deep.
    Circle(String),
    /// The host has no sandbox, or no memory for it, free.
    Overloaded,
}

impl Failure {
    /// Whether it counts for the breaker: what is the hook's own doing does.
    pub(crate) fn is_its_own(&self) -> bool {
        match self {
            Self::Stopped(_) | Self::Unfit(_) | Self::Webhook(_) | Self::Gone(_) => true,
            Self::CutOff { is_its_own, .. } => *is_its_own,
            Self::Tripped(_)
            | Self::Budget { .. }
            | Self::PutOff { .. }
            | Self::Circle(_)
            | Self::Overloaded => false,
        }
    }

    /// The failure of a call of an endpoint.
    pub(crate) fn of_webhook(failed: &WebhookFailed) -> Self {
        let reason = failed.reason.clone();
        match failed.is_gone {
            true => Self::Gone(reason),
            false => Self::Webhook(reason),
        }
    }

    /// The name by which traces tell it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Stopped(stop) => stop.cause_name(),
            Self::Unfit(_) => "unfit",
            Self::Webhook(_) => "webhook-failed",
            Self::Gone(_) => "webhook-gone",
            Self::Tripped(_) => "tripped",
            Self::Budget { limit, .. }
            | Self::CutOff { limit, .. }
            | Self::PutOff { limit, .. } => limit.name(),
            Self::Circle(_) => "recursion",
            Self::Overloaded => "overloaded",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped(stop) => f.write_str(&stop.explanation()),
            Self::Unfit(reason)
            | Self::Webhook(reason)
            | Self::Gone(reason)
            | Self::Budget {
                spenders: reason, ..
            }
            | Self::CutOff { reason, .. }
            | Self::PutOff { reason, .. }
            | Self::Circle(reason) => f.write_str(reason),
            Self::Tripped(rest) => write!(
                f,
                "it has failed too often and is tried again in {} s",
                rest.as_secs() + 1
            ),
            Self::Overloaded => {
                f.write_str("the host has no sandbox, or no memory for it, free; try again shortly")
            }
        }
    }
}
