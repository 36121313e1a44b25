//! What an operator can set about private databases.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// When a committed write survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// A power failure right after the answer: every commit waits for the disk.
    #[default]
    Full,
    /// A crash of the host right after the answer. After a power failure the last commits may be missing;
    /// the file stays sound.
    Normal,
}

/// Settings of [`crate::InstanceDbs`]. Unknown keys are errors.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Directory that holds one file per instance, in 256 subdirectories. Created if missing.
    pub dir: PathBuf,
    /// When a committed write survives.
    pub durability: Durability,
    /// Databases open at the same time. Each takes up to `3 × (readers_max + 1)` file descriptors.
    pub open_max: usize,
    /// Reads of one instance at the same time; others wait.
    pub readers_max: usize,
    /// Databases' calls that work at the same time, on threads of their own; others wait, and
    /// instances have their turns by their share of the work. One instance has at most half of them while
    /// others wait, and never all of them if there are several.
    pub workers_max: usize,
    /// How many steps below the host's own priority those threads work, as `nice` counts: more lets the
    /// host answer sooner under load and makes statements slower. 0 for none.
    pub worker_nice: u8,
    /// How long a call waits for its turn before it is told that the database is busy, in milliseconds.
    pub lock_wait_ms: u64,
    /// How long an open transaction may do nothing while somebody waits for its turn before it is ended,
    /// in milliseconds.
    pub transaction_idle_ms: u64,
    /// After how many seconds without use a database is closed.
    pub idle_close_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("instances"),
            durability: Durability::default(),
            open_max: 1_024,
            readers_max: 8,
            workers_max: 64,
            worker_nice: 19,
            lock_wait_ms: 5_000,
            transaction_idle_ms: 2_000,
            idle_close_seconds: 30,
        }
    }
}

impl Config {
    /// What is wrong with the settings, each in words for the operator; empty when all is well.
    #[must_use]
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut check = |name: &str, value: u64, min: u64, max: u64| {
            if !(min..=max).contains(&value) {
                mistakes.push(format!("{name} = {value} must be from {min} to {max}"));
            }
        };
        check("open_max", self.open_max as u64, 1, 1_000_000);
        check("readers_max", self.readers_max as u64, 1, 64);
        check("workers_max", self.workers_max as u64, 1, 400);
        check("worker_nice", self.worker_nice.into(), 0, 19);
        check("lock_wait_ms", self.lock_wait_ms, 1, 600_000);
        check("transaction_idle_ms", self.transaction_idle_ms, 1, 600_000);
        check("idle_close_seconds", self.idle_close_seconds, 1, 86_400);
        mistakes
    }
}
