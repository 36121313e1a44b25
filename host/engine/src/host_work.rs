//! What the host works for a guest between two points where the guest lets others run. It burns no fuel, which alone
//! brings a guest to such a point; so one whose calls of the host have taken long is brought to the next one at once.

use cloudware_capability::Invocation;
use wasmtime::{CallHook, Store, StoreContextMut};

use crate::{
    clock::{coarse, thread_moment},
    limits::{HOST_WORK_MAX, STAY_MAX},
};

/// Watches the calls of the host that a guest makes which yields each `interval` of fuel.
pub(crate) fn watch(store: &mut Store<Invocation>, interval: u64) {
    let mut watch = Watch {
        interval,
        entered_in: 0,
        is_hurried: false,
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
    /// Whether the guest yields at the next point where it can.
    is_hurried: bool,
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
        let progress = invocation.progress();
        // The count of fuel is the guest's own, in a register, while the engine does something for an instruction by
        // itself: it may be set behind calls of functions, and where the guest has yielded, for which it was stored.
        if !is_function && progress.slice() == self.entered_in {
            return Ok(());
        }
        let passed = coarse().saturating_sub(progress.slice_began());
        let is_long = passed >= HOST_WORK_MAX.as_nanos() as u64;
        if is_long && progress.cpu_of_stay(&thread_moment()) >= STAY_MAX.as_nanos() as u64 {
            progress.host_worked_long();
        }
        if is_long != self.is_hurried {
            self.is_hurried = is_long;
            let interval = if is_long { 1 } else { self.interval };
            store.fuel_async_yield_interval(Some(interval))?;
        }
        Ok(())
    }
}
