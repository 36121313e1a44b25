//! The control plane as a whole: its parts, the order of changes of an instance, and what happens
//! when it starts.

use std::sync::Arc;

use cloudware_packages::HostInterfaces;
use cloudware_types::{AppId, InstanceId, Plans};
use futures_util::{StreamExt as _, stream};
use tokio::sync::{Mutex, Semaphore};

use crate::{
    DataPlane, Error, PackageStore, Store, desired, install,
    limits::{APPLIES_AT_ONCE_MAX, PUSHES_AT_ONCE_MAX},
    store,
    turns::{Mark, Marks, Turn, Turns},
};

/// What the control plane is composed of.
pub struct Config {
    /// The control database.
    pub store: Store,
    /// Where archives and components are kept.
    pub packages: PackageStore,
    /// The capabilities of the host, against which packages are checked.
    pub interfaces: HostInterfaces,
    /// What serves the instances.
    pub data_plane: Arc<dyn DataPlane>,
}

/// The control plane. The functions of the noun modules work on it.
pub struct Control {
    pub(crate) store: Store,
    pub(crate) packages: PackageStore,
    pub(crate) interfaces: Arc<HostInterfaces>,
    pub(crate) data_plane: Arc<dyn DataPlane>,
    pub(crate) pushes: Semaphore,
    /// What all plans set, as everything that is served shares it.
    pub(crate) plans: Arc<Plans>,
    plans_refresh: Mutex<()>,
    applies: Turns<InstanceId>,
    install_changes: Turns<InstanceId>,
    installs_in_change: Marks<InstallKey>,
}

/// An install, also before it exists.
type InstallKey = (InstanceId, AppId);

/// Proof that no one else hands the instance to the data plane. Held for as long as that takes, and
/// never while tables are migrated.
pub(crate) struct InstanceLock<'a> {
    instance: InstanceId,
    _turn: Turn<'a, InstanceId>,
}

impl Control {
    /// Puts the parts together. Nothing is read and nothing served until [`Self::start`].
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            store: config.store,
            packages: config.packages,
            interfaces: Arc::new(config.interfaces),
            data_plane: config.data_plane,
            pushes: Semaphore::new(PUSHES_AT_ONCE_MAX),
            plans: Arc::default(),
            plans_refresh: Mutex::default(),
            applies: Turns::default(),
            install_changes: Turns::default(),
            installs_in_change: Marks::default(),
        }
    }

    /// Repairs release changes that a crash interrupted, then gives every instance as it should be
    /// served. Called once, before traffic is accepted.
    ///
    /// # Errors
    /// [`Error::Store`] if the control database cannot be read.
    pub async fn start(&self) -> Result<Vec<cloudware_types::DesiredInstance>, Error> {
        install::repair_interrupted(self).await?;
        self.refresh_plans().await?;
        desired::all(self).await
    }

    /// Every instance as it should be served, with a handful of queries for all of them.
    ///
    /// # Errors
    /// [`Error::Store`] if the control database cannot be read.
    pub async fn desired_all(&self) -> Result<Vec<cloudware_types::DesiredInstance>, Error> {
        desired::all(self).await
    }

    /// Whether the control plane can work: its database answers.
    ///
    /// # Errors
    /// [`Error::Store`] if it does not.
    pub async fn ready(&self) -> Result<(), Error> {
        Ok(self.store.check().await?)
    }

    /// The package store, from which the data plane reads components that it has no compiled form of.
    #[must_use]
    pub fn packages(&self) -> &PackageStore {
        &self.packages
    }

    /// Waits for its turn to hand an instance to the data plane. What is handed over is read under this
    /// lock, so that an older state never follows a newer one.
    pub(crate) async fn lock(&self, instance: InstanceId) -> InstanceLock<'_> {
        InstanceLock {
            instance,
            _turn: self.applies.take(instance).await,
        }
    }

    /// Marks an install as in change: another change of it is refused at once, because it would have
    /// to be decided anew on what this one leaves.
    ///
    /// # Errors
    /// [`Error::Conflict`] if it is in change; `name` says which it is.
    pub(crate) fn mark_install(
        &self,
        key: InstallKey,
        name: impl FnOnce() -> String,
    ) -> Result<Mark<'_, InstallKey>, Error> {
        self.installs_in_change.set(key).ok_or_else(|| {
            Error::conflict(
                "in-change",
                format!(
                    "{} is being changed at the moment: try again when that has ended",
                    name()
                ),
            )
        })
    }

    /// Waits for its turn to give an app of an instance tables or a place in its site: what others have
    /// there must not change between the check and the change. It may be held for as long as a
    /// migration runs; neither quotas nor suspensions need it.
    pub(crate) async fn install_turn(&self, instance: InstanceId) -> Turn<'_, InstanceId> {
        self.install_changes.take(instance).await
    }

    /// Brings what everything that is served knows of plans to what is committed.
    pub(crate) async fn refresh_plans(&self) -> Result<(), Error> {
        // What was read later must not be replaced by what was read before.
        let _turn = self.plans_refresh.lock().await;
        let mut db = self.store.read().await?;
        self.plans.replace(store::plan::settings(&mut db).await?);
        Ok(())
    }

    /// Hands the committed state of an instance to the data plane.
    pub(crate) async fn apply(&self, lock: &InstanceLock<'_>) -> Result<(), Error> {
        match desired::one(self, lock.instance).await? {
            Some(desired) => Ok(self.data_plane.apply(desired).await?),
            None => Ok(()),
        }
    }

    /// Hands the committed state of an instance to the data plane when its turn comes.
    pub(crate) async fn apply_in_turn(&self, instance: InstanceId) -> Result<(), Error> {
        let lock = self.lock(instance).await;
        self.apply(&lock).await
    }

    /// Hands the committed state of many instances to the data plane, some at a time. All are tried;
    /// the first failure is returned.
    pub(crate) async fn apply_all(&self, instances: Vec<InstanceId>) -> Result<(), Error> {
        stream::iter(instances)
            .map(|instance| self.apply_in_turn(instance))
            .buffer_unordered(APPLIES_AT_ONCE_MAX)
            .fold(Ok(()), async |outcome, applied| outcome.and(applied))
            .await
    }
}
