//! What the host works for a guest between two points where the guest lets others run. It burns no fuel, which brings
//! a guest that computes to such a point; so one whose calls of the host have taken long is brought to the next one at once. And
//! what the host holds for the guest since: every few calls it is looked at what is behind its handles.

use std::{future::poll_fn, mem::replace, task::Poll};

use cloudware_capability::Invocation;
use cloudware_types::Dimension;
use parking_lot::Mutex;
use wasmtime::{CallHook, CallHookHandler, Store, StoreContextMut};

use crate::{
    clock::{coarse, thread_moment},
    held,
    limits::{CALL_HELD_MAX, CALLS_UNSEEN_MIN, HOST_WORK_MAX, STAY_MAX, UNSEEN_PART},
};

/// Watches the calls of the host that a guest makes which yields each `interval` of fuel. One that `is_copied_for` also lets
/// others run where the engine copies for it by itself.
pub(crate) fn watch(store: &mut Store<Invocation>, interval: u64, is_copied_for: bool) {
    let mut watch = Watch {
        interval,
        entered_in: 0,
        calls_unseen: 0,
        calls_unseen_max: CALLS_UNSEEN_MIN,
        handles: 0,
    };
    if is_copied_for {
        // A future for each call costs what only such components have to pay.
        store.call_hook_async(Yielding(Mutex::new(watch)));
    } else {
        store.call_hook(move |store, hook| watch.see(store, hook).map(|_| ()));
    }
}

/// Lets others run also where no fuel brings the guest to a point for it.
struct Yielding(Mutex<Watch>);

#[async_trait::async_trait]
impl CallHookHandler<Invocation> for Yielding {
    async fn handle_call_event(
        &self,
        store: StoreContextMut<'_, Invocation>,
        hook: CallHook,
    ) -> wasmtime::Result<()> {
        let after = self.0.lock().see(store, hook)?;
        if after == After::Others {
            let mut have_run = false;
            poll_fn(|cx| {
                if replace(&mut have_run, true) {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
        }
        Ok(())
    }
}

/// Who is to run after a call of the host.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    /// The guest, until its fuel brings it to a point where others may.
    Guest,
    /// Others: nothing else brings the guest to such a point.
    Others,
}

struct Watch {
    interval: u64,
    /// The poll in which the host was last called.
    entered_in: u64,
    /// Calls of the host since it was looked at what is behind handles.
    calls_unseen: u64,
    /// How many there may be.
    calls_unseen_max: u64,
    /// The most handles that were seen: the table keeps their places, and a look passes all of them.
    handles: u64,
}

impl Watch {
    fn see(
        &mut self,
        store: StoreContextMut<'_, Invocation>,
        hook: CallHook,
    ) -> wasmtime::Result<After> {
        match hook {
            CallHook::CallingHost => self.enter(store).map(|()| After::Guest),
            CallHook::ReturningFromHost => self.leave(store),
            CallHook::CallingWasm | CallHook::ReturningFromWasm => Ok(After::Guest),
        }
    }

    fn enter(&mut self, mut store: StoreContextMut<'_, Invocation>) -> wasmtime::Result<()> {
        let left = store.get_fuel()?;
        let invocation = store.data_mut();
        invocation.enter_host();
        invocation.progress().note_fuel_left(left);
        self.entered_in = invocation.progress().slice();
        Ok(())
    }

    fn leave(&mut self, mut store: StoreContextMut<'_, Invocation>) -> wasmtime::Result<After> {
        let invocation = store.data_mut();
        let is_function = invocation.leave_host();
        // What the engine does for an instruction by itself gives no handles.
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
        if is_function || progress.slice() != self.entered_in {
            if progress.hurry(is_long) {
                let interval = if is_long { 1 } else { self.interval };
                store.fuel_async_yield_interval(Some(interval))?;
            }
            return Ok(After::Guest);
        }
        // A copy is not told apart from such an instruction.
        Ok(if is_long { After::Others } else { After::Guest })
    }

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
