//! What can be seen of a running invocation from outside its store: the host call it waits in, the
//! CPU it has used, the request body it was given. Shared between the run and whoever drives it.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use cloudware_types::StopCause;

/// Shared, cheap to update, never a point of contention: one invocation writes.
#[derive(Debug, Default)]
pub struct Progress {
    cpu_nanoseconds: AtomicU64,
    request_bytes: AtomicU64,
    host_call: Mutex<Option<&'static str>>,
    stop: Mutex<Option<StopCause>>,
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

    /// Adds CPU time used inside the sandbox.
    pub fn add_cpu(&self, nanoseconds: u64) {
        self.cpu_nanoseconds
            .fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// CPU time used inside the sandbox so far, in nanoseconds.
    #[must_use]
    pub fn cpu_nanoseconds(&self) -> u64 {
        self.cpu_nanoseconds.load(Ordering::Relaxed)
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
        self.request_bytes.store(0, Ordering::Relaxed);
        *lock(&self.host_call) = None;
        *lock(&self.stop) = None;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
