//! Which instance's call works next: start-time fair queueing on the time that the database worked for
//! each instance, divided by its weight. An instance that asks for much waits behind those that ask for
//! little; one that was idle gains no credit by it.
//!
//! What a call will cost is not known when it begins, so the time of calls that run counts as it passes.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
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

/// Waiting items by key, and how long each key's items have been working. Times are nanoseconds
/// since any one moment.
pub(crate) struct FairQueue<K, T> {
    places: usize,
    of_one: Places,
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
    queue: VecDeque<(u64, T)>,
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

impl<T> Flow<T> {
    fn virtual_time(&self, now: u64) -> u128 {
        let running = (self.running as u128 * u128::from(now)).saturating_sub(self.began_sum);
        self.charged + running * SCALE / u128::from(self.weight)
    }

    fn is_idle(&self) -> bool {
        self.running == 0 && self.queue.is_empty()
    }
}

impl<K: Copy + Eq + Hash, T> FairQueue<K, T> {
    /// A queue before `places` places; at least one.
    pub(crate) fn new(places: usize, of_one: Places) -> Self {
        Self {
            places: places.max(1),
            of_one,
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
    pub(crate) fn push(&mut self, key: K, weight: u32, item: T, now: u64) -> Pushed<T> {
        self.forget_idle();
        let flow = self.flows.entry(key).or_insert_with(|| Flow {
            weight: 1,
            charged: 0,
            running: 0,
            began_sum: 0,
            queue: VecDeque::new(),
        });
        flow.weight = u64::from(weight.max(1));
        if flow.queue.is_empty() {
            // What it did not use while it asked for nothing is not saved up.
            let behind = self.virtual_now.saturating_sub(flow.virtual_time(now));
            flow.charged += behind;
        }
        let others_wait = self.waiting > usize::from(!flow.queue.is_empty());
        let running_max = self.of_one.most(self.places, others_wait);
        if self.running < self.places && flow.queue.is_empty() && flow.running < running_max {
            self.start(key, now);
            return Pushed::Starts(item);
        }
        self.waiting += usize::from(flow.queue.is_empty());
        self.next_ticket += 1;
        flow.queue.push_back((self.next_ticket, item));
        Pushed::Waits(self.next_ticket)
    }

    /// The item that begins now, if a place is free and somebody may take it.
    pub(crate) fn next(&mut self, now: u64) -> Option<(K, T)> {
        if self.waiting == 0 || self.running >= self.places {
            return None;
        }
        let running_max = self.of_one.most(self.places, self.waiting > 1);
        let (&key, _) = self
            .flows
            .iter()
            .filter(|(_, flow)| !flow.queue.is_empty() && flow.running < running_max)
            // Equals go in order of arrival.
            .min_by_key(|(_, flow)| (flow.virtual_time(now), flow.queue.front().map(|f| f.0)))?;
        let flow = self.flows.get_mut(&key)?;
        let (_, item) = flow.queue.pop_front()?;
        self.waiting -= usize::from(flow.queue.is_empty());
        self.start(key, now);
        Some((key, item))
    }

    /// Takes an item out that has not begun.
    pub(crate) fn remove(&mut self, key: K, ticket: u64) -> Option<T> {
        let flow = self.flows.get_mut(&key)?;
        let at = flow
            .queue
            .iter()
            .position(|(number, _)| *number == ticket)?;
        let (_, item) = flow.queue.remove(at)?;
        self.waiting -= usize::from(flow.queue.is_empty());
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

    fn start(&mut self, key: K, now: u64) {
        if let Some(flow) = self.flows.get_mut(&key) {
            self.virtual_now = self.virtual_now.max(flow.virtual_time(now));
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
