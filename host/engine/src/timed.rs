//! Drives a sandboxed call: measures the CPU of every poll, so that host waits are not billed, and ends
//! the call at its deadline. A guest that computes yields by fuel, so a poll never lasts long.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use cloudware_capability::Progress;
use cloudware_types::{Class, Dimension, Stop, StopCause};
use rustix::time::{ClockId, clock_gettime};
use tokio::time::{Sleep, sleep_until};

/// The call of one invocation, whole: it owns the sandbox.
pub(crate) type Call = Pin<Box<dyn Future<Output = Result<(), Box<Stop>>> + Send>>;

/// A call under its deadline.
pub(crate) struct TimedCall {
    call: Call,
    progress: Arc<Progress>,
    started: Instant,
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

/// Why a poll of a [`TimedCall`] gave an error.
pub(crate) enum Interruption {
    /// The call itself ended with a stop.
    Stopped(Box<Stop>),
    /// The deadline passed; the call is to be dropped.
    Deadline {
        /// The cause for the stop.
        cause: StopCause,
        /// The host call that it waited in.
        host_call: Option<&'static str>,
    },
}

impl TimedCall {
    pub(crate) fn new(
        call: Call,
        progress: Arc<Progress>,
        started: Instant,
        limit: Duration,
    ) -> Self {
        Self {
            call,
            progress,
            started,
            limit,
            timer: None,
        }
    }

    /// Polls the call once. After `Ready` it must not be polled again.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Interruption>> {
        if self.started.elapsed() >= self.limit {
            return Poll::Ready(Err(self.deadline()));
        }
        self.progress.cpu_enter(thread_cpu());
        // A call that ends has metered itself, this last stay included.
        if let Poll::Ready(result) = self.call.as_mut().poll(cx) {
            return Poll::Ready(result.map_err(Interruption::Stopped));
        }
        self.progress.cpu_leave(thread_cpu());
        let deadline = self.started + self.limit;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline.into())));
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(self.deadline())),
            Poll::Pending => Poll::Pending,
        }
    }

    fn deadline(&self) -> Interruption {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Interruption::Deadline {
            cause: StopCause::limit(
                Dimension::Deadline,
                Class::Request,
                millis(self.started.elapsed()),
                millis(self.limit),
            ),
            host_call: self.progress.host_call(),
        }
    }
}

/// CPU time of this thread in nanoseconds. A poll never moves between threads.
pub(crate) fn thread_cpu() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0)
}
