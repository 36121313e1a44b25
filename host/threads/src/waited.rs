//! How long a thread could have run and did not. Elsewhere than on Linux, and where the kernel does not count it, that is
//! not known.

use std::{cell::RefCell, fs::File, io, os::unix::fs::FileExt};

/// Bytes of what the kernel says: three numbers.
const TEXT_BYTES_MAX: usize = 64;

/// Where the kernel says it of the calling thread.
enum Source {
    Unopened,
    Open(File),
    None,
}

thread_local! {
    static SOURCE: RefCell<Source> = const { RefCell::new(Source::Unopened) };
}

/// For how long the calling thread has waited for a processor in its life, in nanoseconds: while others had it, and not while
/// it slept. None where the system does not say (proc(5), `/proc/pid/schedstat`, of Linux that counts it). Costs
/// about a microsecond, and keeps a file open for as long as the thread lives.
#[must_use]
pub fn waited_nanoseconds() -> Option<u64> {
    SOURCE.with_borrow_mut(|source| {
        if let Source::Unopened = source {
            let file = File::open("/proc/thread-self/schedstat");
            *source = file.map_or(Source::None, Source::Open);
        }
        let Source::Open(file) = source else {
            return None;
        };
        let waited = waited(file).ok().flatten();
        if waited.is_none() {
            *source = Source::None;
        }
        waited
    })
}

/// The second number: the first is what the thread has run, the third in how many turns. A kernel that counts nothing says that the
/// thread, which asks, has not run.
fn waited(file: &File) -> io::Result<Option<u64>> {
    let mut bytes = [0; TEXT_BYTES_MAX];
    let length = file.read_at(&mut bytes, 0)?;
    let text = std::str::from_utf8(&bytes[..length]).unwrap_or_default();
    let mut numbers = text.split_ascii_whitespace().map(str::parse::<u64>);
    let (run, waited) = (numbers.next(), numbers.next());
    Ok(match (run, waited) {
        (Some(Ok(1..)), Some(Ok(waited))) => Some(waited),
        _ => None,
    })
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::{
        hint,
        sync::atomic::{AtomicBool, Ordering},
        thread,
        time::{Duration, Instant},
    };

    use super::*;
    use crate::cpu_nanoseconds;

    /// As much as it has been there and had no processor; a machine that does not count it says nothing.
    #[test]
    fn a_thread_that_others_keep_waiting_has_waited_for_the_rest_of_the_time() {
        if waited_nanoseconds().is_none() {
            return;
        }
        let is_done = AtomicBool::new(false);
        let threads = 4 * thread::available_parallelism().unwrap().get();
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while !is_done.load(Ordering::Relaxed) {
                        hint::spin_loop();
                    }
                });
            }
            let (begun, cpu) = (Instant::now(), cpu_nanoseconds());
            let before = waited_nanoseconds().unwrap_or(u64::MAX);
            let waited = loop {
                let waited = waited_nanoseconds().unwrap_or(0).saturating_sub(before);
                if waited > 20_000_000 || begun.elapsed() > Duration::from_secs(60) {
                    break waited;
                }
            };
            let all = begun.elapsed().as_nanos() as u64;
            is_done.store(true, Ordering::Relaxed);
            assert!(waited > 20_000_000, "{waited}");
            let rest = all - (cpu_nanoseconds() - cpu).min(all);
            assert!(waited <= rest + 5_000_000, "{waited} of {rest}");
        });
    }
}
