//! Which run uses something, and which runs wait meanwhile: by this, whoever hands out what a run may hold finds out
//! that somebody would wait for himself.

use std::sync::Arc;

/// One run on this host, with those that wait for it to end: the run that called it, the one that called that one,
/// and so on.
#[derive(Clone, Debug, Default)]
pub struct RunChain {
    number: u64,
    waiting: Waiting,
}

/// The runs that wait for a run to end, by number; none for one that nobody called.
#[derive(Clone, Debug, Default)]
pub struct Waiting(Option<Arc<[u64]>>);

impl RunChain {
    /// Nobody in particular: a run that is never the same as another.
    pub const NOBODY: Self = Self {
        number: 0,
        waiting: Waiting(None),
    };

    /// A run for which others wait. `number` is unique on this host while the run lives, such as an address; 0 for
    /// nobody in particular.
    #[must_use]
    pub fn new(number: u64, waiting: Waiting) -> Self {
        Self { number, waiting }
    }

    /// A run for which no other run waits.
    #[must_use]
    pub fn of(number: u64) -> Self {
        Self::new(number, Waiting::default())
    }

    /// Those that wait for a run that this one calls: this one, and those that wait for it.
    #[must_use]
    pub fn waiting_too(&self) -> Waiting {
        let before = self.waiting.0.iter().flat_map(|runs| runs.iter());
        Waiting(Some(before.copied().chain([self.number]).collect()))
    }

    /// Whether both are the same run, which is known for numbered ones only.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.number != 0 && self.number == other.number
    }

    /// Whether `other` is this run or one that waits for it, and so can do nothing before this one has ended.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        let mut waiting = self.waiting.0.iter().flat_map(|runs| runs.iter());
        self.is_same(other) || other.number != 0 && waiting.any(|number| *number == other.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_includes_itself_and_those_that_wait_for_it() {
        let first = RunChain::of(1);
        let second = RunChain::new(2, first.waiting_too());
        let third = RunChain::new(3, second.waiting_too());
        assert!(third.includes(&third) && third.includes(&second) && third.includes(&first));
        assert!(second.includes(&first) && !second.includes(&third));
        assert!(!first.includes(&second) && first.is_same(&RunChain::of(1)));
    }

    #[test]
    fn nobody_is_the_same_as_nobody() {
        let called = RunChain::new(0, RunChain::NOBODY.waiting_too());
        assert!(!called.is_same(&RunChain::NOBODY) && !called.includes(&RunChain::NOBODY));
    }
}
