//! What threads that serve sockets have for an instance beside its runs: its requests are refused and answered there. Where the
//! instance competes for the processors it counts for its share like the rest. To measure it costs a part of what it takes, so one of
//! several times is measured and counts as all of them.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};

use cloudware_threads::cpu_nanoseconds;

use crate::{Admission, limits::SOCKET_WORK_SAMPLED, schedule::Queue};

thread_local! {
    static WORK: Work = const { Work::new() };
}

/// Whom a thread works for.
struct Work {
    /// The state of the generator that draws what is measured: what goes by numbers would meet the same client each time.
    drawn: Cell<u64>,
    is_measured: Cell<bool>,
    /// What the thread had had when it began to work for whom it works, in nanoseconds of processor time.
    began: Cell<u64>,
    /// What runs have had since, which counts already, in nanoseconds of processor time.
    runs: Cell<u64>,
    whose: RefCell<Option<(Arc<Queue>, Arc<Admission>)>>,
}

impl Work {
    const fn new() -> Self {
        Self {
            drawn: Cell::new(0),
            is_measured: Cell::new(false),
            began: Cell::new(0),
            runs: Cell::new(0),
            whose: RefCell::new(None),
        }
    }

    /// Begins to measure, or not to. What was begun before has ended, if only with a panic.
    fn begin(&self) {
        let is_measured = self.draws();
        self.is_measured.set(is_measured);
        if is_measured {
            self.whose.take();
            self.runs.set(0);
            self.began.set(cpu_nanoseconds());
        }
    }

    /// Whether what is done now is measured: by a linear congruential generator (Knuth, The Art of Computer Programming,
    /// volume 2, section 3.3.4), of which the highest bits are the best. Threads begin at different numbers.
    fn draws(&self) -> bool {
        let before = match self.drawn.get() {
            0 => std::ptr::from_ref(self).addr() as u64,
            drawn => drawn,
        };
        let drawn = before
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.drawn.set(drawn);
        ((drawn >> 32) * SOCKET_WORK_SAMPLED) >> 32 == 0
    }

    /// Whether the thread works for this instance as it did before.
    fn is_for(&self, admission: &Arc<Admission>) -> bool {
        let whose = self.whose.borrow();
        whose
            .as_ref()
            .is_some_and(|(_, known)| Arc::ptr_eq(known, admission))
    }

    /// Counts what has been measured, for whom it was done, and goes on for another one or for nobody.
    fn settle(&self, next: Option<(Arc<Queue>, Arc<Admission>)>) {
        let Some((queue, admission)) = self.whose.replace(next) else {
            return;
        };
        let now = cpu_nanoseconds();
        let had = now.saturating_sub(self.began.replace(now));
        let beside = had.saturating_sub(self.runs.take());
        queue.charge_beside(
            admission.share(),
            beside.saturating_mul(SOCKET_WORK_SAMPLED),
        );
    }
}

/// Does work of a connection, and counts what it takes for the instances that are asked, or answer, in the course of it. What runs
/// have of it counts by itself, and what concerns no instance for nobody. Not to be called within such work.
pub fn count_socket_work<T>(work: impl FnOnce() -> T) -> T {
    WORK.with(Work::begin);
    let done = work();
    WORK.with(|own| {
        if own.is_measured.replace(false) {
            own.settle(None);
        }
    });
    done
}

/// Notes for whom the thread works from now on. What came before belongs to the first.
pub(crate) fn is_for(queue: &Arc<Queue>, admission: &Arc<Admission>) {
    WORK.with(|own| {
        if own.is_measured.get() && !own.is_for(admission) {
            own.settle(Some((Arc::clone(queue), Arc::clone(admission))));
        }
    });
}

/// Notes what a run has had of the thread's work.
pub(crate) fn run_had(cpu_nanoseconds: u64) {
    WORK.with(|own| own.runs.set(own.runs.get().saturating_add(cpu_nanoseconds)));
}
