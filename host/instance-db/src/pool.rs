//! The threads on which SQLite works. They are the databases' own, because a statement may compute for
//! seconds and a commit waits for the disk, and they have a lower priority than the threads that serve
//! sockets and run guests. Instances share them fairly, as [`crate::fair`] says.

use std::{
    cell::Cell,
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::Instant,
};

use cloudware_threads::{give_up_turn, take_long_turns};
use cloudware_types::InstanceId;
use parking_lot::{Condvar, Mutex, MutexGuard};
use rustix::process::{getpriority_process, setpriority_process};

use crate::{
    fair::{FairQueue, Places, Pushed, Urgency},
    limits::{LEAD_MAX, WORKER_IDLE_MAX, WORKER_TURN},
    processors::{Charge, Counted, Processors},
};

/// Work of an instance.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// The threads; they end when this is dropped and what was begun is done.
pub(crate) struct Pool {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    processors: Arc<Processors>,
    epoch: Instant,
    threads_max: usize,
    /// The priority that the threads have, as the system counts: more is less.
    priority: i32,
}

struct State {
    queue: FairQueue<InstanceId, Work>,
    /// What may begin and waits for a thread only: never more than there are places.
    ready: VecDeque<Begun>,
    threads: usize,
    /// Threads that wait and that nobody has woken. Who has waited for the shortest time is woken first, so that those that are
    /// not needed end.
    idle: Vec<Arc<Condvar>>,
    is_closed: bool,
}

struct Work {
    weight: u32,
    job: Job,
}

struct Begun {
    instance: InstanceId,
    at: u64,
    counted: Counted,
    work: Work,
}

thread_local! {
    static ON_WORKER: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread may wait for the disk.
pub(crate) fn is_worker() -> bool {
    ON_WORKER.get()
}

impl Pool {
    /// At most `workers` threads, each `nice` steps below the priority of the caller's thread. One is
    /// started now, so that there is always one; the others when they are needed.
    pub(crate) fn start(workers: usize, nice: u8) -> std::io::Result<Self> {
        let priority = getpriority_process(None).map_or(0, |own| (own + i32::from(nice)).min(19));
        let inner = Arc::new(Inner {
            state: Mutex::new(State {
                queue: FairQueue::new(workers, Places::AllButOne, LEAD_MAX),
                ready: VecDeque::new(),
                threads: 1,
                idle: Vec::new(),
                is_closed: false,
            }),
            processors: Processors::new(),
            epoch: Instant::now(),
            threads_max: workers,
            priority,
        });
        inner.spawn()?;
        Ok(Self { inner })
    }

    /// Has `charge` told of all work from now on, as [`Processors::charge_to`] says.
    pub(crate) fn charge_to(&self, charge: Charge) {
        self.inner.processors.charge_to(charge);
    }

    /// Whether a thread has work that does not wait for the disk.
    pub(crate) fn is_at_work(&self) -> bool {
        self.inner.processors.is_at_work()
    }

    /// Runs `job` for an instance when its turn comes. Where it must wait, gives its number for
    /// [`Self::forget`].
    pub(crate) fn submit(
        &self,
        (instance, weight): (InstanceId, u32),
        urgency: Urgency,
        job: Job,
    ) -> Option<u64> {
        let mut state = self.inner.state.lock();
        let now = self.inner.now();
        let work = Work { weight, job };
        match state.queue.push((instance, weight), urgency, work, now) {
            Pushed::Waits(ticket) => Some(ticket),
            Pushed::Starts(work) => {
                let begun = self.inner.begun(instance, now, work);
                state.ready.push_back(begun);
                self.inner.wake_one(state);
                None
            }
        }
    }

    /// Takes back what has not begun. The caller drops it, on a thread where that is allowed.
    pub(crate) fn forget(&self, instance: InstanceId, ticket: u64) -> Option<Job> {
        let waiting = self.inner.state.lock().queue.remove(instance, ticket);
        waiting.map(|work| work.job)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = self.inner.state.lock();
        state.is_closed = true;
        for idle in state.idle.drain(..) {
            idle.notify_one();
        }
    }
}

impl Inner {
    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn begun(&self, instance: InstanceId, at: u64, work: Work) -> Begun {
        Begun {
            instance,
            at,
            counted: self.processors.counted(),
            work,
        }
    }

    /// Sees that a thread takes what is ready.
    fn wake_one(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        if let Some(idle) = state.idle.pop() {
            drop(state);
            idle.notify_one();
            return;
        }
        if state.threads == self.threads_max {
            // There is a thread for each place, so one is on its way to what is ready.
            return;
        }
        state.threads += 1;
        drop(state);
        if let Err(error) = self.spawn() {
            self.state.lock().threads -= 1;
            tracing::warn!(%error, "no further thread for databases can be started; calls wait for those that there are");
        }
    }

    fn spawn(self: &Arc<Self>) -> std::io::Result<()> {
        let inner = Arc::clone(self);
        thread::Builder::new()
            .name("db-worker".into())
            .spawn(move || inner.work())
            .map(drop)
    }

    fn work(self: &Arc<Self>) {
        ON_WORKER.set(true);
        // Where the system refuses a lower priority, the threads work with the ordinary one.
        let _ = setpriority_process(None, self.priority);
        let _ = take_long_turns(WORKER_TURN);
        let own = Arc::new(Condvar::new());
        let mut state = self.state.lock();
        loop {
            if let Some(begun) = state.ready.pop_front() {
                drop(state);
                state = self.run(begun);
                continue;
            }
            if state.is_closed {
                break;
            }
            MutexGuard::unlocked(&mut state, give_up_turn);
            if !state.ready.is_empty() || state.is_closed {
                continue;
            }
            state.idle.push(Arc::clone(&own));
            let is_late = own.wait_for(&mut state, WORKER_IDLE_MAX).timed_out();
            state.idle.retain(|idle| !Arc::ptr_eq(idle, &own));
            if is_late && state.ready.is_empty() && state.threads > 1 {
                break;
            }
        }
        state.threads -= 1;
    }

    /// Runs what was begun, and finds what begins in its place.
    fn run(&self, begun: Begun) -> MutexGuard<'_, State> {
        let Begun {
            instance,
            at,
            counted,
            work,
        } = begun;
        let Work { weight, job } = work;
        // A panic was reported when it happened; the caller finds its answer missing.
        let job = || drop(catch_unwind(AssertUnwindSafe(job)));
        let waited = self.processors.work_for(instance, weight, counted, job);
        let waited = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
        let mut state = self.state.lock();
        let now = self.now();
        // Time for which others computed is not held against it.
        state.queue.finish(instance, at, now.saturating_sub(waited));
        while let Some((instance, work)) = state.queue.next(now) {
            state.ready.push_back(self.begun(instance, now, work));
        }
        state
    }
}
