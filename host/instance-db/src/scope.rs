//! On whose behalf a call runs, and what it may take.

use std::time::Duration;

use crate::{Holder, Namespace, limits};

/// What one call may take of the host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Time that it may work.
    pub(crate) time_max: Duration,
    /// Memory that SQLite may take for it.
    pub(crate) memory_bytes_max: usize,
}

impl Bounds {
    /// Those of a statement that works for at most this long.
    pub(crate) fn statement(time_max: Duration) -> Self {
        Self {
            time_max,
            memory_bytes_max: limits::STATEMENT_MEMORY_BYTES_MAX,
        }
    }

    /// Those of the platform's own work.
    pub(crate) const PLATFORM: Self = Self {
        time_max: limits::PLATFORM_TIME_MAX,
        memory_bytes_max: limits::STATEMENT_MEMORY_BYTES_MAX,
    };

    /// Those of a migration, which may sort whole tables.
    pub(crate) const MIGRATION: Self = Self {
        time_max: limits::MIGRATION_TIME_MAX,
        memory_bytes_max: limits::MIGRATION_MEMORY_BYTES_MAX,
    };
}

/// On whose behalf an app's statements run, and within which bounds.
#[derive(Clone, Debug)]
pub struct AppScope {
    /// The namespace that the app owns.
    pub namespace: Namespace,
    /// Size that the database may have, in bytes.
    pub storage_bytes_max: u64,
    /// Whoever takes the turns.
    pub holder: Holder,
}

impl AppScope {
    pub(crate) fn page_quota(&self) -> u64 {
        self.storage_bytes_max / limits::PAGE_BYTES
    }
}

/// Bounds of a call of the platform's own code.
#[derive(Clone, Debug)]
pub struct PlatformScope {
    /// Size that the database may have, in bytes.
    pub storage_bytes_max: u64,
    /// Time that the call may work.
    pub time_max: Duration,
    /// Whoever takes the turn.
    pub holder: Holder,
}
