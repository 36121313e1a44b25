//! What the control plane asks of the data plane. The binary implements it with the engine, the
//! gateway and the private databases; the control plane knows none of them.

use async_trait::async_trait;
use bytes::Bytes;
use cloudware_packages::Problems;
use cloudware_types::{
    DeliveryId, DeliveryRecord, DesiredInstance, Digest, Dimension, HostLoad, InstanceId, Migration,
};

use crate::{
    Hook,
    delivery::{DeliveriesError, DeliveryQuery, DeliveryReplay},
};

/// A release before it is published.
#[derive(Clone, Debug)]
pub struct ReleaseToPrepare {
    /// The component.
    pub component: Bytes,
    /// Its digest, which names its compiled form.
    pub component_digest: Digest,
    /// All migrations of the app, from 1 without gaps.
    pub migrations: Vec<Migration>,
    /// The prefix of the app's tables, if it has any.
    pub namespace: Option<String>,
    /// Tables of which hooks of tenants are asked; each must be there after all migrations.
    pub declared: Vec<String>,
}

/// What an instance takes at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceLoad {
    /// Bytes of its private database on disk; 0 before it has one.
    pub storage_bytes: u64,
    /// What it uses of its other limits as a whole, in their units, as far as the data plane knows: runs that have begun and
    /// not ended, waiting, and of rates how much of a second's worth.
    pub used: Vec<(Dimension, u64)>,
}

/// Why a release cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The release is at fault; every reason found is listed.
    #[error("the release was refused: {0}")]
    Rejected(Problems),
    /// The host is at fault.
    #[error("the host could not prepare the release: {0}")]
    Host(String),
}

/// Why a desired state was not taken over. The state before stays in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ApplyError(pub String);

/// Why a private database was not migrated. Its schema is as before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MigrateError(pub String);

/// The data plane as the control plane sees it. All functions may wait; none may be cancelled half
/// way with an effect, so callers run them to their end.
#[async_trait]
pub trait DataPlane: Send + Sync + 'static {
    /// Compiles the component and tries the migrations on a scratch database. Called once for each
    /// new release, before it is stored.
    async fn prepare(&self, release: ReleaseToPrepare) -> Result<(), PrepareError>;

    /// Serves the instance as described from the next invocation on; running invocations end on what
    /// they began with. Called after each change, in the order of the changes of an instance.
    async fn apply(&self, desired: DesiredInstance) -> Result<(), ApplyError>;

    /// Brings the tables of `namespace` in the instance's private database to schema `target`, up or
    /// down, in one transaction. Does nothing if they are there already.
    async fn migrate(
        &self,
        instance: InstanceId,
        namespace: &str,
        migrations: &[Migration],
        target: u32,
    ) -> Result<(), MigrateError>;

    /// What the instance takes at this moment; nothing for one that is not served. Called when somebody
    /// asks how near an instance is to its limits.
    async fn instance_load(&self, instance: InstanceId) -> InstanceLoad;

    /// What the host has to do at this moment. Called when an operator asks.
    fn host_load(&self) -> HostLoad;

    /// Whether a webhook may be at this address, as far as that can be said without looking its name up. Called when one
    /// is added and when its address is changed.
    ///
    /// # Errors
    /// What is wrong with it and what would do, as the end of a sentence.
    fn check_webhook(&self, url: &str) -> Result<(), String>;

    /// Deliveries of an instance to observers, newest first; none where it is owed none.
    async fn deliveries(
        &self,
        _instance: InstanceId,
        _query: &DeliveryQuery,
    ) -> Result<Vec<DeliveryRecord>, DeliveriesError> {
        Ok(Vec::new())
    }

    /// One delivery, with the arguments of its call as JSON text as long as they are kept.
    async fn delivery(
        &self,
        _instance: InstanceId,
        _id: DeliveryId,
    ) -> Result<Option<(DeliveryRecord, Option<String>)>, DeliveriesError> {
        Ok(None)
    }

    /// Has dead deliveries tried again. Gives how many.
    async fn replay(
        &self,
        _instance: InstanceId,
        _which: DeliveryReplay,
    ) -> Result<u64, DeliveriesError> {
        Ok(0)
    }

    /// Gives up what a hook is owed that was removed. Gives how many deliveries that were.
    async fn forget_hook(&self, _hook: &Hook) -> Result<u64, DeliveriesError> {
        Ok(0)
    }

    /// Hands all metered usage that is not yet in the ledger to it. Called before usage is shown, so
    /// that a caller sees what was consumed a moment ago.
    async fn flush_usage(&self);

    /// Hands all stops that are not yet recorded, all warnings of limits, and what was seen of hooks to their logs.
    /// Called before they are shown, as [`Self::flush_usage`] is.
    async fn flush_stops(&self);
}
