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

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use parking_lot::{Condvar, Mutex};
use tokio::runtime::Handle;

use crate::{
    limits::{COMPUTE_NICENESS, KEPT_OFF_MAX, KEPT_OFF_MIN, STAY_MAX, STAY_MEMORY_MIN},
    pace::Pace,
    task::Task,
};

/// The weight at which a nanosecond of processor time is a unit of virtual time.
const WEIGHT_UNIT: u64 = 100;

/// How far an instance may be ahead of the others and still run on the thread of its connection, in units of
/// virtual time. A few pages' worth.
const AHEAD_MAX: u64 = 2_000_000;

/// How far the clock of even shares may be ahead of the instance that was served last, in units of virtual time: a
/// very long turn.
const EVEN_AHEAD_MAX: u64 = 100_000_000;

/// How much of what an instance used while nobody waited is held against it once somebody does.
const REMEMBERED_MAX: u64 = 5_000_000;

/// The compute threads of a host and the queue before them; dropping it ends the threads.
pub(crate) struct Scheduler(Arc<Queue>);

/// Where runs wait for a compute thread.
pub(crate) struct Queue {
    ready: Mutex<Ready>,
    work: Condvar,
    /// Runs that wait.
    waiting: AtomicUsize,
    /// The virtual time of the instance that was served last.
    now: AtomicU64,
    /// The virtual time by which everybody would have been served evenly.
    even: AtomicU64,
    /// The weights of the instances that wait, together.
    waiting_weight: AtomicU64,
    /// Where long answers wait for a socket thread.
    pace: Arc<Pace>,
}

#[derive(Default)]
struct Ready {
    /// Instances with waiting runs, the one that has had the least first. An entry whose time is older than
    /// its instance's is put right when it is met.
    instances: BinaryHeap<Reverse<Entry>>,
    entries: u64,
    idle_threads: usize,
    is_closed: bool,
}

struct Entry {
    time: u64,
    /// Breaks ties in the order of arrival.
    number: u64,
    share: Arc<Share>,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.time, self.number).cmp(&(other.time, other.number))
    }
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
    /// The most memory that a run of it has held, in bytes.
    memory: AtomicU64,
    /// The weight with which it is listed.
    listed_weight: AtomicU64,
    /// Stays on a socket thread that it does not get, because of one that took long.
    kept_off: AtomicU32,
    /// How many it does not get after the next one that takes long; none stands for the least.
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

    /// Notes how much memory a run held.
    pub(crate) fn held(&self, bytes: u64) {
        if bytes > self.memory.load(Ordering::Relaxed) {
            self.memory.fetch_max(bytes, Ordering::Relaxed);
        }
    }

    /// Notes how long a run stayed on a socket thread. A guest that touches much memory may not come to a point where it
    /// lets others run for long; its next runs begin on a compute thread, and more of them each time that it happens.
    /// Where no run had much, the thread itself was kept from running.
    pub(crate) fn stayed(&self, cpu_nanoseconds: u64) {
        let next = self.kept_off_next.load(Ordering::Relaxed);
        if cpu_nanoseconds >= STAY_MAX.as_nanos() as u64 {
            if self.memory.load(Ordering::Relaxed) < STAY_MEMORY_MIN {
                return;
            }
            let count = next.max(KEPT_OFF_MIN);
            self.kept_off.store(count, Ordering::Relaxed);
            let more = count.saturating_mul(4).min(KEPT_OFF_MAX);
            self.kept_off_next.store(more, Ordering::Relaxed);
        } else if next > 0 {
            self.kept_off_next.store(next / 2, Ordering::Relaxed);
        }
    }

    fn is_kept_off(&self) -> bool {
        self.kept_off.load(Ordering::Relaxed) > 0
            && self
                .kept_off
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    left.checked_sub(1)
                })
                .is_ok()
    }
}

impl Scheduler {
    /// Starts the compute threads: as many as there are processors.
    pub(crate) fn start(runtime: &Handle) -> std::io::Result<Self> {
        let scheduler = Self(Arc::new(Queue::new()));
        let threads = thread::available_parallelism().map_or(1, usize::from);
        for number in 0..threads {
            let queue = Arc::clone(&scheduler.0);
            let runtime = runtime.clone();
            thread::Builder::new()
                .name(format!("compute-{number}"))
                .spawn(move || {
                    // What guests call expects the runtime's timers.
                    let _entered = runtime.enter();
                    queue.compute();
                })?;
        }
        Ok(scheduler)
    }

    pub(crate) fn queue(&self) -> &Arc<Queue> {
        &self.0
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.0.ready.lock().is_closed = true;
        self.0.work.notify_all();
    }
}

impl Queue {
    fn new() -> Self {
        Self {
            ready: Mutex::default(),
            work: Condvar::new(),
            waiting: AtomicUsize::new(0),
            now: AtomicU64::new(0),
            even: AtomicU64::new(0),
            waiting_weight: AtomicU64::new(0),
            pace: Arc::default(),
        }
    }

    /// Where long answers wait for a socket thread.
    pub(crate) fn pace(&self) -> &Arc<Pace> {
        &self.pace
    }

    /// Whether a run of the instance may have a slice on the thread of its connection: nobody waits for a
    /// processor, or the instance has not had more than its share; and it does not stay for long.
    pub(crate) fn may_run_at_once(&self, share: &Share) -> bool {
        if share.is_kept_off() {
            return false;
        }
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
        if contended {
            let mut weights = self.waiting_weight.load(Ordering::Relaxed);
            if !share.is_listed.load(Ordering::Relaxed) {
                weights += share.weight();
            }
            let step = cpu_nanoseconds * WEIGHT_UNIT / weights.max(1);
            let advance = |even: u64| Some((even.max(now) + step).min(now + EVEN_AHEAD_MAX));
            let _ = self
                .even
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, advance);
        }
    }

    /// Puts a run behind the others of its instance.
    pub(crate) fn push(&self, share: &Arc<Share>, task: Arc<Task>) {
        let mut ready = self.ready.lock();
        share.runs.lock().push_back((task, Instant::now()));
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if !share.is_listed.swap(true, Ordering::Relaxed) {
            let now = self.now.load(Ordering::Relaxed);
            share.time.fetch_max(now, Ordering::Relaxed);
            let weight = share.weight();
            share.listed_weight.store(weight, Ordering::Relaxed);
            self.waiting_weight.fetch_add(weight, Ordering::Relaxed);
            ready.list(share);
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
            match ready.take() {
                Some((task, time, left)) => {
                    self.waiting.fetch_sub(1, Ordering::Relaxed);
                    self.waiting_weight.fetch_sub(left, Ordering::Relaxed);
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

    /// Gives slices until the host ends.
    fn compute(&self) {
        // Threads that serve sockets go first; without the right to be nice it is as good as equal.
        let _ = rustix::process::nice(COMPUTE_NICENESS);
        while let Some(task) = self.next() {
            task.compute();
            let_others_on();
        }
    }

    /// Whether runs wait for a compute thread.
    pub(crate) fn has_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }
}

/// On kernels that let a thread finish its slice, this is when a woken socket thread gets on.
pub(crate) fn let_others_on() {
    thread::yield_now();
}

impl Ready {
    fn list(&mut self, share: &Arc<Share>) {
        self.entries += 1;
        self.instances.push(Reverse(Entry {
            time: share.time.load(Ordering::Relaxed),
            number: self.entries,
            share: Arc::clone(share),
        }));
    }

    /// The first run of the instance that has had the least, the instance's time, and its weight if no other run of it
    /// waits.
    fn take(&mut self) -> Option<(Arc<Task>, u64, u64)> {
        loop {
            let Reverse(Entry { time, share, .. }) = self.instances.pop()?;
            if share.time.load(Ordering::Relaxed) > time {
                self.list(&share);
                continue;
            }
            let mut runs = share.runs.lock();
            let Some((task, _)) = runs.pop_front() else {
                debug_assert!(false, "listed is only who has runs");
                continue;
            };
            let is_last = runs.is_empty();
            if is_last {
                share.is_listed.store(false, Ordering::Relaxed);
            }
            drop(runs);
            let left = if is_last {
                share.listed_weight.load(Ordering::Relaxed)
            } else {
                self.list(&share);
                0
            };
            return Some((task, time, left));
        }
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
            deadline: std::time::Duration::MAX,
            cpu: std::time::Duration::MAX,
            fuel_yield_interval: crate::limits::FUEL_YIELD_INTERVAL,
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
            queue.charge(instances[whose].share(), SLICE);
            queue.push(instances[whose].share(), task);
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
    fn one_below_its_share_never_waits_however_long_the_turns_of_others_are() {
        const TURN: u64 = 15_000_000;
        let queue = queue();
        let modest = instance(100);
        let greedy: Vec<_> = (0..10).map(|_| instance(100)).collect();
        for one in &greedy {
            for _ in 0..4 {
                queue.push(one.share(), run_of(&queue, one));
            }
        }
        for turn in 0..2_000 {
            let task = queue.next().unwrap();
            let whose = greedy.iter().find(|one| task.is_of(one)).unwrap();
            // It asks all the while, and has a twentieth of the processor where an eleventh is its own.
            for part in 0..7 {
                assert!(queue.may_run_at_once(modest.share()), "{turn}, {part}");
                queue.charge(modest.share(), TURN / 19 / 7);
            }
            queue.charge(whose.share(), TURN);
            queue.push(whose.share(), task);
        }
        // With twice its share it waits.
        let had = (0..2_000).filter(|_| {
            let task = queue.next().unwrap();
            let whose = greedy.iter().find(|one| task.is_of(one)).unwrap();
            let may = queue.may_run_at_once(modest.share());
            if may {
                queue.charge(modest.share(), TURN / 5);
            }
            queue.charge(whose.share(), TURN);
            queue.push(whose.share(), task);
            may
        });
        let had = had.count();
        assert!((900..1_150).contains(&had), "{had} of 2,000");
    }

    #[test]
    fn who_stays_long_begins_elsewhere_for_a_while() {
        let queue = queue();
        let heavy = instance(100);
        let share = heavy.share();
        let long = STAY_MAX.as_nanos() as u64;
        let refusals = || (0..).take_while(|_| !queue.may_run_at_once(share)).count();
        share.held(STAY_MEMORY_MIN - 1);
        share.stayed(long);
        assert_eq!(refusals(), 0, "it can't be what it touched");
        share.held(STAY_MEMORY_MIN);
        share.held(1);
        share.stayed(long - 1);
        assert_eq!(refusals(), 0);
        share.stayed(long);
        assert_eq!(refusals(), 64);
        share.stayed(long);
        assert_eq!(refusals(), 256);
        for _ in 0..10 {
            share.stayed(SLICE);
        }
        share.stayed(long);
        assert_eq!(refusals(), 64, "it has been modest for long enough");
    }
}
