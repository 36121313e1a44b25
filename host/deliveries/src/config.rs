//! What an operator can set about deliveries.

use serde::{Deserialize, Serialize};

/// Settings of [`crate::Deliveries`]. Unknown keys are errors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Attempts at the same time. Each holds its payload in memory, up to 256 KiB as text.
    pub attempts_max: usize,
    /// Attempts of one instance at the same time; one hook has at most half of them.
    pub attempts_per_instance_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            attempts_max: 256,
            attempts_per_instance_max: 8,
        }
    }
}

impl Config {
    /// What is wrong with the settings, each in words for the operator; empty when all is well.
    #[must_use]
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut check = |name: &str, value: usize, max: usize| {
            if !(1..=max).contains(&value) {
                mistakes.push(format!("{name} = {value} must be from 1 to {max}"));
            }
        };
        check("attempts_max", self.attempts_max, 10_000);
        check(
            "attempts_per_instance_max",
            self.attempts_per_instance_max,
            1_000,
        );
        mistakes
    }

    /// Attempts of one hook at the same time: others of the instance find a place beside a slow one.
    pub(crate) fn attempts_per_hook_max(&self) -> usize {
        self.attempts_per_instance_max.div_ceil(2)
    }
}
