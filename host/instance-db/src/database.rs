//! The private database of one instance: its file, its connections, and the calls that run on them.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cloudware_types::InstanceId;
use parking_lot::Mutex;
use rusqlite::Connection;

use crate::{
    AppScope, Config, Description, Error, Holder, Mode, Namespace, Outcome, PlatformScope, Request,
    RowSet, Transaction, Worked,
    connection::Conn,
    file::{disk_free_bytes, file_bytes, wal_path},
    lane::{Lane, Lease},
    lexer::Verb,
    limits,
    open_transactions::OpenTransactions,
    pool::Pool,
    processors, schema,
    scope::Bounds,
    statement,
    transaction::in_savepoint,
    turns::Turns,
    worker::run,
};

/// Told that what somebody wrote in an instance's database is committed. Must neither wait nor call the
/// database.
pub type OnCommit = Arc<dyn Fn(InstanceId) + Send + Sync>;

/// What all databases of a host share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) pool: Pool,
    pub(crate) started: Instant,
}

/// The private database of one instance. Connections open at the first call and are kept.
pub struct Database {
    pub(crate) id: InstanceId,
    pub(crate) path: PathBuf,
    pub(crate) shared: Arc<Shared>,
    write_turns: Arc<Turns>,
    read_turns: Arc<Turns>,
    pub(crate) transactions: OpenTransactions,
    /// Milliseconds from the host's start to the last use.
    last_used_ms: AtomicU64,
    idle: Mutex<Idle>,
    /// Whether the file has been made and checked. Waited for on threads that may wait for the disk only.
    is_set_up: Mutex<bool>,
    last_report: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Idle {
    writer: Option<Conn>,
    readers: Vec<Conn>,
    is_closed: bool,
}

impl Database {
    pub(crate) fn new(id: InstanceId, path: PathBuf, shared: Arc<Shared>) -> Self {
        Self {
            id,
            path,
            write_turns: Turns::new(1),
            read_turns: Turns::new(shared.config.readers_max),
            transactions: OpenTransactions::default(),
            last_used_ms: AtomicU64::new(0),
            idle: Mutex::default(),
            is_set_up: Mutex::default(),
            last_report: Mutex::default(),
            shared,
        }
    }

    /// The instance that it belongs to.
    #[must_use]
    pub fn instance(&self) -> InstanceId {
        self.id
    }

    /// Runs a statement that gives rows, in a transaction of its own if it makes changes.
    pub async fn query(self: &Arc<Self>, scope: &AppScope, request: Request) -> Worked<RowSet> {
        match statement::check_text(&request.statement) {
            Ok(Verb::Read) => {
                let namespace = scope.namespace.clone();
                self.in_turn(
                    Lane::Read,
                    scope.holder.clone(),
                    Bounds::statement(request.time_max),
                    move |conn| statement::query(conn, &namespace, &request),
                )
                .await
            }
            Ok(_) => self.change(scope, request, statement::query).await,
            Err(error) => Worked::refused(error),
        }
    }

    /// Runs a statement that gives no rows, in a transaction of its own.
    pub async fn execute(self: &Arc<Self>, scope: &AppScope, request: Request) -> Worked<Outcome> {
        self.change(scope, request, statement::execute).await
    }

    /// Compiles a statement and says what it takes and gives.
    pub async fn describe(
        self: &Arc<Self>,
        scope: &AppScope,
        text: Arc<str>,
        time_max: Duration,
    ) -> Worked<Description> {
        let namespace = scope.namespace.clone();
        self.in_turn(
            Lane::Read,
            scope.holder.clone(),
            Bounds::statement(time_max),
            move |conn| statement::describe(conn, &namespace, &text),
        )
        .await
    }

    /// Begins a transaction.
    pub async fn begin(self: &Arc<Self>, scope: &AppScope, mode: Mode) -> Worked<Transaction> {
        Transaction::begin(self, scope, mode).await
    }

    /// Reads the platform's tables. `work` runs on a thread that may wait for the disk.
    pub async fn read<R, F>(self: &Arc<Self>, scope: PlatformScope, work: F) -> Worked<R>
    where
        R: Send + 'static,
        F: FnOnce(&Connection) -> Result<R, Error> + Send + 'static,
    {
        self.in_turn(
            Lane::Read,
            scope.holder,
            Bounds::statement(scope.time_max),
            |conn| work(conn.platform()),
        )
        .await
    }

    /// Changes the platform's tables in one transaction, committed if `work` succeeds. `work` runs on a
    /// thread that may wait for the disk.
    pub async fn write<R, F>(self: &Arc<Self>, scope: PlatformScope, work: F) -> Worked<R>
    where
        R: Send + 'static,
        F: FnOnce(&Connection) -> Result<R, Error> + Send + 'static,
    {
        let database = Arc::clone(self);
        let pages = scope.storage_bytes_max / limits::PAGE_BYTES;
        self.in_turn(
            Lane::Write,
            scope.holder,
            Bounds::statement(scope.time_max),
            move |conn| {
                database.ready_to_write(conn, pages)?;
                statement::in_transaction(conn, |conn| work(conn.platform()))
            },
        )
        .await
    }

    /// Changes the platform's tables in the transaction for writing that the scope's run has open, so that the
    /// changes come to be with its commit and not otherwise; in a transaction of its own where the run has
    /// none open. What fails is undone alone. `committed` is told on a thread of the database.
    ///
    /// Refused as [`Error::Closed`] where the run's transaction was ended and the run does not know yet: what
    /// was done in it will never be.
    pub async fn write_within<R, F>(
        self: &Arc<Self>,
        scope: PlatformScope,
        committed: OnCommit,
        work: F,
    ) -> Worked<R>
    where
        R: Send + 'static,
        F: FnOnce(&Connection) -> Result<R, Error> + Send + 'static,
    {
        let pages = scope.storage_bytes_max / limits::PAGE_BYTES;
        let bounds = Bounds::statement(scope.time_max);
        let Some(number) = self.transactions.writing_of(&scope.holder) else {
            let database = Arc::clone(self);
            let alone = move |conn: &mut Conn| {
                database.ready_to_write(conn, pages)?;
                let result = statement::in_transaction(conn, |conn| work(conn.platform()))?;
                committed(database.id);
                Ok(result)
            };
            return self.in_turn(Lane::Write, scope.holder, bounds, alone).await;
        };
        let Some(lease) = self.transactions.wake(number) else {
            return Worked::refused(Error::Closed);
        };
        let (lease, worked) = run(lease, bounds, move |conn| {
            conn.set_page_quota(pages)?;
            let work = |conn: &Conn| work(conn.platform());
            let result = conn.keeping_last_insert(|conn| in_savepoint(conn, work))?;
            conn.when_committed(committed);
            Ok(result)
        })
        .await;
        if let Some(lease) = lease.filter(|lease| !lease.is_idle()) {
            self.transactions.rest(number, lease);
        }
        worked
    }

    async fn change<R: Send + 'static>(
        self: &Arc<Self>,
        scope: &AppScope,
        request: Request,
        statement: impl FnOnce(&Conn, &Namespace, &Request) -> Result<R, Error> + Send + 'static,
    ) -> Worked<R> {
        let database = Arc::clone(self);
        let namespace = scope.namespace.clone();
        let pages = scope.page_quota();
        self.in_turn(
            Lane::Write,
            scope.holder.clone(),
            Bounds::statement(request.time_max),
            move |conn| {
                database.ready_to_write(conn, pages)?;
                statement::in_transaction(conn, |conn| statement(conn, &namespace, &request))
            },
        )
        .await
    }

    pub(crate) async fn in_turn<R, F>(
        self: &Arc<Self>,
        lane: Lane,
        holder: Holder,
        bounds: Bounds,
        work: F,
    ) -> Worked<R>
    where
        R: Send + 'static,
        F: FnOnce(&mut Conn) -> Result<R, Error> + Send + 'static,
    {
        match Lease::take(self, lane, holder).await {
            Ok(lease) => run(lease, bounds, work).await.1,
            Err(error) => Worked::refused(self.report(error)),
        }
    }

    pub(crate) fn turns(&self, lane: Lane) -> &Arc<Turns> {
        match lane {
            Lane::Write => &self.write_turns,
            Lane::Read => &self.read_turns,
        }
    }

    /// Ends the transaction of this lane that has been idle for longest, if that is longer than a
    /// transaction may be idle while somebody waits. Gives the moment at which to look again.
    pub(crate) fn end_idle(&self, lane: Lane, waiting: &Holder) -> Instant {
        let idle_max = Duration::from_millis(self.shared.config.transaction_idle_ms);
        let idling = self.transactions.take_idle(lane, waiting, idle_max);
        if let Some((lease, idle)) = idling.ended {
            tracing::info!(instance = %self.id, ?idle,
                "a transaction was ended because it did nothing while others waited");
            drop(lease);
        }
        idling.look_again
    }

    /// Whether its file has been made and checked; not yet while that goes on.
    pub(crate) fn is_set_up(&self) -> bool {
        self.is_set_up
            .try_lock()
            .is_some_and(|is_set_up| *is_set_up)
    }

    /// Prepares the writer for a call that may use `pages` pages of the file.
    pub(crate) fn ready_to_write(&self, conn: &mut Conn, pages: u64) -> Result<(), Error> {
        conn.set_page_quota(pages)?;
        conn.forget_last_insert();
        if file_bytes(&wal_path(&self.path)) > limits::WAL_BYTES_MAX {
            processors::leave();
            conn.platform()
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            if file_bytes(&wal_path(&self.path)) > limits::WAL_BYTES_MAX {
                return Err(Error::Busy);
            }
        }
        Ok(())
    }

    /// A connection that a turn of this kind left behind.
    pub(crate) fn take_idle(&self, lane: Lane) -> Option<Conn> {
        self.touch();
        let mut idle = self.idle.lock();
        match lane {
            Lane::Write => idle.writer.take(),
            Lane::Read => idle.readers.pop(),
        }
    }

    /// Keeps a connection for the next turn.
    pub(crate) fn give_back(&self, lane: Lane, connection: Conn) {
        self.touch();
        let mut idle = self.idle.lock();
        if idle.is_closed {
            drop(idle);
            drop(connection);
            return;
        }
        match lane {
            Lane::Write => idle.writer = Some(connection),
            Lane::Read => idle.readers.push(connection),
        }
    }

    /// Opens a connection; the first one makes and checks the file. Waits for the disk.
    pub(crate) fn open(&self, lane: Lane) -> Result<Conn, Error> {
        if self.idle.lock().is_closed {
            return Err(Error::Unavailable("the database was deleted".into()));
        }
        let mut is_set_up = self.is_set_up.lock();
        if !*is_set_up {
            let connection = schema::set_up(&self.path, self.shared.config.durability)?;
            *is_set_up = true;
            if lane == Lane::Write {
                return Ok(connection);
            }
            self.idle.lock().writer.get_or_insert(connection);
        }
        drop(is_set_up);
        let connection = Conn::open(&self.path, self.shared.config.durability)?;
        if lane == Lane::Read {
            connection.platform().pragma_update(None, "query_only", 1)?;
        }
        Ok(connection)
    }

    /// Closes every idle connection and refuses new ones, once nobody has a turn.
    pub(crate) fn close(&self) {
        self.write_turns.close();
        self.read_turns.close();
        let mut idle = self.idle.lock();
        idle.is_closed = true;
        let (writer, readers) = (idle.writer.take(), std::mem::take(&mut idle.readers));
        drop(idle);
        drop(readers);
        drop(writer);
    }

    fn touch(&self) {
        let now = self.shared.started.elapsed().as_millis();
        self.last_used_ms
            .store(u64::try_from(now).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Milliseconds from the host's start to the last use.
    pub(crate) fn last_used_ms(&self) -> u64 {
        self.last_used_ms.load(Ordering::Relaxed)
    }

    /// Tells the operator about a failure that is nobody else's, not more often than is useful, and
    /// tells a full disk from a full quota.
    pub(crate) fn report(&self, error: Error) -> Error {
        let error = match error {
            Error::Full => match disk_free_bytes(&self.path) {
                Some(free) if free < limits::DISK_FREE_BYTES_MIN => Error::Unavailable(format!(
                    "the disk is full: {free} bytes are free; make room or move the data directory"
                )),
                _ => return Error::Full,
            },
            error @ Error::Unavailable(_) => error,
            other => return other,
        };
        let mut last = self.last_report.lock();
        if last.is_none_or(|at| at.elapsed() >= limits::FAILURE_LOG_INTERVAL) {
            *last = Some(Instant::now());
            tracing::error!(instance = %self.id, file = %self.path.display(), %error,
                "a private database failed");
        }
        error
    }
}
