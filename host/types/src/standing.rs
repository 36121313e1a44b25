//! Soft limits: how near a present value is to its hard limit.

use serde::{Deserialize, Serialize};

/// Where the soft limit lies, in percent of the hard one. Early enough to act, late enough to matter.
pub const SOFT_PERCENT: u64 = 80;

/// The soft limit that belongs to a hard one: the smallest use that is to be noticed.
#[must_use]
pub fn soft(max: u64) -> u64 {
    let soft = (u128::from(max) * u128::from(SOFT_PERCENT)).div_ceil(100);
    u64::try_from(soft).unwrap_or(max)
}

/// How near a present value is to its limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Below the soft limit.
    Ok,
    /// At the soft limit or above: nothing is refused yet.
    Soft,
    /// At the hard limit: more is refused.
    Hard,
}

impl Standing {
    /// How near `used` is to `max`, both in the same unit.
    #[must_use]
    pub fn of(used: u64, max: u64) -> Self {
        if used >= max {
            Self::Hard
        } else if used >= soft(max) {
            Self::Soft
        } else {
            Self::Ok
        }
    }

    /// The word in answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Soft => "soft",
            Self::Hard => "hard",
        }
    }
}

/// `used` in whole percent of `max`, rounded down; 100 where `max` is 0.
#[must_use]
pub fn percent(used: u64, max: u64) -> u64 {
    if max == 0 {
        return 100;
    }
    let percent = u128::from(used) * 100 / u128::from(max);
    u64::try_from(percent).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standing_changes_at_the_soft_and_the_hard_limit() {
        let standing = |used| Standing::of(used, 1_000);
        assert_eq!(standing(799), Standing::Ok);
        assert_eq!(standing(800), Standing::Soft);
        assert_eq!(standing(999), Standing::Soft);
        assert_eq!(standing(1_000), Standing::Hard);
        assert_eq!((percent(799, 1_000), percent(1_500, 1_000)), (79, 150));
    }

    #[test]
    fn the_smallest_and_the_largest_limits_have_soft_ones() {
        assert_eq!((soft(0), soft(1), soft(2), soft(10)), (0, 1, 2, 8));
        assert_eq!(soft(u64::MAX), u64::MAX / 5 * 4);
        assert_eq!(Standing::of(0, 1), Standing::Ok);
        assert_eq!(Standing::of(0, 0), Standing::Hard);
        assert_eq!((percent(0, 0), percent(u64::MAX, 1)), (100, u64::MAX));
    }
}
