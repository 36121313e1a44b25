//! Shares of what is done for instances on other threads than those of their runs, which is what databases do. How processors
//! are divided between those threads and compute threads is the kernel's to decide, by niceness, and that knows of no
//! instances. So the time of an instance for which a database works may be behind that of those who compute. Where it is, and its
//! database had to wait for a processor, compute threads sleep for as long as was worked for it: it would be next in
//! line, and its turn is there.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use cloudware_threads::waited_nanoseconds;

use super::{Queue, Share, WEIGHT_UNIT};
use crate::limits::{LEFT_MAX, LEFT_MIN, WORK_BEHIND_MAX};

/// [`WORK_BEHIND_MAX`] in units of virtual time.
const BEHIND_MAX: u64 = WORK_BEHIND_MAX.as_nanos() as u64;

/// What is owed at most, in nanoseconds: as much as an instance of the usual weight can be behind.
const OWED_MAX: u64 = BEHIND_MAX;

thread_local! {
    static WAITED: Cell<u64> = const { Cell::new(0) };
}

/// Processor time that compute threads are to leave to others, in nanoseconds.
#[derive(Default)]
pub(super) struct Owed(AtomicU64);

impl Share {
    /// How far its time may be behind whoever was served last, in units of virtual time. Once it waits in line it is behind nobody.
    pub(super) fn behind_max(&self) -> u64 {
        if self.works_elsewhere.load(Ordering::Relaxed) {
            BEHIND_MAX
        } else {
            0
        }
    }
}

impl Queue {
    /// Counts processor time that an instance has had elsewhere than in its runs. Where it competes that is as good as a turn:
    /// who is modest is not ahead because compute threads get little beside others. Where it is behind them, compute threads
    /// are to sleep for as long, but for no longer than it has waited for a processor. `waited` says how long the thread
    /// has that worked, in nanoseconds, since it was asked for the last time; it is asked for where others compete.
    pub(crate) fn charge_elsewhere(
        &self,
        share: &Share,
        cpu_nanoseconds: u64,
        waited: impl FnOnce() -> u64,
    ) {
        share.works_elsewhere.store(true, Ordering::Relaxed);
        if self.others_compete(share) {
            let waited = waited();
            let behind = self.behind(share);
            self.owed.add(cpu_nanoseconds.min(behind).min(waited));
        }
        if share.is_competing() {
            self.charge_turn(share, cpu_nanoseconds);
        } else {
            self.charge(share, cpu_nanoseconds);
        }
    }

    /// Whether runs of other instances wait or have a turn.
    fn others_compete(&self, share: &Share) -> bool {
        let own = match share.is_competing() {
            true => share.competing_weight.load(Ordering::Relaxed),
            false => 0,
        };
        self.competing_weight.load(Ordering::Relaxed) > own
    }

    /// What an instance would have to have had to be as far as those who compute, in nanoseconds, up to a bound. What it has had of
    /// a turn that has not ended counts.
    fn behind(&self, share: &Share) -> u64 {
        let now = self.now.load(Ordering::Relaxed);
        let behind = now.saturating_sub(share.time.load(Ordering::Relaxed));
        if behind == 0 {
            return 0;
        }
        let had = share.weighed(self.under_way.had(share).own);
        let behind = behind.min(share.behind_max()).saturating_sub(had);
        behind * share.weight() / WEIGHT_UNIT
    }

    /// Leaves the processor of the calling thread to databases, for as long as is owed to them and one of them works. False where
    /// there is nothing to leave it for.
    pub(super) fn leave_to_databases(&self) -> bool {
        if !self.has_waiting() {
            if self.competing_weight.load(Ordering::Relaxed) == 0 {
                self.owed.forget();
            }
            return false;
        }
        let Some(mut owed) = self.owed.take() else {
            return false;
        };
        let mut has_slept = false;
        while !owed.is_zero() && self.databases_work.get().is_none_or(|work| work()) {
            let part = owed.min(LEFT_MAX);
            thread::sleep(part);
            owed -= part;
            has_slept = true;
        }
        has_slept
    }
}

impl Owed {
    pub(super) fn add(&self, nanoseconds: u64) {
        let update = |owed: u64| Some((owed + nanoseconds).min(OWED_MAX));
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
    }

    /// Takes what is owed, once it is worth a sleep.
    pub(super) fn take(&self) -> Option<Duration> {
        (self.0.load(Ordering::Relaxed) >= LEFT_MIN.as_nanos() as u64)
            .then(|| Duration::from_nanos(self.0.swap(0, Ordering::Relaxed)))
    }

    fn forget(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// For how long the calling thread has waited for a processor since it asked for the last time, in nanoseconds; nothing where
/// the system does not say.
pub(crate) fn waited_lately() -> u64 {
    waited_nanoseconds().map_or(0, |waited| waited.saturating_sub(WAITED.replace(waited)))
}
