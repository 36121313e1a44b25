//! One attempt, and what becomes of the delivery by it.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use cloudware_types::{DeliveryId, DesiredHook, InstanceId, OnFailure};
use futures_util::FutureExt as _;
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    Deliver, Delivery, DeliveryEvent, DeliveryFailure, Happened, HookPlace, Outlook,
    backoff::next_due_ms,
    clock::millis,
    limits::{ATTEMPT_GRACE, NOT_TRIED_PAUSE_MIN, REASON_CHARS_MAX, RETRY_AFTER_MAX},
    rows::{Ending, Settled},
};

/// An attempt that has ended.
#[derive(Debug)]
pub(crate) struct Attempted {
    pub(crate) id: DeliveryId,
    pub(crate) hook: Arc<DesiredHook>,
    /// The app that is told of, and its extension point.
    pub(crate) point: (String, String),
    /// Which attempt it was.
    pub(crate) attempt: u32,
    pub(crate) result: Result<(), DeliveryFailure>,
}

/// Makes an attempt, whatever it does. The place is kept for as long.
pub(crate) async fn attempt(
    target: Arc<dyn Deliver>,
    delivery: Delivery,
    _place: OwnedSemaphorePermit,
) -> Attempted {
    let longest = Duration::from_millis(delivery.hook.deadline_ms) + ATTEMPT_GRACE;
    let attempt = AssertUnwindSafe(target.deliver(&delivery)).catch_unwind();
    let result = match tokio::time::timeout(longest, attempt).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(DeliveryFailure::retryable(
            "the platform failed while it told the hook; the operator's log says more",
        )),
        Err(_) => Err(DeliveryFailure::retryable(format!(
            "the hook did not end within {} s",
            longest.as_secs()
        ))),
    };
    Attempted {
        id: delivery.id,
        hook: delivery.hook,
        point: (delivery.call.app, delivery.call.point),
        attempt: delivery.attempt,
        result,
    }
}

impl Attempted {
    /// What is noted of it.
    pub(crate) fn settle(&self, now_ms: u64) -> Settled {
        let (attempt, ending) = match &self.result {
            Ok(()) => (self.attempt, Ending::Delivered),
            Err(failure) => match failure.outlook {
                Outlook::NotTried { after } => {
                    let due_ms = now_ms + millis(after.clamp(NOT_TRIED_PAUSE_MIN, RETRY_AFTER_MAX));
                    let reason = reason(failure);
                    (self.attempt - 1, Ending::Retry { due_ms, reason })
                }
                _ => (self.attempt, self.failed(failure, now_ms)),
            },
        };
        Settled {
            id: self.id,
            attempt,
            ending,
        }
    }

    fn failed(&self, failure: &DeliveryFailure, now_ms: u64) -> Ending {
        let reason = reason(failure);
        if self.hook.on_failure == OnFailure::Skip {
            return Ending::Dropped { reason };
        }
        let again = match failure.outlook {
            Outlook::Retry { after } => next_due_ms(now_ms, self.attempt, after),
            Outlook::NotTried { .. } | Outlook::Never | Outlook::Gone => None,
        };
        match again {
            Some(due_ms) => Ending::Retry { due_ms, reason },
            None => Ending::Dead { reason },
        }
    }

    /// What others hear of it, once `settled` is on disk.
    pub(crate) fn happened(&self, settled: &Settled) -> Vec<Happened> {
        let mut happened = Vec::new();
        match &settled.ending {
            Ending::Dead { reason } => happened.push(Happened::Dead {
                delivery: self.id,
                reason: reason.clone(),
            }),
            Ending::Dropped { reason } => happened.push(Happened::Dropped {
                count: 1,
                delivery: Some(self.id),
                reason: reason.clone(),
            }),
            Ending::Delivered | Ending::Retry { .. } => {}
        }
        if let Err(failure) = &self.result
            && failure.outlook == Outlook::Gone
        {
            happened.push(Happened::Gone {
                delivery: self.id,
                reason: failure.reason.clone(),
            });
        }
        happened
    }

    /// An event of its hook.
    pub(crate) fn event(&self, instance: InstanceId, happened: Happened) -> DeliveryEvent {
        DeliveryEvent {
            instance,
            hook: HookPlace {
                id: self.hook.id,
                app: self.point.0.clone(),
                point: self.point.1.clone(),
                name: self.hook.name.to_string(),
            },
            happened,
        }
    }
}

/// The reason as it is kept.
fn reason(failure: &DeliveryFailure) -> String {
    failure.reason.chars().take(REASON_CHARS_MAX).collect()
}
