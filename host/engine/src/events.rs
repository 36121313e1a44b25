//! What the engine tells of while it serves: stops, and usage that comes near a limit of an instance.

use cloudware_capability::Identity;
use cloudware_types::{Limit, RecordedOne, Stop, Trace};

use crate::{HookChanged, HookFailed, ShadowCompared};

/// Is told of what happens to invocations. Called on the request path, from many threads at once: must not
/// block, and costs memory that does not grow with the number of calls.
pub trait Observer: Send + Sync + 'static {
    /// An invocation was stopped or refused. Called once for each stop that a caller may see, and for those
    /// that happen after the answer began. `request_id` is empty where none is known.
    fn stopped(&self, identity: &Identity, stop: &Stop, request_id: &str);

    /// A run, or its instance, has used most of what `limit` allows: `used` of `max`, in the limit's unit.
    /// Called for each answer of which that is true.
    fn near_limit(&self, identity: &Identity, limit: Limit, used: u64, max: u64);

    /// A hook that the install of `identity` asked gave no answer. Called each time.
    fn hook_failed(&self, identity: &Identity, failed: &HookFailed);

    /// A hook on a point of the install of `identity` was tripped, is tried again, or works again.
    fn hook_changed(&self, identity: &Identity, changed: &HookChanged);

    /// A hook that only practises was compared. Called each time.
    fn shadow_compared(&self, identity: &Identity, compared: ShadowCompared);

    /// A request of which several runs were part has ended, with everything that ran for it.
    fn traced(&self, trace: Trace);

    /// A call of the install of `identity`, which is recorded, has ended. Called for a bounded number of calls of
    /// each recording.
    fn recorded(&self, identity: &Identity, recorded: RecordedOne);
}

/// An observer for hosts where nobody asks for stops, such as benches.
#[derive(Clone, Copy, Debug, Default)]
pub struct NobodyObserves;

impl Observer for NobodyObserves {
    fn stopped(&self, _identity: &Identity, _stop: &Stop, _request_id: &str) {}

    fn near_limit(&self, _identity: &Identity, _limit: Limit, _used: u64, _max: u64) {}

    fn hook_failed(&self, _identity: &Identity, _failed: &HookFailed) {}

    fn hook_changed(&self, _identity: &Identity, _changed: &HookChanged) {}

    fn shadow_compared(&self, _identity: &Identity, _compared: ShadowCompared) {}

    fn traced(&self, _trace: Trace) {}

    fn recorded(&self, _identity: &Identity, _recorded: RecordedOne) {}
}
