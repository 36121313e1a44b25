//! The open transactions of a database between two of their statements, and whose they are.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::{
    Holder,
    lane::{Lane, Lease},
};

/// See the module.
#[derive(Default)]
pub(crate) struct OpenTransactions {
    /// Those in which no statement runs at the moment: as many as there are turns, at most.
    resting: Mutex<Vec<Resting>>,
    /// Those for writing that were begun and that their owner has not ended, the newest last. Also those that the
    /// database has ended, of which their owner does not know yet.
    writing: Mutex<Vec<(Holder, u64)>>,
    last_number: AtomicU64,
}

/// A transaction between two of its statements.
struct Resting {
    number: u64,
    since: Instant,
    lease: Lease,
}

/// What came of [`OpenTransactions::take_idle`].
pub(crate) struct Idling {
    /// The lease of the one that is to be ended, by dropping it, and for how long it did nothing.
    pub(crate) ended: Option<(Lease, Duration)>,
    /// When to look again.
    pub(crate) look_again: Instant,
}

impl OpenTransactions {
    /// A number for a new transaction.
    pub(crate) fn next_number(&self) -> u64 {
        self.last_number.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Keeps the lease of a transaction until its next statement.
    pub(crate) fn rest(&self, number: u64, lease: Lease) {
        let since = Instant::now();
        self.resting.lock().push(Resting {
            number,
            since,
            lease,
        });
    }

    /// The lease of a transaction; `None` if it has ended.
    pub(crate) fn wake(&self, number: u64) -> Option<Lease> {
        let mut resting = self.resting.lock();
        let at = resting.iter().position(|r| r.number == number)?;
        Some(resting.swap_remove(at).lease)
    }

    /// Whether a transaction is open and no statement runs in it.
    pub(crate) fn is_resting(&self, number: u64) -> bool {
        self.resting.lock().iter().any(|r| r.number == number)
    }

    /// Notes that a run has begun a transaction for writing.
    pub(crate) fn began_writing(&self, holder: Holder, number: u64) {
        self.writing.lock().push((holder, number));
    }

    /// Notes that its owner has ended a transaction.
    pub(crate) fn ended_writing(&self, number: u64) {
        self.writing.lock().retain(|(_, known)| *known != number);
    }

    /// The newest transaction for writing that a run has begun and not ended.
    pub(crate) fn writing_of(&self, holder: &Holder) -> Option<u64> {
        let writing = self.writing.lock();
        let own = writing.iter().rfind(|(h, _)| h.is_same_run(holder));
        own.map(|(_, number)| *number)
    }

    /// Takes out the transaction of this lane that has been idle for longest, if that is longer than
    /// `idle_max`. Not one of the waiting run itself or of a run that waits for it, which would never find out why.
    pub(crate) fn take_idle(&self, lane: Lane, waiting: &Holder, idle_max: Duration) -> Idling {
        let now = Instant::now();
        let mut resting = self.resting.lock();
        let longest = resting
            .iter()
            .enumerate()
            .filter(|(_, r)| r.lease.lane() == lane && !waiting.includes(r.lease.holder()))
            .min_by_key(|(_, r)| r.since);
        let Some((at, since)) = longest.map(|(at, r)| (at, r.since)) else {
            return Idling {
                ended: None,
                look_again: now + idle_max,
            };
        };
        let is_over = now >= since + idle_max;
        Idling {
            ended: is_over.then(|| (resting.swap_remove(at).lease, now.duration_since(since))),
            look_again: if is_over { now } else { since } + idle_max,
        }
    }
}
