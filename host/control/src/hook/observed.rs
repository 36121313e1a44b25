//! What the data plane sees of hooks: whether each is called, how often it failed and why, and where one that
//! practises differs. The data plane adds to the [`HookLog`], and tells changes to [`crate::EventLog`].

use cloudware_types::{BreakerState, HookId};
use serde_json::Value;

use crate::{
    Store, Timestamp,
    limits::{DIFFERENCE_BYTES_MAX, DIFFERENCES_PER_HOOK_MAX, REASON_CHARS_MAX},
    store::{self, StoreError},
};

/// What was seen of a hook since its extension is at its release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Whether it is called.
    pub state: BreakerState,
    /// Since when; `None` for one that was never anything else.
    pub changed_at: Option<Timestamp>,
    /// How many of its last hundred calls had failed then.
    pub failures_of_last: u64,
    /// Calls that failed.
    pub failures: u64,
    /// The last of them: when it was, and why.
    pub last_failure: Option<(Timestamp, String)>,
    /// How often it was compared while it practised.
    pub compared: u64,
    /// How often it differed.
    pub different: u64,
}

impl Default for Observed {
    fn default() -> Self {
        Self {
            state: BreakerState::Active,
            changed_at: None,
            failures_of_last: 0,
            failures: 0,
            last_failure: None,
            compared: 0,
            different: 0,
        }
    }
}

/// Where a hook that practises said something else than what was used.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// When.
    pub at: Timestamp,
    /// What was called.
    pub call: String,
    /// The arguments by the names of their parameters.
    pub arguments: Value,
    /// What was used.
    pub expected: Value,
    /// What the hook said.
    pub got: Value,
}

/// What was seen of a hook since it was last told.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The hook.
    pub hook: HookId,
    /// Calls that failed.
    pub failures: u64,
    /// The last of them: when it was, and why.
    pub last_failure: Option<(Timestamp, String)>,
    /// How often it was compared while it practised.
    pub compared: u64,
    /// How often it differed.
    pub different: u64,
    /// Some of the differences.
    pub differences: Vec<Difference>,
}

/// A hook is called again, or not any more.
#[derive(Clone, Debug)]
pub struct StateChange {
    /// The hook.
    pub hook: HookId,
    /// When.
    pub at: Timestamp,
    /// What it is now.
    pub state: BreakerState,
    /// How many of its last hundred calls had failed then.
    pub failures: u64,
}

impl StateChange {
    /// The type of the event that tells of it.
    pub(crate) fn event(&self) -> &'static str {
        match self.state {
            BreakerState::Active => "hook.healed",
            BreakerState::Tripped => "hook.tripped",
            BreakerState::Probing => "hook.probing",
        }
    }
}

/// Where the data plane writes what it sees of hooks. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HookLog {
    store: Store,
}

impl HookLog {
    /// The log in a control database.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Adds observations, all or none; those of hooks that are gone are left out. Of each hook the newest
    /// [`DIFFERENCES_PER_HOOK_MAX`] differences are kept.
    ///
    /// # Errors
    /// [`StoreError`] if the control database cannot be written; nothing was added then.
    pub async fn record(&self, observations: &[Observation]) -> Result<(), StoreError> {
        if observations.is_empty() {
            return Ok(());
        }
        let mut db = self.store.write().await?;
        for observation in observations {
            if !store::hook_observation::add(&mut db, &bounded(observation)).await? {
                continue;
            }
            let newest = observation.differences.iter();
            let skipped = newest.len().saturating_sub(DIFFERENCES_PER_HOOK_MAX);
            for difference in newest.skip(skipped) {
                let difference = Difference {
                    arguments: cut(&difference.arguments),
                    expected: cut(&difference.expected),
                    got: cut(&difference.got),
                    ..difference.clone()
                };
                store::hook_observation::add_difference(&mut db, observation.hook, &difference)
                    .await?;
            }
            store::hook_observation::trim(&mut db, observation.hook).await?;
        }
        Ok(db.commit().await?)
    }
}

/// The observation without its differences and with a reason of bounded length: a hook may say whatever it likes.
fn bounded(observation: &Observation) -> Observation {
    let last_failure = observation.last_failure.as_ref();
    Observation {
        last_failure: last_failure
            .map(|(at, reason)| (*at, reason.chars().take(REASON_CHARS_MAX).collect())),
        differences: Vec::new(),
        ..observation.clone()
    }
}

/// A value that is small enough to be kept; of a larger one its beginning, as text.
fn cut(value: &Value) -> Value {
    let text = value.to_string();
    if text.len() <= DIFFERENCE_BYTES_MAX {
        return value.clone();
    }
    let end = text.floor_char_boundary(DIFFERENCE_BYTES_MAX);
    Value::String(format!("{}… ({} bytes)", &text[..end], text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_values_are_cut_and_say_so() {
        let small = serde_json::json!({ "sku": "a" });
        assert_eq!(cut(&small), small);
        let large = Value::String("ä".repeat(DIFFERENCE_BYTES_MAX));
        let Value::String(text) = cut(&large) else {
            panic!("not a text");
        };
        assert!(text.len() < DIFFERENCE_BYTES_MAX + 40, "{}", text.len());
        assert!(text.ends_with("bytes)"));
    }
}
