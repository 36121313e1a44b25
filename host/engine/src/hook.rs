//! Hooks: what an app calls of others. An app imports an interface of its own package; the instance's hooks on that
//! extension point fill it, each in a sandbox of its own with its own limits, by the rules of the point's kind
//! ([`cloudware_types::PointKind`]). The same way leads to interfaces that other apps of the instance offer.
//!
//! A hook that fails never takes its caller with it: its policy decides what the caller gets, the breaker decides
//! whether it is called again, and the trace of the request tells who used what.

mod access;
mod answer;
mod breaker;
mod composition;
mod deferred;
mod direct;
mod dispatch;
mod failure;
mod link;
mod nested;
mod outside;
mod peers;
mod shadow;
mod size;
mod slices;
mod time;
mod value;

use std::sync::{Arc, OnceLock};

use cloudware_types::{BreakerState, HookId, HookOutcome};
use dashmap::DashMap;
use serde_json::Value;
use tokio::sync::Semaphore;

pub use deferred::{Delivery, DeliveryError};
pub use direct::{DirectAnswer, DirectCall, Replay};
pub use outside::{NothingOutside, Observed, Outbox, WebhookCall, WebhookFailed, Webhooks};
pub use peers::Peers;
pub use value::ValueError;

pub(crate) use access::find as find_access;
pub(crate) use composition::{CallContext, Composition, Ended, SpanStart, Who};
pub(crate) use failure::Failure;
pub(crate) use link::linker_of;
pub(crate) use peers::{BoundHook, BoundPoint, Own};
pub(crate) use value::{arguments as function_arguments, from_json, to_json};

use self::{
    access::AccessTypes,
    breaker::{Breaker, Change},
};
use crate::{BoundInstall, limits::SHADOW_RUNS_MAX};

/// A call of a hook that gave no answer.
#[derive(Clone, Debug)]
pub struct HookFailed {
    /// The hook.
    pub hook: HookId,
    /// What people call it.
    pub name: Arc<str>,
    /// The extension point, as `app/point`.
    pub point: String,
    /// Whether it failed or was not called.
    pub outcome: HookOutcome,
    /// Whether it is an endpoint that said that it is gone for good.
    pub is_gone: bool,
    /// Why, for people.
    pub reason: String,
}

/// A hook was tripped, is tried again, or works again.
#[derive(Clone, Debug)]
pub struct HookChanged {
    /// The hook.
    pub hook: HookId,
    /// What people call it.
    pub name: Arc<str>,
    /// The extension point, as `app/point`.
    pub point: String,
    /// What it is now.
    pub state: BreakerState,
    /// Failures among its last hundred calls when that happened.
    pub failures: u32,
}

/// What a hook that only practises said, beside what was used.
#[derive(Clone, Debug)]
pub struct ShadowCompared {
    /// The hook.
    pub hook: HookId,
    /// The function, `app/point.function`.
    pub call: String,
    /// Whether both are the same.
    pub same: bool,
    /// The arguments by the names of their parameters.
    pub arguments: Value,
    /// What was used.
    pub expected: Value,
    /// What it said, or `{"failed": "why"}`.
    pub got: Value,
}

/// What all hooks of a host share.
pub(crate) struct Hooks {
    breakers: DashMap<HookId, Arc<Breaker>>,
    pub(crate) outbox: Arc<dyn Outbox>,
    pub(crate) webhooks: Arc<dyn Webhooks>,
    shadows: Arc<Semaphore>,
    /// Read when the first hook on data is bound.
    access_types: OnceLock<Arc<AccessTypes>>,
}

impl Hooks {
    pub(crate) fn new(outbox: Arc<dyn Outbox>, webhooks: Arc<dyn Webhooks>) -> Self {
        Self {
            breakers: DashMap::new(),
            outbox,
            webhooks,
            shadows: Arc::new(Semaphore::new(SHADOW_RUNS_MAX)),
            access_types: OnceLock::new(),
        }
    }

    /// The types of what the platform itself asks of hooks.
    fn access_types(&self, engine: &wasmtime::Engine) -> Arc<AccessTypes> {
        let read =
            || AccessTypes::read(engine).expect("the platform's own WIT has these functions");
        Arc::clone(self.access_types.get_or_init(|| Arc::new(read())))
    }

    /// The breaker of a hook, a new one where it calls something else than before or was bound nowhere meanwhile: who
    /// enables it again has looked at it.
    fn breaker(&self, hook: HookId, target: String) -> Arc<Breaker> {
        let mut known = self
            .breakers
            .entry(hook)
            .or_insert_with(|| Arc::new(Breaker::new(target.clone())));
        if known.target() != target || Arc::strong_count(&known) == 1 {
            *known = Arc::new(Breaker::new(target));
        }
        Arc::clone(&known)
    }

    /// Forgets hooks that are no longer bound.
    pub(crate) fn forget_unbound(&self) {
        self.breakers
            .retain(|_, breaker| Arc::strong_count(breaker) > 1);
    }

    /// Tells of a change of a breaker.
    fn tell(&self, owner: &BoundInstall, point: &BoundPoint, hook: &BoundHook, change: Change) {
        let changed = HookChanged {
            hook: hook.desired.id,
            name: Arc::clone(&hook.desired.name),
            point: point.path(),
            state: change.state,
            failures: change.failures,
        };
        owner.observer.hook_changed(&owner.identity, &changed);
    }
}
