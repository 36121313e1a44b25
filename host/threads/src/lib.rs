//! What the host asks of the kernel for its threads: how long their turns are, when others get on, what processor time they
//! have had and for how long they waited for it.

mod clock;
mod turns;
mod waited;

use rustix::time::{ClockId, clock_gettime};

pub use clock::ThreadClock;
pub use turns::{give_up_turn, let_others_on, take_long_turns};
pub use waited::waited_nanoseconds;

/// Processor time that the calling thread has had, in nanoseconds.
#[must_use]
pub fn cpu_nanoseconds() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    in_nanoseconds(time.tv_sec, time.tv_nsec)
}

/// What a clock of the kernel says, which begins at zero.
fn in_nanoseconds(seconds: i64, nanoseconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or(0) * 1_000_000_000 + u64::try_from(nanoseconds).unwrap_or(0)
}
