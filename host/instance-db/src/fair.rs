//! Which instance's call works next: start-time fair queueing on the time that the database worked for
//! each instance, divided by its weight. An instance that asks for much waits behind those that ask for
//! little; one that was idle gains no credit by it.
//!
//! What a call will cost is not known when it begins, so the time of calls that run counts as it passes.
//!
//! Where very many instances wait, one call that took long is worth seconds of waiting for the next ones of its instance, and
//! it may have taken long because others had the processor or the disk. So a call of an instance of which nothing runs waits
//! until each of the others has had a little, by weight ([`LeadMax`]), and no longer. What its instance is ahead beyond that holds for
//! the next one again. What holds others up comes sooner ([`Urgency`]).

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    time::Duration,
};

/// Virtual time of one nanosecond of an instance with weight 1; others' time passes more slowly.
const SCALE: u128 = 1_000;

/// Keys remembered before those that need not be are looked for.
const REMEMBERED_MIN: usize = 64;

/// Keys of which nothing runs or waits that are remembered for what they have had. Whoever is next is
/// found by looking at all.
const REMEMBERED_MAX: usize = 1_024;

/// How many places one key may have while nobody else waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Places {
    /// All of them: who has one gives it up before long.
    All,
    /// All but one, so that whoever comes next finds a place.
    AllButOne,
}

/// Whether others of its key, which are not in the queue, may wait for an item to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Urgency {
    Usual,
    /// They may. Of each key one such item is in the queue or runs at a time.
    HoldsUp,
}

const URGENCIES: [Urgency; 2] = [Urgency::Usual, Urgency::HoldsUp];

/// How far a key counts as ahead of the others at most, for each urgency: from when its line was empty or the item before
/// began, in time of its own, so that one with twice the weight waits for half as long. Usual ones are bounded while
/// nothing of the key runs: one that has long items would come to have all places otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeadMax(pub(crate) [Duration; 2]);

/// Waiting items by key, and how long each key's items have been working. Times are nanoseconds
/// since any one moment.
pub(crate) struct FairQueue<K, T> {
    places: usize,
    of_one: Places,
    lead_max: LeadMax,
    running: usize,
    waiting: usize,
    /// Where the latest item began in virtual time; nobody starts behind it.
    virtual_now: u128,
    flows: HashMap<K, Flow<T>>,
    forget_at: usize,
    next_ticket: u64,
}

struct Flow<T> {
    weight: u64,
    /// Virtual time of what has ended.
    charged: u128,
    running: usize,
    /// Sum of the moments when what runs began.
    began_sum: u128,
    /// By urgency.
    lines: [Line<T>; 2],
}

/// Items of a key that wait in order of arrival.
struct Line<T> {
    items: VecDeque<(u64, T)>,
    /// The virtual time at which the first of them is at the latest.
    latest: u128,
}

/// What came of [`FairQueue::push`].
pub(crate) enum Pushed<T> {
    /// It begins now.
    Starts(T),
    /// It waits under this number.
    Waits(u64),
}

impl Places {
    /// Places that one key may have: half, rounded up, while others wait.
    fn most(self, places: usize, others_wait: bool) -> usize {
        let most = match self {
            _ if others_wait => places.div_ceil(2),
            Self::All => places,
            Self::AllButOne => places - 1,
        };
        most.max(1)
    }
}

impl LeadMax {
    /// What one has had is held against it for as long as it takes.
    pub(crate) const NONE: Self = Self([Duration::MAX; 2]);

    /// In virtual time of a key of this weight.
    fn of(self, urgency: Urgency, weight: u64) -> u128 {
        self.0[urgency as usize].as_nanos() * SCALE / u128::from(weight)
    }
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self {
            items: VecDeque::new(),
            latest: 0,
        }
    }
}

impl<T> Flow<T> {
    fn new() -> Self {
        Self {
            weight: 1,
            charged: 0,
            running: 0,
            began_sum: 0,
            lines: Default::default(),
        }
    }

    /// Whether items of it wait.
    fn waits(&self) -> bool {
        self.lines.iter().any(|line| !line.items.is_empty())
    }

    /// The first item of each line: when it is to begin in virtual time, its number and its urgency.
    fn first(&self, now: u64) -> impl Iterator<Item = (u128, u64, Urgency)> {
        let (time, runs) = (self.virtual_time(now), self.running > 0);
        let lines = self.lines.iter().zip(URGENCIES);
        lines.filter_map(move |(line, urgency)| {
            let (number, _) = line.items.front()?;
            let at = match urgency {
                Urgency::Usual if runs => time,
                _ => time.min(line.latest),
            };
            Some((at, *number, urgency))
        })
    }

    fn virtual_time(&self, now: u64) -> u128 {
        let running = (self.running as u128 * u128::from(now)).saturating_sub(self.began_sum);
        self.charged + running * SCALE / u128::from(self.weight)
    }

    fn is_idle(&self) -> bool {
        self.running == 0 && !self.waits()
    }
}

impl<K: Copy + Eq + Hash, T> FairQueue<K, T> {
    /// A queue before `places` places; at least one.
    pub(crate) fn new(places: usize, of_one: Places, lead_max: LeadMax) -> Self {
        Self {
            places: places.max(1),
            of_one,
            lead_max,
            running: 0,
            waiting: 0,
            virtual_now: 0,
            flows: HashMap::new(),
            forget_at: REMEMBERED_MIN,
            next_ticket: 0,
        }
    }

    /// Adds an item of `key`, whose weight is `weight` from now on. Whoever is told that it starts
    /// calls [`Self::finish`] when it has ended.
    pub(crate) fn push(
        &mut self,
        (key, weight): (K, u32),
        urgency: Urgency,
        item: T,
        now: u64,
    ) -> Pushed<T> {
        self.forget_idle();
        let flow = self.flows.entry(key).or_insert_with(Flow::new);
        flow.weight = u64::from(weight.max(1));
        let has_waited = flow.waits();
        if !has_waited {
            // What it did not use while it asked for nothing is not saved up.
            let behind = self.virtual_now.saturating_sub(flow.virtual_time(now));
            flow.charged += behind;
        }
        let others_wait = self.waiting > usize::from(has_waited);
        let running_max = self.of_one.most(self.places, others_wait);
        let latest = self.virtual_now + self.lead_max.of(urgency, flow.weight);
        if self.running < self.places && !has_waited && flow.running < running_max {
            let time = flow.virtual_time(now);
            self.start(key, if others_wait { time.min(latest) } else { time }, now);
            return Pushed::Starts(item);
        }
        self.waiting += usize::from(!has_waited);
        self.next_ticket += 1;
        let line = &mut flow.lines[urgency as usize];
        if line.items.is_empty() {
            line.latest = latest;
        }
        line.items.push_back((self.next_ticket, item));
        Pushed::Waits(self.next_ticket)
    }

    /// The item that begins now, if a place is free and somebody may take it.
    pub(crate) fn next(&mut self, now: u64) -> Option<(K, T)> {
        if self.waiting == 0 || self.running >= self.places {
            return None;
        }
        let others_wait = self.waiting > 1;
        let running_max = self.of_one.most(self.places, others_wait);
        let (key, (at, _, urgency)) = self
            .flows
            .iter()
            .filter(|(_, flow)| flow.waits() && flow.running < running_max)
            .flat_map(|(key, flow)| flow.first(now).map(move |first| (*key, first)))
            // Equals go in order of arrival.
            .min_by_key(|(_, (at, number, _))| (*at, *number))?;
        let flow = self.flows.get_mut(&key)?;
        let (_, item) = flow.lines[urgency as usize].items.pop_front()?;
        self.waiting -= usize::from(!flow.waits());
        let time = flow.virtual_time(now);
        let lead_max = self.lead_max.of(urgency, flow.weight);
        self.start(key, if others_wait { at } else { time }, now);
        if let Some(flow) = self.flows.get_mut(&key) {
            flow.lines[urgency as usize].latest = self.virtual_now + lead_max;
        }
        Some((key, item))
    }

    /// Takes an item out that has not begun.
    pub(crate) fn remove(&mut self, key: K, ticket: u64) -> Option<T> {
        let flow = self.flows.get_mut(&key)?;
        let (_, item) = flow.lines.iter_mut().find_map(|line| {
            let at = line
                .items
                .iter()
                .position(|(number, _)| *number == ticket)?;
            line.items.remove(at)
        })?;
        self.waiting -= usize::from(!flow.waits());
        Some(item)
    }

    /// Notes that an item of `key`, which began at `began`, has ended.
    pub(crate) fn finish(&mut self, key: K, began: u64, now: u64) {
        let Some(flow) = self.flows.get_mut(&key) else {
            return;
        };
        self.running -= 1;
        flow.running -= 1;
        flow.began_sum -= u128::from(began);
        let worked = u128::from(now.saturating_sub(began));
        flow.charged += worked * SCALE / u128::from(flow.weight);
        if self.waiting > 0 {
            return;
        }
        // What one has had matters only while somebody has less than he wants.
        if flow.is_idle() {
            self.flows.remove(&key);
        }
        if self.running == 0 {
            self.flows.clear();
            self.virtual_now = 0;
            self.forget_at = REMEMBERED_MIN;
        }
    }

    /// Notes that an item of `key` begins, which is at `at` in virtual time: what a key is ahead counts in full where nobody
    /// else waits, and nobody is ahead of others who come later by what was used until then.
    fn start(&mut self, key: K, at: u128, now: u64) {
        if let Some(flow) = self.flows.get_mut(&key) {
            self.virtual_now = self.virtual_now.max(at);
            flow.running += 1;
            flow.began_sum += u128::from(now);
            self.running += 1;
        }
    }

    /// Forgets those that a new one would be equal to, once in a while.
    fn forget_idle(&mut self) {
        if self.flows.len() < self.forget_at {
            return;
        }
        let (now, somebody_waits) = (self.virtual_now, self.waiting > 0);
        self.flows
            .retain(|_, flow| !flow.is_idle() || (somebody_waits && flow.charged > now));
        if self.flows.len() > REMEMBERED_MAX {
            self.flows.retain(|_, flow| !flow.is_idle());
        }
        self.forget_at = (self.flows.len() * 2).max(REMEMBERED_MIN);
    }
}

#[cfg(test)]
#[path = "fair_tests.rs"]
mod tests;
