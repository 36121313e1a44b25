//! Clocks of the host. The coarse ones are read several times for each request: they cost a few nanoseconds
//! and are right to a tick of the kernel, a few milliseconds.

use std::{cell::Cell, time::Duration};

use cloudware_capability::ThreadMoment;
use cloudware_threads::cpu_nanoseconds;
use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::limits::CPU_CLOCK_CARRIED_MAX;

thread_local! {
    static THREAD: Cell<CpuClock> = const { Cell::new(CpuClock { cpu: 0, read_at: None }) };
}

/// The processor time of a thread as the kernel told it last, and when. For a short while it is carried on by
/// the monotonic clock, which needs no call of the kernel.
#[derive(Clone, Copy, Debug)]
struct CpuClock {
    cpu: u64,
    read_at: Option<u64>,
}

impl CpuClock {
    /// What is known of the thread's processor time at the moment `at`; `read` asks the kernel.
    fn moment(&mut self, at: u64, read: impl FnOnce() -> u64) -> ThreadMoment {
        let carried = self.read_at.map(|read_at| at.saturating_sub(read_at));
        let carried = carried.filter(|&carried| carried < CPU_CLOCK_CARRIED_MAX);
        let carried = carried.unwrap_or_else(|| {
            (self.cpu, self.read_at) = (read(), Some(at));
            0
        });
        ThreadMoment {
            at,
            cpu_min: self.cpu,
            cpu_max: self.cpu + carried,
        }
    }
}

/// This moment of this thread, for metering what happens between two of them.
pub(crate) fn thread_moment() -> ThreadMoment {
    let at = nanoseconds(clock_gettime(ClockId::MonotonicRaw));
    let mut clock = THREAD.get();
    let moment = clock.moment(at, cpu_nanoseconds);
    THREAD.set(clock);
    moment
}

/// A time as limits of time count it.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Nanoseconds from some moment before the host's start, to a tick.
pub(crate) fn coarse() -> u64 {
    nanoseconds(clock_gettime(ClockId::MonotonicCoarse))
}

/// Time since the Unix epoch, to a tick.
pub(crate) fn unix_coarse() -> Duration {
    Duration::from_nanos(nanoseconds(clock_gettime(ClockId::RealtimeCoarse)))
}

fn nanoseconds(time: Timespec) -> u64 {
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thread on a machine of its own: time passes as the test says.
    struct Machine {
        clock: CpuClock,
        at: u64,
        cpu: u64,
        readings: u32,
    }

    impl Machine {
        fn new() -> Self {
            Self {
                clock: CpuClock {
                    cpu: 0,
                    read_at: None,
                },
                at: 1_000_000_000,
                cpu: 5_000,
                readings: 0,
            }
        }

        fn work(&mut self, nanoseconds: u64) {
            self.at += nanoseconds;
            self.cpu += nanoseconds;
        }

        /// The thread sleeps, or the kernel runs another one.
        fn stand(&mut self, nanoseconds: u64) {
            self.at += nanoseconds;
        }

        fn moment(&mut self) -> ThreadMoment {
            let (cpu, readings) = (self.cpu, &mut self.readings);
            self.clock.moment(self.at, || {
                *readings += 1;
                cpu
            })
        }

        fn metered(&mut self, stay: impl FnOnce(&mut Self)) -> u64 {
            let entered = self.moment();
            stay(self);
            self.moment().cpu_since(&entered)
        }
    }

    #[test]
    fn short_stays_are_metered_exactly_with_few_readings() {
        let mut machine = Machine::new();
        for _ in 0..1_000 {
            assert_eq!(machine.metered(|machine| machine.work(4_000)), 4_000);
            machine.work(6_000);
            machine.stand(1_000);
        }
        let time = 1_000 * 11_000;
        let most = time / CPU_CLOCK_CARRIED_MAX + 1;
        assert!(u64::from(machine.readings) <= most, "{}", machine.readings);
    }

    #[test]
    fn sleep_before_a_stay_takes_nothing_from_it() {
        for slept in (0..120_000).step_by(7_000) {
            let mut machine = Machine::new();
            machine.metered(|machine| machine.work(1_000));
            machine.stand(slept);
            let worked = machine.metered(|machine| machine.work(30_000));
            assert_eq!(worked, 30_000, "after {slept} ns of sleep");
        }
    }

    #[test]
    fn what_others_had_of_the_processor_is_not_metered_but_for_a_little() {
        for before in (0..120_000).step_by(7_000) {
            let mut machine = Machine::new();
            machine.metered(|machine| machine.work(1_000));
            machine.work(before);
            let worked = machine.metered(|machine| {
                machine.work(20_000);
                machine.stand(3_000_000);
                machine.work(20_000);
            });
            let most = 40_000 + CPU_CLOCK_CARRIED_MAX;
            assert!((40_000..=most).contains(&worked), "{worked} after {before}");
        }
    }

    #[test]
    fn a_stay_within_another_changes_nothing_for_it() {
        let mut machine = Machine::new();
        let outer = machine.metered(|machine| {
            machine.work(200_000);
            let inner = machine.metered(|machine| machine.work(70_000));
            assert_eq!(inner, 70_000);
            machine.stand(5_000_000);
            machine.metered(|machine| machine.work(10_000));
        });
        assert_eq!(outer, 280_000);
    }
}
