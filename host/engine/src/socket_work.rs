//! What threads that serve sockets have for an instance beside its runs: its requests are refused and answered there. Where the
//! instance competes for the processors it counts for its share like the rest. To measure it costs a part of what it takes, so one of
//! several times is measured and counts as all of them.

use std::{cell::RefCell, sync::Arc};

use cloudware_threads::cpu_nanoseconds;

use crate::{Admission, limits::SOCKET_WORK_SAMPLED, schedule::Queue};

thread_local! {
    static MEASURED: RefCell<Option<Measured>> = const { RefCell::new(None) };
}

/// Work of a thread that is measured.
struct Measured {
    /// What the thread had had when it began to work for whom it works, in nanoseconds of processor time.
    began: u64,
    /// What runs have had since, which counts already, in nanoseconds of processor time.
    runs: u64,
    /// Whom it works for.
    whose: Option<(Arc<Queue>, Arc<Admission>)>,
}

impl Measured {
    fn begin() -> Self {
        Self {
            began: cpu_nanoseconds(),
            runs: 0,
            whose: None,
        }
    }

    /// Whether the thread works for this instance as it did before.
    fn is_for(&self, admission: &Arc<Admission>) -> bool {
        let whose = self.whose.as_ref();
        whose.is_some_and(|(_, known)| Arc::ptr_eq(known, admission))
    }

    /// Goes on for another instance. What came before the first one belongs to that.
    fn go_on(&mut self, queue: &Arc<Queue>, admission: &Arc<Admission>) {
        if self.whose.is_some() {
            self.count();
            (self.began, self.runs) = (cpu_nanoseconds(), 0);
        }
        self.whose = Some((Arc::clone(queue), Arc::clone(admission)));
    }

    /// Counts what has been measured until now for whom it was done. A few pages do not compete, and who asks for them would
    /// wait for a compute thread now and then because of what they take by chance.
    fn count(&self) {
        let Some((queue, admission)) = &self.whose else {
            return;
        };
        let share = admission.share();
        if share.is_competing() {
            let now = cpu_nanoseconds();
            let beside = now.saturating_sub(self.began).saturating_sub(self.runs);
            queue.charge_turn(share, beside.saturating_mul(SOCKET_WORK_SAMPLED.into()));
        }
    }
}

/// Does work of a connection, and counts what it takes for the instances that are asked, or answer, in the course of it. What runs
/// have of it counts by itself, and what concerns no instance for nobody. Not to be called within such work.
pub fn count_socket_work<T>(work: impl FnOnce() -> T) -> T {
    // At random: what goes by numbers would meet the same client each time. What was measured before has ended, if only with a panic.
    MEASURED.set(rand::random_ratio(1, SOCKET_WORK_SAMPLED).then(Measured::begin));
    let done = work();
    if let Some(measured) = MEASURED.take() {
        measured.count();
    }
    done
}

/// Notes for whom the thread works from now on.
pub(crate) fn is_for(queue: &Arc<Queue>, admission: &Arc<Admission>) {
    MEASURED.with_borrow_mut(|measured| {
        if let Some(measured) = measured
            && !measured.is_for(admission)
        {
            measured.go_on(queue, admission);
        }
    });
}

/// Notes what a run has had of the thread's work.
pub(crate) fn run_had(cpu_nanoseconds: u64) {
    MEASURED.with_borrow_mut(|measured| {
        if let Some(measured) = measured {
            measured.runs = measured.runs.saturating_add(cpu_nanoseconds);
        }
    });
}
