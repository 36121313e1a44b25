//! Who computes. Statements that go on for longer than a moment take a place here, of which there are as many as
//! processors, and give it up for others in fair turns. Otherwise as many threads as wait for the disk could
//! compute at once, and what is left of a processor for the threads that serve sockets would be next to nothing.
//!
//! It is asked from within SQLite, each time when it looks at the clock, so that no statement that is short
//! ever comes here. A thread that waits keeps what its statement holds: the turns of one database.

use std::{
    cell::RefCell,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use cloudware_threads::{cpu_nanoseconds, give_up_turn, let_others_on};
use cloudware_types::InstanceId;
use parking_lot::{Condvar, Mutex};

use crate::{
    fair::{FairQueue, LeadMax, Places, Pushed, Urgency},
    limits::PROCESSOR_SLICE,
};

/// Is told what processor time a thread has had for an instance.
pub(crate) type Charge = Box<dyn Fn(InstanceId, Duration) + Send + Sync>;

/// The places of a host.
pub(crate) struct Processors {
    charge: OnceLock<Charge>,
    /// Work that has begun, or would if its thread had a processor, and does not wait for the disk.
    at_work: AtomicUsize,
    queue: Mutex<FairQueue<InstanceId, Arc<Waiter>>>,
    epoch: Instant,
}

/// Work that a thread is to do, or does. Counts until it is dropped.
pub(crate) struct Counted(Arc<Processors>);

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
    /// Until it waits for the disk.
    counted: Option<Counted>,
    instance: InstanceId,
    weight: u32,
    /// When it was given the place that it has.
    place: Option<u64>,
    waited: Duration,
    /// What processor time the thread had had when the instance was charged last.
    charged: u64,
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
            charge: OnceLock::new(),
            at_work: AtomicUsize::new(0),
            queue: Mutex::new(FairQueue::new(places, Places::All, LeadMax::NONE)),
            epoch: Instant::now(),
        })
    }

    /// Has `charge` told of all work from now on: when it ends, and while it goes on for longer, at each slice. Whoever
    /// was named first is told.
    pub(crate) fn charge_to(&self, charge: Charge) {
        let _ = self.charge.set(charge);
    }

    /// Counts work that a thread is to do.
    pub(crate) fn counted(self: &Arc<Self>) -> Counted {
        self.at_work.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(self))
    }

    /// Whether any is counted.
    pub(crate) fn is_at_work(&self) -> bool {
        self.at_work.load(Ordering::Relaxed) > 0
    }

    /// Does work for an instance on this thread. Gives how long it waited for a place meanwhile.
    pub(crate) fn work_for(
        self: &Arc<Self>,
        instance: InstanceId,
        weight: u32,
        counted: Counted,
        work: impl FnOnce(),
    ) -> Duration {
        let at_work = AtWork {
            processors: Arc::clone(self),
            counted: Some(counted),
            instance,
            weight,
            place: None,
            waited: Duration::ZERO,
            charged: cpu_nanoseconds(),
        };
        AT_WORK.set(Some(at_work));
        work();
        leave();
        charge();
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
        let waiting = Arc::clone(&waiter);
        let pushed = queue.push((instance, weight), Urgency::Usual, waiting, now);
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

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.at_work.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Charges the instance for which this thread works with what processor time the thread has had since the last time.
fn charge() {
    let due = AT_WORK.with_borrow_mut(|at_work| {
        let at_work = at_work.as_mut()?;
        let before = std::mem::replace(&mut at_work.charged, cpu_nanoseconds());
        let spent = Duration::from_nanos(at_work.charged.saturating_sub(before));
        Some((Arc::clone(&at_work.processors), at_work.instance, spent))
    });
    if let Some((processors, instance, spent)) = due
        && let Some(charge) = processors.charge.get()
    {
        charge(instance, spent);
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
    let slice = PROCESSOR_SLICE.as_nanos() as u64;
    let has_slice = AT_WORK.with_borrow(|at_work| {
        let place = at_work
            .as_ref()
            .and_then(|at_work| Some((at_work, at_work.place?)));
        place.is_some_and(|(at_work, began)| at_work.processors.now() < began + slice)
    });
    if has_slice {
        return Duration::ZERO;
    }
    charge();
    AT_WORK.with_borrow_mut(|at_work| {
        let Some(at_work) = at_work else {
            return Duration::ZERO;
        };
        let now = at_work.processors.now();
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
        let Some(at_work) = at_work else {
            return;
        };
        at_work.counted = None;
        if let Some(held) = at_work.place.take() {
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
                processors.work_for(InstanceId::generate(), 100, processors.counted(), || {
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
            let waited =
                processors.work_for(InstanceId::generate(), 100, processors.counted(), || {
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
            processors.work_for(InstanceId::generate(), 100, processors.counted(), || {
                pause();
                leave();
                // Neither of them would get here while the other one keeps its place.
                both.wait();
                assert!(!processors.is_at_work());
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
