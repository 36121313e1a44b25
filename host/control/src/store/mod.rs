//! The control database: one file for each noun, plain SQL with `$1` parameters that PostgreSQL
//! understands as well. Rules live outside; what is here only reads and writes.

pub(crate) mod app;
pub(crate) mod audit;
pub(crate) mod composition;
pub(crate) mod desired;
pub(crate) mod event;
pub(crate) mod hook;
pub(crate) mod hook_observation;
pub(crate) mod install;
pub(crate) mod instance;
pub(crate) mod plan;
pub(crate) mod product;
pub(crate) mod provider;
pub(crate) mod quota;
pub(crate) mod recording;
pub(crate) mod release;
pub(crate) mod stop;
pub(crate) mod tenant;
pub(crate) mod token;
pub(crate) mod trace;
pub(crate) mod usage;

use std::{fmt::Display, path::Path, str::FromStr, time::Duration};

use cloudware_types::{Id, IdKind};
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{
    Row as _, Sqlite, SqlitePool, Transaction,
    pool::PoolConnection,
    sqlite::{
        SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteRow,
        SqliteSynchronous,
    },
};

/// A connection, inside or outside of a transaction.
pub(crate) type Connection = SqliteConnection;

/// A row of an answer.
pub(crate) type Row = SqliteRow;

/// What a store function gives.
pub(crate) type Result<T> = std::result::Result<T, StoreError>;

/// Connections that only read. Calls of people are few; the data plane does not read here.
const READERS: u32 = 4;

/// How long a call waits for a connection before it fails.
const WAIT_MAX: Duration = Duration::from_secs(10);

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");

/// The control database: one connection that writes, several that read. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    readers: SqlitePool,
    writer: SqlitePool,
}

/// Why the control database could not do what was asked; for operators.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or failed.
    #[error("the control database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("the schema of the control database could not be brought up to date: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A stored value is not what was written.
    #[error("the control database is damaged: column {column} holds {text}: {reason}")]
    Damaged {
        /// The column.
        column: String,
        /// The beginning of what it holds.
        text: String,
        /// Why that cannot be.
        reason: String,
    },
}

impl Store {
    /// Opens the database file, creates it if absent, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be used or was written by a newer release.
    pub async fn open(path: &Path) -> Result<Self> {
        // A commit returns when it is on disk: what is acknowledged outlives a power cut.
        Self::open_with(path, SqliteSynchronous::Full).await
    }

    /// As [`Self::open`], where no commit waits for the disk: for making very much at once in a database that is
    /// made anew if the machine fails meanwhile.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_unsynced(path: &Path) -> Result<Self> {
        Self::open_with(path, SqliteSynchronous::Off).await
    }

    async fn open_with(path: &Path, synchronous: SqliteSynchronous) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(synchronous)
            .foreign_keys(true)
            .busy_timeout(WAIT_MAX);
        let pool = |connections_max| {
            SqlitePoolOptions::new()
                .max_connections(connections_max)
                .acquire_timeout(WAIT_MAX)
                .idle_timeout(None)
                .max_lifetime(None)
                .test_before_acquire(false)
        };
        let writer = pool(1).connect_with(options.clone()).await?;
        MIGRATOR.run(&writer).await?;
        let readers = pool(READERS)
            .connect_with(options.pragma("query_only", "ON"))
            .await?;
        Ok(Self { readers, writer })
    }

    /// Closes every connection; what was acknowledged is in the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// Whether the database answers.
    pub(crate) async fn check(&self) -> Result<()> {
        let mut db = self.read().await?;
        sqlx::query("SELECT 1").execute(&mut *db).await?;
        Ok(())
    }

    pub(crate) async fn read(&self) -> Result<PoolConnection<Sqlite>> {
        Ok(self.readers.acquire().await?)
    }

    /// Begins the one write transaction; others wait for its end.
    pub(crate) async fn write(&self) -> Result<Transaction<'static, Sqlite>> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }
}

/// A column's text as what it stands for.
fn parsed<T>(row: &Row, column: &str) -> Result<T>
where
    T: FromStr,
    T::Err: Display,
{
    let text: &str = row.try_get(column)?;
    text.parse()
        .map_err(|reason: T::Err| damaged(column, text, &reason))
}

/// As [`parsed`], for columns that may be empty.
fn parsed_option<T>(row: &Row, column: &str) -> Result<Option<T>>
where
    T: FromStr,
    T::Err: Display,
{
    let text: Option<&str> = row.try_get(column)?;
    text.map(|text| {
        text.parse()
            .map_err(|reason: T::Err| damaged(column, text, &reason))
    })
    .transpose()
}

/// A column's JSON as what it stands for.
fn json<T: DeserializeOwned>(row: &Row, column: &str) -> Result<T> {
    let text: &str = row.try_get(column)?;
    serde_json::from_str(text).map_err(|reason| damaged(column, text, &reason))
}

/// A column's whole number that is never negative.
fn natural(row: &Row, column: &str) -> Result<u64> {
    let value: i64 = row.try_get(column)?;
    u64::try_from(value).map_err(|reason| damaged(column, &value.to_string(), &reason))
}

/// As [`natural`], for columns that may be empty.
fn natural_option(row: &Row, column: &str) -> Result<Option<u64>> {
    let value: Option<i64> = row.try_get(column)?;
    value
        .map(|value| {
            u64::try_from(value).map_err(|reason| damaged(column, &value.to_string(), &reason))
        })
        .transpose()
}

fn time(row: &Row, column: &str) -> Result<crate::Timestamp> {
    Ok(crate::Timestamp::from_millis(row.try_get(column)?))
}

fn time_option(row: &Row, column: &str) -> Result<Option<crate::Timestamp>> {
    let millis: Option<i64> = row.try_get(column)?;
    Ok(millis.map(crate::Timestamp::from_millis))
}

fn damaged(column: &str, text: &str, reason: &dyn Display) -> StoreError {
    StoreError::Damaged {
        column: column.to_owned(),
        text: text.chars().take(40).collect(),
        reason: reason.to_string(),
    }
}

/// Writes a value of ours as JSON; such values always can be.
pub(crate) fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("our own types have text keys and no failing serializer")
}

/// A number that came from `u64` as SQL holds it.
fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The text that sorts behind the ids of a list that has the newest first, of which those before `id` are wanted:
/// `~` sorts behind every id.
fn id_before<K: IdKind>(id: Option<Id<K>>) -> String {
    id.map_or_else(|| "~".to_owned(), |id| id.to_string())
}

/// Every row of an answer through one reading function.
fn all<T>(rows: &[Row], read: impl Fn(&Row) -> Result<T>) -> Result<Vec<T>> {
    rows.iter().map(read).collect()
}
