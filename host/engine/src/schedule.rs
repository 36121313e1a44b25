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
//! good as those of sockets: gets a short time, and begins anew where the others are.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
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
    clock::coarse,
    limits::{COMPUTE_NICENESS, KEPT_OFF_MAX, KEPT_OFF_MIN, STAY_MAX, UNSERVED_MAX, VISIT},
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

/// How much of what an instance used while nobody waited is held against it once somebody does. No more than it may be
/// ahead: a modest one that was alone would wait behind the first long turns of whoever comes.
const REMEMBERED_MAX: u64 = AHEAD_MAX;

/// The compute threads of a host and the queue before them; dropping it ends the threads.
pub(crate) struct Scheduler(Arc<Queue>);

/// Where runs wait for a compute thread.
pub(crate) struct Queue {
    ready: Mutex<Ready>,
    work: Condvar,
    /// Somebody waits whom the threads that visit do not know of.
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
    /// Instances with waiting runs, the one that has had the least first. An entry whose time is older than
    /// its instance's is put right when it is met.
    instances: BinaryHeap<Reverse<Entry>>,
    entries: u64,
    /// The same, whoever was not served for the longest time first. An entry that is not its instance's last is skipped.
    unserved: VecDeque<Unserved>,
    idle_threads: usize,
    is_closed: bool,
}

struct Entry {
    time: u64,
    /// Breaks ties in the order of arrival.
    number: u64,
    share: Arc<Share>,
}

/// An instance that waits since it was served last, or since it began to wait.
struct Unserved {
    /// On the coarse clock, in nanoseconds.
    since: u64,
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
    /// The numbers of its entries in both lists; older ones are skipped. Changed with the queue locked.
    entry: AtomicU64,
    unserved: AtomicU64,
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
            ready.list(share);
            if ready.unserved.is_empty() {
                self.waits.notify_one();
            }
            ready.waits(share);
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
            task.compute();
            self.turn_ended(task.share());
            // On kernels that let a thread finish its slice, this is when a woken socket thread gets on.
            thread::yield_now();
        }
    }

    /// Serves whom nobody serves, until the host ends.
    fn visit(&self) {
        while let Some(share) = self.next_unserved() {
            self.begins_anew(&share);
            let begun = Instant::now();
            while let Some(task) = self.next_of(&share) {
                task.compute();
                self.turn_ended(&share);
                if begun.elapsed() >= VISIT {
                    break;
                }
            }
        }
    }

    /// Forgets what an instance is ahead of the others: whatever it was charged with, it has waited for it.
    fn begins_anew(&self, share: &Share) {
        let now = self.now.load(Ordering::Relaxed);
        share.time.fetch_min(now, Ordering::Relaxed);
    }

    /// The next instance that was not served for long; waits for one. `None` when the host ends.
    fn next_unserved(&self) -> Option<Arc<Share>> {
        let mut ready = self.ready.lock();
        loop {
            if ready.is_closed {
                return None;
            }
            match ready.take_unserved(coarse()) {
                Ok(share) => return Some(share),
                Err(Some(due)) => {
                    let _ = self.waits.wait_for(&mut ready, due);
                }
                Err(None) => self.waits.wait(&mut ready),
            }
        }
    }

    /// The next run of an instance, if one waits.
    fn next_of(&self, share: &Arc<Share>) -> Option<Arc<Task>> {
        let task = self.ready.lock().take_of(share)?;
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
    fn list(&mut self, share: &Arc<Share>) {
        self.entries += 1;
        share.entry.store(self.entries, Ordering::Relaxed);
        self.instances.push(Reverse(Entry {
            time: share.time.load(Ordering::Relaxed),
            number: self.entries,
            share: Arc::clone(share),
        }));
    }

    /// Notes that an instance waits from now on.
    fn waits(&mut self, share: &Arc<Share>) {
        self.entries += 1;
        share.unserved.store(self.entries, Ordering::Relaxed);
        self.unserved.push_back(Unserved {
            since: coarse(),
            number: self.entries,
            share: Arc::clone(share),
        });
    }

    /// The first run of the instance that has had the least, and the instance's time.
    fn take(&mut self) -> Option<(Arc<Task>, u64)> {
        loop {
            let Reverse(entry) = self.instances.pop()?;
            let Entry { time, share, .. } = entry;
            if share.entry.load(Ordering::Relaxed) != entry.number {
                continue;
            }
            if share.time.load(Ordering::Relaxed) > time {
                self.list(&share);
                continue;
            }
            if let Some(task) = self.take_of(&share) {
                return Some((task, time));
            }
        }
    }

    /// The first run of an instance, which is served by this.
    fn take_of(&mut self, share: &Arc<Share>) -> Option<Arc<Task>> {
        let mut runs = share.runs.lock();
        let (task, _) = runs.pop_front()?;
        let is_last = runs.is_empty();
        drop(runs);
        if is_last {
            share.is_listed.store(false, Ordering::Relaxed);
            share.entry.store(0, Ordering::Relaxed);
            share.unserved.store(0, Ordering::Relaxed);
        } else {
            self.list(share);
            self.waits(share);
        }
        Some(task)
    }

    /// The instance that was not served for the longest time.
    ///
    /// # Errors
    /// After how long there may be one that was not for long enough, where any waits.
    fn take_unserved(&mut self, now: u64) -> Result<Arc<Share>, Option<Duration>> {
        loop {
            let Some(first) = self.unserved.front() else {
                return Err(None);
            };
            if first.share.unserved.load(Ordering::Relaxed) == first.number {
                let waited = Duration::from_nanos(now.saturating_sub(first.since));
                if waited < UNSERVED_MAX {
                    return Err(Some(UNSERVED_MAX - waited));
                }
                let share = Arc::clone(&first.share);
                self.unserved.pop_front();
                return Ok(share);
            }
            self.unserved.pop_front();
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

    /// Whose turn it is to be visited, so long from now.
    fn unserved(queue: &Queue, later: Duration) -> Result<Arc<Share>, Option<Duration>> {
        let later = u64::try_from(later.as_nanos()).unwrap();
        queue.ready.lock().take_unserved(coarse() + later)
    }

    #[test]
    fn who_was_charged_with_much_waits_for_a_while_and_begins_anew() {
        let queue = queue();
        let [unlucky, other] = [instance(100), instance(100)];
        let (share, others) = (unlucky.share(), other.share());
        queue.push(others, run_of(&queue, &other));
        queue.charge(share, 1_000_000_000);
        for _ in 0..3 {
            queue.push(share, run_of(&queue, &unlucky));
        }
        let had = serve(&queue, &[Arc::clone(&unlucky), Arc::clone(&other)], 100);
        assert_eq!(had, [0, 100]);
        assert!(matches!(unserved(&queue, UNSERVED_MAX / 2), Err(Some(due)) if due < UNSERVED_MAX));
        let visited = unserved(&queue, UNSERVED_MAX).unwrap();
        assert!(Arc::ptr_eq(&visited, share), "the other was served later");
        queue.begins_anew(share);
        assert!(queue.next_of(share).unwrap().is_of(&unlucky));
        queue.turn_ended(share);
        assert!(matches!(unserved(&queue, UNSERVED_MAX / 2), Err(Some(_))));
        let had = serve(&queue, &[Arc::clone(&unlucky), other], 100);
        assert!(had[0].abs_diff(had[1]) <= 3, "{had:?}");
        // Nobody is in line twice by that: three runs are left, and none is there that has had its turn.
        let left = (0..3).map(|_| queue.next().unwrap());
        let of_unlucky = left.filter(|task| task.is_of(&unlucky)).count();
        assert_eq!((of_unlucky, queue.waiting()), (2, 0));
        assert!(queue.ready.lock().take().is_none());
        assert!(queue.may_run_at_once(share));
        assert!(matches!(unserved(&queue, UNSERVED_MAX), Err(None)));
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
