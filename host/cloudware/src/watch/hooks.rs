//! What is told of hooks and composed requests, gathered in bounded memory until the control plane takes it.

use std::collections::HashMap;

use cloudware_control::hook::{Difference, Observation, StateChange};
use cloudware_engine::{HookChanged, HookFailed, ShadowCompared};
use cloudware_types::{HookId, HookOutcome, InstanceId, Trace};
use parking_lot::Mutex;

use super::moment;

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

/// Gathers.
#[derive(Default)]
pub(crate) struct HookWatch {
    hooks: Mutex<HashMap<HookId, Observation>>,
    changes: Mutex<Vec<StateChange>>,
    traces: Mutex<Traces>,
}

#[derive(Default)]
struct Traces {
    kept: Vec<Trace>,
    by_instance: HashMap<InstanceId, usize>,
}

impl HookWatch {
    pub(super) fn failed(&self, failed: &HookFailed, at_ms: u64) {
        // Why a hook that was not called was not is told by its state.
        if failed.outcome == HookOutcome::NotCalled {
            return;
        }
        self.note(failed.hook, |seen| {
            seen.failures += 1;
            seen.last_failure = Some((moment(at_ms), failed.reason.clone()));
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
                seen.differences.push(Difference {
                    at: moment(at_ms),
                    call: compared.call,
                    arguments: compared.arguments,
                    expected: compared.expected,
                    got: compared.got,
                });
            }
        });
    }

    pub(super) fn changed(&self, changed: &HookChanged, at_ms: u64) {
        let mut changes = self.changes.lock();
        if changes.len() < CHANGES_MAX {
            changes.push(StateChange {
                hook: changed.hook,
                at: moment(at_ms),
                state: changed.state,
                failures: u64::from(changed.failures),
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

    fn note(&self, hook: HookId, note: impl FnOnce(&mut Observation)) {
        let mut hooks = self.hooks.lock();
        if hooks.len() < HOOKS_MAX || hooks.contains_key(&hook) {
            note(hooks.entry(hook).or_insert_with(|| Observation {
                hook,
                failures: 0,
                last_failure: None,
                compared: 0,
                different: 0,
                differences: Vec::new(),
            }));
        }
    }

    /// Takes what was seen of hooks since the last call.
    pub(crate) fn take_hooks(&self) -> Vec<Observation> {
        std::mem::take(&mut *self.hooks.lock())
            .into_values()
            .collect()
    }

    /// Takes the changes of breakers since the last call, in the order in which they happened.
    pub(crate) fn take_changes(&self) -> Vec<StateChange> {
        std::mem::take(&mut *self.changes.lock())
    }

    /// Takes the traces since the last call.
    pub(crate) fn take_traces(&self) -> Vec<Trace> {
        std::mem::take(&mut *self.traces.lock()).kept
    }
}
