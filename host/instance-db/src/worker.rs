//! One call on a thread of the [`crate::pool`], waited for by its caller.
//!
//! A caller that goes away ends its call: one that waits for a thread never begins; otherwise the
//! statement is interrupted, its transaction undone and the lane freed, on the thread where the work runs; one that has
//! ended by then stays done. What it took is told to whoever the holder has named ([`OnAbandoned`]).

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::oneshot::{self, error::RecvError};

use crate::{
    Database, Error,
    connection::{Cancel, Conn, RowCount},
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

/// What a call took whose caller went away before the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Abandoned {
    /// Time that the database worked.
    pub worked: Duration,
    /// Rows that its statement gave; none where it failed or was interrupted.
    pub rows_read: u64,
    /// Rows that its statement changed, also where its transaction was undone because of that; none where it failed or was
    /// interrupted.
    pub rows_written: u64,
}

/// Is told what a call took whose caller went away before the answer, once for each such call and not before it has
/// ended. Must neither wait nor call the database.
#[derive(Clone)]
pub struct OnAbandoned(Arc<dyn Fn(Abandoned) + Send + Sync>);

impl OnAbandoned {
    /// Tells `told`.
    pub fn new(told: impl Fn(Abandoned) + Send + Sync + 'static) -> Self {
        Self(Arc::new(told))
    }

    pub(crate) fn tell(&self, abandoned: Abandoned) {
        (self.0)(abandoned);
    }
}

impl fmt::Debug for OnAbandoned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnAbandoned").finish_non_exhaustive()
    }
}

/// What a call sends back: the lease, and what it gave.
type Answer<R> = (Lease, Worked<R>);

/// Ends the call when its caller goes away.
struct EndOnDrop<'d, R> {
    database: &'d Database,
    cancel: Option<Arc<Cancel>>,
    ticket: Option<u64>,
    answered: oneshot::Receiver<Answer<R>>,
}

impl<R> EndOnDrop<'_, R> {
    /// Waits for the answer; then there is nothing left to end.
    async fn answered(mut self) -> Result<Answer<R>, RecvError> {
        let answered = (&mut self.answered).await;
        self.cancel = None;
        answered
    }
}

impl<R> Drop for EndOnDrop<'_, R> {
    fn drop(&mut self) {
        let Some(cancel) = &self.cancel else {
            return;
        };
        // While the interrupt is sent, the lease is either waiting, at work or in the channel, so it can't hit a later
        // call on the same connection.
        cancel.cancel();
        let pool = &self.database.shared.pool;
        let waiting = self
            .ticket
            .and_then(|ticket| pool.forget(self.database.id, ticket));
        drop(waiting);
        // An answer that came before the channel was closed is here, and a later one stays with the thread.
        self.answered.close();
        if let Ok(answer) = self.answered.try_recv() {
            abandon(answer);
        }
    }
}

/// Nobody waits for the answer any more: says what it took. The lease is dropped, which undoes what was begun.
fn abandon<R>((lease, Worked { worked, result }): Answer<R>) {
    let rows = match result {
        Ok(_) => lease.rows(),
        Err(_) => RowCount::default(),
    };
    lease.holder().abandoned(Abandoned {
        worked,
        rows_read: rows.read,
        rows_written: rows.written,
    });
}

/// Runs `work` on the lease's connection, opened if need be, within `bounds`. The lease comes back
/// with the answer; it is gone where the work panicked.
pub(crate) async fn run<R, F>(lease: Lease, bounds: Bounds, work: F) -> (Option<Lease>, Worked<R>)
where
    R: Send + 'static,
    F: FnOnce(&mut Conn) -> Result<R, Error> + Send + 'static,
{
    let database = Arc::clone(lease.database());
    let of = (database.id, lease.holder().weight());
    let urgency = lease.urgency();
    let (answer, answered) = oneshot::channel();
    let cancel = Arc::new(Cancel::default());
    let cancelled = Arc::clone(&cancel);
    let job = move || {
        let mut lease = lease;
        let begun = Instant::now();
        let result = memory::bounded(bounds.memory_bytes_max, || {
            let conn = lease.connection()?;
            conn.forget_rows();
            conn.start_clock(bounds.time_max, Some(cancelled));
            work(conn)
        });
        let worked = begun.elapsed().saturating_sub(processors::waited());
        if let Err(answer) = answer.send((lease, Worked { worked, result })) {
            abandon(answer);
        }
    };
    let ticket = database.shared.pool.submit(of, urgency, Box::new(job));
    let call = EndOnDrop {
        database: &database,
        cancel: Some(cancel),
        ticket,
        answered,
    };
    match call.answered().await {
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
