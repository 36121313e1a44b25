//! Long answers in turns. A thread that serves sockets goes on with whatever is ready, in order of arrival; a
//! hundred answers that are written as fast as they are taken would all be ready at all times, and a short one would
//! wait for each of them. So an answer that has given a burst waits for a turn. Turns are given one at a time,
//! by a task that lets everything else go first, to one instance after the other.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use cloudware_types::InstanceId;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

/// Answers that wait for their turn.
#[derive(Default)]
pub(crate) struct Pace(Mutex<State>);

#[derive(Default)]
struct State {
    /// Instances whose answers wait, the next one first.
    order: VecDeque<InstanceId>,
    /// Their answers; none is empty.
    lines: HashMap<InstanceId, VecDeque<Arc<Turn>>>,
    /// Whether turns are being given.
    is_giving: bool,
}

/// A turn that is waited for.
#[derive(Default)]
pub(crate) struct Turn {
    is_given: AtomicBool,
    waker: AtomicWaker,
}

impl Turn {
    /// Becomes ready when the turn comes.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.waker.register(cx.waker());
        if self.is_given.load(Ordering::Acquire) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    fn give(&self) {
        self.is_given.store(true, Ordering::Release);
        self.waker.wake();
    }
}

impl Pace {
    /// A turn for an answer of the instance, behind the others of the same instance. Who no longer wants it
    /// drops it. To be called within the runtime.
    pub(crate) fn ask(self: &Arc<Self>, instance: InstanceId) -> Arc<Turn> {
        let turn = Arc::new(Turn::default());
        let mut state = self.0.lock();
        state.push(instance, Arc::clone(&turn));
        if !std::mem::replace(&mut state.is_giving, true) {
            drop(state);
            tokio::spawn(Arc::clone(self).give());
        }
        turn
    }

    /// Gives turns until nobody waits.
    async fn give(self: Arc<Self>) {
        loop {
            // Everything that is ready comes before the next turn, and what has arrived at sockets meanwhile.
            tokio::task::yield_now().await;
            let mut state = self.0.lock();
            let Some(turn) = state.next() else {
                state.is_giving = false;
                return;
            };
            drop(state);
            turn.give();
        }
    }
}

impl State {
    fn push(&mut self, instance: InstanceId, turn: Arc<Turn>) {
        match self.lines.entry(instance) {
            Entry::Occupied(mut line) => line.get_mut().push_back(turn),
            Entry::Vacant(line) => {
                line.insert([turn].into());
                self.order.push_back(instance);
            }
        }
    }

    /// The next turn that somebody still waits for.
    fn next(&mut self) -> Option<Arc<Turn>> {
        while let Some(instance) = self.order.pop_front() {
            let Entry::Occupied(mut line) = self.lines.entry(instance) else {
                continue;
            };
            let turn = line.get_mut().pop_front();
            if line.get().is_empty() {
                line.remove();
            } else {
                self.order.push_back(instance);
            }
            if let Some(turn) = turn.filter(|turn| Arc::strong_count(turn) > 1) {
                return Some(turn);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_take_turns_however_many_answers_each_has() {
        let [many, one] = [InstanceId::generate(), InstanceId::generate()];
        let mut state = State::default();
        let turn = |state: &mut State, instance| {
            let turn = Arc::new(Turn::default());
            state.push(instance, Arc::clone(&turn));
            turn
        };
        let first = turn(&mut state, many);
        let given_up = turn(&mut state, many);
        let third = turn(&mut state, many);
        let other = turn(&mut state, one);
        drop(given_up);
        for expected in [first, other, third] {
            assert!(Arc::ptr_eq(&state.next().unwrap(), &expected));
        }
        assert!(state.next().is_none());
    }

    #[tokio::test]
    async fn turns_come_one_after_the_other() {
        let pace = Arc::new(Pace::default());
        let instance = InstanceId::generate();
        let turns: Vec<_> = (0..3).map(|_| pace.ask(instance)).collect();
        let given = || turns.iter().filter(|t| t.is_given.load(Ordering::Acquire));
        assert_eq!(given().count(), 0);
        for (number, turn) in turns.iter().enumerate() {
            std::future::poll_fn(|cx| turn.poll(cx)).await;
            assert_eq!(given().count(), number + 1);
        }
        // Whoever asks after all had theirs is given one as well.
        let late = pace.ask(instance);
        std::future::poll_fn(|cx| late.poll(cx)).await;
    }
}
