//! Fuel of an instance by the minute and the day of the clock (UTC), so that what it may burn in the long run
//! is bounded also where every single run is small.

use std::time::Duration;

use cloudware_types::{Class, Dimension, StopCause};

use crate::clock::unix_coarse;

const MINUTE: u64 = 60;
const DAY: u64 = 24 * 60 * MINUTE;

/// What one instance has burned in the windows that have begun.
#[derive(Debug, Default)]
pub(crate) struct FuelWindows {
    minute: Window<MINUTE>,
    day: Window<DAY>,
}

/// The window of `SECONDS` that has begun last.
#[derive(Debug, Default)]
struct Window<const SECONDS: u64> {
    number: u64,
    used: u64,
}

/// A limit of time's passing that was reached.
#[derive(Debug, PartialEq)]
pub(crate) struct Exhausted {
    pub(crate) cause: StopCause,
    /// When the window ends.
    pub(crate) resets_in: Duration,
}

/// The most that an instance may burn in each window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FuelMax {
    pub(crate) minute: u64,
    pub(crate) day: u64,
}

impl<const SECONDS: u64> Window<SECONDS> {
    fn add(&mut self, now: Duration, fuel: u64) -> u64 {
        let number = now.as_secs() / SECONDS;
        if number != self.number {
            *self = Self { number, used: 0 };
        }
        self.used = self.used.saturating_add(fuel);
        self.used
    }

    fn ends_in(now: Duration) -> Duration {
        Duration::from_secs((now.as_secs() / SECONDS + 1) * SECONDS).saturating_sub(now)
    }
}

impl FuelWindows {
    /// Adds fuel that was burned, and says whether nothing is left in a window.
    pub(crate) fn add(&mut self, fuel: u64, max: FuelMax) -> Result<(), Exhausted> {
        self.add_at(unix_coarse(), fuel, max)
    }

    fn add_at(&mut self, now: Duration, fuel: u64, max: FuelMax) -> Result<(), Exhausted> {
        let minute = self.minute.add(now, fuel);
        let day = self.day.add(now, fuel);
        let exhausted = |dimension, used, max, resets_in| {
            Err(Exhausted {
                cause: StopCause::limit(dimension, Class::Request, used, max),
                resets_in,
            })
        };
        // The longer window first: it is what keeps the caller waiting.
        if day >= max.day {
            let resets_in = Window::<DAY>::ends_in(now);
            return exhausted(Dimension::FuelPerDay, day, max.day, resets_in);
        }
        if minute >= max.minute {
            let resets_in = Window::<MINUTE>::ends_in(now);
            return exhausted(Dimension::FuelPerMinute, minute, max.minute, resets_in);
        }
        Ok(())
    }

    /// Adds fuel that was burned earlier today.
    pub(crate) fn resume(&mut self, fuel: u64) {
        self.day.add(unix_coarse(), fuel);
    }

    /// What has been burned in the minute and the day in which was burned last.
    pub(crate) fn used(&self) -> (u64, u64) {
        (self.minute.used, self.day.used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: FuelMax = FuelMax {
        minute: 100,
        day: 250,
    };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(DAY * 7 + seconds)
    }

    #[test]
    fn a_minute_is_bounded_and_begins_anew() {
        let mut windows = FuelWindows::default();
        assert_eq!(windows.add_at(at(10), 99, MAX), Ok(()));
        let exhausted = windows.add_at(at(20), 1, MAX).unwrap_err();
        let cause = StopCause::limit(Dimension::FuelPerMinute, Class::Request, 100, 100);
        assert_eq!(exhausted.cause, cause);
        assert_eq!(exhausted.resets_in, Duration::from_secs(40));
        assert_eq!(windows.add_at(at(60), 0, MAX), Ok(()));
    }

    #[test]
    fn a_day_is_bounded_over_many_minutes() {
        let mut windows = FuelWindows::default();
        for minute in 0..2 {
            let _ = windows.add_at(at(minute * MINUTE), 120, MAX);
        }
        let exhausted = windows.add_at(at(3 * MINUTE), 10, MAX).unwrap_err();
        let cause = StopCause::limit(Dimension::FuelPerDay, Class::Request, 250, 250);
        assert_eq!(exhausted.cause, cause);
        assert_eq!(windows.add_at(at(DAY), 0, MAX), Ok(()));
    }

    #[test]
    fn nothing_runs_where_the_limit_is_nothing() {
        let mut windows = FuelWindows::default();
        let none = FuelMax { minute: 0, day: 1 };
        assert!(windows.add_at(at(0), 0, none).is_err());
    }
}
