//! What is told of hooks and composed requests, gathered in bounded memory until the control plane takes it.

use std::collections::HashMap;

use cloudware_capability::Identity;
use cloudware_engine::{HookChanged, HookFailed, ShadowCompared};
use cloudware_types::{HookId, InstanceId, Trace};
use parking_lot::Mutex;

/// Hooks of which something is told between two flushes. Each costs some hundred bytes.
const HOOKS_MAX: usize = 10_000;

/// Changes of breakers between two flushes. A hook changes once a minute at most.
const CHANGES_MAX: usize = 1_024;

/// Differences of one practising hook between two flushes; those beyond are counted.
const DIFFERENCES_PER_HOOK_MAX: usize = 5;

/// Traces of one instance between two flushes: a sample, so that a busy instance does not hide a quiet one.
const TRACES_PER_INSTANCE_MAX: usize = 20;

/// Traces of all instances between two flushes: some megabytes at most.
const TRACES_MAX: usize = 1_000;

/// A change of a breaker, with when and where it happened.
#[derive(Clone, Debug)]
pub(crate) struct ChangeSeen {
    pub(crate) at_ms: u64,
    pub(crate) identity: Seen,
    pub(crate) changed: HookChanged,
}

/// The part of an identity that tells where something happened.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) tenant: cloudware_types::TenantId,
    pub(crate) instance: InstanceId,
    /// As people call it, `acme/main`.
    pub(crate) instance_name: String,
}

/// What was seen of one hook.
#[derive(Clone, Debug, Default)]
pub(crate) struct HookSeen {
    /// Calls that gave no answer.
    pub(crate) failures: u64,
    /// The last of them, with when it was.
    pub(crate) last_failure: Option<(u64, String)>,
    /// How often it was compared while it practised.
    pub(crate) compared: u64,
    /// How often it differed.
    pub(crate) different: u64,
    /// Some of the differences, with when they were.
    pub(crate) differences: Vec<(u64, ShadowCompared)>,
}

/// Gathers.
#[derive(Default)]
pub(crate) struct HookWatch {
    hooks: Mutex<HashMap<HookId, HookSeen>>,
    changes: Mutex<Vec<ChangeSeen>>,
    traces: Mutex<Traces>,
}

#[derive(Default)]
struct Traces {
    kept: Vec<Trace>,
    by_instance: HashMap<InstanceId, usize>,
}

impl Seen {
    fn of(identity: &Identity) -> Self {
        Self {
            tenant: identity.tenant,
            instance: identity.instance,
            instance_name: format!("{}/{}", identity.tenant_slug, identity.instance_slug),
        }
    }
}

impl HookWatch {
    pub(super) fn failed(&self, failed: &HookFailed, at_ms: u64) {
        self.note(failed.hook, |seen| {
            seen.failures += 1;
            seen.last_failure = Some((at_ms, failed.reason.clone()));
        });
    }

    pub(super) fn compared(&self, compared: ShadowCompared, at_ms: u64) {
        self.note(compared.hook, |seen| {
            seen.compared += 1;
            if compared.same {
                return;
            }
            seen.different += 1;
            if seen.differences.len() < DIFFERENCES_PER_HOOK_MAX {
                seen.differences.push((at_ms, compared));
            }
        });
    }

    pub(super) fn changed(&self, identity: &Identity, changed: &HookChanged, at_ms: u64) {
        let mut changes = self.changes.lock();
        if changes.len() < CHANGES_MAX {
            changes.push(ChangeSeen {
                at_ms,
                identity: Seen::of(identity),
                changed: changed.clone(),
            });
        } else {
            tracing::warn!(hook = %changed.hook, state = %changed.state, "too many hooks change at once: this change has no event");
        }
    }

    pub(super) fn traced(&self, trace: Trace) {
        let mut traces = self.traces.lock();
        if traces.kept.len() >= TRACES_MAX {
            return;
        }
        let of_instance = traces.by_instance.entry(trace.instance).or_default();
        if *of_instance >= TRACES_PER_INSTANCE_MAX {
            return;
        }
        *of_instance += 1;
        traces.kept.push(trace);
    }

    fn note(&self, hook: HookId, note: impl FnOnce(&mut HookSeen)) {
        let mut hooks = self.hooks.lock();
        if hooks.len() < HOOKS_MAX || hooks.contains_key(&hook) {
            note(hooks.entry(hook).or_default());
        }
    }

    /// Takes what was seen of hooks since the last call.
    pub(crate) fn take_hooks(&self) -> HashMap<HookId, HookSeen> {
        std::mem::take(&mut *self.hooks.lock())
    }

    /// Takes the changes of breakers since the last call, in the order in which they happened.
    pub(crate) fn take_changes(&self) -> Vec<ChangeSeen> {
        std::mem::take(&mut *self.changes.lock())
    }

    /// Takes the traces since the last call.
    pub(crate) fn take_traces(&self) -> Vec<Trace> {
        std::mem::take(&mut *self.traces.lock()).kept
    }
}
