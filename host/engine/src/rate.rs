//! Rates, by the generic cell rate algorithm (ITU-T I.371): one number says when the next unit is due, so
//! that taking is one atomic operation and nothing refills in the background.

use std::sync::atomic::{AtomicU64, Ordering};

const SECOND: u64 = 1_000_000_000;

/// What has been taken of a rate whose burst is one second's worth. Times are nanoseconds from a moment
/// that the caller chooses and keeps.
#[derive(Debug, Default)]
pub struct Rate {
    /// When everything taken so far would have arrived at an even pace.
    due: AtomicU64,
}

impl Rate {
    /// Takes one unit, if the burst allows it.
    ///
    /// # Errors
    /// Nanoseconds after which one unit can be had.
    pub fn take(&self, now: u64, per_second: u64) -> Result<(), u64> {
        self.take_many(now, 1, per_second)
    }

    /// Takes `amount` units together, if the burst allows it, or if all of the burst is there.
    ///
    /// # Errors
    /// Nanoseconds after which they can be had.
    pub(crate) fn take_many(&self, now: u64, amount: u64, per_second: u64) -> Result<(), u64> {
        let interval = SECOND.saturating_mul(amount) / per_second.max(1);
        let latest = now + SECOND;
        let update = |due: u64| {
            let next = due.max(now).saturating_add(interval);
            (next <= latest || due <= now).then_some(next)
        };
        self.due
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, update)
            .map(|_| ())
            .map_err(|due| {
                let at_most = due.saturating_sub(now);
                due.saturating_add(interval)
                    .saturating_sub(latest)
                    .min(at_most)
            })
    }

    /// How much of the burst is taken at the moment, rounded up: what is taken in part can't be had.
    pub(crate) fn used(&self, now: u64, per_second: u64) -> u64 {
        let ahead = self.due.load(Ordering::Relaxed).saturating_sub(now);
        // Nothing is taken further ahead than the burst, by `take`.
        ahead
            .min(SECOND)
            .saturating_mul(per_second)
            .div_ceil(SECOND)
    }

    /// Goes over from one rate to another: what has been taken counts as many units as before, and no longer than it did, or
    /// than a second.
    pub(crate) fn change(&self, now: u64, from: u64, to: u64) {
        let (from, to) = (from.max(1), to.max(1));
        let update = |due: u64| {
            let ahead = due.checked_sub(now)?;
            let same = u128::from(ahead) * u128::from(from) / u128::from(to);
            let same = u64::try_from(same).unwrap_or(u64::MAX);
            Some(now + same.min(ahead.max(SECOND)))
        };
        // An error: nothing is taken.
        let _ = self
            .due
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
    }

    /// Takes `amount` units in any case, and gives the nanoseconds that the caller must wait so that the
    /// rate and its burst are kept.
    #[must_use]
    pub fn charge(&self, now: u64, amount: u64, per_second: u64) -> u64 {
        let taken = u128::from(amount) * u128::from(SECOND) / u128::from(per_second.max(1));
        let taken = u64::try_from(taken).unwrap_or(u64::MAX / 2);
        let update = |due: u64| Some(due.max(now).saturating_add(taken));
        let due = self
            .due
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, update)
            .map_or(now, |due| due.max(now).saturating_add(taken));
        due.saturating_sub(now + SECOND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_one_second_and_refills_evenly() {
        let rate = Rate::default();
        let taken = |now| (0..50).filter(|_| rate.take(now, 10).is_ok()).count();
        assert_eq!(taken(0), 10);
        assert_eq!(rate.used(0, 10), 10);
        assert_eq!(rate.used(SECOND / 2, 10), 5);
        assert_eq!(rate.used(SECOND / 2 + 1, 10), 5);
        assert_eq!(rate.used(SECOND / 2 - 1, 10), 6);
        assert_eq!(rate.take(SECOND / 10 - 1, 10), Err(1));
        assert!(rate.take(SECOND / 10, 10).is_ok());
        assert_eq!(taken(10 * SECOND), 10);
    }

    #[test]
    fn what_is_more_than_the_burst_is_taken_where_nothing_else_was() {
        let rate = Rate::default();
        assert!(rate.take_many(0, 4, 10).is_ok());
        assert_eq!(rate.take_many(0, 7, 10), Err(SECOND / 10));
        assert_eq!(rate.take_many(0, 30, 10), Err(SECOND * 4 / 10));
        assert!(rate.take_many(SECOND * 4 / 10, 30, 10).is_ok());
        assert!(rate.take(2 * SECOND, 10).is_err(), "it is owed");
        assert!(rate.take(4 * SECOND, 10).is_ok());
    }

    #[test]
    fn a_changed_rate_holds_at_once() {
        let rate = Rate::default();
        assert!(rate.take(0, 1).is_ok());
        assert!(rate.take(1, 1).is_err());
        rate.change(1, 1, 1_000);
        let taken = (0..2_000).filter(|_| rate.take(1, 1_000).is_ok()).count();
        assert_eq!(taken, 999);
        // All of the burst, which lasts no longer at a smaller rate.
        rate.change(1, 1_000, 1);
        assert_eq!(rate.take(1, 1), Err(SECOND));
        rate.change(10 * SECOND, 1, 1_000);
        assert_eq!(rate.used(10 * SECOND, 1_000), 0);
    }

    #[test]
    fn what_is_charged_beyond_the_burst_is_waited_for() {
        let rate = Rate::default();
        assert_eq!(rate.charge(0, 1_000, 1_000), 0);
        assert_eq!(rate.charge(0, 500, 1_000), SECOND / 2);
        assert_eq!(rate.charge(2 * SECOND, 1_000, 1_000), 0);
        assert_eq!(rate.charge(2 * SECOND, 10_000, 1_000), 10 * SECOND);
        rate.change(2 * SECOND, 1_000, 10_000);
        assert_eq!(rate.charge(2 * SECOND, 0, 10_000), SECOND / 10);
    }
}
