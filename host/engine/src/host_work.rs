//! What the host works for a guest between two points where the guest lets others run. It burns no fuel, which alone
//! brings a guest to such a point; so one whose calls of the host have taken long is brought to the next one at once. And
//! what the host holds for the guest since: every few calls it is looked at what is behind its handles.

use cloudware_capability::{Invocation, LimitReached};
use cloudware_types::Dimension;
use wasmtime::{CallHook, Store, StoreContextMut};

use crate::{
    clock::{coarse, millis, thread_moment},
    held,
    limits::{CALL_HELD_MAX, CALLS_UNSEEN_MIN, HOST_WORK_MAX, STAY_MAX, UNSEEN_PART},
};

/// Watches the calls of the host that a guest makes which yields each `interval` of fuel.
pub(crate) fn watch(store: &mut Store<Invocation>, interval: u64) {
    let mut watch = Watch {
        interval,
        entered_in: 0,
        looked_at: 0,
        calls_unseen: 0,
        calls_unseen_max: CALLS_UNSEEN_MIN,
        handles: 0,
    };
    store.call_hook(move |store, hook| match hook {
        CallHook::CallingHost => watch.enter(store),
        CallHook::ReturningFromHost => watch.leave(store),
        CallHook::CallingWasm | CallHook::ReturningFromWasm => Ok(()),
    });
}

struct Watch {
    interval: u64,
    /// The poll in which the host was last called.
    entered_in: u64,
    /// When it was last looked whether the run is over its time.
    looked_at: u64,
    /// Calls of the host since it was looked at what is behind handles.
    calls_unseen: u64,
    /// How many there may be.
    calls_unseen_max: u64,
    /// The most handles that were seen: the table keeps their places, and a look passes all of them.
    handles: u64,
}

impl Watch {
    fn enter(&mut self, mut store: StoreContextMut<'_, Invocation>) -> wasmtime::Result<()> {
        let left = store.get_fuel()?;
        let invocation = store.data_mut();
        invocation.enter_host();
        invocation.progress().note_fuel_left(left);
        self.entered_in = invocation.progress().slice();
        Ok(())
    }

    fn leave(&mut self, mut store: StoreContextMut<'_, Invocation>) -> wasmtime::Result<()> {
        let invocation = store.data_mut();
        let is_function = invocation.leave_host();
        // Not where the engine has done something for an instruction, which gives no handles: it may have failed, and the engine
        // takes no second failure of it.
        if is_function {
            self.calls_unseen += 1;
            if self.calls_unseen >= self.calls_unseen_max {
                self.look(invocation)?;
            }
        }
        let progress = invocation.progress();
        let now = coarse();
        let is_long = now.saturating_sub(progress.slice_began()) >= HOST_WORK_MAX.as_nanos() as u64;
        if is_long
            && !progress.has_host_worked_long()
            && progress.cpu_of_stay(&thread_moment()) >= STAY_MAX.as_nanos() as u64
        {
            progress.host_worked_long();
        }
        // The count of fuel is the guest's own, in a register, while the engine does something for an instruction by
        // itself: it may be set behind calls of functions, and where the guest has yielded, for which it was stored.
        // No other instruction that the engine knows waits for anything; with garbage collection one would.
        if is_function || progress.slice() != self.entered_in {
            if progress.hurry(is_long) {
                let interval = if is_long { 1 } else { self.interval };
                store.fuel_async_yield_interval(Some(interval))?;
            }
        } else if is_long && now != self.looked_at {
            self.looked_at = now;
            // The copy of a text from one component to another is not told apart from such an instruction.
            check(invocation)?;
        }
        Ok(())
    }
}

impl Watch {
    /// Counts what the host holds behind the handles of the run.
    fn look(&mut self, invocation: &mut Invocation) -> wasmtime::Result<()> {
        let found = held::look(&mut invocation.table);
        self.handles = self.handles.max(found.handles);
        let latest = invocation.limit(Dimension::Memory) / UNSEEN_PART / CALL_HELD_MAX;
        self.calls_unseen_max = (self.handles / 4).min(latest).max(CALLS_UNSEEN_MIN);
        self.calls_unseen = 0;
        invocation.memory.find(found.bytes)
    }
}

/// Ends a run that is over its time, and does not come to a point where that is looked at.
fn check(invocation: &mut Invocation) -> Result<(), LimitReached> {
    let progress = invocation.progress();
    let cpu = progress.cpu_own() + progress.cpu_of_stay(&thread_moment());
    let used = [
        (Dimension::CpuTime, cpu / 1_000_000),
        (Dimension::Deadline, millis(invocation.elapsed())),
    ];
    for (dimension, used) in used {
        let max = invocation.limit(dimension);
        if used > max {
            return Err(invocation.reached(dimension, used, max));
        }
    }
    Ok(())
}
