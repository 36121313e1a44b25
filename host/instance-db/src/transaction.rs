//! A transaction of an app: a turn at the database that is kept until commit, rollback or drop.

use std::{sync::Arc, time::Duration};

use cloudware_types::TableAccess;

use crate::{
    AppScope, Database, Error, Outcome, Request, RowSet, Worked,
    connection::Conn,
    examine::examine,
    lane::{Lane, Lease},
    lexer::Verb,
    scope::Bounds,
    statement,
    worker::run,
};

/// What a transaction is begun for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// A consistent snapshot; any number at the same time.
    Read,
    /// Reads and changes; one at a time per database.
    Write,
}

/// An open transaction. Dropping it undoes its changes, also while a statement runs. One that does nothing
/// for long while somebody waits for its turn is ended; its next call is refused as [`Error::Closed`].
pub struct Transaction {
    database: Arc<Database>,
    /// Its lease rests at the database while no statement runs.
    number: u64,
    mode: Mode,
    scope: AppScope,
}

impl Transaction {
    pub(crate) async fn begin(
        database: &Arc<Database>,
        scope: &AppScope,
        mode: Mode,
    ) -> Worked<Self> {
        let lane = match mode {
            Mode::Read => Lane::Read,
            Mode::Write => Lane::Write,
        };
        let lease = match Lease::take(database, lane, scope.holder.clone()).await {
            Ok(lease) => lease,
            Err(error) => return Worked::refused(error),
        };
        let pages = scope.page_quota();
        let prepared = Arc::clone(database);
        let (lease, begun) = run(lease, Bounds::PLATFORM, move |conn| match mode {
            Mode::Write => {
                prepared.ready_to_write(conn, pages)?;
                statement::run_platform(conn.platform(), "BEGIN IMMEDIATE")
            }
            Mode::Read => {
                statement::run_platform(conn.platform(), "BEGIN")?;
                pin_snapshot(conn)
            }
        })
        .await;
        begun.map(|()| {
            let transaction = Self {
                number: database.transactions.next_number(),
                database: Arc::clone(database),
                mode,
                scope: scope.clone(),
            };
            if mode == Mode::Write {
                database
                    .transactions
                    .began_writing(scope.holder.clone(), transaction.number);
            }
            transaction.rest(lease);
            transaction
        })
    }

    /// Keeps the lease if the transaction is still open.
    fn rest(&self, lease: Option<Lease>) {
        if let Some(lease) = lease.filter(|lease| !lease.is_idle()) {
            self.database.transactions.rest(self.number, lease);
        }
    }

    /// Whether the transaction is still open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.database.transactions.is_resting(self.number)
    }

    /// Runs a statement that gives rows.
    pub async fn query(&mut self, request: Request) -> Worked<RowSet> {
        self.run(request, statement::query).await
    }

    /// Runs a statement that gives no rows.
    pub async fn execute(&mut self, request: Request) -> Worked<Outcome> {
        self.run(request, statement::execute).await
    }

    /// Makes the changes durable. The transaction has ended afterwards, also where this failed.
    pub async fn commit(self) -> Worked<()> {
        let instance = self.database.id;
        self.end(move |conn| {
            statement::commit(conn)?;
            conn.tell_committed(instance);
            Ok(())
        })
        .await
    }

    /// Undoes the changes.
    pub async fn rollback(self) -> Worked<()> {
        self.end(|conn| {
            if conn.undo() {
                Ok(())
            } else {
                Err(Error::Unavailable("a rollback failed".into()))
            }
        })
        .await
    }

    /// Says what a statement would do with some of the app's tables; see [`Database::examine`].
    pub async fn examine(
        &mut self,
        (text, tables): (Arc<str>, Arc<[Arc<str>]>),
        time_max: Duration,
    ) -> Worked<Vec<TableAccess>> {
        let Some(lease) = self.database.transactions.wake(self.number) else {
            return Worked::refused(Error::Closed);
        };
        let namespace = self.scope.namespace.clone();
        let (lease, worked) = run(lease, Bounds::statement(time_max), move |conn| {
            examine(conn, &namespace, (&text, &tables))
        })
        .await;
        self.rest(lease);
        worked
    }

    async fn end(
        &self,
        finish: impl FnOnce(&Conn) -> Result<(), Error> + Send + 'static,
    ) -> Worked<()> {
        let Some(lease) = self.database.transactions.wake(self.number) else {
            return Worked::refused(Error::Closed);
        };
        let (lease, ended) = run(lease, Bounds::PLATFORM, |conn| {
            let result = finish(conn);
            // A commit that was refused leaves SQLite's transaction open.
            conn.undo();
            result
        })
        .await;
        drop(lease);
        ended
    }

    async fn run<R: Send + 'static>(
        &mut self,
        request: Request,
        statement: impl FnOnce(&Conn, &crate::Namespace, &Request) -> Result<R, Error> + Send + 'static,
    ) -> Worked<R> {
        let verb = match statement::check_text(&request.statement) {
            Ok(verb) => verb,
            Err(error) => return Worked::refused(error),
        };
        if self.mode == Mode::Read && verb != Verb::Read && self.is_open() {
            return Worked::refused(Error::ReadOnly);
        }
        let Some(lease) = self.database.transactions.wake(self.number) else {
            return Worked::refused(Error::Closed);
        };
        let namespace = self.scope.namespace.clone();
        let (lease, worked) = run(lease, Bounds::statement(request.time_max), move |conn| {
            if verb == Verb::Read {
                statement(conn, &namespace, &request)
            } else {
                // The whole of a refused statement is undone, also where its rows were too many.
                in_savepoint(conn, |conn| statement(conn, &namespace, &request))
            }
        })
        .await;
        // Some failures (a full disk, ON CONFLICT ROLLBACK) end the transaction as a whole.
        self.rest(lease);
        worked
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.database.transactions.ended_writing(self.number);
        let open = self.database.transactions.wake(self.number);
        // Dropped without the lock: it undoes what was begun.
        drop(open);
    }
}

fn pin_snapshot(conn: &Conn) -> Result<(), Error> {
    conn.platform()
        .prepare_cached("SELECT count(*) FROM cw_schema")?
        .query_row([], |_| Ok(()))?;
    Ok(())
}

/// Runs `work` so that its changes, and not the transaction's others, are undone where it fails.
pub(crate) fn in_savepoint<R>(
    conn: &Conn,
    work: impl FnOnce(&Conn) -> Result<R, Error>,
) -> Result<R, Error> {
    statement::run_platform(conn.platform(), "SAVEPOINT cw_statement")?;
    let result = work(conn);
    if conn.is_idle() {
        return result;
    }
    if result.is_err() {
        conn.start_clock(Duration::from_secs(60), None);
        statement::run_platform(conn.platform(), "ROLLBACK TO cw_statement")?;
    }
    statement::run_platform(conn.platform(), "RELEASE cw_statement")?;
    result
}
