//! SQL on the SQLite file of the instance.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use cloudware_instance_db::{
    AppKey, AppScope, Database, Description, Holder, InstanceDbs, Mode, Outcome, Request, RowSet,
    Transaction, Worked,
};
use cloudware_types::TableAccess;

use crate::{Scope, SqlStore, SqlTransaction};

/// The backend of a host that keeps everything itself.
pub struct EmbeddedSql {
    databases: Arc<InstanceDbs>,
}

impl EmbeddedSql {
    /// Works on these databases.
    #[must_use]
    pub fn new(databases: Arc<InstanceDbs>) -> Self {
        Self { databases }
    }

    fn database<T>(&self, scope: &Scope) -> Result<(Arc<Database>, AppScope), Worked<T>> {
        let database = self
            .databases
            .get(scope.instance)
            .map_err(Worked::refused)?;
        let scope = AppScope {
            namespace: scope.namespace.clone(),
            storage_bytes_max: scope.storage_bytes_max,
            holder: Holder::new(scope.invocation.clone(), AppKey::of(scope.app.as_str()))
                .with_weight(scope.weight)
                .telling(scope.on_abandoned.clone()),
        };
        Ok((database, scope))
    }
}

#[async_trait]
impl SqlStore for EmbeddedSql {
    async fn query(&self, scope: &Scope, request: Request) -> Worked<RowSet> {
        match self.database(scope) {
            Ok((database, scope)) => database.query(&scope, request).await,
            Err(refused) => refused,
        }
    }

    async fn execute(&self, scope: &Scope, request: Request) -> Worked<Outcome> {
        match self.database(scope) {
            Ok((database, scope)) => database.execute(&scope, request).await,
            Err(refused) => refused,
        }
    }

    async fn describe(
        &self,
        scope: &Scope,
        statement: Arc<str>,
        time_max: Duration,
    ) -> Worked<Description> {
        match self.database(scope) {
            Ok((database, scope)) => database.describe(&scope, statement, time_max).await,
            Err(refused) => refused,
        }
    }

    async fn examine(
        &self,
        scope: &Scope,
        statement: (Arc<str>, Arc<[Arc<str>]>),
        time_max: Duration,
    ) -> Worked<Vec<TableAccess>> {
        match self.database(scope) {
            Ok((database, scope)) => database.examine(&scope, statement, time_max).await,
            Err(refused) => refused,
        }
    }

    async fn begin(&self, scope: &Scope, mode: Mode) -> Worked<Box<dyn SqlTransaction>> {
        match self.database(scope) {
            Ok((database, scope)) => database
                .begin(&scope, mode)
                .await
                .map(|transaction| Box::new(transaction) as Box<dyn SqlTransaction>),
            Err(refused) => refused,
        }
    }
}

#[async_trait]
impl SqlTransaction for Transaction {
    async fn query(&mut self, request: Request) -> Worked<RowSet> {
        Self::query(self, request).await
    }

    async fn execute(&mut self, request: Request) -> Worked<Outcome> {
        Self::execute(self, request).await
    }

    async fn examine(
        &mut self,
        statement: (Arc<str>, Arc<[Arc<str>]>),
        time_max: Duration,
    ) -> Worked<Vec<TableAccess>> {
        Self::examine(self, statement, time_max).await
    }

    async fn commit(self: Box<Self>) -> Worked<()> {
        Self::commit(*self).await
    }

    async fn rollback(self: Box<Self>) -> Worked<()> {
        Self::rollback(*self).await
    }
}
