//! Overload of the whole host. The threads that serve sockets take what is ready in order of arrival, also of instances
//! that have less than their share; where all together ask for more than there is, that wait grows, however fairly the
//! rest is shared. It is measured by a task that pauses, and then wants to run. Instances whose runs may not wait as long are
//! refused until it is shorter: those of less patient plans first, and whoever asks for little last.
//!
//! The task is on one of the threads at a time, behind what is ready there; which one that is, changes as threads take work
//! of each other. A thread alone that is held up is seen while the task is on it, and not otherwise: then the others have
//! taken what waited.
//!
//! That the time in queues tells of overload, and not the load of the processors, is after DAGOR (Zhou et al.: SoCC
//! 2018): guests that compute may have all the processor time that nobody else wants. That a queue is what stands for
//! longer than a burst is after CoDel (Nichols and Jacobson: ACM Queue 10(5), 2012).

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use tokio::{
    runtime::Handle,
    time::{Instant, sleep_until},
};

use crate::{
    clock::millis,
    limits::{LAG_BEAT, LAG_MIN, LAG_TOLD, LAG_TOLD_EVERY},
};

/// How late the threads of the host that serve sockets are, in milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Lag(AtomicU64);

impl Lag {
    /// Measures on the threads of a runtime for as long as anybody wants to know.
    pub(crate) fn watch(runtime: &Handle) -> Arc<Self> {
        let lag = Arc::new(Self::default());
        let watched = Arc::downgrade(&lag);
        runtime.spawn(async move {
            let mut beats = Beats::default();
            loop {
                let due = Instant::now() + LAG_BEAT;
                sleep_until(due).await;
                behind_the_others().await;
                let Some(lag) = watched.upgrade() else { return };
                let standing = beats.standing(due.elapsed());
                lag.set(millis(standing));
                if beats.is_news(standing, Instant::now()) {
                    tracing::warn!(
                        lag_ms = millis(standing),
                        "the host has more to do than it can; requests of instances whose queue-time is shorter than the lag are refused, but for a few"
                    );
                }
            }
        });
        lag
    }

    /// How long what is ready waits now, at least.
    pub(crate) fn millis(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, millis: u64) {
        self.0.store(millis, Ordering::Relaxed);
    }
}

/// Waits until everything has had its turn that is ready on this thread. What a timer wakes may be polled before all of it,
/// and is no measure; what wakes itself while it is polled goes behind the others.
async fn behind_the_others() {
    let mut is_behind = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut is_behind, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// What is known of the beats before.
#[derive(Default)]
struct Beats {
    last: Duration,
    told_at: Option<Instant>,
}

impl Beats {
    /// The wait that has stood for two beats: a thread that slept once, as the whole machine may, is no queue. What can't be
    /// told from the pace of the clock and the kernel is nothing.
    fn standing(&mut self, late: Duration) -> Duration {
        let standing = std::mem::replace(&mut self.last, late).min(late);
        if standing < LAG_MIN {
            return Duration::ZERO;
        }
        standing
    }

    /// Whether the operator is told.
    fn is_news(&mut self, standing: Duration, now: Instant) -> bool {
        let is_due = self.told_at.is_none_or(|at| now - at >= LAG_TOLD_EVERY);
        let is_news = is_due && standing >= LAG_TOLD;
        if is_news {
            self.told_at = Some(now);
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{sleep, timeout};

    use super::*;

    /// Waits until the lag is as it should be, for half a minute at most.
    async fn until(lag: &Lag, is_right: impl Fn(u64) -> bool) {
        let right = async {
            while !is_right(lag.millis()) {
                sleep(LAG_BEAT).await;
            }
        };
        let waited = timeout(Duration::from_secs(30), right).await;
        assert!(waited.is_ok(), "it is {} ms", lag.millis());
    }

    #[test]
    fn what_stands_for_two_beats_counts_and_a_single_one_does_not() {
        let mut beats = Beats::default();
        let of = |millis| Duration::from_millis(millis);
        let late = [0, 900, 1, 40, 60, 50, 10, 9, 0].map(of);
        let standing = late.map(|late| beats.standing(late));
        assert_eq!(standing, [0, 0, 0, 0, 40, 50, 10, 0, 0].map(of));
    }

    #[test]
    fn the_operator_is_told_now_and_then() {
        let mut beats = Beats::default();
        let begin = Instant::now();
        assert!(!beats.is_news(LAG_TOLD / 2, begin));
        assert!(beats.is_news(LAG_TOLD, begin));
        assert!(!beats.is_news(LAG_TOLD, begin + LAG_TOLD_EVERY / 2));
        assert!(beats.is_news(LAG_TOLD, begin + LAG_TOLD_EVERY));
    }

    /// However many tasks are ready, and each only for a short while.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn what_is_ready_waits_for_the_others_that_are() {
        let lag = Lag::watch(&Handle::current());
        let is_over = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let others: Vec<_> = (0..100)
            .map(|_| {
                let is_over = Arc::clone(&is_over);
                tokio::spawn(async move {
                    while !is_over.load(Ordering::Relaxed) {
                        std::thread::sleep(Duration::from_millis(1));
                        behind_the_others().await;
                    }
                })
            })
            .collect();
        until(&lag, |millis| millis >= 50).await;
        is_over.store(true, Ordering::Relaxed);
        for other in others {
            other.await.unwrap();
        }
        until(&lag, |millis| millis == 0).await;
    }

    #[tokio::test]
    async fn threads_that_are_held_are_late() {
        let lag = Lag::watch(&Handle::current());
        // The only thread of this runtime has other things to do each time that it could look.
        let holder = tokio::spawn(async {
            loop {
                std::thread::sleep(LAG_BEAT + Duration::from_millis(30));
                tokio::task::yield_now().await;
            }
        });
        until(&lag, |millis| millis >= 20).await;
        holder.abort();
        until(&lag, |millis| millis < 20).await;
    }
}
