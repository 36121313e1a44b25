//! What can be seen of a running invocation from outside its store: the host call it waits in, and
//! the CPU it has used. Shared between the run and whoever times it.

use std::sync::atomic::{AtomicU64, Ordering};

use std::sync::Mutex;

/// Shared, cheap to update, never a point of contention: one invocation writes.
#[derive(Debug, Default)]
pub struct Progress {
    cpu_nanoseconds: AtomicU64,
    host_call: Mutex<Option<&'static str>>,
}

impl Progress {
    /// Notes the host call that the guest is in.
    pub(crate) fn enter(&self, name: &'static str) {
        *self.lock() = Some(name);
    }

    /// Notes that the guest is back in its own code.
    pub(crate) fn leave(&self) {
        *self.lock() = None;
    }

    /// The host call that the guest is in, for example `sql.query`.
    #[must_use]
    pub fn host_call(&self) -> Option<&'static str> {
        *self.lock()
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

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<&'static str>> {
        self.host_call
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
