//! The contract between the queue and whatever hands a delivery on.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use cloudware_types::{DeliveryId, DesiredHook, InstanceId};
use serde_json::Value;

/// A call of an extension point, as it is told outside of the caller's sandbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The app that calls.
    pub app: String,
    /// Its extension point.
    pub point: String,
    /// The interface that it calls, with its version.
    pub interface: String,
    /// The function of that interface.
    pub function: String,
    /// The arguments by the parameters' names: a JSON object.
    pub arguments: Value,
    /// Elements of the lists in the arguments.
    pub items: u64,
    /// The request in which it calls.
    pub request_id: String,
}

/// One attempt to tell a hook.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The same at every attempt, so that a receiver knows what it has seen already.
    pub id: DeliveryId,
    /// The instance whose app called.
    pub instance: InstanceId,
    /// The hook as it is now, which may be another version of it than at the time of the call.
    pub hook: Arc<DesiredHook>,
    /// What it is told.
    pub call: Call,
    /// When the call was made, in milliseconds since the Unix epoch.
    pub called_ms: u64,
    /// Which attempt this is, from 1.
    pub attempt: u32,
}

/// Hands deliveries on.
#[async_trait]
pub trait Deliver: Send + Sync + 'static {
    /// Tells the hook once, within its deadline. Called for each attempt, several at the same time; may wait. The
    /// delivery counts as made if and only if this succeeds. Dropped when the host stops, and the
    /// delivery is repeated after the next start.
    async fn deliver(&self, delivery: &Delivery) -> Result<(), DeliveryFailure>;
}

/// Why an attempt failed, and what that says about the next one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct DeliveryFailure {
    /// What was wrong, in words for the tenant.
    pub reason: String,
    /// Whether another attempt may succeed.
    pub outlook: Outlook,
}

/// What a failure says about further attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// One may succeed; not before this pause, where the hook asked for one.
    Retry {
        /// What the hook asked for.
        after: Option<Duration>,
    },
    /// Nothing was tried, because the hook rests or the host is full: it does not count as an attempt.
    NotTried {
        /// When it may be tried.
        after: Duration,
    },
    /// None will: the delivery itself is not acceptable.
    Never,
    /// None will, because the hook says that it is gone for good.
    Gone,
}

impl DeliveryFailure {
    /// A failure after which the next attempt may succeed.
    #[must_use]
    pub fn retryable(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            outlook: Outlook::Retry { after: None },
        }
    }

    /// A failure after which no attempt will succeed.
    #[must_use]
    pub fn never(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            outlook: Outlook::Never,
        }
    }
}
