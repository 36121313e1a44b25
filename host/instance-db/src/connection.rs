//! One SQLite connection, closed down: every switch, limit and hook that stands between a
//! stranger's statement and the host is set here, before the first statement runs.

use std::{
    cell::{Cell, OnceCell, RefCell},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use cloudware_types::InstanceId;
use parking_lot::Mutex;
use rusqlite::{
    Connection, InterruptHandle, OpenFlags, config::DbConfig, ffi, hooks::Action, limits::Limit,
};

use crate::{
    Durability, Error, OnCommit,
    access::{Access, Noticed, authorize},
    error::{Circumstances, TimedOut, classify},
    functions::{self, AccessValues},
    limits, processors,
};

/// Tells a running call that nobody waits for it any more.
#[derive(Default)]
pub(crate) struct Cancel {
    cancelled: AtomicBool,
    interrupt: Mutex<Option<InterruptHandle>>,
}

impl Cancel {
    /// Ends the call at the next look at the clock, and a long single instruction at once.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        if let Some(handle) = &*self.interrupt.lock() {
            handle.interrupt();
        }
    }
}

/// What the hooks of a connection look at.
struct Control {
    access: Mutex<Access>,
    noticed: Mutex<Noticed>,
    clock: Mutex<Clock>,
    /// Whether the statement inserted a row into a table with rowids.
    inserted: AtomicBool,
}

struct Clock {
    deadline: Option<Instant>,
    cancel: Option<Arc<Cancel>>,
    timed_out: TimedOut,
}

impl Clock {
    /// Time in which others computed does not count.
    fn extend(&mut self, waited: Duration) {
        if let Some(deadline) = self.deadline {
            self.deadline = deadline.checked_add(waited);
        }
    }

    fn must_stop(&mut self) -> bool {
        if self
            .cancel
            .as_ref()
            .is_some_and(|cancel| cancel.cancelled.load(Ordering::Acquire))
        {
            return true;
        }
        if self.deadline.is_some_and(|at| Instant::now() >= at) {
            self.timed_out = TimedOut::Yes;
            return true;
        }
        false
    }
}

/// A connection to the file of one instance, or to a scratch database in memory.
pub(crate) struct Conn {
    sqlite: Connection,
    control: Arc<Control>,
    page_quota: u64,
    /// Whoever is to be told when the open transaction is committed.
    on_commit: RefCell<Vec<OnCommit>>,
    access_values: AccessValues,
    /// What names of the platform in an app's statement begin with; see [`Self::marker`].
    marker: OnceCell<String>,
    /// Whether something was left behind that the next call must not meet.
    is_spoiled: Cell<bool>,
    /// What the statements of the present call have read and written.
    rows: Cell<RowCount>,
}

/// Rows that statements gave and changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct RowCount {
    pub(crate) read: u64,
    pub(crate) written: u64,
}

impl Conn {
    /// Opens a file, making it if it does not exist. The file need not be ours yet.
    pub(crate) fn open(path: &Path, durability: Durability) -> rusqlite::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE;
        let conn = Self::closed_down(Connection::open_with_flags(path, flags)?)?;
        conn.set_durability(durability)?;
        conn.sqlite
            .pragma_update(None, "journal_size_limit", limits::WAL_KEPT_BYTES)?;
        Ok(conn)
    }

    /// Sets when a commit counts as done.
    pub(crate) fn set_durability(&self, durability: Durability) -> rusqlite::Result<()> {
        let synchronous = match durability {
            Durability::Full => "FULL",
            Durability::Normal => "NORMAL",
        };
        self.platform()
            .pragma_update(None, "synchronous", synchronous)
    }

    /// A database in memory that vanishes when it is dropped.
    pub(crate) fn scratch() -> rusqlite::Result<Self> {
        let mut conn = Self::closed_down(Connection::open_in_memory()?)?;
        conn.set_page_quota(limits::SCRATCH_PAGES_MAX)?;
        Ok(conn)
    }

    /// Copies the database in a file, as of now, to another file.
    pub(crate) fn copy_to(from: &Path, to: &str) -> rusqlite::Result<()> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let sqlite = Connection::open_with_flags(from, flags)?;
        sqlite.busy_timeout(limits::FILE_LOCK_WAIT)?;
        sqlite.execute("VACUUM INTO ?1", [to])?;
        Ok(())
    }

    fn closed_down(sqlite: Connection) -> rusqlite::Result<Self> {
        sqlite.busy_timeout(limits::FILE_LOCK_WAIT)?;
        set_switches(&sqlite)?;
        set_limits(&sqlite)?;
        drop_modules(&sqlite)?;
        let access_values = AccessValues::default();
        functions::install(&sqlite, &access_values)?;
        sqlite.set_prepared_statement_cache_capacity(limits::CACHED_STATEMENTS_MAX);
        for (pragma, value) in [
            ("cache_size", -limits::PAGE_CACHE_KIB),
            // Temporary data stays in memory, where the budget of the call bounds it.
            ("temp_store", 2),
            ("mmap_size", 0),
            ("cell_size_check", 1),
        ] {
            sqlite.pragma_update(None, pragma, value)?;
        }
        let control = Arc::new(Control {
            access: Mutex::new(Access::Platform),
            noticed: Mutex::default(),
            clock: Mutex::new(Clock {
                deadline: None,
                cancel: None,
                timed_out: TimedOut::No,
            }),
            inserted: AtomicBool::new(false),
        });
        set_hooks(&sqlite, &control)?;
        Ok(Self {
            sqlite,
            control,
            page_quota: 0,
            on_commit: RefCell::default(),
            access_values,
            marker: OnceCell::new(),
            is_spoiled: Cell::new(false),
            rows: Cell::default(),
        })
    }

    /// The connection, on behalf of the platform.
    pub(crate) fn platform(&self) -> &Connection {
        *self.control.access.lock() = Access::Platform;
        &self.sqlite
    }

    /// The connection, on behalf of an app. What the authorizer notices from now on is found by
    /// [`Self::noticed`].
    pub(crate) fn on_behalf(&self, access: Access) -> &Connection {
        *self.control.access.lock() = access;
        *self.control.noticed.lock() = Noticed::default();
        self.control.inserted.store(false, Ordering::Relaxed);
        &self.sqlite
    }

    /// What the authorizer noticed since the last [`Self::on_behalf`].
    pub(crate) fn take_noticed(&self) -> Noticed {
        std::mem::take(&mut self.control.noticed.lock())
    }

    /// What names begin with that the platform uses in a statement of an app. It is chosen by chance for each
    /// connection and never kept, so that no statement and no schema can contain it.
    pub(crate) fn marker(&self) -> rusqlite::Result<&str> {
        if let Some(marker) = self.marker.get() {
            return Ok(marker);
        }
        let sqlite = self.platform();
        let query = "SELECT 'cw_access_' || lower(hex(randomblob(16)))";
        let marker = sqlite.query_row(query, [], |row| row.get(0))?;
        Ok(self.marker.get_or_init(|| marker))
    }

    /// Sets the values of the conditions that hold for the next statement.
    pub(crate) fn set_access_values(&self, values: Vec<rusqlite::types::Value>) {
        *self.access_values.lock() = values;
    }

    /// Sees that the connection is thrown away after its present call.
    pub(crate) fn spoil(&self) {
        self.is_spoiled.set(true);
    }

    /// Whether a row was inserted since the last [`Self::on_behalf`].
    pub(crate) fn has_inserted(&self) -> bool {
        self.control.inserted.load(Ordering::Relaxed)
    }

    /// Rows that were inserted, updated or deleted on this connection so far, also by triggers and for foreign keys.
    /// On whose behalf it works stays as it is, because a statement under way may be compiled anew.
    pub(crate) fn rows_written(&self) -> u64 {
        self.sqlite.total_changes()
    }

    /// Makes `last_insert_rowid()` say nothing about what others inserted on this connection.
    pub(crate) fn forget_last_insert(&self) {
        // SAFETY: the handle is open.
        unsafe { ffi::sqlite3_set_last_insert_rowid(self.sqlite.handle(), 0) };
    }

    /// Runs `work` so that `last_insert_rowid()` says afterwards what it said before.
    pub(crate) fn keeping_last_insert<R>(&self, work: impl FnOnce(&Self) -> R) -> R {
        let kept = self.sqlite.last_insert_rowid();
        let result = work(self);
        // SAFETY: the handle is open.
        unsafe { ffi::sqlite3_set_last_insert_rowid(self.sqlite.handle(), kept) };
        result
    }

    /// Sees that `told` is told when the open transaction is committed, once however often it asks.
    pub(crate) fn when_committed(&self, told: OnCommit) {
        let mut on_commit = self.on_commit.borrow_mut();
        if !on_commit.iter().any(|known| Arc::ptr_eq(known, &told)) {
            on_commit.push(told);
        }
    }

    /// Tells those who asked that the transaction is committed.
    pub(crate) fn tell_committed(&self, instance: InstanceId) {
        for told in self.on_commit.take() {
            told(instance);
        }
    }

    /// Whether no transaction is open.
    pub(crate) fn is_idle(&self) -> bool {
        self.sqlite.is_autocommit()
    }

    /// Begins the time of a call that `cancel` can end early.
    pub(crate) fn start_clock(&self, time_max: Duration, cancel: Option<Arc<Cancel>>) {
        if let Some(cancel) = &cancel {
            *cancel.interrupt.lock() = Some(self.sqlite.get_interrupt_handle());
        }
        *self.control.clock.lock() = Clock {
            deadline: Instant::now().checked_add(time_max),
            cancel,
            timed_out: TimedOut::No,
        };
    }

    /// Begins to count rows anew.
    pub(crate) fn forget_rows(&self) {
        self.rows.take();
    }

    /// Counts what a statement gave and changed.
    pub(crate) fn count_rows(&self, read: u64, written: u64) {
        let mut rows = self.rows.get();
        rows.read += read;
        rows.written += written;
        self.rows.set(rows);
    }

    /// What statements gave and changed since [`Self::forget_rows`].
    pub(crate) fn rows(&self) -> RowCount {
        self.rows.get()
    }

    /// The reason behind an error of a statement that runs on behalf of an app.
    pub(crate) fn explain(&self, error: &rusqlite::Error) -> Error {
        classify(
            error,
            Circumstances {
                denied: self.take_noticed().denied,
                timed_out: self.control.clock.lock().timed_out,
            },
        )
    }

    /// Sets how many pages the file may have; a file that is larger already cannot grow further.
    pub(crate) fn set_page_quota(&mut self, pages: u64) -> rusqlite::Result<()> {
        // Zero would mean that there is no quota.
        let pages = pages.max(1);
        if self.page_quota != pages {
            let pages_set = i64::try_from(pages).unwrap_or(i64::MAX);
            self.platform()
                .pragma_update(None, "max_page_count", pages_set)?;
            self.page_quota = pages;
        }
        Ok(())
    }

    /// Ends an open transaction without its changes. False where even that failed: the connection must
    /// then be thrown away.
    pub(crate) fn undo(&self) -> bool {
        self.on_commit.take();
        if self.is_idle() {
            return !self.is_spoiled.get();
        }
        self.start_clock(limits::PLATFORM_TIME_MAX, None);
        let done = self.platform().execute_batch("ROLLBACK").is_ok();
        done && self.is_idle() && !self.is_spoiled.get()
    }
}

fn set_switches(sqlite: &Connection) -> rusqlite::Result<()> {
    for (switch, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, true),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE, false),
        // A name in double quotes that is wrong must not become a text.
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
    ] {
        sqlite.set_db_config(switch, on)?;
    }
    Ok(())
}

fn set_limits(sqlite: &Connection) -> rusqlite::Result<()> {
    for (limit, value) in [
        (Limit::SQLITE_LIMIT_LENGTH, limits::VALUE_BYTES_MAX as i32),
        (
            Limit::SQLITE_LIMIT_SQL_LENGTH,
            limits::MIGRATION_BYTES_MAX as i32,
        ),
        (Limit::SQLITE_LIMIT_COLUMN, limits::COLUMNS_MAX),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, limits::EXPRESSION_DEPTH_MAX),
        (
            Limit::SQLITE_LIMIT_COMPOUND_SELECT,
            limits::COMPOUND_SELECT_MAX,
        ),
        (Limit::SQLITE_LIMIT_VDBE_OP, limits::PROGRAM_OPS_MAX),
        (
            Limit::SQLITE_LIMIT_FUNCTION_ARG,
            limits::FUNCTION_ARGUMENTS_MAX,
        ),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (
            Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH,
            limits::LIKE_PATTERN_BYTES_MAX,
        ),
        (
            Limit::SQLITE_LIMIT_VARIABLE_NUMBER,
            limits::PARAMETERS_MAX as i32,
        ),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, limits::TRIGGER_DEPTH_MAX),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        sqlite.set_limit(limit, value)?;
    }
    Ok(())
}

/// Removes every table module (full-text search, R-trees, page dumps) but the two over JSON.
fn drop_modules(sqlite: &Connection) -> rusqlite::Result<()> {
    let mut kept = [
        c"json_each".as_ptr(),
        c"json_tree".as_ptr(),
        std::ptr::null(),
    ];
    // SAFETY: the handle is open, and the list of names ends with a null pointer and is only read.
    let rc = unsafe { ffi::sqlite3_drop_modules(sqlite.handle(), kept.as_mut_ptr()) };
    if rc == ffi::SQLITE_OK {
        Ok(())
    } else {
        Err(rusqlite::Error::SqliteFailure(ffi::Error::new(rc), None))
    }
}

fn set_hooks(sqlite: &Connection, control: &Arc<Control>) -> rusqlite::Result<()> {
    let seen = Arc::clone(control);
    sqlite.authorizer(Some(move |context: rusqlite::hooks::AuthContext<'_>| {
        authorize(&seen.access.lock(), &context, &mut seen.noticed.lock())
    }))?;
    let seen = Arc::clone(control);
    sqlite.progress_handler(
        limits::CLOCK_INTERVAL_OPS,
        Some(move || {
            let waited = processors::pause();
            let mut clock = seen.clock.lock();
            clock.extend(waited);
            clock.must_stop()
        }),
    )?;
    let seen = Arc::clone(control);
    sqlite.update_hook(Some(move |action, _: &str, _: &str, _| {
        if action == Action::SQLITE_INSERT {
            seen.inserted.store(true, Ordering::Relaxed);
        }
    }))
}
