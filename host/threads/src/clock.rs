//! The processor time of a thread, read by others. Elsewhere than on Linux it cannot be read.

#[cfg(target_os = "linux")]
use crate::in_nanoseconds;

/// The clock that counts the processor time of one thread. Any thread may read it.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
pub struct ThreadClock(Id);

#[cfg(target_os = "linux")]
type Id = libc::clockid_t;
#[cfg(not(target_os = "linux"))]
type Id = ();

impl ThreadClock {
    /// The clock of the calling thread; none where the system has no such clocks.
    #[must_use]
    #[cfg(target_os = "linux")]
    pub fn own() -> Option<Self> {
        let mut id = 0;
        // SAFETY: the thread is the calling one, which lives, and `id` may be written.
        let result = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut id) };
        (result == 0).then_some(Self(id))
    }

    /// None: the system has no such clocks.
    #[must_use]
    #[cfg(not(target_os = "linux"))]
    pub fn own() -> Option<Self> {
        None
    }

    /// Processor time that its thread has had, in nanoseconds; 0 where the thread has ended. A thread that begins later may
    /// have the same clock as one that has ended.
    #[must_use]
    #[cfg(target_os = "linux")]
    pub fn nanoseconds(&self) -> u64 {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: `time` may be written, and the kernel says so where the clock is none.
        match unsafe { libc::clock_gettime(self.0, &raw mut time) } {
            0 => in_nanoseconds(time.tv_sec, time.tv_nsec),
            _ => 0,
        }
    }

    /// 0: the system has no such clocks.
    #[must_use]
    #[cfg(not(target_os = "linux"))]
    pub fn nanoseconds(&self) -> u64 {
        0
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::{sync::mpsc::channel, thread};

    use super::*;
    use crate::cpu_nanoseconds;

    #[test]
    fn others_read_what_a_thread_has_had() {
        let (sends_clock, clock) = channel();
        let (sends_end, end) = channel::<()>();
        let thread = thread::spawn(move || {
            while cpu_nanoseconds() < 5_000_000 {}
            let before = cpu_nanoseconds();
            sends_clock
                .send((ThreadClock::own().unwrap(), before))
                .unwrap();
            end.recv().unwrap();
            cpu_nanoseconds()
        });
        let (clock, before) = clock.recv().unwrap();
        let seen = clock.nanoseconds();
        sends_end.send(()).unwrap();
        let after = thread.join().unwrap();
        assert!((before..=after).contains(&seen), "{before} {seen} {after}");
    }
}
