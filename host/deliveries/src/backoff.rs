//! Pauses between attempts: they grow, and are drawn by chance (full jitter).

use std::time::Duration;

use rand::RngExt as _;

use crate::{
    clock::millis,
    limits::{PAUSES_MAX, RETRY_AFTER_MAX},
};

/// When to try again after `attempts` attempts have failed; `None` where it was the last one.
pub(crate) fn next_due_ms(now_ms: u64, attempts: u32, asked_for: Option<Duration>) -> Option<u64> {
    let longest = PAUSES_MAX.get(attempts.checked_sub(1)? as usize)?;
    let drawn = rand::rng().random_range(0..=millis(*longest));
    let asked_for = asked_for.unwrap_or_default().min(RETRY_AFTER_MAX);
    Some(now_ms + drawn.max(millis(asked_for)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::ATTEMPTS_MAX;

    #[test]
    fn pauses_are_bounded_and_end_after_about_a_day() {
        let mut longest = Duration::ZERO;
        for attempts in 1..ATTEMPTS_MAX {
            let due = next_due_ms(1_000, attempts, None).unwrap();
            let bound = PAUSES_MAX[attempts as usize - 1];
            assert!((1_000..=1_000 + millis(bound)).contains(&due));
            longest += bound;
        }
        assert_eq!(next_due_ms(1_000, ATTEMPTS_MAX, None), None);
        assert!((20..28).contains(&(longest.as_secs() / 3_600)));
    }

    #[test]
    fn pauses_differ() {
        let due: std::collections::BTreeSet<_> = (0..50).map(|_| next_due_ms(0, 4, None)).collect();
        assert!(due.len() > 10, "{due:?}");
    }

    #[test]
    fn a_hook_may_ask_for_a_pause_and_not_for_any() {
        let minute = Some(Duration::from_secs(60));
        assert!(next_due_ms(0, 1, minute) >= Some(60_000));
        let century = Some(Duration::from_secs(3_155_760_000));
        assert_eq!(next_due_ms(0, 1, century), Some(millis(RETRY_AFTER_MAX)));
    }
}
