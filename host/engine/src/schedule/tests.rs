//! Turns and visits, given by hand.

use cloudware_types::{Class, Dimension, Limits};

use super::*;
use crate::{
    Admission, count_socket_work,
    limits::{LEFT_MIN, WORK_BEHIND_MAX},
    socket_work,
    task::Bounds,
};

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
        None,
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
fn work_elsewhere_is_a_turn_of_who_competes_and_is_held_against_who_does_not() {
    const WORK: u64 = 1_000_000;
    let queue = queue();
    let [greedy, modest, querying] = [(); 3].map(|()| instance(100));
    // Its run waits for a compute thread that gets nothing meanwhile.
    queue.push(greedy.share(), run_of(&queue, &greedy));
    for _ in 0..500 {
        queue.charge_elsewhere(greedy.share(), WORK, || 0);
        queue.charge(modest.share(), WORK / 10);
        assert!(queue.may_run_at_once(modest.share()));
    }
    for _ in 0..500 {
        queue.charge_elsewhere(querying.share(), WORK, || 0);
    }
    assert!(
        queue.may_run_at_once(querying.share()),
        "others have had as much"
    );
    queue.charge_elsewhere(querying.share(), 3 * WORK, || 0);
    assert!(!queue.may_run_at_once(querying.share()));
}

/// Also after a turn of others that is longer than all that it has had.
#[test]
fn processors_are_left_to_databases_of_who_is_behind_and_waited() {
    const WORK: u64 = 1_000_000;
    let forever = || u64::MAX;
    let queue = queue();
    let [greedy, querying] = [(); 2].map(|()| instance(100));
    for _ in 0..4 {
        queue.push(greedy.share(), run_of(&queue, &greedy));
    }
    let long_turn = || {
        let task = queue.next().unwrap();
        queue.charge_turn(greedy.share(), 10 * WORK);
        queue.push(greedy.share(), task);
        queue.turn_ended(greedy.share());
    };
    let work = |waited: &dyn Fn() -> u64| {
        queue.charge_elsewhere(querying.share(), WORK, waited);
        queue.owed.take().unwrap_or_default()
    };
    assert_eq!(work(&forever), Duration::ZERO, "nobody has had anything");
    long_turn();
    long_turn();
    assert_eq!(work(&|| 0), Duration::ZERO, "it had what it could use");
    assert_eq!(work(&|| WORK / 2), Duration::from_nanos(WORK / 2));
    // It has had 3 of 10.
    let owed = (3..10).map(|_| work(&forever)).sum::<Duration>();
    assert_eq!(owed, Duration::from_nanos(7 * WORK));
    assert_eq!(work(&forever), Duration::ZERO, "it has had as much");
    // What it lacks is remembered up to a bound, also while its runs have a little.
    for _ in 0..100 {
        long_turn();
        queue.charge(querying.share(), WORK / 1_000);
    }
    let owed = (0..100).map(|_| work(&forever)).sum::<Duration>();
    let range = WORK_BEHIND_MAX - Duration::from_nanos(2 * WORK)..=WORK_BEHIND_MAX;
    assert!(range.contains(&owed), "{owed:?}");
}

#[test]
fn processors_are_left_for_what_is_worth_a_sleep_while_others_would_have_them() {
    let queue = queue();
    let greedy = instance(100);
    queue.push(greedy.share(), run_of(&queue, &greedy));
    let least = LEFT_MIN.as_nanos() as u64;
    queue.owed.add(least - 1);
    assert!(!queue.leave_to_databases());
    queue.owed.add(1);
    let begun = Instant::now();
    assert!(queue.leave_to_databases());
    assert!(begun.elapsed() >= LEFT_MIN);
    assert!(!queue.leave_to_databases());
    let is_at_work = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_at_work);
    queue.watch_databases(move || seen.load(Ordering::Relaxed));
    queue.owed.add(least);
    assert!(!queue.leave_to_databases(), "nobody would have it");
    is_at_work.store(true, Ordering::Relaxed);
    assert!(!queue.leave_to_databases(), "nor is it left later");
    queue.owed.add(least);
    let _task = queue.next().unwrap();
    assert!(!queue.leave_to_databases());
    queue.turn_ended(greedy.share());
    assert!(!queue.leave_to_databases());
    assert_eq!(queue.owed.take(), None, "the competition is over");
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
fn what_others_have_of_a_turn_counts_before_it_ends() {
    const WORK: u64 = 1_000_000;
    let queue = queue();
    let [greedy, modest] = [instance(100), instance(100)];
    for _ in 0..2 {
        queue.push(greedy.share(), run_of(&queue, &greedy));
    }
    let turn = queue.under_way.join();
    let _task = queue.next().unwrap();
    turn.begins(greedy.share());
    queue.charge(modest.share(), AHEAD_MAX + WORK);
    assert!(!queue.may_run_at_once(modest.share()));
    let until = cpu_nanoseconds() + 2 * WORK;
    while cpu_nanoseconds() < until {}
    assert!(queue.may_run_at_once(modest.share()));
    turn.ends();
    assert!(!queue.may_run_at_once(modest.share()));
    // It is no lead for the one whose turn it is.
    turn.begins(modest.share());
    let until = cpu_nanoseconds() + 2 * WORK;
    while cpu_nanoseconds() < until {}
    assert!(!queue.may_run_at_once(modest.share()));
}

#[test]
fn what_socket_threads_do_beside_runs_counts_for_whom_it_is_done() {
    const WORK: u64 = 50_000;
    const TIMES: u64 = 2_000;
    let queue = queue();
    let [asked, refused, modest] = [(); 3].map(|()| instance(100));
    for competing in [&asked, &refused] {
        queue.push(competing.share(), run_of(&queue, competing));
    }
    let compute = || {
        let until = cpu_nanoseconds() + WORK;
        while cpu_nanoseconds() < until {}
    };
    for _ in 0..TIMES {
        count_socket_work(|| {
            socket_work::is_for(&queue, &asked);
            compute();
            // The other half of it was a run's.
            socket_work::run_had(WORK / 2);
        });
        count_socket_work(|| {
            socket_work::is_for(&queue, &refused);
            compute();
        });
        // Nobody was asked, and one that does not compete.
        count_socket_work(compute);
        count_socket_work(|| {
            socket_work::is_for(&queue, &modest);
            compute();
        });
    }
    for (one, work) in [(asked, WORK / 2), (refused, WORK)] {
        let had = one.share().time.load(Ordering::Relaxed);
        let all = TIMES * work;
        // One of several is measured.
        assert!(
            (all * 7 / 10..all * 14 / 10).contains(&had),
            "{had} of {all}"
        );
    }
    assert_eq!(modest.share().time.load(Ordering::Relaxed), 0);
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
