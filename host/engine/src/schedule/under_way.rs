//! What compute threads have had of the turns that they are at: a guest that touches new memory does not come to a yield for
//! long, and its turn counts when it ends.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use cloudware_threads::{ThreadClock, cpu_nanoseconds};
use parking_lot::RwLock;

/// No turn is under way.
const NONE: u64 = 0;

/// The turns of all compute threads.
#[derive(Default)]
pub(super) struct UnderWay(RwLock<Vec<Arc<ThreadTurn>>>);

/// The turn that a thread is at.
pub(super) struct ThreadTurn {
    clock: Option<ThreadClock>,
    /// What processor time the thread had had when it began, in nanoseconds.
    began: AtomicU64,
}

impl UnderWay {
    /// Has the turns of the calling thread counted.
    pub(super) fn join(&self) -> Arc<ThreadTurn> {
        let turn = Arc::new(ThreadTurn {
            clock: ThreadClock::own(),
            began: AtomicU64::new(NONE),
        });
        self.0.write().push(Arc::clone(&turn));
        turn
    }

    /// Processor time that threads have had of turns that have not ended, in nanoseconds.
    pub(super) fn nanoseconds(&self) -> u64 {
        let turns = self.0.read();
        turns.iter().map(|turn| turn.nanoseconds()).sum()
    }
}

impl ThreadTurn {
    /// A turn of the calling thread, which is the one that joined, begins.
    pub(super) fn begins(&self) {
        self.began
            .store(cpu_nanoseconds().max(1), Ordering::Relaxed);
    }

    /// Its turn ends.
    pub(super) fn ends(&self) {
        self.began.store(NONE, Ordering::Relaxed);
    }

    fn nanoseconds(&self) -> u64 {
        match (self.began.load(Ordering::Relaxed), self.clock) {
            (NONE, _) | (_, None) => 0,
            (began, Some(clock)) => clock.nanoseconds().saturating_sub(began),
        }
    }
}
