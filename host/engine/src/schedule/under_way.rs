//! What threads have had of the turns that they are at: a guest that touches new memory does not come to a yield for long, and
//! its turn counts when it ends.

use std::{
    ptr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use cloudware_threads::{ThreadClock, cpu_nanoseconds};
use parking_lot::RwLock;

use super::Share;

/// No turn is under way.
const NONE: u64 = 0;

/// The turns of all threads that give them.
#[derive(Default)]
pub(super) struct UnderWay(RwLock<Vec<Arc<ThreadTurn>>>);

/// The turn that a thread is at.
pub(super) struct ThreadTurn {
    clock: Option<ThreadClock>,
    /// What processor time the thread had had when it began, in nanoseconds.
    began: AtomicU64,
    /// Where the instance is whose turn it is. It is compared and never followed.
    whose: AtomicUsize,
}

/// Processor time that has been had of turns that have not ended, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Had {
    /// By all instances.
    pub(super) all: u64,
    /// By the one that asks.
    pub(super) own: u64,
}

impl UnderWay {
    /// Has the turns of the calling thread counted.
    pub(super) fn join(&self) -> Arc<ThreadTurn> {
        let turn = Arc::new(ThreadTurn {
            clock: ThreadClock::own(),
            began: AtomicU64::new(NONE),
            whose: AtomicUsize::new(0),
        });
        self.0.write().push(Arc::clone(&turn));
        turn
    }

    /// What has been had, as this instance sees it.
    pub(super) fn had(&self, share: &Share) -> Had {
        let mut had = Had { all: 0, own: 0 };
        for turn in self.0.read().iter() {
            let nanoseconds = turn.nanoseconds();
            had.all += nanoseconds;
            if turn.whose.load(Ordering::Relaxed) == ptr::from_ref(share).addr() {
                had.own += nanoseconds;
            }
        }
        had
    }
}

impl ThreadTurn {
    /// A turn of the instance on the calling thread begins, which is the one that joined.
    pub(super) fn begins(&self, share: &Share) {
        let whose = ptr::from_ref(share).addr();
        self.whose.store(whose, Ordering::Relaxed);
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
