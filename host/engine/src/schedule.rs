//! Fair shares of the processors. Runs that compute for longer than a first short slice leave the threads that
//! serve sockets and wait here for a compute thread. Each instance has a queue of its own, and the instances
//! are served by start-time fair queueing (Goyal, Vin, Cheng: SIGCOMM 1996) on the processor time that they
//! have had, divided by their weight: who has had the least is next. One that was idle begins where the others
//! are, so that nothing is saved up; what was used while nobody waited is forgotten.
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

use std::{
    collections::{BTreeMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use tokio::runtime::Handle;

use crate::{
    clock::{coarse, thread_cpu},
    limits::{
        COMPUTE_NICENESS, KEPT_OFF_MAX, KEPT_OFF_MIN, STAY_MAX, UNSERVED_MAX, VISIT, VISITS_PART,
    },
    pace::Pace,
    task::Task,
};

/// The weight at which a nanosecond of processor time is a unit of virtual time.
const WEIGHT_UNIT: u64 = 100;

/// How far an instance may be ahead of the others and still run on the thread of its connection, in units of
/// virtual time. A few pages' worth.
const AHEAD_MAX: u64 = 2_000_000;

/// How far the clock of even shares may be ahead of the instance that was served last, in units of virtual time: the
/// longest turns, of instances with little weight.
const EVEN_AHEAD_MAX: u64 = 1_000_000_000;

/// A moment that does not come.
const NEVER: u64 = u64::MAX;

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
    /// Where long answers wait for a socket thread.
    pace: Arc<Pace>,
}

#[derive(Default)]
struct Ready {
    /// Instances with waiting runs, the one that has had the least first, and equals in the order of arrival. An entry
    /// whose time is older than its instance's is put right when it is met.
    turns: BTreeMap<(u64, u64), Arc<Share>>,
    /// The same instances, by when each is to be visited, in nanoseconds of the coarse clock.
    visits: BTreeMap<(u64, u64), Arc<Share>>,
    entries: u64,
    idle_threads: usize,
    /// Threads that visit and have nothing to do.
    idle_visitors: usize,
    /// When the first of these looks again by itself, on the coarse clock; none does where it is 0.
    looks_at: u64,
    is_closed: bool,
}

/// Where an instance with waiting runs is found.
#[derive(Clone, Copy)]
struct Listed {
    time: u64,
    visit_at: u64,
    number: u64,
}

/// One instance's place in the queue.
#[derive(Default)]
pub(crate) struct Share {
    weight: AtomicU64,
    /// Processor time had, divided by the weight.
    time: AtomicU64,
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
            pace: Arc::default(),
        }
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
        let time = share.time.load(Ordering::Relaxed);
        let even = self.even.load(Ordering::Relaxed);
        time <= even.max(self.now.load(Ordering::Relaxed)) + AHEAD_MAX
            && !share.is_listed.load(Ordering::Relaxed)
    }

    /// Counts processor time that a run has had on any thread.
    pub(crate) fn charge(&self, share: &Share, cpu_nanoseconds: u64) {
        let spent = share.weighed(cpu_nanoseconds);
        let now = self.now.load(Ordering::Relaxed);
        let contended = self.has_waiting();
        let update = |time: u64| {
            let time = time.max(now).saturating_add(spent);
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

    /// Counts the processor time of a turn on a compute thread.
    pub(crate) fn charge_turn(&self, share: &Share, cpu_nanoseconds: u64) {
        self.charge(share, cpu_nanoseconds);
        let now = self.now.load(Ordering::Relaxed);
        let weights = self.competing_weight.load(Ordering::Relaxed).max(1);
        let step = cpu_nanoseconds * WEIGHT_UNIT / weights;
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
        while let Some(task) = self.next() {
            self.turn(&task);
            // On kernels that let a thread finish its slice, this is when a woken socket thread gets on.
            thread::yield_now();
        }
    }

    /// A turn of a run. A bug in what ends it costs the run and not the thread.
    fn turn(&self, task: &Arc<Task>) {
        let _ = catch_unwind(AssertUnwindSafe(|| task.compute()));
        self.turn_ended(task.share());
    }

    /// Serves whom nobody serves, until the host ends.
    fn visit(&self) {
        while let Some((share, forgotten, mut task)) = self.next_visit() {
            let (begun, cpu) = (Instant::now(), thread_cpu());
            loop {
                self.turn(&task);
                if begun.elapsed() >= VISIT {
                    break;
                }
                match self.next_of(&share) {
                    Some(next) => task = next,
                    None => break,
                }
            }
            let had = thread_cpu().saturating_sub(cpu);
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

impl Ready {
    /// Puts an instance into the lists that is in none, and was served at the moment `now`, or begins to wait.
    fn list(&mut self, share: &Arc<Share>, now: u64) {
        self.entries += 1;
        let unserved = now.saturating_add(UNSERVED_MAX.as_nanos() as u64);
        let listed = Listed {
            time: share.time.load(Ordering::Relaxed),
            visit_at: unserved.max(share.visit_after.load(Ordering::Relaxed)),
            number: self.entries,
        };
        *share.listed.lock() = Some(listed);
        let Listed {
            time,
            visit_at,
            number,
        } = listed;
        self.turns.insert((time, number), Arc::clone(share));
        self.visits.insert((visit_at, number), Arc::clone(share));
    }

    /// Takes an instance out of the lists; false where it is in none.
    fn unlist(&mut self, share: &Share) -> bool {
        let Some(listed) = share.listed.lock().take() else {
            return false;
        };
        self.turns.remove(&(listed.time, listed.number));
        self.visits.remove(&(listed.visit_at, listed.number));
        true
    }

    /// The first run of the instance that has had the least, and the instance's time.
    fn take(&mut self, now: u64) -> Option<(Arc<Task>, u64)> {
        loop {
            let ((time, number), share) = self.turns.pop_first()?;
            let current = share.time.load(Ordering::Relaxed);
            if current > time {
                // It was not served by this.
                if let Some(listed) = share.listed.lock().as_mut() {
                    listed.time = current;
                }
                self.turns.insert((current, number), share);
                continue;
            }
            if let Some(task) = self.take_of(&share, now) {
                return Some((task, time));
            }
        }
    }

    /// The first run of an instance, which is served by this.
    fn take_of(&mut self, share: &Arc<Share>, now: u64) -> Option<Arc<Task>> {
        self.unlist(share);
        let mut runs = share.runs.lock();
        let task = runs.pop_front().map(|(task, _)| task);
        let is_empty = runs.is_empty();
        drop(runs);
        if is_empty {
            share.is_listed.store(false, Ordering::Relaxed);
        } else {
            self.list(share, now);
        }
        task
    }

    /// The instance that is to be visited.
    ///
    /// # Errors
    /// When the next one is, where any is.
    fn unserved(&self, now: u64) -> Result<Arc<Share>, Option<u64>> {
        match self.visits.first_key_value() {
            Some(((at, _), share)) if *at <= now => Ok(Arc::clone(share)),
            Some(((NEVER, _), _)) | None => Err(None),
            Some(((at, _), _)) => Err(Some(*at)),
        }
    }

    /// Whether a thread that visits is idle, and will not look in time.
    fn misses_visits(&self) -> bool {
        let first = self.visits.first_key_value();
        self.idle_visitors > 0
            && first.is_some_and(|((at, _), _)| {
                *at != NEVER && (self.looks_at == 0 || *at < self.looks_at)
            })
    }
}

#[cfg(test)]
mod tests {
    use cloudware_types::{Class, Dimension, Limits};

    use super::*;
    use crate::{Admission, task::Bounds};

    const SLICE: u64 = 100_000;

    fn queue() -> Arc<Queue> {
        Arc::new(Queue::new())
    }

    fn instance(weight: u64) -> Arc<Admission> {
        let mut limits = Limits::default();
        limits.set(Dimension::CpuWeight, weight).unwrap();
        Arc::new(Admission::new(&limits))
    }

    fn run_of(queue: &Arc<Queue>, admission: &Arc<Admission>) -> Arc<Task> {
        let bounds = Bounds {
            class: Class::Request,
            deadline: Duration::MAX,
            cpu: Duration::MAX,
        };
        Task::new(
            Arc::default(),
            Arc::clone(admission),
            Arc::clone(queue),
            Instant::now(),
            bounds,
        )
    }

    /// Gives `slices` slices among instances whose runs never end, and counts who got them.
    fn serve(queue: &Arc<Queue>, instances: &[Arc<Admission>], slices: usize) -> Vec<usize> {
        let mut had = vec![0; instances.len()];
        for _ in 0..slices {
            let task = queue.next().unwrap();
            let whose = instances.iter().position(|i| task.is_of(i)).unwrap();
            had[whose] += 1;
            queue.charge_turn(instances[whose].share(), SLICE);
            queue.push(instances[whose].share(), task);
            queue.turn_ended(instances[whose].share());
        }
        had
    }

    #[test]
    fn weights_share_the_time_however_many_runs_wait() {
        let queue = queue();
        let instances = [instance(100), instance(300), instance(100)];
        // The first has ten runs, the others one each.
        for (instance, runs) in instances.iter().zip([10, 1, 1]) {
            for _ in 0..runs {
                queue.push(instance.share(), run_of(&queue, instance));
            }
        }
        let had = serve(&queue, &instances, 500);
        for (had, share) in had.into_iter().zip([100, 300, 100]) {
            assert!(had.abs_diff(share) <= 3, "{had} of {share}");
        }
    }

    #[test]
    fn one_that_comes_late_saves_nothing_up_and_owes_nothing() {
        let queue = queue();
        let instances = [instance(100), instance(100)];
        // Alone for long: what it had while nobody waited is forgotten but for a little.
        for _ in 0..1_000 {
            queue.charge(instances[0].share(), SLICE);
        }
        queue.push(instances[0].share(), run_of(&queue, &instances[0]));
        let _ = serve(&queue, &instances, 100);
        queue.push(instances[1].share(), run_of(&queue, &instances[1]));
        let had = serve(&queue, &instances, 200);
        assert!(had[0].abs_diff(had[1]) <= 60, "{had:?}");
        let had = serve(&queue, &instances, 200);
        assert!(had[0].abs_diff(had[1]) <= 3, "{had:?}");
    }

    #[test]
    fn who_was_alone_runs_at_once_when_another_comes() {
        let queue = queue();
        let [alone, comes] = [instance(100), instance(100)];
        for _ in 0..1_000 {
            queue.charge(alone.share(), SLICE);
        }
        queue.push(comes.share(), run_of(&queue, &comes));
        assert!(queue.may_run_at_once(alone.share()));
        queue.charge(alone.share(), SLICE);
        assert!(!queue.may_run_at_once(alone.share()), "it has had its lead");
    }

    #[test]
    fn who_has_had_more_than_its_share_waits_in_turn() {
        let queue = queue();
        let [hungry, modest, waiting] = [instance(100), instance(100), instance(100)];
        assert!(queue.may_run_at_once(hungry.share()));
        queue.push(waiting.share(), run_of(&queue, &waiting));
        for _ in 0..100 {
            queue.charge(hungry.share(), SLICE);
        }
        assert!(!queue.may_run_at_once(hungry.share()));
        assert!(queue.may_run_at_once(modest.share()));
        assert!(
            !queue.may_run_at_once(waiting.share()),
            "its own runs come first"
        );
    }

    #[test]
    fn who_was_charged_with_much_waits_for_a_while_and_begins_anew() {
        let queue = queue();
        let [unlucky, other] = [instance(100), instance(100)];
        let (share, others) = (unlucky.share(), other.share());
        queue.push(others, run_of(&queue, &other));
        queue.charge(share, 60_000_000);
        for _ in 0..3 {
            queue.push(share, run_of(&queue, &unlucky));
        }
        let unserved = |at| queue.ready.lock().unserved(at);
        let is_unlucky = |found: Result<Arc<Share>, _>| Arc::ptr_eq(&found.unwrap(), share);
        let both = [Arc::clone(&unlucky), Arc::clone(&other)];
        assert_eq!(serve(&queue, &both, 50), [0, 50]);
        let listed = share.listed.lock().unwrap();
        let due = listed.visit_at;
        assert_eq!(unserved(due - 1).map(drop), Err(Some(due)));
        assert!(is_unlucky(unserved(due)), "the other was served later");
        let forgotten = queue.begins_anew(share);
        assert!(
            (50_000_000..=60_000_000).contains(&forgotten),
            "{forgotten}"
        );
        assert!(queue.next_of(share).unwrap().is_of(&unlucky));
        queue.charge_turn(share, SLICE);
        queue.turn_ended(share);
        queue.visited(share, forgotten, due);
        // A part of the time until it is visited again is what it was forgotten.
        let rest = forgotten * VISITS_PART;
        assert_eq!(share.listed.lock().unwrap().visit_at, due + rest);
        let had = serve(&queue, &both, 100);
        assert!(had[0].abs_diff(had[1]) <= 3, "{had:?}");
        assert_eq!(share.listed.lock().unwrap().visit_at, due + rest);
        // Nobody is in line twice by that: three runs are left.
        let left = (0..3).map(|_| queue.next().unwrap());
        let of_unlucky = left.filter(|task| task.is_of(&unlucky)).count();
        assert_eq!((of_unlucky, queue.waiting()), (2, 0));
        assert!(queue.ready.lock().take(due).is_none());
        assert_eq!(unserved(NEVER).map(drop), Err(None));
    }

    #[test]
    fn visits_are_a_small_part_of_a_processor_by_weight() {
        for (weight, had, apart) in [
            (100, 100_000, Duration::from_millis(200)),
            (100, 33_000_000, Duration::from_millis(6_600)),
            (10, 1_000_000, Duration::from_secs(2)),
            (10_000, 1_000_000, Duration::from_millis(200)),
        ] {
            let (queue, one) = (queue(), instance(weight));
            let share = one.share();
            queue.push(share, run_of(&queue, &one));
            let mut at = share.listed.lock().unwrap().visit_at;
            // The second time it is forgotten what it had the first time, which it has paid for.
            for forgotten in [0, share.weighed(had)] {
                queue.visited(share, share.weighed(had).max(forgotten), at);
                let next = share.listed.lock().unwrap().visit_at;
                assert_eq!(Duration::from_nanos(next - at), apart, "{weight}, {had}");
                at = next;
            }
        }
    }

    /// Threads that visit, once they have nothing to do.
    fn visitors(queue: &Arc<Queue>, count: usize) -> Vec<thread::JoinHandle<()>> {
        let threads = (0..count).map(|_| {
            let queue = Arc::clone(queue);
            thread::spawn(move || queue.visit())
        });
        let threads = threads.collect();
        while queue.ready.lock().idle_visitors < count {
            thread::yield_now();
        }
        threads
    }

    fn end(queue: &Queue, threads: Vec<thread::JoinHandle<()>>) {
        queue.ready.lock().is_closed = true;
        queue.waits.notify_all();
        for thread in threads {
            thread.join().unwrap();
        }
    }

    /// What whoever is visited says first.
    fn heard(visited: &std::sync::mpsc::Receiver<&'static str>) -> &'static str {
        visited.recv_timeout(Duration::from_secs(60)).unwrap()
    }

    #[test]
    fn who_comes_while_others_are_to_be_visited_much_later_is_visited_in_time() {
        let queue = queue();
        let threads = visitors(&queue, 1);
        let [greedy, modest] = [instance(100), instance(100)];
        let share = greedy.share();
        let far = coarse() + 3_600_000_000_000;
        share.visit_after.store(far, Ordering::Relaxed);
        queue.push(share, run_of(&queue, &greedy));
        // It knows when that is, and sleeps again.
        while queue.ready.lock().looks_at != far {
            thread::yield_now();
        }
        let (visits, visited) = std::sync::mpsc::channel();
        run_of(&queue, &modest).enqueue_with(Box::pin(async move {
            visits.send("modest").unwrap();
            Ok(())
        }));
        assert_eq!(heard(&visited), "modest");
        end(&queue, threads);
        assert_eq!(queue.waiting(), 1);
    }

    #[test]
    fn several_visit_where_one_is_held_up() {
        let queue = queue();
        let (ends, held_up) = std::sync::mpsc::channel::<()>();
        let (visits, visited) = std::sync::mpsc::channel();
        let threads = visitors(&queue, 2);
        let (slow, quick) = (instance(100), instance(100));
        let begun = visits.clone();
        run_of(&queue, &slow).enqueue_with(Box::pin(async move {
            begun.send("slow").unwrap();
            // Whoever polls this does not get on.
            let _ = held_up.recv();
            Ok(())
        }));
        for _ in 0..2 {
            let visits = visits.clone();
            run_of(&queue, &quick).enqueue_with(Box::pin(async move {
                visits.send("quick").unwrap();
                Ok(())
            }));
        }
        let mut all = [(); 3].map(|()| heard(&visited));
        all.sort_unstable();
        assert_eq!(all, ["quick", "quick", "slow"]);
        drop(ends);
        end(&queue, threads);
        assert_eq!(queue.waiting(), 0);
    }

    /// Gives long turns to greedy instances, and asks for a modest one before each. Gives how often it could run at
    /// once, where it has `part` of a turn each time.
    fn beside_long_turns(greedy: &[Arc<Admission>], runs: usize, part: u64) -> (usize, u64) {
        const TURN: u64 = 15_000_000;
        let (queue, modest) = (queue(), instance(100));
        for one in greedy {
            for _ in 0..runs {
                queue.push(one.share(), run_of(&queue, one));
            }
        }
        let mut at_once = 0;
        for _ in 0..2_000 {
            let task = queue.next().unwrap();
            let whose = greedy.iter().find(|one| task.is_of(one)).unwrap();
            if queue.may_run_at_once(modest.share()) {
                at_once += 1;
                queue.charge(modest.share(), TURN / 100 * part);
            }
            queue.charge_turn(whose.share(), TURN);
            queue.push(whose.share(), task);
            queue.turn_ended(whose.share());
        }
        let now = queue.now.load(Ordering::Relaxed);
        (at_once, queue.even.load(Ordering::Relaxed).abs_diff(now))
    }

    #[test]
    fn one_below_its_share_never_waits_however_long_the_turns_of_others_are() {
        for (weight, runs) in [(100, 4), (100, 1), (10, 1)] {
            let greedy: Vec<_> = (0..10).map(|_| instance(weight)).collect();
            // It asks for half of what each of them has.
            let (at_once, lead) = beside_long_turns(&greedy, runs, 5);
            assert_eq!(at_once, 2_000, "{weight}, {runs}");
            let turns = lead * weight / WEIGHT_UNIT / 15_000_000;
            assert!(turns <= 10, "the clock is {turns} turns ahead");
        }
        // Four times its share is given to it a quarter of the time.
        let greedy: Vec<_> = (0..10).map(|_| instance(100)).collect();
        let (at_once, _) = beside_long_turns(&greedy, 4, 40);
        assert!((400..600).contains(&at_once), "{at_once}");
    }

    #[test]
    fn who_stays_long_begins_elsewhere_for_a_while() {
        let heavy = instance(100);
        let share = heavy.share();
        let long = STAY_MAX.as_nanos() as u64;
        let kept_off = || (0..).take_while(|_| share.keeps_off()).count();
        share.stayed(long, false);
        share.stayed(long - 1, true);
        assert_eq!(kept_off(), 0);
        for _ in 0..5 {
            // Those that had begun before are no sign that it did not help.
            share.stayed(long, true);
        }
        assert_eq!(kept_off(), 64);
        share.stayed(long, true);
        assert_eq!(kept_off(), 256);
        for _ in 0..10 {
            share.stayed(SLICE, true);
        }
        share.stayed(long, true);
        assert_eq!(kept_off(), 64, "it has been modest for long enough");
    }
}
