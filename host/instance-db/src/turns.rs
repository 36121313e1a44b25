//! Turns at one lane of a database: how many at the same time, and who is next. Apps of an instance take
//! turns one after the other, each app's runs in order of arrival, and no app has all turns of a lane
//! that has several.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use cloudware_types::RunChain;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::{Abandoned, Error, OnAbandoned};

/// Whoever takes turns: one run of one app.
#[derive(Clone, Debug)]
pub struct Holder {
    chain: RunChain,
    app: u64,
    weight: u32,
    on_abandoned: Option<OnAbandoned>,
}

/// The share of work of an instance that nothing was said about.
const WEIGHT: u32 = 100;

impl Holder {
    /// The platform itself: waits like everybody else, and may have every turn.
    pub const PLATFORM: Self = Self {
        chain: RunChain::NOBODY,
        app: 0,
        weight: WEIGHT,
        on_abandoned: None,
    };

    /// A run of an app. One whose own turns, or those of the runs that wait for it, stand in its way is not made to
    /// wait.
    #[must_use]
    pub fn new(chain: RunChain, app: AppKey) -> Self {
        Self {
            chain,
            app: app.0,
            ..Self::PLATFORM
        }
    }

    /// The same with the instance's share of the time that databases work: twice the weight, twice
    /// the time while there is less than all want.
    #[must_use]
    pub fn with_weight(self, weight: u64) -> Self {
        let weight = u32::try_from(weight).unwrap_or(u32::MAX).max(1);
        Self { weight, ..self }
    }

    /// The same with whoever is told of work for calls that the run goes away from.
    #[must_use]
    pub fn telling(self, on_abandoned: Option<OnAbandoned>) -> Self {
        Self {
            on_abandoned,
            ..self
        }
    }

    pub(crate) fn weight(&self) -> u32 {
        self.weight
    }

    /// The run went away from a call that took so much.
    pub(crate) fn abandoned(&self, abandoned: Abandoned) {
        if let Some(on_abandoned) = &self.on_abandoned {
            on_abandoned.tell(abandoned);
        }
    }

    /// Whether both are the same run.
    pub(crate) fn is_same_run(&self, other: &Self) -> bool {
        self.chain.is_same(&other.chain)
    }

    /// Whether `other` is the same run, or one that waits for this one.
    pub(crate) fn includes(&self, other: &Self) -> bool {
        self.chain.includes(&other.chain)
    }
}

/// Stands for an app among the apps of an instance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AppKey(u64);

impl AppKey {
    /// The key of the app of this name, the same for every capability.
    #[must_use]
    pub fn of(name: &str) -> Self {
        use std::hash::{DefaultHasher, Hash as _, Hasher as _};
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        // Zero is the platform.
        Self(hasher.finish() | 1)
    }
}

/// The turns of a lane.
pub(crate) struct Turns {
    max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: Vec<(u64, Holder)>,
    /// Apps that wait, the next one first.
    waiting: VecDeque<Waiting>,
    next_number: u64,
    is_closed: bool,
}

struct Waiting {
    app: u64,
    /// Never empty.
    runs: VecDeque<(u64, Holder, oneshot::Sender<Turn>)>,
}

/// One turn; dropping it gives it to the next.
pub(crate) struct Turn {
    turns: Arc<Turns>,
    number: u64,
}

/// What came of [`Turns::ask`].
pub(crate) enum Asked {
    /// A turn was free.
    Turn(Turn),
    /// There is a queue.
    Place(Place),
}

/// A place among those who wait; dropping it leaves the queue.
pub(crate) struct Place {
    turns: Arc<Turns>,
    number: u64,
    granted: oneshot::Receiver<Turn>,
}

impl Turns {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max: max.max(1),
            state: Mutex::default(),
        })
    }

    /// A turn if one is free, else a place among those who wait.
    ///
    /// # Errors
    /// [`Error::Busy`] where only turns of the holder, or of runs that wait for it, stand in its way;
    /// [`Error::Unavailable`] where the database was deleted.
    pub(crate) fn ask(self: &Arc<Self>, holder: Holder) -> Result<Asked, Error> {
        let mut state = self.state.lock();
        if state.is_closed {
            return Err(deleted());
        }
        let own = state.held.iter().filter(|(_, h)| holder.includes(h));
        let of_app = own.clone().filter(|(_, h)| h.app == holder.app);
        if own.count() >= self.max || of_app.count() >= self.held_max(&holder) {
            return Err(Error::Busy);
        }
        state.next_number += 1;
        let number = state.next_number;
        if self.may_take(&state, &holder) {
            state.held.push((number, holder));
            return Ok(Asked::Turn(self.turn(number)));
        }
        let (grant, granted) = oneshot::channel();
        let app = holder.app;
        let run = (number, holder, grant);
        match state.waiting.iter_mut().find(|w| w.app == app) {
            Some(app) => app.runs.push_back(run),
            None => state.waiting.push_back(Waiting {
                app,
                runs: [run].into(),
            }),
        }
        Ok(Asked::Place(Place {
            turns: Arc::clone(self),
            number,
            granted,
        }))
    }

    /// Refuses everybody from now on, also those who wait.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        drop(waiting);
    }

    fn turn(self: &Arc<Self>, number: u64) -> Turn {
        Turn {
            turns: Arc::clone(self),
            number,
        }
    }

    /// Turns that the holder's app may have: all but one, so that another app finds one.
    fn held_max(&self, holder: &Holder) -> usize {
        if holder.app == Holder::PLATFORM.app {
            self.max
        } else {
            (self.max - 1).max(1)
        }
    }

    fn may_take(&self, state: &State, holder: &Holder) -> bool {
        let of_app = state.held.iter().filter(|(_, h)| h.app == holder.app);
        state.held.len() < self.max && of_app.count() < self.held_max(holder)
    }

    /// Gives what is free to those who wait. The turns are to be sent without the lock.
    fn pass_on(self: &Arc<Self>, state: &mut State) -> Vec<(oneshot::Sender<Turn>, Turn)> {
        let mut granted = Vec::new();
        while let Some(at) = (0..state.waiting.len()).find(|&at| {
            let first = state.waiting[at].runs.front();
            first.is_some_and(|(_, holder, _)| self.may_take(state, holder))
        }) {
            let Some(mut app) = state.waiting.remove(at) else {
                break;
            };
            if let Some((number, holder, grant)) = app.runs.pop_front() {
                state.held.push((number, holder));
                granted.push((grant, self.turn(number)));
            }
            if !app.runs.is_empty() {
                // The other apps come first.
                state.waiting.push_back(app);
            }
        }
        granted
    }
}

impl Turn {
    /// The holder no longer decides when the turn ends: it may wait for the next one like everybody
    /// else.
    pub(crate) fn disown(&self) {
        let mut state = self.turns.state.lock();
        let own = state.held.iter_mut().find(|(n, _)| *n == self.number);
        if let Some((_, holder)) = own {
            holder.chain = RunChain::NOBODY;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.turns.state.lock();
        state.held.retain(|(number, _)| *number != self.number);
        let granted = self.turns.pass_on(&mut state);
        drop(state);
        for (grant, turn) in granted {
            // One that went away at this moment gives its turn back by dropping it here.
            drop(grant.send(turn));
        }
    }
}

impl Place {
    /// Waits until the turn comes; `None` where the moment passes first.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the database was deleted.
    pub(crate) async fn wait_until(&mut self, moment: Instant) -> Result<Option<Turn>, Error> {
        match tokio::time::timeout_at(moment.into(), &mut self.granted).await {
            Ok(Ok(turn)) => Ok(Some(turn)),
            Ok(Err(_)) => Err(deleted()),
            Err(_) => Ok(None),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.turns.state.lock();
        for app in &mut state.waiting {
            app.runs.retain(|(number, _, _)| *number != self.number);
        }
        state.waiting.retain(|app| !app.runs.is_empty());
    }
}

fn deleted() -> Error {
    Error::Unavailable("the database was deleted".into())
}
