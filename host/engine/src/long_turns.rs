//! How the kernel schedules compute threads: with long turns. A thread that has just begun to run is protected from one that
//! is woken, unless the woken one has shorter turns; threads that serve sockets have the usual ones. Elsewhere than on
//! Linux nothing is asked of the kernel, and before Linux 6.12 it has no turns to choose.

use std::io;

use crate::limits::COMPUTE_TURN;

/// Gives the calling thread long turns, and those that it starts the usual ones.
///
/// # Errors
/// What the kernel says; then nothing is changed.
#[cfg(target_os = "linux")]
pub(crate) fn take_long_turns() -> io::Result<()> {
    let mut attributes = attributes()?;
    attributes.sched_flags = libc::SCHED_FLAG_RESET_ON_FORK as u64;
    attributes.sched_runtime = COMPUTE_TURN.as_nanos() as u64;
    // SAFETY: the kernel reads as many bytes of the structure as it says it has, and keeps no pointer to it.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Does nothing.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub(crate) fn take_long_turns() -> io::Result<()> {
    let _ = COMPUTE_TURN;
    Ok(())
}

/// How the calling thread is scheduled.
#[cfg(target_os = "linux")]
fn attributes() -> io::Result<libc::sched_attr> {
    let bytes = size_of::<libc::sched_attr>();
    // SAFETY: it consists of numbers alone, for which zero is a value.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes at most `bytes` bytes, which is what the structure has.
    let result =
        unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, bytes, 0) };
    match result {
        0 => Ok(attributes),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::thread;

    use super::*;

    fn turn_and_niceness() -> (u64, i32) {
        let attributes = attributes().unwrap();
        (attributes.sched_runtime, attributes.sched_nice)
    }

    #[test]
    fn turns_are_long_for_the_thread_that_asks_and_for_no_other() {
        let asking = thread::spawn(|| {
            rustix::process::nice(3).unwrap();
            let (usual, niceness) = turn_and_niceness();
            match take_long_turns() {
                // The kernel of a sandbox of another kind.
                Err(error) if error.kind() == io::ErrorKind::Unsupported => return,
                taken => taken.unwrap(),
            }
            let own = turn_and_niceness();
            let of_another = thread::spawn(turn_and_niceness).join().unwrap();
            // A kernel that knows of no turns says zero.
            let long = match usual {
                0 => 0,
                _ => COMPUTE_TURN.as_nanos() as u64,
            };
            assert_eq!(own, (long, niceness));
            assert_eq!(of_another, (usual, niceness));
        });
        asking.join().unwrap();
    }
}
