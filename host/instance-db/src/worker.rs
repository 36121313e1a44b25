//! One call on a thread of the [`crate::pool`], waited for by its caller.
//!
//! A caller that goes away ends its call: one that waits for a thread never begins; otherwise the
//! statement is interrupted, its transaction undone and the lane freed, on the thread where the work runs.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::{
    Database, Error,
    connection::{Cancel, Conn},
    lane::Lease,
    memory, processors,
    scope::Bounds,
};

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

/// Ends the call when its caller goes away.
struct EndOnDrop<'d> {
    database: &'d Database,
    cancel: Option<Arc<Cancel>>,
    ticket: Option<u64>,
}

impl EndOnDrop<'_> {
    /// The call has been answered: there is nothing left to end.
    fn disarm(mut self) {
        self.cancel = None;
    }
}

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(cancel) = &self.cancel {
            cancel.cancel();
            let pool = &self.database.shared.pool;
            let waiting = self
                .ticket
                .and_then(|ticket| pool.forget(self.database.id, ticket));
            drop(waiting);
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
    let weight = lease.holder().weight();
    let (answer, mut answered) = oneshot::channel();
    let cancel = Arc::new(Cancel::default());
    let cancelled = Arc::clone(&cancel);
    let job = move || {
        let mut lease = lease;
        let begun = Instant::now();
        let result = memory::bounded(bounds.memory_bytes_max, || {
            let conn = lease.connection()?;
            conn.start_clock(bounds.time_max, Some(cancelled));
            work(conn)
        });
        let worked = begun.elapsed().saturating_sub(processors::waited());
        // Nobody waits any more: the lease is dropped here, which undoes what it had begun.
        let _ = answer.send((lease, Worked { worked, result }));
    };
    let ticket = database
        .shared
        .pool
        .submit(database.id, weight, Box::new(job));
    // Dropped before `answered`: while the interrupt is sent, the lease is either waiting, at work or
    // in the channel, so it can't hit a later call on the same connection.
    let guard = EndOnDrop {
        database: &database,
        cancel: Some(cancel),
        ticket,
    };
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
