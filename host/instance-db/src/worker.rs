//! Where SQLite works: on threads of the runtime's blocking pool, never on those that run guests and
//! sockets, because a statement may compute for seconds and a commit waits for the disk.
//!
//! A caller that goes away ends its call: the statement is interrupted, its transaction undone and the
//! lane freed, on the thread where the work runs.

use std::{
    cell::Cell,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::{Error, connection::Cancel, connection::Conn, lane::Lease, memory, scope::Bounds};

/// What a call gave, and how long the database worked for it; waiting is not counted.
#[derive(Debug)]
pub struct Worked<T> {
    /// Time that the database worked, also where the call failed.
    pub worked: Duration,
    /// What the call gave.
    pub result: Result<T, Error>,
}

impl<T> Worked<T> {
    /// A call that was refused before the database worked.
    #[must_use]
    pub fn refused(error: Error) -> Self {
        Self {
            worked: Duration::ZERO,
            result: Err(error),
        }
    }

    /// The same with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Worked<U> {
        Worked {
            worked: self.worked,
            result: self.result.map(change),
        }
    }
}

thread_local! {
    static ON_WORKER: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` here if this thread may wait for the disk, else on one that may.
pub(crate) fn off_async_threads(work: impl FnOnce() + Send + 'static) {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) if !ON_WORKER.get() => {
            runtime.spawn_blocking(work);
        }
        _ => work(),
    }
}

/// Marks a blocking thread while it works, and marks it free again when it is done or panics.
struct OnWorker;

impl OnWorker {
    fn enter() -> Self {
        ON_WORKER.set(true);
        Self
    }
}

impl Drop for OnWorker {
    fn drop(&mut self) {
        ON_WORKER.set(false);
    }
}

/// Cancels the call when its caller goes away.
struct CancelOnDrop(Option<Arc<Cancel>>);

impl CancelOnDrop {
    /// The call has been answered: there is nothing left to cancel.
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(cancel) = &self.0 {
            cancel.cancel();
        }
    }
}

/// Runs `work` on the lease's connection, opened if need be, within `bounds`. The lease comes back
/// with the answer; it is gone where the work panicked.
pub(crate) async fn run<R, F>(lease: Lease, bounds: Bounds, work: F) -> (Option<Lease>, Worked<R>)
where
    R: Send + 'static,
    F: FnOnce(&mut Conn) -> Result<R, Error> + Send + 'static,
{
    let database = Arc::clone(lease.database());
    let Ok(permit) = Arc::clone(&database.shared.workers).acquire_owned().await else {
        return (Some(lease), Worked::refused(closed_down()));
    };
    let (answer, mut answered) = oneshot::channel();
    let cancel = Arc::new(Cancel::default());
    // Dropped before `answered`: while the interrupt is sent, the lease is either at work or in the
    // channel, so it can't hit a later call on the same connection.
    let guard = CancelOnDrop(Some(Arc::clone(&cancel)));
    tokio::task::spawn_blocking(move || {
        let _here = OnWorker::enter();
        let mut lease = lease;
        let begun = Instant::now();
        let result = memory::bounded(bounds.memory_bytes_max, || {
            let conn = lease.connection()?;
            conn.start_clock(bounds.time_max, Some(cancel));
            work(conn)
        });
        let worked = begun.elapsed();
        drop(permit);
        // Nobody waits any more: the lease is dropped here, which undoes what it had begun.
        let _ = answer.send((lease, Worked { worked, result }));
    });
    let answered = (&mut answered).await;
    guard.disarm();
    match answered {
        Ok((lease, mut worked)) => {
            worked.result = worked.result.map_err(|error| database.report(error));
            (Some(lease), worked)
        }
        Err(_) => {
            let error = Error::Unavailable("a call of the database panicked".into());
            (None, Worked::refused(database.report(error)))
        }
    }
}

fn closed_down() -> Error {
    Error::Unavailable("the host is shutting down".into())
}
