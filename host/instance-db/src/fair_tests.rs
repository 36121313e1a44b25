//! Fair queueing by a clock of our own: what each key gets of the places' time.

use std::{collections::BTreeMap, time::Duration};

use super::{FairQueue, LeadMax, Places, Pushed, Urgency};

/// Keys whose items take a fixed time each and that always want more, served by `places` places until
/// `until`. Gives the time that each key's items worked.
struct Flood {
    queue: FairQueue<u8, u64>,
    /// What runs: when it ends, whose it is, and when it began.
    running: Vec<(u64, u8, u64)>,
    worked: BTreeMap<u8, u64>,
    most_at_once: BTreeMap<u8, usize>,
}

impl Flood {
    fn new(places: usize) -> Self {
        Self {
            queue: FairQueue::new(places, Places::AllButOne, LeadMax::NONE),
            running: Vec::new(),
            worked: BTreeMap::new(),
            most_at_once: BTreeMap::new(),
        }
    }

    fn ask(&mut self, key: u8, weight: u32, cost: u64, now: u64) {
        if let Pushed::Starts(cost) = self.queue.push((key, weight), Urgency::Usual, cost, now) {
            self.begin(key, cost, now);
        }
    }

    fn begin(&mut self, key: u8, cost: u64, now: u64) {
        self.running.push((now + cost, key, now));
        let at_once = self.running.iter().filter(|r| r.1 == key).count();
        let most = self.most_at_once.entry(key).or_default();
        *most = (*most).max(at_once);
    }

    /// Ends the item that ends first; whose it was, and when it ended.
    fn step(&mut self) -> Option<(u8, u64)> {
        let at = (0..self.running.len()).min_by_key(|&at| self.running[at].0)?;
        let (now, key, began) = self.running.swap_remove(at);
        *self.worked.entry(key).or_default() += now - began;
        self.queue.finish(key, began, now);
        while let Some((next, cost)) = self.queue.next(now) {
            self.begin(next, cost, now);
        }
        Some((key, now))
    }

    /// Each of `keys` (key, weight, cost, how many at once) asks again whenever one of its items ends.
    fn run(&mut self, keys: &[(u8, u32, u64, usize)], until: u64) {
        for &(key, weight, cost, at_once) in keys {
            (0..at_once).for_each(|_| self.ask(key, weight, cost, 0));
        }
        while let Some((key, now)) = self.step() {
            if now < until {
                let &(_, weight, cost, _) = keys.iter().find(|k| k.0 == key).unwrap();
                self.ask(key, weight, cost, now);
            }
        }
    }
}

/// The share of `key` in hundredths.
fn share(worked: &BTreeMap<u8, u64>, key: u8) -> u64 {
    100 * worked[&key] / worked.values().sum::<u64>()
}

#[test]
fn time_is_shared_equally_whatever_a_call_costs() {
    let mut flood = Flood::new(4);
    flood.run(
        &[(1, 100, 50_000, 9), (2, 100, 100, 9), (3, 100, 900, 9)],
        10_000_000,
    );
    for key in 1..=3 {
        let share = share(&flood.worked, key);
        assert!((30..=37).contains(&share), "{key} has {share} %");
    }
}

#[test]
fn time_is_shared_by_weight() {
    let mut flood = Flood::new(2);
    let keys = [(1, 100, 700, 5), (2, 300, 700, 5), (3, 400, 700, 5)];
    flood.run(&keys, 10_000_000);
    for (key, expected) in [(1, 12), (2, 37), (3, 50)] {
        let share = share(&flood.worked, key);
        assert!(share.abs_diff(expected) <= 2, "{key} has {share} %");
    }
}

#[test]
fn one_that_asks_now_and_then_goes_before_those_that_flood() {
    let mut flood = Flood::new(2);
    for _ in 0..9 {
        for key in 1..=5 {
            flood.ask(key, 100, 10_000, 0);
        }
    }
    // Once two have ended, whoever has had nothing is next, however many others have waited for long.
    flood.step();
    let (_, now) = flood.step().unwrap();
    flood.ask(9, 100, 10, now);
    let mut ended = Vec::new();
    while let Some((key, _)) = flood.step() {
        ended.push(key);
    }
    let place = ended.iter().position(|key| *key == 9).unwrap();
    assert!(place <= 5, "it waited for {place} calls of 43");
}

const LEAD_MAX: LeadMax = LeadMax([Duration::from_nanos(1_000), Duration::from_nanos(100)]);

/// One key has had a thousand times as much as may be held against it, and others always want more. What each of these gets
/// before each of the next four items of the first begins.
fn between_items_of_who_is_ahead(weight: u32, urgency: Urgency) -> [u64; 4] {
    let mut queue = FairQueue::new(1, Places::AllButOne, LEAD_MAX);
    let pushed = queue.push((0, weight), urgency, 1_000_000, 0);
    assert!(matches!(pushed, Pushed::Starts(_)));
    // There is always one that waits.
    for _ in 0..2 {
        queue.push((0, weight), urgency, 0, 0);
    }
    for key in 1..=9 {
        queue.push((key, 100), Urgency::Usual, 10, 0);
    }
    let (mut running, mut began, mut now) = (0, 0, 1_000_000);
    [(); 4].map(|()| {
        let mut had = 0;
        loop {
            queue.finish(running, began, now);
            let (next, cost) = queue.next(now).unwrap();
            // Whoever has ended asks again.
            match running {
                0 => queue.push((0, weight), urgency, 0, now),
                other => queue.push((other, 100), Urgency::Usual, 10, now),
            };
            (running, began, now) = (next, now, now + cost);
            if running == 0 {
                break had / 9;
            }
            had += cost;
            assert!(had < 100_000, "it waits for ever");
            // However many more of it come meanwhile.
            queue.push((0, weight), urgency, 0, now);
        }
    })
}

#[test]
fn who_is_far_ahead_waits_until_the_others_have_had_a_little_more_each_time() {
    let had = between_items_of_who_is_ahead(100, Urgency::Usual);
    assert!(had.iter().all(|had| had.abs_diff(1_000) <= 20), "{had:?}");
    // In its own time: who has twice the weight waits for half as long.
    let had = between_items_of_who_is_ahead(200, Urgency::Usual);
    assert!(had.iter().all(|had| had.abs_diff(500) <= 20), "{had:?}");
    let had = between_items_of_who_is_ahead(100, Urgency::HoldsUp);
    assert!(had.iter().all(|had| had.abs_diff(100) <= 20), "{had:?}");
}

#[test]
fn what_is_ahead_is_not_bounded_for_who_has_a_place_already() {
    let mut queue = FairQueue::new(3, Places::AllButOne, LEAD_MAX);
    for key in [0, 0, 1] {
        let pushed = queue.push((key, 100), Urgency::Usual, key, 0);
        assert!(matches!(pushed, Pushed::Starts(_)));
    }
    queue.push((0, 100), Urgency::Usual, 0, 0);
    for _ in 0..9 {
        queue.push((1, 100), Urgency::Usual, 1, 0);
    }
    queue.finish(0, 0, 1_000_000);
    // The other item of 0 goes on, so that all of 1 begin before a further one.
    for at in 1..=9 {
        let now = 1_000_000 + at * 10_000;
        assert_eq!(queue.next(now - 1), Some((1, 1)), "{at}");
        queue.finish(1, now - 1, now);
    }
    queue.push((1, 100), Urgency::Usual, 1, 1_100_000);
    queue.finish(0, 0, 1_100_000);
    assert_eq!(queue.next(1_100_000), Some((0, 0)), "nothing of it runs");
}

/// A key that had all places for long, of which an item is still running, and its queue.
fn who_never_rested(places: usize) -> FairQueue<u8, u64> {
    let mut queue = FairQueue::new(places, Places::AllButOne, LEAD_MAX);
    queue.push((0, 100), Urgency::Usual, 0, 0);
    for began in 1..1_000 {
        let now = began * 100_000;
        let pushed = queue.push((0, 100), Urgency::Usual, 0, now);
        queue.finish(0, now - 100_000, now);
        match pushed {
            Pushed::Starts(_) => assert!(places > 1),
            Pushed::Waits(_) => assert_eq!(queue.next(now), Some((0, 0))),
        }
    }
    FairQueue { places: 1, ..queue }
}

#[test]
fn what_was_used_while_nobody_waited_is_forgotten_though_it_never_rested() {
    for places in [1, 4] {
        let mut both = Flood::new(1);
        both.queue = who_never_rested(places);
        both.running.push((99_900_200, 0, 99_900_000));
        for _ in 0..9 {
            for key in [0, 1] {
                both.ask(key, 100, 100, 99_900_100);
            }
        }
        let mut begun = Vec::new();
        while both.step().is_some() {
            begun.extend(both.running.iter().map(|running| running.1));
        }
        // But for what it has had since then, they go by turns.
        assert_eq!(begun[..8], [1, 1, 0, 1, 0, 1, 0, 1], "{places} places");
    }
}

#[test]
fn a_place_that_others_may_not_have_moves_the_clock_by_little_while_they_wait() {
    let mut queue = FairQueue::new(4, Places::AllButOne, LEAD_MAX);
    for key in [0, 1, 1, 1] {
        queue.push((key, 100), Urgency::Usual, key, 0);
    }
    queue.push((1, 100), Urgency::Usual, 1, 0);
    queue.finish(1, 0, 10);
    assert_eq!(queue.next(10), Some((1, 1)));
    queue.push((1, 100), Urgency::Usual, 1, 10);
    queue.finish(0, 0, 1_000_000);
    let pushed = queue.push((0, 100), Urgency::Usual, 0, 1_000_000);
    assert!(matches!(pushed, Pushed::Starts(0)));
    assert!(queue.virtual_now <= 1_100 * super::SCALE / 100);
}

#[test]
fn who_waits_in_both_lines_waits_until_both_are_empty() {
    let mut queue = FairQueue::new(1, Places::AllButOne, LEAD_MAX);
    queue.push((0, 100), Urgency::Usual, 'a', 0);
    let tickets = [Urgency::HoldsUp, Urgency::Usual].map(|urgency| {
        let Pushed::Waits(ticket) = queue.push((1, 100), urgency, 'b', 0) else {
            panic!("one place only");
        };
        ticket
    });
    assert_eq!(queue.waiting, 1);
    queue.finish(0, 0, 10);
    for (ticket, left) in tickets.into_iter().rev().zip([1, 0]) {
        assert_eq!(queue.remove(1, ticket), Some('b'));
        assert_eq!(queue.remove(1, ticket), None);
        assert_eq!(
            (queue.waiting, queue.flows[&1].is_idle()),
            (left, left == 0)
        );
    }
    assert_eq!(queue.next(10), None);
}

#[test]
fn what_holds_others_up_goes_first_and_keeps_nothing_else_for_good() {
    let mut queue = FairQueue::new(1, Places::AllButOne, LEAD_MAX);
    for key in 0..9 {
        queue.push((key, 100), Urgency::Usual, Urgency::Usual, 0);
        queue.push((key, 100), Urgency::HoldsUp, Urgency::HoldsUp, 0);
        queue.push((key, 100), Urgency::Usual, Urgency::Usual, 0);
    }
    let (mut running, mut now) = ((0, Urgency::Usual), 0);
    let mut begun = Vec::new();
    for _ in 0..200 {
        let (key, urgency) = running;
        queue.finish(key, now, now + 500);
        now += 500;
        running = queue.next(now).unwrap();
        begun.push(running.1);
        // What held others up is followed by the next of its kind at once.
        if urgency == Urgency::HoldsUp {
            queue.push((key, 100), Urgency::HoldsUp, urgency, now);
        }
    }
    let usual: Vec<usize> = (0..200).filter(|&at| begun[at] == Urgency::Usual).collect();
    assert_eq!(usual.len(), 17, "{usual:?}");
    assert!(usual[16] < 100, "{usual:?}");
    // The first of each was served when all were equal, the second waited for its instance's writers.
    assert!(usual[9] > 16, "{usual:?}");
}

#[test]
fn no_time_is_saved_up() {
    let mut flood = Flood::new(1);
    flood.run(&[(1, 100, 1_000, 3)], 1_000_000);
    // Nothing is left of the time in which 2 asked for nothing.
    let mut both = Flood::new(1);
    both.queue = flood.queue;
    both.run(&[(1, 100, 1_000, 3), (2, 100, 1_000, 3)], 100_000);
    assert!(
        share(&both.worked, 1).abs_diff(50) <= 4,
        "{:?}",
        both.worked
    );
}

#[test]
fn nobody_has_more_than_half_while_others_wait_nor_ever_all() {
    let mut alone = Flood::new(8);
    alone.run(&[(1, 100, 100, 20)], 10_000);
    assert_eq!(alone.most_at_once[&1], 7);
    let mut several = Flood::new(7);
    for _ in 0..20 {
        several.ask(1, 100, 1_000, 0);
    }
    for _ in 0..20 {
        several.ask(2, 100, 1_000, 0);
    }
    // The first had all but one before the second came; it comes down to half and stays there.
    while several.running.iter().any(|(_, _, began)| *began == 0) {
        several.step();
    }
    let of = |key| several.running.iter().filter(|r| r.1 == key).count();
    assert_eq!((of(1) + of(2), of(1).max(of(2))), (7, 4));
    let mut single = Flood::new(1);
    single.run(&[(1, 100, 10, 3), (2, 100, 10, 3)], 1_000);
    assert!(single.worked[&1] > 0 && single.worked[&2] > 0);
}

#[test]
fn what_was_taken_out_never_begins_and_leaves_no_gap() {
    let mut queue = FairQueue::new(1, Places::AllButOne, LeadMax::NONE);
    assert!(matches!(
        queue.push((1, 100), Urgency::Usual, 'a', 0),
        Pushed::Starts('a')
    ));
    let Pushed::Waits(second) = queue.push((1, 100), Urgency::Usual, 'b', 0) else {
        panic!("one place only");
    };
    let Pushed::Waits(third) = queue.push((2, 100), Urgency::Usual, 'c', 0) else {
        panic!("one place only");
    };
    assert_eq!(queue.remove(1, third), None, "it is not the first's");
    assert_eq!(queue.remove(1, second), Some('b'));
    assert_eq!(queue.remove(1, second), None);
    queue.finish(1, 0, 5);
    assert_eq!(queue.next(5), Some((2, 'c')));
    assert_eq!(queue.next(5), None);
    queue.finish(2, 5, 6);
    assert!(matches!(
        queue.push((1, 100), Urgency::Usual, 'd', 6),
        Pushed::Starts('d')
    ));
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut queue = FairQueue::new(2, Places::AllButOne, LeadMax::NONE);
    // One that never ends keeps the busy time from ending.
    assert!(matches!(
        queue.push((0, 1), Urgency::Usual, (), 0),
        Pushed::Starts(())
    ));
    for key in 1..10_000_u64 {
        assert!(matches!(
            queue.push((key, 100), Urgency::Usual, (), key),
            Pushed::Starts(())
        ));
        queue.finish(key, key, key + 1);
        assert_eq!(queue.flows.len(), 1, "nobody waits: nothing need be known");
    }
    // Now there is always somebody who waits: each is served when the one before has ended.
    assert!(matches!(
        queue.push((1, 100), Urgency::Usual, (), 10_001),
        Pushed::Starts(())
    ));
    for key in 2..10_000_u64 {
        let now = 10_000 + key;
        let urgency = super::URGENCIES[key as usize % 2];
        assert!(matches!(
            queue.push((key, 100), urgency, (), now),
            Pushed::Waits(_)
        ));
        assert!(matches!(
            queue.push((0, 1), Urgency::Usual, (), now),
            Pushed::Waits(_)
        ));
        queue.finish(key - 1, now - 1, now);
        assert_eq!(queue.next(now), Some((key, ())));
        assert!(queue.flows.len() <= 2 * super::REMEMBERED_MAX + 3, "{key}");
    }
}
