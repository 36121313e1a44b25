//! Clocks of the host. The coarse ones are read several times for each request: they cost a few nanoseconds
//! and are right to a tick of the kernel, a few milliseconds.

use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

/// CPU time of this thread in nanoseconds.
pub(crate) fn thread_cpu() -> u64 {
    nanoseconds(clock_gettime(ClockId::ThreadCPUTime))
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
