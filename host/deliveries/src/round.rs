//! One exchange with the database of an instance: what came of attempts goes in, what is due comes out. Both
//! are one transaction, so that a busy queue waits for the disk once for many deliveries.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use cloudware_instance_db::Error;
use cloudware_types::{DeliveryId, DesiredHook, HookId};
use rusqlite::Connection;

use crate::{
    rows::{self, Claimed, GivenUp, Settled},
    worker::InFlight,
};

/// What goes in.
pub(crate) struct Asked {
    /// What came of attempts.
    pub(crate) settled: Vec<Settled>,
    /// Hooks that may be told something now.
    pub(crate) hooks: Arc<HashMap<HookId, Arc<DesiredHook>>>,
    /// What is being attempted; it is due as well.
    pub(crate) in_flight: InFlight,
    /// Deliveries that are wanted at most, and of one hook with those in flight.
    pub(crate) count_max: usize,
    pub(crate) per_hook_max: usize,
    pub(crate) now_ms: u64,
    /// Whether old entries are removed.
    pub(crate) trims: bool,
}

/// What comes out.
#[derive(Debug, Default)]
pub(crate) struct Round {
    /// Deliveries whose attempt was noted; not those that were given up while it was made.
    pub(crate) noted: HashSet<DeliveryId>,
    /// What is to be attempted.
    pub(crate) claimed: Vec<Claimed>,
    /// Whether more is due than was wanted.
    pub(crate) has_more: bool,
    /// When something is due that is not due yet.
    pub(crate) next_due_ms: Option<u64>,
    /// What was removed that hooks were never told.
    pub(crate) given_up: Vec<GivenUp>,
}

impl Asked {
    /// Whether anything is written.
    pub(crate) fn writes(&self) -> bool {
        self.trims || !self.settled.is_empty()
    }

    /// Does it, in the caller's transaction.
    pub(crate) fn run(&self, sqlite: &Connection) -> Result<Round, Error> {
        let mut round = Round::default();
        for settled in &self.settled {
            if rows::settle(sqlite, settled, self.now_ms)? {
                round.noted.insert(settled.id);
            }
        }
        if self.trims {
            round.given_up = rows::trim(sqlite, self.now_ms)?;
        }
        let mut due = Vec::with_capacity(self.hooks.len());
        for &hook in self.hooks.keys() {
            due.push(self.due(sqlite, hook)?);
            let next = rows::next_due_ms(sqlite, hook, self.now_ms)?;
            round.next_due_ms = round.next_due_ms.into_iter().chain(next).min();
        }
        // Hooks take turns, who has waited longest first, so that none waits behind another that is owed much.
        due.sort_by_key(|ids| ids.front().copied());
        while round.claimed.len() < self.count_max && due.iter().any(|ids| !ids.is_empty()) {
            for ids in &mut due {
                if round.claimed.len() == self.count_max {
                    break;
                }
                if let Some((_, id)) = ids.pop_front() {
                    round.claimed.extend(rows::claimed(sqlite, id)?);
                }
            }
        }
        round.has_more = due.iter().any(|ids| !ids.is_empty());
        Ok(round)
    }

    /// What a hook may be told now.
    fn due(&self, sqlite: &Connection, hook: HookId) -> Result<VecDeque<(u64, DeliveryId)>, Error> {
        let in_flight = self.in_flight.values().filter(|own| **own == hook).count();
        let room = self.per_hook_max.saturating_sub(in_flight);
        if room == 0 {
            return Ok(VecDeque::new());
        }
        // Those in flight are due as well, and are passed over.
        let mut due = rows::due(sqlite, hook, self.now_ms, in_flight + room)?;
        due.retain(|(_, id)| !self.in_flight.contains_key(id));
        due.truncate(room);
        Ok(due)
    }
}
