//! What threads that serve sockets have for an instance beside its runs: its requests are read, refused and answered there.
//! It counts for the instance's share of the processors like the rest. To measure it costs a part of what it takes, so one
//! of sixteen times is measured and counts as sixteen.

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
    /// What runs have had of it, which counts already, in nanoseconds of processor time.
    runs: Cell<u64>,
    whose: RefCell<Option<(Arc<Queue>, Arc<Admission>)>>,
}

impl Work {
    const fn new() -> Self {
        Self {
            drawn: Cell::new(1),
            is_measured: Cell::new(false),
            runs: Cell::new(0),
            whose: RefCell::new(None),
        }
    }

    /// Whether what is done now is measured: by a linear congruential generator (Knuth, The Art of Computer Programming,
    /// volume 2, section 3.3.4), of which the high bits are taken.
    fn draws(&self) -> bool {
        let drawn = self
            .drawn
            .get()
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.drawn.set(drawn);
        (drawn >> 32).is_multiple_of(SOCKET_WORK_SAMPLED)
    }
}

/// Does work of a connection, and counts what it takes for the instance that was asked, or answers, in the course of it. What runs
/// have of it counts by itself.
pub fn count_socket_work<T>(work: impl FnOnce() -> T) -> T {
    if !WORK.with(Work::draws) {
        return work();
    }
    WORK.with(|own| {
        own.runs.set(0);
        own.is_measured.set(true);
    });
    let began = cpu_nanoseconds();
    let done = work();
    let had = cpu_nanoseconds().saturating_sub(began);
    WORK.with(|own| {
        own.is_measured.set(false);
        let whose = own.whose.borrow_mut().take();
        if let Some((queue, admission)) = whose {
            let beside = had.saturating_sub(own.runs.get());
            queue.charge_elsewhere(
                admission.share(),
                beside.saturating_mul(SOCKET_WORK_SAMPLED),
            );
        }
    });
    done
}

/// Notes for whom the thread works at the moment.
pub(crate) fn is_for(queue: &Arc<Queue>, admission: &Arc<Admission>) {
    WORK.with(|own| {
        if own.is_measured.get() {
            *own.whose.borrow_mut() = Some((Arc::clone(queue), Arc::clone(admission)));
        }
    });
}

/// Notes what a run has had of the thread's work.
pub(crate) fn run_had(cpu_nanoseconds: u64) {
    WORK.with(|own| own.runs.set(own.runs.get().saturating_add(cpu_nanoseconds)));
}
