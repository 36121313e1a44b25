//! How the kernel schedules threads that compute: with long turns. A thread that has just begun to run is protected from one
//! that is woken, unless the woken one has shorter turns; threads that serve sockets have the usual ones. Elsewhere than on
//! Linux nothing is asked of the kernel, and before Linux 6.12 it has no turns to choose.

use std::{cell::Cell, io, thread, time::Duration};

thread_local! {
    static HAS_LONG_TURNS: Cell<bool> = const { Cell::new(false) };
}

/// To be called by a thread that computes, every now and then: where the kernel lets it finish its turn, whoever has been woken
/// gets on now. With long turns the kernel interrupts it for them, and nothing is done: newer kernels (6.18 is one) treat who
/// calls sched_yield(2) as if he had had his whole turn.
pub fn let_others_on() {
    if !HAS_LONG_TURNS.get() {
        thread::yield_now();
    }
}

/// To be called by a thread that computes when it has had its turn or is about to sleep, with as few locks held as can be.
/// A kernel that lets threads finish their turns lets in whoever has been woken meanwhile. Newer ones owe a thread what it
/// has not had of its turn, for however long it sleeps, and let in whom they owe much before whoever serves a socket; of many
/// threads that take turns they would owe all. So what is left of this turn is given up, which they take for good.
pub fn give_up_turn() {
    thread::yield_now();
}

/// Gives the calling thread turns of this length, and those that it starts the usual ones. That is how long it may run before
/// another one has its turn that is as nice, in the sense of sched_setattr(2): from 0.1 to 100 ms. Whoever has shorter turns may
/// interrupt it at once; the usual ones have 0.7 to 3 ms. A thread that has had its turn waits for the next one the longer
/// the longer its turns are, and the nicer it is.
///
/// # Errors
/// What the kernel says; then nothing is changed.
#[cfg(target_os = "linux")]
pub fn take_long_turns(turn: Duration) -> io::Result<()> {
    let mut attributes = attributes()?;
    // A kernel that knows of no turns says zero.
    let usual = attributes.sched_runtime;
    attributes.sched_flags = libc::SCHED_FLAG_RESET_ON_FORK as u64;
    attributes.sched_runtime = turn.as_nanos() as u64;
    // SAFETY: the kernel reads as many bytes of the structure as it says it has, and keeps no pointer to it.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    HAS_LONG_TURNS.set(usual > 0 && usual < attributes.sched_runtime);
    Ok(())
}

/// Does nothing.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub fn take_long_turns(_turn: Duration) -> io::Result<()> {
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

    const TURN: Duration = Duration::from_millis(4);

    fn turn_and_niceness() -> (u64, i32) {
        let attributes = attributes().unwrap();
        (attributes.sched_runtime, attributes.sched_nice)
    }

    #[test]
    fn turns_are_long_for_the_thread_that_asks_and_for_no_other() {
        let asking = thread::spawn(|| {
            rustix::process::nice(3).unwrap();
            let (usual, niceness) = turn_and_niceness();
            match take_long_turns(TURN) {
                // The kernel of a sandbox of another kind.
                Err(error) if error.kind() == io::ErrorKind::Unsupported => return,
                taken => taken.unwrap(),
            }
            let own = turn_and_niceness();
            let of_another = thread::spawn(turn_and_niceness).join().unwrap();
            // A kernel that knows of no turns says zero.
            let long = match usual {
                0 => 0,
                _ => TURN.as_nanos() as u64,
            };
            assert_eq!(own, (long, niceness));
            assert_eq!(of_another, (usual, niceness));
        });
        asking.join().unwrap();
    }
}
