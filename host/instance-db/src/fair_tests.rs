//! Fair queueing by a clock of our own: what each key gets of the places' time.

use std::collections::BTreeMap;

use super::{FairQueue, Places, Pushed};

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
            queue: FairQueue::new(places, Places::AllButOne),
            running: Vec::new(),
            worked: BTreeMap::new(),
            most_at_once: BTreeMap::new(),
        }
    }

    fn ask(&mut self, key: u8, weight: u32, cost: u64, now: u64) {
        if let Pushed::Starts(cost) = self.queue.push(key, weight, cost, now) {
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
    let mut queue = FairQueue::new(1, Places::AllButOne);
    assert!(matches!(queue.push(1, 100, 'a', 0), Pushed::Starts('a')));
    let Pushed::Waits(second) = queue.push(1, 100, 'b', 0) else {
        panic!("one place only");
    };
    let Pushed::Waits(third) = queue.push(2, 100, 'c', 0) else {
        panic!("one place only");
    };
    assert_eq!(queue.remove(1, third), None, "it is not the first's");
    assert_eq!(queue.remove(1, second), Some('b'));
    assert_eq!(queue.remove(1, second), None);
    queue.finish(1, 0, 5);
    assert_eq!(queue.next(5), Some((2, 'c')));
    assert_eq!(queue.next(5), None);
    queue.finish(2, 5, 6);
    assert!(matches!(queue.push(1, 100, 'd', 6), Pushed::Starts('d')));
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut queue = FairQueue::new(2, Places::AllButOne);
    // One that never ends keeps the busy time from ending.
    assert!(matches!(queue.push(0, 1, (), 0), Pushed::Starts(())));
    for key in 1..10_000_u64 {
        assert!(matches!(queue.push(key, 100, (), key), Pushed::Starts(())));
        queue.finish(key, key, key + 1);
        assert_eq!(queue.flows.len(), 1, "nobody waits: nothing need be known");
    }
    // Now there is always somebody who waits: each is served when the one before has ended.
    assert!(matches!(queue.push(1, 100, (), 10_001), Pushed::Starts(())));
    for key in 2..10_000_u64 {
        let now = 10_000 + key;
        assert!(matches!(queue.push(key, 100, (), now), Pushed::Waits(_)));
        assert!(matches!(queue.push(0, 1, (), now), Pushed::Waits(_)));
        queue.finish(key - 1, now - 1, now);
        assert_eq!(queue.next(now), Some((key, ())));
        assert!(queue.flows.len() <= 2 * super::REMEMBERED_MAX + 3, "{key}");
    }
}
