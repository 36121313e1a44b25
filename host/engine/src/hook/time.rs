//! How long a run may go on at the latest, and whose the time is. A hook that asks other hooks waits for them: what
//! they have had is theirs and not counted again as its own, and where they kept it until its end, that is not held
//! against it. Runs that nobody waits for with a hook (requests, observers, hooks that practise) end by their own bounds.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cloudware_types::{HookId, Limit, StopCause};

use super::Failure;

/// When a hook ends at the latest.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) at: Instant,
    /// The limit that is reached then.
    pub(crate) limit: Limit,
    /// What that limit is, in milliseconds.
    pub(crate) max: u64,
    pub(crate) whose: EndOf,
}

/// Whose bound it is that ends a hook.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum EndOf {
    /// The deadline of this hook, by its number and its name: its own or that of one that waits for it.
    Hook(HookId, Arc<str>),
    /// The time that all hooks of a request have together.
    Budget,
}

impl End {
    /// Time until then.
    pub(crate) fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// What has been reached then, where that is not the deadline of this hook.
    pub(crate) fn reached_instead(&self, hook: HookId) -> Option<StopCause> {
        if matches!(self.whose, EndOf::Hook(of, _) if of == hook) {
            return None;
        }
        Some(StopCause::Limit {
            limit: self.limit,
            used: self.max,
            max: self.max,
        })
    }

    /// Whether a call failed because its end had come. An endpoint knows nothing of it: it just took too long.
    pub(crate) fn ended(&self, failure: &Failure) -> bool {
        match failure {
            Failure::Stopped(stop) => {
                matches!(stop.cause, StopCause::Limit { limit, .. } if limit == self.limit)
            }
            Failure::Webhook(_) => Instant::now() >= self.at,
            _ => false,
        }
    }
}

/// The time of a run, and of what is called on its behalf. Where an interface of another app is called, that run
/// shares the time of its caller.
#[derive(Debug)]
pub(crate) struct RunTime {
    began: Instant,
    end: Option<End>,
    /// Nanoseconds that hooks have had that were asked on its behalf.
    others: AtomicU64,
    /// Whether it counts for the request's budget.
    counts: bool,
}

impl RunTime {
    /// The time of a run that nobody waits for with a hook.
    pub(crate) fn first() -> Arc<Self> {
        Arc::new(Self::new(None, true))
    }

    /// The time of a hook that only practises: no request pays for it, nor for what it asks.
    pub(crate) fn of_practice() -> Arc<Self> {
        Arc::new(Self::new(None, false))
    }

    /// The time of a hook that a run with this time asks, and that ends at `end`.
    pub(crate) fn of_hook(&self, end: End) -> Arc<Self> {
        Arc::new(Self::new(Some(end), self.counts))
    }

    fn new(end: Option<End>, counts: bool) -> Self {
        Self {
            began: Instant::now(),
            end,
            others: AtomicU64::new(0),
            counts,
        }
    }

    /// When it ends at the latest, where a hook waits for it.
    pub(crate) fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Whether it counts for the request's budget.
    pub(crate) fn counts(&self) -> bool {
        self.counts
    }

    /// Counts time of a hook that was asked on behalf of this run.
    pub(crate) fn add_others(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.others.fetch_add(nanos, Ordering::Relaxed);
    }

    /// What of `elapsed` was its own. Hooks that it let run at the same time, through other apps, may leave it nothing;
    /// their time counts in its place.
    pub(crate) fn own(&self, elapsed: Duration) -> Duration {
        elapsed.saturating_sub(Duration::from_nanos(self.others.load(Ordering::Relaxed)))
    }

    /// What a hook has had so far that counts for the request's budget; nothing of a run that is none.
    pub(crate) fn own_of_hook(&self) -> Duration {
        match self.counts && self.end.is_some() {
            true => self.own(self.began.elapsed()),
            false => Duration::ZERO,
        }
    }

    /// Whether a part of its time is most of what it has had.
    pub(crate) fn is_mostly(&self, part: Duration) -> bool {
        part > self.began.elapsed() / 2
    }
}
