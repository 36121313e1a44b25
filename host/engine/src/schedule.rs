//! Fair shares of the processors. Runs that compute for longer than a first short slice leave the threads that
//! serve sockets and wait here for a compute thread. Each instance has a queue of its own, and the instances
//! are served by start-time fair queueing (Goyal, Vin, Cheng: SIGCOMM 1996) on the processor time that they
//! have had, divided by their weight: who has had the least is next. One that was idle begins where the others
//! are, so that nothing is saved up, or little where a database works for it; what was used while nobody waited is forgotten.
//!
//! Whether a run may have its first slice on a socket thread is asked of another clock, which goes as if all got
//! their shares at the same time, in slices without length (the virtual time of Parekh and Gallager, 1993). The
//! time of whoever is served stands still while others have long turns, and a modest instance would seem to have had
//! more than they.
//!
//! No instance waits without end. Where very many compete, a little more than its share is worth seconds of waiting, and
//! what a thread is charged with may be the hypervisor's doing; and where socket threads have all that they can do,
//! compute threads have next to nothing. Who was not served for a fifth of a second is visited by a thread that is as
//! good as those of sockets: gets a short time, and begins anew where the others are. The longer that time was, and the
//! more is forgotten by it, the later comes the next visit, so that nobody is better off by it than by a little.

mod elsewhere;
mod ready;
mod under_way;

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use cloudware_threads::{cpu_nanoseconds, give_up_turn, take_long_turns};
use parking_lot::{Condvar, Mutex};
use tokio::runtime::Handle;

use crate::{
    clock::coarse,
    limits::{
        COMPUTE_NICENESS, COMPUTE_TURN, KEPT_OFF_MAX, KEPT_OFF_MIN, STAY_MAX, VISIT, VISITS_PART,
    },
    pace::Pace,
    task::Task,
};

use elsewhere::Owed;
pub(crate) use elsewhere::waited_lately;
use ready::{Listed, NEVER, Ready};
use under_way::{ThreadTurn, UnderWay};

/// The weight at which a nanosecond of processor time is a unit of virtual time.
const WEIGHT_UNIT: u64 = 100;

/// How far an instance may be ahead of the others and still run on the thread of its connection, in units of
/// virtual time. A few pages' worth.
const AHEAD_MAX: u64 = 2_000_000;

/// How far the clock of even shares may be ahead of the instance that was served last, in units of virtual time: the
/// longest turns and calls of databases, of instances with little weight.
const EVEN_AHEAD_MAX: u64 = 1_000_000_000;

/// What the coarse clock may be behind: a tick of a slow kernel.
const COARSE_TICK: Duration = Duration::from_millis(10);

/// How much of what an instance used while nobody waited is held against it once somebody does. No more than it may be
/// ahead: a modest one that was alone would wait behind the first long turns of whoever comes.
const REMEMBERED_MAX: u64 = AHEAD_MAX;

/// The compute threads of a host and the queue before them; dropping it ends the threads.
pub(crate) struct Scheduler(Arc<Queue>);

/// Where runs wait for a compute thread.
pub(crate) struct Queue {
    ready: Mutex<Ready>,
    work: Condvar,
    /// Somebody waits, and no thread that visits looks when he is to be visited.
    waits: Condvar,
    /// Runs that wait.
    waiting: AtomicUsize,
    /// The virtual time of the instance that was served last.
    now: AtomicU64,
    /// The virtual time by which everybody would have been served evenly.
    even: AtomicU64,
    /// The weights of the instances whose runs wait for a compute thread or have one.
    competing_weight: AtomicU64,
    /// What compute threads owe to instances for which databases work.
    owed: Owed,
    /// Says whether a database works at this moment.
    databases_work: OnceLock<Box<dyn Fn() -> bool + Send + Sync>>,
    /// What threads that give turns are at.
    under_way: UnderWay,
    /// Where long answers wait for a socket thread.
    pace: Arc<Pace>,
}

/// One instance's place in the queue.
#[derive(Default)]
pub(crate) struct Share {
    weight: AtomicU64,
    /// Processor time had, divided by the weight.
    time: AtomicU64,
    /// Databases have worked for it.
    works_elsewhere: AtomicBool,
    /// Runs that wait, and since when.
    runs: Mutex<VecDeque<(Arc<Task>, Instant)>>,
    is_listed: AtomicBool,
    /// Its place in the lists, while it is in them. Changed with the queue locked.
    listed: Mutex<Option<Listed>>,
    /// When it may be visited again, in nanoseconds of the coarse clock; never stands for being visited.
    visit_after: AtomicU64,
    /// Runs that wait or have a turn, and the weight with which they count. Changed with the queue locked.
    competing: AtomicU64,
    competing_weight: AtomicU64,
    /// Runs that begin on a compute thread, because of one that stayed long on a socket thread.
    kept_off: AtomicU32,
    /// How many do after the next one that stays long; none stands for the least.
    kept_off_next: AtomicU32,
}

impl std::fmt::Debug for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Share")
            .field("weight", &self.weight)
            .field("time", &self.time)
            .finish_non_exhaustive()
    }
}

impl Share {
    pub(crate) fn set_weight(&self, weight: u64) {
        self.weight.store(weight, Ordering::Relaxed);
    }

    /// How long the run that has waited longest has waited, in milliseconds.
    pub(crate) fn waited_ms(&self) -> u64 {
        if !self.is_listed.load(Ordering::Relaxed) {
            return 0;
        }
        let longest = self.runs.lock().front().map(|(_, since)| since.elapsed());
        longest.map_or(0, |waited| {
            u64::try_from(waited.as_millis()).unwrap_or(u64::MAX)
        })
    }

    fn weight(&self) -> u64 {
        self.weight.load(Ordering::Relaxed).max(1)
    }

    fn weighed(&self, cpu_nanoseconds: u64) -> u64 {
        cpu_nanoseconds * WEIGHT_UNIT / self.weight()
    }

    /// Whether runs of the instance wait or have a turn.
    pub(crate) fn is_competing(&self) -> bool {
        self.competing.load(Ordering::Relaxed) > 0
    }

    /// Whether a run that begins now is kept off the socket threads. To be asked once for each.
    pub(crate) fn keeps_off(&self) -> bool {
        self.kept_off.load(Ordering::Relaxed) > 0
            && self
                .kept_off
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    left.checked_sub(1)
                })
                .is_ok()
    }

    /// Notes the longest stay on a socket thread of a run that has ended, and whether that can have been its own doing: a
    /// guest that touches much memory, or lets the host work, may not come to a point where it lets others run for long.
    /// The next runs of its instance begin on a compute thread, and more of them each time that it happens. Others that
    /// stayed long were kept from running themselves.
    pub(crate) fn stayed(&self, cpu_nanoseconds: u64, is_its_own: bool) {
        let next = self.kept_off_next.load(Ordering::Relaxed);
        if cpu_nanoseconds < STAY_MAX.as_nanos() as u64 {
            if next > 0 {
                self.kept_off_next.store(next / 2, Ordering::Relaxed);
            }
        } else if is_its_own && self.kept_off.load(Ordering::Relaxed) == 0 {
            let count = next.max(KEPT_OFF_MIN);
            self.kept_off.store(count, Ordering::Relaxed);
            let more = count.saturating_mul(4).min(KEPT_OFF_MAX);
            self.kept_off_next.store(more, Ordering::Relaxed);
        }
    }

    fn joins(&self, total: &AtomicU64) {
        if self.competing.fetch_add(1, Ordering::Relaxed) == 0 {
            let weight = self.weight();
            self.competing_weight.store(weight, Ordering::Relaxed);
            total.fetch_add(weight, Ordering::Relaxed);
        }
    }

    fn leaves(&self, total: &AtomicU64) {
        if self.competing.fetch_sub(1, Ordering::Relaxed) == 1 {
            let weight = self.competing_weight.load(Ordering::Relaxed);
            total.fetch_sub(weight, Ordering::Relaxed);
        }
    }
}

impl Scheduler {
    /// Starts the threads: as many of each kind as there are processors.
    pub(crate) fn start(runtime: &Handle) -> std::io::Result<Self> {
        let scheduler = Self(Arc::new(Queue::new()));
        let threads = thread::available_parallelism().map_or(1, usize::from);
        for number in 0..threads {
            scheduler.spawn(format!("compute-{number}"), runtime, Queue::compute)?;
            scheduler.spawn(format!("visit-{number}"), runtime, Queue::visit)?;
        }
        Ok(scheduler)
    }

    fn spawn(&self, name: String, runtime: &Handle, work: fn(&Queue)) -> std::io::Result<()> {
        let queue = Arc::clone(&self.0);
        let runtime = runtime.clone();
        let thread = thread::Builder::new().name(name);
        let _ = thread.spawn(move || {
            // What guests call expects the runtime's timers.
            let _entered = runtime.enter();
            work(&queue);
        })?;
        Ok(())
    }

    pub(crate) fn queue(&self) -> &Arc<Queue> {
        &self.0
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.0.ready.lock().is_closed = true;
        self.0.work.notify_all();
        self.0.waits.notify_all();
    }
}

impl Queue {
    fn new() -> Self {
        Self {
            ready: Mutex::default(),
            work: Condvar::new(),
            waits: Condvar::new(),
            waiting: AtomicUsize::new(0),
            now: AtomicU64::new(0),
            even: AtomicU64::new(0),
            competing_weight: AtomicU64::new(0),
            owed: Owed::default(),
            databases_work: OnceLock::new(),
            under_way: UnderWay::default(),
            pace: Arc::default(),
        }
    }

    /// Has compute threads ask from now on whether a database works at this moment. Who is named first is asked.
    pub(crate) fn watch_databases(&self, work: impl Fn() -> bool + Send + Sync + 'static) {
        let _ = self.databases_work.set(Box::new(work));
    }

    /// Where long answers wait for a socket thread.
    pub(crate) fn pace(&self) -> &Arc<Pace> {
        &self.pace
    }

    /// Whether a run of the instance may have a slice on the thread of its connection: nobody waits for a
    /// processor, or the instance has not had more than its share.
    pub(crate) fn may_run_at_once(&self, share: &Share) -> bool {
        if !self.has_waiting() {
            return true;
        }
        if share.is_listed.load(Ordering::Relaxed) {
            return false;
        }
        let time = share.time.load(Ordering::Relaxed);
        let now = self.now.load(Ordering::Relaxed);
        let even = self.even.load(Ordering::Relaxed).max(now);
        if time <= even + AHEAD_MAX {
            return true;
        }
        // Turns count when they end, and some guests have long ones: what has been had of them is asked for only where it
        // makes the difference.
        let had = self.under_way.had(share);
        let even = (even + self.evenly(had.all)).min(now + EVEN_AHEAD_MAX);
        time.saturating_add(share.weighed(had.own)) <= even + AHEAD_MAX
    }

    /// By how much the clock of even shares goes on with this much processor time of those who compete.
    fn evenly(&self, cpu_nanoseconds: u64) -> u64 {
        let weights = self.competing_weight.load(Ordering::Relaxed);
        // The competition may have ended meanwhile.
        (cpu_nanoseconds * WEIGHT_UNIT)
            .checked_div(weights)
            .unwrap_or(0)
    }

    /// Counts processor time that a run has had on any thread.
    pub(crate) fn charge(&self, share: &Share, cpu_nanoseconds: u64) {
        let spent = share.weighed(cpu_nanoseconds);
        let now = self.now.load(Ordering::Relaxed);
        let contended = self.has_waiting();
        let least = now.saturating_sub(share.behind_max());
        let update = |time: u64| {
            let time = time.max(least).saturating_add(spent);
            Some(if contended {
                time
            } else {
                time.min(now + REMEMBERED_MAX)
            })
        };
        let _ = share
            .time
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
    }

    /// Counts the processor time of a turn of an instance that competes.
    pub(crate) fn charge_turn(&self, share: &Share, cpu_nanoseconds: u64) {
        self.charge(share, cpu_nanoseconds);
        let now = self.now.load(Ordering::Relaxed);
        let step = self.evenly(cpu_nanoseconds);
        if step == 0 {
            return;
        }
        let advance = |even: u64| Some((even.max(now) + step).min(now + EVEN_AHEAD_MAX));
        let _ = self
            .even
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, advance);
    }

    /// Puts a run behind the others of its instance.
    pub(crate) fn push(&self, share: &Arc<Share>, task: Arc<Task>) {
        let mut ready = self.ready.lock();
        share.runs.lock().push_back((task, Instant::now()));
        self.waiting.fetch_add(1, Ordering::Relaxed);
        share.joins(&self.competing_weight);
        if !share.is_listed.swap(true, Ordering::Relaxed) {
            let now = self.now.load(Ordering::Relaxed);
            share.time.fetch_max(now, Ordering::Relaxed);
            ready.list(share, coarse());
            if ready.misses_visits() {
                self.waits.notify_one();
            }
        }
        if ready.idle_threads > 0 {
            self.work.notify_one();
        }
    }

    /// The next run that gets a slice; waits for one. `None` when the host ends.
    fn next(&self) -> Option<Arc<Task>> {
        let mut ready = self.ready.lock();
        loop {
            if ready.is_closed {
                return None;
            }
            match ready.take(coarse()) {
                Some((task, time)) => {
                    self.waiting.fetch_sub(1, Ordering::Relaxed);
                    self.now.fetch_max(time, Ordering::Relaxed);
                    return Some(task);
                }
                None => {
                    ready.idle_threads += 1;
                    self.work.wait(&mut ready);
                    ready.idle_threads -= 1;
                }
            }
        }
    }

    /// The turn of a run that [`Self::next`] gave is over; where the run goes on, it waits again already.
    fn turn_ended(&self, share: &Share) {
        let ready = self.ready.lock();
        share.leaves(&self.competing_weight);
        // What is left of the lead belongs to a competition that is over.
        if self.competing_weight.load(Ordering::Relaxed) == 0 {
            self.even.store(0, Ordering::Relaxed);
        }
        drop(ready);
    }

    /// Gives slices until the host ends.
    fn compute(&self) {
        // Threads that serve sockets go first; without the right to be nice it is as good as equal.
        let _ = rustix::process::nice(COMPUTE_NICENESS);
        // Without, they wait for the kernel's next tick now and then.
        let _ = take_long_turns(COMPUTE_TURN);
        let own = self.under_way.join();
        while let Some(task) = self.next() {
            self.turn(&task, &own);
            drop(task);
            if !self.leave_to_databases() {
                give_up_turn();
            }
        }
    }

    /// A turn of a run. A bug in what ends it costs the run and not the thread.
    fn turn(&self, task: &Arc<Task>, own: &ThreadTurn) {
        own.begins(task.share());
        let _ = catch_unwind(AssertUnwindSafe(|| task.compute()));
        own.ends();
        self.turn_ended(task.share());
    }

    /// Serves whom nobody serves, until the host ends.
    fn visit(&self) {
        let own = self.under_way.join();
        while let Some((share, forgotten, mut task)) = self.next_visit() {
            let (begun, cpu) = (Instant::now(), cpu_nanoseconds());
            loop {
                self.turn(&task, &own);
                if begun.elapsed() >= VISIT {
                    break;
                }
                match self.next_of(&share) {
                    Some(next) => task = next,
                    None => break,
                }
            }
            let had = cpu_nanoseconds().saturating_sub(cpu);
            self.visited(&share, share.weighed(had).max(forgotten), coarse());
        }
    }

    /// The next instance that is to be visited, what is forgotten by that, and its first run; waits for one. `None` when
    /// the host ends.
    fn next_visit(&self) -> Option<(Arc<Share>, u64, Arc<Task>)> {
        let mut ready = self.ready.lock();
        loop {
            if ready.is_closed {
                return None;
            }
            let now = coarse();
            let due = match ready.unserved(now) {
                Ok(share) => {
                    let forgotten = self.begins_anew(&share);
                    // Nobody else visits it meanwhile.
                    share.visit_after.store(NEVER, Ordering::Relaxed);
                    let Some(task) = ready.take_of(&share, now) else {
                        share.visit_after.store(0, Ordering::Relaxed);
                        continue;
                    };
                    if ready.misses_visits() {
                        self.waits.notify_one();
                    }
                    drop(ready);
                    self.waiting.fetch_sub(1, Ordering::Relaxed);
                    return Some((share, forgotten, task));
                }
                Err(due) => due,
            };
            ready.idle_visitors += 1;
            match due {
                Some(at) => {
                    ready.looks_at = at;
                    let until = Duration::from_nanos(at - now) + COARSE_TICK;
                    let _ = self.waits.wait_for(&mut ready, until);
                }
                None => self.waits.wait(&mut ready),
            }
            ready.idle_visitors -= 1;
            // If it is another one that looks then, it is told once more for nothing.
            ready.looks_at = 0;
        }
    }

    /// Forgets what an instance is ahead of the others: whatever it was charged with, it has waited for it.
    fn begins_anew(&self, share: &Share) -> u64 {
        let now = self.now.load(Ordering::Relaxed);
        let before = share.time.fetch_min(now, Ordering::Relaxed);
        before.saturating_sub(now)
    }

    /// Notes that an instance was visited at last: not again before what it has had by that, or was forgotten, is a small part
    /// of the time since. What it has had may be forgotten by the next visit, and counts then.
    fn visited(&self, share: &Arc<Share>, had: u64, at: u64) {
        let next = at.saturating_add(had.saturating_mul(VISITS_PART));
        let mut ready = self.ready.lock();
        share.visit_after.store(next, Ordering::Relaxed);
        if ready.unlist(share) {
            ready.list(share, at);
        }
    }

    /// The next run of an instance, if one waits.
    fn next_of(&self, share: &Arc<Share>) -> Option<Arc<Task>> {
        let task = self.ready.lock().take_of(share, coarse())?;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        Some(task)
    }

    /// Whether runs wait for a compute thread.
    pub(crate) fn has_waiting(&self) -> bool {
        self.waiting() > 0
    }

    /// How many do.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed) as u64
    }
}

#[cfg(test)]
mod tests;
