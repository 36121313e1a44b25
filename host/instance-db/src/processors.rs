//! Who computes. Statements that go on for longer than a moment take a place here, of which there are as many as
//! processors, and give it up for others in fair turns. Otherwise as many threads as wait for the disk could
//! compute at once, and what is left of a processor for the threads that serve sockets would be next to nothing.
//!
//! It is asked from within SQLite, each time when it looks at the clock, so that no statement that is short
//! ever comes here. A thread that waits keeps what its statement holds: the turns of one database.

use std::{
    cell::RefCell,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use cloudware_threads::{give_up_turn, let_others_on};
use cloudware_types::InstanceId;
use parking_lot::{Condvar, Mutex};

use crate::{
    fair::{FairQueue, Places, Pushed},
    limits::PROCESSOR_SLICE,
};

/// The places of a host.
pub(crate) struct Processors {
    queue: Mutex<FairQueue<InstanceId, Arc<Waiter>>>,
    epoch: Instant,
}

/// A thread that waits for a place.
#[derive(Default)]
struct Waiter {
    /// When it was given one.
    granted: Mutex<Option<u64>>,
    changed: Condvar,
}

/// What a thread does that works for an instance.
struct AtWork {
    processors: Arc<Processors>,
    instance: InstanceId,
    weight: u32,
    /// When it was given the place that it has.
    place: Option<u64>,
    waited: Duration,
}

thread_local! {
    static AT_WORK: RefCell<Option<AtWork>> = const { RefCell::new(None) };
}

impl Processors {
    /// One place for each processor that this process may use.
    pub(crate) fn new() -> Arc<Self> {
        Self::with(thread::available_parallelism().map_or(1, usize::from))
    }

    fn with(places: usize) -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::new(FairQueue::new(places, Places::All)),
            epoch: Instant::now(),
        })
    }

    /// Does work for an instance on this thread. Gives how long it waited for a place meanwhile.
    pub(crate) fn work_for(
        self: &Arc<Self>,
        instance: InstanceId,
        weight: u32,
        work: impl FnOnce(),
    ) -> Duration {
        let at_work = AtWork {
            processors: Arc::clone(self),
            instance,
            weight,
            place: None,
            waited: Duration::ZERO,
        };
        AT_WORK.set(Some(at_work));
        work();
        leave();
        AT_WORK.take().map_or(Duration::ZERO, |ended| ended.waited)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Takes a place when its turn comes, in exchange for the one that was given at `held`.
    fn take(&self, instance: InstanceId, weight: u32, held: Option<u64>) -> u64 {
        let now = self.now();
        let waiter = Arc::new(Waiter::default());
        let mut queue = self.queue.lock();
        let pushed = queue.push(instance, weight, Arc::clone(&waiter), now);
        if let Some(held) = held {
            // It stands in line already, so that it goes on where nobody comes before it.
            queue.finish(instance, held, now);
            grant(&mut queue, now);
        }
        drop(queue);
        match pushed {
            Pushed::Starts(_) => now,
            Pushed::Waits(_) => waiter.wait(),
        }
    }

    fn give(&self, instance: InstanceId, held: u64) {
        let now = self.now();
        let mut queue = self.queue.lock();
        queue.finish(instance, held, now);
        grant(&mut queue, now);
    }
}

/// Gives what is free to those who wait.
fn grant(queue: &mut FairQueue<InstanceId, Arc<Waiter>>, now: u64) {
    while let Some((_, waiter)) = queue.next(now) {
        *waiter.granted.lock() = Some(now);
        waiter.changed.notify_one();
    }
}

impl Waiter {
    fn wait(&self) -> u64 {
        give_up_turn();
        let mut granted = self.granted.lock();
        loop {
            match *granted {
                Some(at) => return at,
                None => self.changed.wait(&mut granted),
            }
        }
    }
}

/// To be called while a statement computes, every now and then: lets others have the processor. Gives how
/// long it waited for its next turn, which is nothing where this thread works for no instance.
pub(crate) fn pause() -> Duration {
    // Whoever serves a socket and has just been woken goes first.
    let_others_on();
    AT_WORK.with_borrow_mut(|at_work| {
        let Some(at_work) = at_work else {
            return Duration::ZERO;
        };
        let slice = PROCESSOR_SLICE.as_nanos() as u64;
        let now = at_work.processors.now();
        if at_work.place.is_some_and(|began| now < began + slice) {
            return Duration::ZERO;
        }
        let (processors, held) = (&at_work.processors, at_work.place);
        let began = processors.take(at_work.instance, at_work.weight, held);
        at_work.place = Some(began);
        let waited = Duration::from_nanos(began.saturating_sub(now));
        at_work.waited += waited;
        waited
    })
}

/// To be called before this thread waits for the disk: others may compute meanwhile.
pub(crate) fn leave() {
    AT_WORK.with_borrow_mut(|at_work| {
        if let Some(at_work) = at_work
            && let Some(held) = at_work.place.take()
        {
            at_work.processors.give(at_work.instance, held);
        }
    });
}

/// How long this thread has waited for places in the work that it does now.
pub(crate) fn waited() -> Duration {
    AT_WORK.with_borrow(|at_work| at_work.as_ref().map_or(Duration::ZERO, |w| w.waited))
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
        mpsc,
    };

    use super::*;

    #[test]
    fn who_waits_gets_a_turn_before_who_computes_has_ended() {
        let processors = Processors::with(1);
        let is_done = AtomicBool::new(false);
        let (computing, begun) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                processors.work_for(InstanceId::generate(), 100, || {
                    pause();
                    computing.send(()).unwrap();
                    // Ends only because the other one is let in.
                    while !is_done.load(Ordering::Acquire) {
                        pause();
                    }
                });
            });
            begun.recv().unwrap();
            let mut reported = Duration::ZERO;
            let waited = processors.work_for(InstanceId::generate(), 100, || {
                reported = pause();
                assert_eq!(waited(), reported);
                is_done.store(true, Ordering::Release);
            });
            assert_eq!(waited, reported);
            assert!(waited > Duration::ZERO, "the place was taken");
        });
    }

    #[test]
    fn who_waits_for_the_disk_has_no_place() {
        let processors = Processors::with(1);
        let both = Barrier::new(2);
        let work = || {
            processors.work_for(InstanceId::generate(), 100, || {
                pause();
                leave();
                // Neither of them would get here while the other one keeps its place.
                both.wait();
            });
        };
        thread::scope(|scope| {
            scope.spawn(work);
            work();
        });
    }

    #[test]
    fn threads_that_work_for_nobody_wait_for_nothing() {
        assert_eq!(pause(), Duration::ZERO);
        leave();
        assert_eq!(waited(), Duration::ZERO);
    }
}
