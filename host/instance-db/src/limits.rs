//! Every bound of the private database, with its reason. Bounds that an admin may change are
//! [`cloudware_types::Dimension`]s and not here.

use std::time::Duration;

use crate::fair::LeadMax;

/// Bytes of one text, blob or row. Larger files belong into blobs, and a built-in function works on
/// a value without looking at the clock.
pub const VALUE_BYTES_MAX: usize = 8 << 20;

/// Bytes of the text of one statement of a running app. Multi-row inserts fit.
pub const STATEMENT_BYTES_MAX: usize = 128 << 10;

/// Bytes of the text of one migration step. A schema with its first data fits.
pub const MIGRATION_BYTES_MAX: usize = 1 << 20;

/// Steps of one app's schema.
pub const MIGRATIONS_MAX: usize = 1_000;

/// Parameters of one statement. A multi-row insert fits.
pub const PARAMETERS_MAX: usize = 4_096;

/// Bytes of the rows that one call returns, bookkeeping included. The host keeps them in memory until
/// the guest has them.
pub const RESULT_BYTES_MAX: usize = 16 << 20;

/// Memory that SQLite may take while it runs one statement: page cache, sorting, temporary tables and
/// values. A few of the largest values fit, and the workers of a host together stay within 2 GiB.
pub const STATEMENT_MEMORY_BYTES_MAX: usize = 32 << 20;

/// Memory that SQLite may take for a migration, which sorts a whole table for a new index: some millions
/// of rows fit.
pub(crate) const MIGRATION_MEMORY_BYTES_MAX: usize = 256 << 20;

/// Bytes of a statement that is kept compiled. Longer ones are seldom run twice.
pub(crate) const CACHED_STATEMENT_BYTES_MAX: usize = 4 << 10;

/// Compiled statements that one connection keeps.
pub(crate) const CACHED_STATEMENTS_MAX: usize = 64;

/// Instructions of SQLite's machine between two looks at the clock: some tens of microseconds.
pub(crate) const CLOCK_INTERVAL_OPS: i32 = 1_000;

/// How long a statement that computes keeps its processor while others wait for one. Short enough that many
/// get on at once, and long enough that changing over costs nothing beside it.
pub(crate) const PROCESSOR_SLICE: Duration = Duration::from_millis(1);

/// How long the turns of threads of databases are: longer than those of threads that serve sockets (0.7 to 3 ms), which may
/// then interrupt them at once, and shorter than those of threads on which guests compute.
pub(crate) const WORKER_TURN: Duration = Duration::from_micros(3_500);

/// What instances are held to be ahead of others at most where they wait for a thread: what some tens of statements take, or a
/// commit on a busy disk. With hundreds of instances that all have more to do than the host can, that is a wait of up to a
/// second or two for each call, and each further 10 ms would be as much again. Who keeps the one turn for writing of its database
/// waits for less, because all who want it next wait with it.
pub(crate) const LEAD_MAX: LeadMax = LeadMax([Duration::from_millis(10), Duration::from_millis(1)]);

/// Columns of a table, an index or a result.
pub(crate) const COLUMNS_MAX: i32 = 256;

/// Depth of an expression; each level costs stack.
pub(crate) const EXPRESSION_DEPTH_MAX: i32 = 100;

/// Parts of a compound select.
pub(crate) const COMPOUND_SELECT_MAX: i32 = 50;

/// Instructions that one statement compiles to. Ordinary statements have hundreds.
pub(crate) const PROGRAM_OPS_MAX: i32 = 50_000;

/// Arguments of a function.
pub(crate) const FUNCTION_ARGUMENTS_MAX: i32 = 100;

/// Bytes of a LIKE or GLOB pattern. Matching takes time in proportion to pattern times text.
pub(crate) const LIKE_PATTERN_BYTES_MAX: i32 = 128;

/// Triggers that fire each other.
pub(crate) const TRIGGER_DEPTH_MAX: i32 = 16;

/// Distinct characters that `trim` removes.
pub(crate) const TRIM_CHARACTERS_MAX: usize = 256;

/// Tables, indexes, views and triggers of one app. Reading the schema costs each new connection.
pub(crate) const OBJECTS_MAX: usize = 1_000;

/// Bytes of a page of the file, SQLite's default.
pub(crate) const PAGE_BYTES: u64 = 4_096;

/// Page cache of one connection in KiB; the operating system caches the file as well.
pub(crate) const PAGE_CACHE_KIB: i64 = 1_024;

/// Size to which the write-ahead log is cut after a checkpoint.
pub(crate) const WAL_KEPT_BYTES: i64 = 4 << 20;

/// Size of the write-ahead log from which a write first waits for a checkpoint: a reader that holds an
/// old snapshot for long must not make the log grow without bound.
pub(crate) const WAL_BYTES_MAX: u64 = 256 << 20;

/// Free space below which a full database is blamed on the disk and not on the quota.
pub(crate) const DISK_FREE_BYTES_MIN: u64 = 32 << 20;

/// How long SQLite itself waits for a lock. Our own lanes keep writers apart, so this is met
/// only while a file is being closed, or if another process has opened it.
pub(crate) const FILE_LOCK_WAIT: Duration = Duration::from_secs(2);

/// Time for one whole migration of an instance.
pub(crate) const MIGRATION_TIME_MAX: Duration = Duration::from_secs(60);

/// Time for checking migrations on a scratch database, which is empty.
pub(crate) const MIGRATION_CHECK_TIME_MAX: Duration = Duration::from_secs(10);

/// Size of a scratch database in pages (16 MiB).
pub(crate) const SCRATCH_PAGES_MAX: u64 = 4_096;

/// Time for work of the platform itself, such as undoing a transaction or a snapshot.
pub(crate) const PLATFORM_TIME_MAX: Duration = Duration::from_secs(600);

/// Between two entries in the operator's log about one failing database.
pub(crate) const FAILURE_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// How long a thread of the pool waits for work before it ends.
pub(crate) const WORKER_IDLE_MAX: Duration = Duration::from_secs(10);
