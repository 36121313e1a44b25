//! What an operator can set about the engine.

use std::path::PathBuf;

/// Where sandboxes get their memory from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SandboxAllocation {
    /// From slots reserved at start: fastest, and an upper bound by construction.
    #[default]
    Pooling,
    /// From the kernel, for each sandbox anew; for machines that can't reserve the address space.
    OnDemand,
}

/// The engine's configuration.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Folder of compiled code; created when missing, readable by the host alone.
    pub cache_dir: PathBuf,
    /// Sandboxes alive at the same time, over all instances. Each reserves about 4 GiB of address
    /// space (not memory) with pooling.
    pub sandboxes_max: u32,
    /// Where sandboxes get their memory from.
    pub allocation: SandboxAllocation,
    /// Whether components for WASI 0.3 may run; its host side is labelled experimental upstream.
    pub wasi_p3: bool,
}

impl EngineConfig {
    /// Defaults with a given cache folder.
    #[must_use]
    pub fn new(cache_dir: PathBuf) -> Self {
        Self {
            cache_dir,
            sandboxes_max: 1_000,
            allocation: SandboxAllocation::Pooling,
            wasi_p3: true,
        }
    }
}
