//! The instances whose runs wait, by whose turn it is and by when each is to be visited.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use super::Share;
use crate::{limits::UNSERVED_MAX, task::Task};

/// A moment that does not come.
pub(super) const NEVER: u64 = u64::MAX;

/// What is locked of the queue.
#[derive(Default)]
pub(super) struct Ready {
    /// Instances with waiting runs, the one that has had the least first, and equals in the order of arrival. An entry
    /// whose time is older than its instance's is put right when it is met.
    turns: BTreeMap<(u64, u64), Arc<Share>>,
    /// The same instances, by when each is to be visited, in nanoseconds of the coarse clock.
    visits: BTreeMap<(u64, u64), Arc<Share>>,
    entries: u64,
    pub(super) idle_threads: usize,
    /// Threads that visit and have nothing to do.
    pub(super) idle_visitors: usize,
    /// When the first of these looks again by itself, on the coarse clock; none does where it is 0.
    pub(super) looks_at: u64,
    pub(super) is_closed: bool,
}

/// Where an instance with waiting runs is found in them.
#[derive(Clone, Copy)]
pub(super) struct Listed {
    time: u64,
    pub(super) visit_at: u64,
    number: u64,
}

impl Ready {
    /// Puts an instance into the lists that is in none, and was served at the moment `now`, or begins to wait.
    pub(super) fn list(&mut self, share: &Arc<Share>, now: u64) {
        self.entries += 1;
        let unserved = now.saturating_add(UNSERVED_MAX.as_nanos() as u64);
        let (time, number) = (share.time.load(Ordering::Relaxed), self.entries);
        let visit_at = unserved.max(share.visit_after.load(Ordering::Relaxed));
        *share.listed.lock() = Some(Listed {
            time,
            visit_at,
            number,
        });
        self.turns.insert((time, number), Arc::clone(share));
        self.visits.insert((visit_at, number), Arc::clone(share));
    }

    /// Takes an instance out of the lists; false where it is in none.
    pub(super) fn unlist(&mut self, share: &Share) -> bool {
        let Some(listed) = share.listed.lock().take() else {
            return false;
        };
        self.turns.remove(&(listed.time, listed.number));
        self.visits.remove(&(listed.visit_at, listed.number));
        true
    }

    /// The first run of the instance that has had the least, and the instance's time.
    pub(super) fn take(&mut self, now: u64) -> Option<(Arc<Task>, u64)> {
        loop {
            let ((time, number), share) = self.turns.pop_first()?;
            let current = share.time.load(Ordering::Relaxed);
            if current > time {
                // It was not served by this.
                if let Some(listed) = share.listed.lock().as_mut() {
                    listed.time = current;
                }
                self.turns.insert((current, number), share);
                continue;
            }
            if let Some(task) = self.take_of(&share, now) {
                return Some((task, time));
            }
        }
    }

    /// The first run of an instance, which is served by this.
    pub(super) fn take_of(&mut self, share: &Arc<Share>, now: u64) -> Option<Arc<Task>> {
        self.unlist(share);
        let mut runs = share.runs.lock();
        let task = runs.pop_front().map(|(task, _)| task);
        let is_empty = runs.is_empty();
        drop(runs);
        if is_empty {
            share.is_listed.store(false, Ordering::Relaxed);
        } else {
            self.list(share, now);
        }
        task
    }

    /// The instance that is to be visited.
    ///
    /// # Errors
    /// When the next one is, where any is.
    pub(super) fn unserved(&self, now: u64) -> Result<Arc<Share>, Option<u64>> {
        match self.visits.first_key_value() {
            Some(((at, _), share)) if *at <= now => Ok(Arc::clone(share)),
            Some(((NEVER, _), _)) | None => Err(None),
            Some(((at, _), _)) => Err(Some(*at)),
        }
    }

    /// Whether a thread that visits is idle, and will not look in time.
    pub(super) fn misses_visits(&self) -> bool {
        let first = self.visits.first_key_value();
        self.idle_visitors > 0
            && first.is_some_and(|((at, _), _)| {
                *at != NEVER && (self.looks_at == 0 || *at < self.looks_at)
            })
    }
}
