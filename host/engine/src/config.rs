//! What an operator can set about the engine.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    limits::{FUEL_YIELD_INTERVAL, MEMORY_BYTES_MIN, MEMORY_PART},
    machine,
};

/// Where sandboxes get their memory from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SandboxAllocation {
    /// From slots reserved at start: fastest, and an upper bound by construction.
    #[default]
    Pooling,
    /// From the kernel, for each sandbox anew; for machines that can't reserve the address space.
    OnDemand,
}

/// The engine's configuration. Unknown keys are errors.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EngineConfig {
    /// Folder of compiled code; created when missing, readable by the host alone.
    pub cache_dir: PathBuf,
    /// Sandboxes alive at the same time, over all instances; 1 to 10,000. Each reserves about 8 GiB of
    /// address space (not memory) with pooling.
    pub sandboxes_max: u32,
    /// Memory that all sandboxes may have together, in bytes, from 256 MiB; half of what the process may have if
    /// absent, by the machine and its control groups (on Linux; elsewhere there is no bound then). An instance may have as much of it as it leaves to others.
    pub memory_bytes_max: Option<u64>,
    /// Where sandboxes get their memory from.
    pub allocation: SandboxAllocation,
    /// Fuel between two points where a guest that computes lets others run, 10,000 to 1,000,000,000. Less makes
    /// others wait less and computing cost more; `cloudware bench limits noisy --yield-fuel N` shows both.
    pub fuel_yield_interval: u64,
    /// Whether components for WASI 0.3 may run; its host side is labelled experimental upstream.
    pub wasi_p3: bool,
    /// Processor time that compiling one component may take, in seconds, 1 to 3,600. An interpreter takes
    /// about half a minute of one core.
    pub compile_seconds_max: u32,
    /// Memory that compiling one component may take, in bytes, from 512 MiB. An interpreter takes less
    /// than half of the default.
    pub compile_memory_bytes_max: u64,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            cache_dir: PathBuf::from("cache"),
            sandboxes_max: 1_000,
            memory_bytes_max: None,
            allocation: SandboxAllocation::Pooling,
            fuel_yield_interval: FUEL_YIELD_INTERVAL,
            wasi_p3: true,
            compile_seconds_max: 120,
            compile_memory_bytes_max: 3 << 30,
        }
    }
}

impl EngineConfig {
    /// Bytes that all sandboxes may have together.
    pub(crate) fn memory_max(&self) -> u64 {
        self.memory_bytes_max.unwrap_or_else(|| {
            let of_machine = machine::memory().map(|bytes| bytes / MEMORY_PART);
            of_machine.map_or(u64::MAX, |bytes| bytes.max(MEMORY_BYTES_MIN))
        })
    }

    /// What is wrong with the settings, each in words for the operator; empty when all is well.
    #[must_use]
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        if !(1..=10_000).contains(&self.sandboxes_max) {
            mistakes.push(format!(
                "sandboxes_max = {} must be from 1 to 10000",
                self.sandboxes_max
            ));
        }
        if let Some(bytes) = self.memory_bytes_max
            && bytes < MEMORY_BYTES_MIN
        {
            mistakes.push(format!(
                "memory_bytes_max = {bytes} must be at least {MEMORY_BYTES_MIN}"
            ));
        }
        if !(10_000..=1_000_000_000).contains(&self.fuel_yield_interval) {
            mistakes.push(format!(
                "fuel_yield_interval = {} must be from 10000 to 1000000000",
                self.fuel_yield_interval
            ));
        }
        if !(1..=3_600).contains(&self.compile_seconds_max) {
            mistakes.push(format!(
                "compile_seconds_max = {} must be from 1 to 3600",
                self.compile_seconds_max
            ));
        }
        if self.compile_memory_bytes_max < 512 << 20 {
            mistakes.push(format!(
                "compile_memory_bytes_max = {} must be at least 536870912",
                self.compile_memory_bytes_max
            ));
        }
        mistakes
    }
}
