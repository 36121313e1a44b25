//! Waiting for conditions, with a deadline.

use std::time::{Duration, Instant};

/// How long a condition may take that is about to come true. Far longer than it ever takes, also on a
/// machine that compiles besides.
const SOON: Duration = Duration::from_secs(30);

/// How long to wait between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks again and again until `look` gives a value.
///
/// # Panics
/// After half a minute, saying what did not happen.
pub async fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    within(SOON, what, look).await
}

/// As [`eventually`], with another deadline.
///
/// # Panics
/// After `limit`, saying what did not happen.
pub async fn within<T>(limit: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = look().await {
            return value;
        }
        assert!(
            started.elapsed() < limit,
            "did not happen within {limit:?}: {what}"
        );
        tokio::time::sleep(PAUSE).await;
    }
}
