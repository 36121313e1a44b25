//! A call of one sandbox inside a run of another: its slices are polled with those of its caller, its processor
//! time is told apart, and what bounds it from outside is checked between slices. A host function that panics ends the
//! call and not its caller.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use cloudware_capability::Progress;
use cloudware_types::{Class, Dimension, StopCause};
use tokio::time::{Sleep, sleep_until};

use crate::{
    clock::{coarse, millis, thread_moment},
    stop,
};

/// What bounds a nested call.
#[derive(Clone, Debug)]
pub(crate) struct NestedBounds {
    pub(crate) class: Class,
    pub(crate) started: Instant,
    pub(crate) deadline: Duration,
    pub(crate) ends_at: Instant,
    /// What has been reached at the end, where that is not the deadline of the call's own.
    pub(crate) shared: Option<StopCause>,
    pub(crate) cpu: Duration,
}

impl NestedBounds {
    /// What has been reached at the end, `elapsed` after the start.
    fn late(&self, elapsed: Duration) -> StopCause {
        self.shared.clone().unwrap_or_else(|| {
            let max = millis(self.deadline);
            let used = millis(elapsed).max(max);
            StopCause::limit(Dimension::Deadline, self.class, used, max)
        })
    }
}

/// A call inside another.
pub(crate) struct Slices<'a, F> {
    call: Pin<&'a mut F>,
    progress: Arc<Progress>,
    /// Of the run that calls.
    caller: Arc<Progress>,
    bounds: NestedBounds,
    /// Fuel that the caller was told of.
    fuel_told: u64,
    /// Made when the call waits for the first time.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<'a, F> Slices<'a, F> {
    pub(crate) fn new(
        call: Pin<&'a mut F>,
        progress: Arc<Progress>,
        caller: Arc<Progress>,
        bounds: NestedBounds,
    ) -> Self {
        Self {
            call,
            progress,
            caller,
            bounds,
            fuel_told: 0,
            timer: None,
        }
    }

    fn overdue(&self) -> Option<StopCause> {
        let class = self.bounds.class;
        let now = Instant::now();
        if now >= self.bounds.ends_at {
            return Some(self.bounds.late(now - self.bounds.started));
        }
        let (used, max) = (self.progress.cpu_own() / 1_000_000, millis(self.bounds.cpu));
        (used > max).then(|| StopCause::limit(Dimension::CpuTime, class, used, max))
    }
}

impl<F: Future> Future for Slices<'_, F> {
    /// What the call gave, or why it was ended from outside.
    type Output = Result<F::Output, StopCause>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let entered = thread_moment();
        self.progress.cpu_enter(&entered);
        self.progress.begin_slice(coarse());
        let polled = catch_unwind(AssertUnwindSafe(|| self.call.as_mut().poll(cx)));
        let left = thread_moment();
        self.progress.cpu_leave(|| left);
        self.caller.cpu_was_elsewhere(left.cpu_since(&entered));
        let burned = self.progress.fuel_burned();
        let told = std::mem::replace(&mut self.fuel_told, burned);
        self.caller.fuel_was_elsewhere(burned.saturating_sub(told));
        if self.progress.has_host_worked_long() {
            self.caller.host_worked_long();
        }
        match polled {
            Ok(Poll::Ready(output)) => return Poll::Ready(Ok(output)),
            Ok(Poll::Pending) => {}
            Err(_) => return Poll::Ready(Err(stop::host_function_failed())),
        }
        if let Some(cause) = self.overdue() {
            return Poll::Ready(Err(cause));
        }
        let at = self.bounds.ends_at;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(at.into())));
        if timer.as_mut().poll(cx).is_ready() {
            let cause = self.overdue();
            let cause = cause.unwrap_or_else(|| self.bounds.late(self.bounds.deadline));
            return Poll::Ready(Err(cause));
        }
        Poll::Pending
    }
}
