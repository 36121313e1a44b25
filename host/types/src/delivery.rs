//! Deliveries: what each hook is owed of a call of an observe point. They lie in the private database of the
//! instance, and cross to the control plane as these records when somebody asks.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{DeliveryId, HookId, UnknownWord, hook::words};

words! {
    /// How far a delivery has come.
    DeliveryState "state of a delivery" {
        /// It has not been tried yet.
        Pending "pending",
        /// It failed and is tried again when it is due.
        Retrying "retrying",
        /// It was dead, and somebody wants it to be tried again.
        Replayed "replayed",
        /// The hook has taken it.
        Delivered "delivered",
        /// It failed for good, and is kept so that somebody can look at it and replay it.
        Dead "dead",
        /// Nobody wants it any more: its hook was removed, or may fail.
        Dropped "dropped",
    }
}

impl DeliveryState {
    /// Whether it is still to be tried.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Retrying | Self::Replayed)
    }
}

/// One delivery as people see it. Times are milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRecord {
    /// Its id, the same at every attempt; sorts by the time of the call.
    pub id: DeliveryId,
    /// How far it has come.
    pub state: DeliveryState,
    /// The hook that is owed it.
    pub hook: HookId,
    /// What people called the hook when the call was made.
    pub hook_name: String,
    /// The app that called.
    pub app: String,
    /// The extension point that it called.
    pub point: String,
    /// The function of the point.
    pub function: String,
    /// Elements of the lists in the arguments.
    pub items: u64,
    /// The request in which the call was made.
    pub request_id: String,
    /// When the call was made.
    pub created_ms: u64,
    /// When its state last changed.
    pub changed_ms: u64,
    /// When it is tried next; `None` where it is not.
    pub due_ms: Option<u64>,
    /// Attempts since the call, or since it was last replayed.
    pub attempts: u32,
    /// How often it was replayed.
    pub replays: u32,
    /// Why the last attempt failed, or why it was dropped.
    pub reason: Option<String>,
}
