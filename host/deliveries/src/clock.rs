//! Time as deliveries count it: due times outlive the process, so they are of the calendar's clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;

/// How long the system's clock is trusted not to have been set.
const LOOK_AGAIN: Duration = Duration::from_secs(3_600);

/// A clock that can be waited for.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64;

    /// Waits until the clock shows this moment. May be dropped while it waits.
    async fn sleep_until(&self, moment_ms: u64);
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, millis)
    }

    async fn sleep_until(&self, moment_ms: u64) {
        loop {
            let left = Duration::from_millis(moment_ms.saturating_sub(self.now_ms()));
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(LOOK_AGAIN)).await;
        }
    }
}

/// Whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
