//! What a backend of SQL does.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use cloudware_instance_db::{
    Description, Mode, Namespace, OnAbandoned, Outcome, Request, RowSet, Worked,
};
use cloudware_types::{InstanceId, RunChain, Slug, TableAccess};

/// Why a statement was refused. Outside a transaction nothing was changed; inside one, the transaction
/// stays open unless said otherwise, and the statement had no effect.
pub use cloudware_instance_db::Error as SqlError;

/// On whose behalf statements run: comes from the binding, never from a guest.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The instance whose database it is.
    pub instance: InstanceId,
    /// The app, which shares the instance's connections with its other apps.
    pub app: Slug,
    /// The namespace that the app owns.
    pub namespace: Namespace,
    /// The instance's share of the time that databases work, beside the shares of others
    /// ([`cloudware_types::Dimension::CpuWeight`]).
    pub weight: u64,
    /// Size that the instance's storage may have, in bytes.
    pub storage_bytes_max: u64,
    /// The invocation that asks, and those that wait for it. A backend uses it to answer [`SqlError::Busy`] at once
    /// where one would wait for a lock that it holds itself, or that is held by whoever waits for it.
    pub invocation: RunChain,
    /// Who is told how long the database worked for a call whose future was dropped.
    pub on_abandoned: Option<OnAbandoned>,
}

/// A backend. No method blocks the thread. A future that is dropped ends its statement, which then took
/// place as a whole or not at all; how long the database worked for it is told once. What a successful
/// change or commit wrote is durable. Correct is what passes [`crate::suite`].
#[async_trait]
pub trait SqlStore: Send + Sync + 'static {
    /// Runs a statement that gives rows; commits if it makes changes.
    async fn query(&self, scope: &Scope, request: Request) -> Worked<RowSet>;

    /// Runs a statement that gives no rows, and commits.
    async fn execute(&self, scope: &Scope, request: Request) -> Worked<Outcome>;

    /// Compiles a statement.
    async fn describe(
        &self,
        scope: &Scope,
        statement: Arc<str>,
        time_max: Duration,
    ) -> Worked<Description>;

    /// Says what a statement would do with some of the app's tables.
    async fn examine(
        &self,
        scope: &Scope,
        statement: (Arc<str>, Arc<[Arc<str>]>),
        time_max: Duration,
    ) -> Worked<Vec<TableAccess>>;

    /// Begins a transaction.
    async fn begin(&self, scope: &Scope, mode: Mode) -> Worked<Box<dyn SqlTransaction>>;
}

/// An open transaction; dropping it undoes its changes, also while a statement runs.
#[async_trait]
pub trait SqlTransaction: Send + 'static {
    /// Runs a statement that gives rows.
    async fn query(&mut self, request: Request) -> Worked<RowSet>;

    /// Runs a statement that gives no rows.
    async fn execute(&mut self, request: Request) -> Worked<Outcome>;

    /// Says what a statement would do with some of the app's tables.
    async fn examine(
        &mut self,
        statement: (Arc<str>, Arc<[Arc<str>]>),
        time_max: Duration,
    ) -> Worked<Vec<TableAccess>>;

    /// Makes the changes durable. The transaction has ended afterwards, also where this failed.
    async fn commit(self: Box<Self>) -> Worked<()>;

    /// Undoes the changes.
    async fn rollback(self: Box<Self>) -> Worked<()>;
}
