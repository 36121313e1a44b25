//! The breaker of a hook: one that fails again and again is not called for a while, so that it costs the
//! requests that it holds up nothing, and is tried again by itself.

use std::time::{Duration, Instant};

use cloudware_types::BreakerState;
use parking_lot::Mutex;

use crate::limits::{BREAKER_FAILURES_MAX, BREAKER_OPEN_FOR, BREAKER_PROBES, BREAKER_WINDOW};

/// How the calls of one hook went. Outlives changes of the instance's installs, for as long as the hook's target
/// is the same.
#[derive(Debug)]
pub(crate) struct Breaker {
    /// What is called; another target begins with a clean record.
    target: String,
    calls: Mutex<Calls>,
}

#[derive(Debug)]
struct Calls {
    state: State,
    /// The last calls, the newest in the lowest bit; a set bit is a failure.
    outcomes: u128,
    /// How many of them there are, at most [`BREAKER_WINDOW`].
    count: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Active,
    Tripped { until: Instant },
    Probing { begun: u32, succeeded: u32 },
}

/// A change of a breaker's state, to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// What it is now.
    pub(crate) state: BreakerState,
    /// Failures among the last calls, when it changed.
    pub(crate) failures: u32,
}

/// Whether a hook may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admittance {
    /// It may; its outcome is to be reported.
    Call(Option<Change>),
    /// It is tripped, for this long.
    Tripped(Duration),
}

/// See [`Breaker::call`].
pub(crate) struct Call<'a>(Option<&'a Breaker>);

impl Call<'_> {
    /// It has ended, and what came of it is noted.
    pub(crate) fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if let Some(breaker) = self.0 {
            breaker.cancel();
        }
    }
}

impl Breaker {
    /// The breaker of a hook that has not been called.
    pub(crate) fn new(target: String) -> Self {
        Self {
            target,
            calls: Mutex::new(Calls {
                state: State::Active,
                outcomes: 0,
                count: 0,
            }),
        }
    }

    /// What is called.
    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    /// Asks whether the hook may be called now.
    pub(crate) fn admit(&self, now: Instant) -> Admittance {
        let mut calls = self.calls.lock();
        match &mut calls.state {
            State::Active => Admittance::Call(None),
            State::Tripped { until } if now < *until => Admittance::Tripped(*until - now),
            State::Tripped { .. } => {
                calls.state = State::Probing {
                    begun: 1,
                    succeeded: 0,
                };
                Admittance::Call(Some(Change {
                    state: BreakerState::Probing,
                    failures: calls.failures(),
                }))
            }
            State::Probing { begun, .. } if *begun < BREAKER_PROBES => {
                *begun += 1;
                Admittance::Call(None)
            }
            // Those that were let through decide; they take no longer than their deadline.
            State::Probing { .. } => Admittance::Tripped(Duration::ZERO),
        }
    }

    /// Notes how a call that was admitted went.
    pub(crate) fn note(&self, failed: bool, now: Instant) -> Option<Change> {
        let mut calls = self.calls.lock();
        match &mut calls.state {
            State::Active => {
                calls.push(failed);
                let failures = calls.failures();
                (failures > BREAKER_FAILURES_MAX).then(|| calls.trip(now))
            }
            State::Tripped { .. } => None,
            State::Probing { .. } if failed => Some(calls.trip(now)),
            State::Probing { succeeded, .. } => {
                *succeeded += 1;
                if *succeeded < BREAKER_PROBES {
                    return None;
                }
                calls.state = State::Active;
                (calls.outcomes, calls.count) = (0, 0);
                Some(Change {
                    state: BreakerState::Active,
                    failures: 0,
                })
            }
        }
    }

    /// A call that was admitted and whose end is to be noted. Where it is dropped, because nobody waits for its end any
    /// more, the admittance is taken back: the calls that are let through one day must not be used up by visitors who
    /// leave.
    pub(crate) fn call(&self) -> Call<'_> {
        Call(Some(self))
    }

    /// Takes back an admittance whose call did not come about by no fault of the hook's.
    pub(crate) fn cancel(&self) {
        if let State::Probing { begun, .. } = &mut self.calls.lock().state {
            *begun = begun.saturating_sub(1);
        }
    }
}

impl Calls {
    fn push(&mut self, failed: bool) {
        let window = (1_u128 << BREAKER_WINDOW) - 1;
        self.outcomes = (self.outcomes << 1 | u128::from(failed)) & window;
        self.count = (self.count + 1).min(BREAKER_WINDOW);
    }

    fn failures(&self) -> u32 {
        self.outcomes.count_ones()
    }

    fn trip(&mut self, now: Instant) -> Change {
        self.state = State::Tripped {
            until: now + BREAKER_OPEN_FOR,
        };
        Change {
            state: BreakerState::Tripped,
            failures: self.failures(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tripped(breaker: &Breaker, now: Instant) {
        for _ in 0..BREAKER_FAILURES_MAX {
            assert_eq!(breaker.note(true, now), None);
        }
        let change = breaker.note(true, now).expect("one more than allowed");
        assert_eq!(change.state, BreakerState::Tripped);
        assert_eq!(change.failures, BREAKER_FAILURES_MAX + 1);
    }

    #[test]
    fn half_of_the_window_may_fail_and_not_one_more() {
        let (breaker, now) = (Breaker::new(String::new()), Instant::now());
        for call in 0..1_000 {
            assert_eq!(breaker.note(call % 2 == 0, now), None);
        }
        assert_eq!(breaker.admit(now), Admittance::Call(None));
        assert_eq!(
            breaker.note(true, now),
            None,
            "an old failure has left the window"
        );
        let change = breaker.note(true, now).map(|change| change.state);
        assert_eq!(change, Some(BreakerState::Tripped));
    }

    #[test]
    fn what_is_tripped_is_tried_after_a_while_and_heals() {
        let (breaker, now) = (Breaker::new(String::new()), Instant::now());
        tripped(&breaker, now);
        assert_eq!(breaker.admit(now), Admittance::Tripped(BREAKER_OPEN_FOR));
        let later = now + BREAKER_OPEN_FOR;
        let Admittance::Call(Some(change)) = breaker.admit(later) else {
            panic!("the first probe is told");
        };
        assert_eq!(change.state, BreakerState::Probing);
        for _ in 1..BREAKER_PROBES {
            assert_eq!(breaker.admit(later), Admittance::Call(None));
            assert_eq!(breaker.note(false, later), None);
        }
        assert!(
            matches!(breaker.admit(later), Admittance::Tripped(_)),
            "enough probes"
        );
        let healed = breaker.note(false, later).expect("the last probe decides");
        assert_eq!((healed.state, healed.failures), (BreakerState::Active, 0));
        assert_eq!(breaker.admit(later), Admittance::Call(None));
    }

    #[test]
    fn a_probe_that_fails_trips_again() {
        let (breaker, now) = (Breaker::new(String::new()), Instant::now());
        tripped(&breaker, now);
        let later = now + BREAKER_OPEN_FOR;
        assert!(matches!(breaker.admit(later), Admittance::Call(Some(_))));
        let change = breaker.note(true, later).map(|change| change.state);
        assert_eq!(change, Some(BreakerState::Tripped));
        assert_eq!(breaker.admit(later), Admittance::Tripped(BREAKER_OPEN_FOR));
    }

    #[test]
    fn probes_that_nobody_waits_for_are_made_up_for() {
        let (breaker, now) = (Breaker::new(String::new()), Instant::now());
        tripped(&breaker, now);
        let later = now + BREAKER_OPEN_FOR;
        for _ in 0..2 * BREAKER_PROBES {
            assert!(matches!(breaker.admit(later), Admittance::Call(_)));
            drop(breaker.call());
        }
        for _ in 0..BREAKER_PROBES {
            assert!(matches!(breaker.admit(later), Admittance::Call(_)));
            breaker.call().ended();
            let _ = breaker.note(false, later);
        }
        assert_eq!(breaker.admit(later), Admittance::Call(None));
    }

    #[test]
    fn a_probe_that_did_not_come_about_is_made_up_for() {
        let (breaker, now) = (Breaker::new(String::new()), Instant::now());
        tripped(&breaker, now);
        let later = now + BREAKER_OPEN_FOR;
        for _ in 0..BREAKER_PROBES {
            assert!(matches!(breaker.admit(later), Admittance::Call(_)));
        }
        breaker.cancel();
        assert_eq!(breaker.admit(later), Admittance::Call(None));
    }
}
