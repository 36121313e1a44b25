//! What can be seen of a running invocation from outside its store: the host call it waits in, the
//! CPU it has used, the request body it was given. Shared between the run and whoever drives it.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use cloudware_types::StopCause;

/// Shared, cheap to update, never a point of contention: one invocation writes.
#[derive(Debug)]
pub struct Progress {
    cpu_nanoseconds: AtomicU64,
    /// The thread's CPU clock when it last entered the sandbox.
    entered: AtomicU64,
    request_bytes: AtomicU64,
    host_call: Mutex<Option<&'static str>>,
    stop: Mutex<Option<StopCause>>,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            cpu_nanoseconds: AtomicU64::new(0),
            entered: AtomicU64::new(u64::MAX),
            request_bytes: AtomicU64::new(0),
            host_call: Mutex::new(None),
            stop: Mutex::new(None),
        }
    }
}

impl Progress {
    /// Notes the host call that the guest is in.
    pub(crate) fn enter(&self, name: &'static str) {
        *lock(&self.host_call) = Some(name);
    }

    /// Notes that the guest is back in its own code.
    pub(crate) fn leave(&self) {
        *lock(&self.host_call) = None;
    }

    /// The host call that the guest is in, for example `sql.query`.
    #[must_use]
    pub fn host_call(&self) -> Option<&'static str> {
        *lock(&self.host_call)
    }

    /// Notes that a thread enters the sandbox; `clock` is its CPU clock in nanoseconds.
    pub fn cpu_enter(&self, clock: u64) {
        self.entered.store(clock, Ordering::Relaxed);
    }

    /// Notes that the thread leaves the sandbox, and adds the CPU time that it spent there.
    pub fn cpu_leave(&self, clock: u64) {
        let spent = clock.saturating_sub(self.entered.swap(u64::MAX, Ordering::Relaxed));
        self.cpu_nanoseconds.fetch_add(spent, Ordering::Relaxed);
    }

    /// CPU time used inside the sandbox so far, in nanoseconds. Where called from inside, `clock`
    /// is this thread's CPU clock, so that the stay that has not ended counts too.
    #[must_use]
    pub fn cpu_nanoseconds(&self, clock: u64) -> u64 {
        let stay = clock.saturating_sub(self.entered.load(Ordering::Relaxed));
        self.cpu_nanoseconds.load(Ordering::Relaxed) + stay
    }

    /// Adds bytes of the request body that were handed to the guest, and returns the new sum.
    pub fn add_request_bytes(&self, bytes: u64) -> u64 {
        self.request_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes
    }

    /// Bytes of the request body that were handed to the guest.
    #[must_use]
    pub fn request_bytes(&self) -> u64 {
        self.request_bytes.load(Ordering::Relaxed)
    }

    /// Records why the invocation must end, from outside its store. The first cause wins.
    pub fn stop(&self, cause: StopCause) {
        lock(&self.stop).get_or_insert(cause);
    }

    /// The recorded cause.
    #[must_use]
    pub fn take_stop(&self) -> Option<StopCause> {
        lock(&self.stop).take()
    }

    /// Forgets everything, before the sandbox serves another request.
    pub(crate) fn reset(&self) {
        self.cpu_nanoseconds.store(0, Ordering::Relaxed);
        self.entered.store(u64::MAX, Ordering::Relaxed);
        self.request_bytes.store(0, Ordering::Relaxed);
        *lock(&self.host_call) = None;
        *lock(&self.stop) = None;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
