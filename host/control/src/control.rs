//! The control plane as a whole: its parts, the order of changes of an instance, and what happens
//! when it starts.

use std::{hash::BuildHasher, sync::Arc};

use cloudware_packages::HostInterfaces;
use cloudware_types::InstanceId;
use tokio::sync::{Mutex, MutexGuard, Semaphore};

use crate::{
    DataPlane, Error, PackageStore, Store, desired, install,
    limits::{INSTANCE_LOCKS, PUSHES_AT_ONCE_MAX},
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
    instance_locks: Vec<Mutex<()>>,
    lock_hasher: std::hash::RandomState,
}

/// Proof that no one else changes the instance.
pub(crate) struct InstanceLock<'a> {
    pub(crate) instance: InstanceId,
    _guard: MutexGuard<'a, ()>,
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
            instance_locks: (0..INSTANCE_LOCKS).map(|_| Mutex::default()).collect(),
            lock_hasher: std::hash::RandomState::new(),
        }
    }

    /// Repairs release changes that a crash interrupted, then gives every instance as it should be
    /// served. Called once, before traffic is accepted.
    ///
    /// # Errors
    /// [`Error::Store`] if the control database cannot be read.
    pub async fn start(&self) -> Result<Vec<cloudware_types::DesiredInstance>, Error> {
        install::repair_interrupted(self).await?;
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

    /// Waits for its turn to change an instance. Changes of one instance reach the data plane in the
    /// order in which they were committed, because both happen under this lock.
    pub(crate) async fn lock(&self, instance: InstanceId) -> InstanceLock<'_> {
        let hash = self.lock_hasher.hash_one(instance) as usize;
        InstanceLock {
            instance,
            _guard: self.instance_locks[hash % INSTANCE_LOCKS].lock().await,
        }
    }

    /// Hands the committed state of an instance to the data plane.
    pub(crate) async fn apply(&self, lock: &InstanceLock<'_>) -> Result<(), Error> {
        match desired::one(self, lock.instance).await? {
            Some(desired) => Ok(self.data_plane.apply(desired).await?),
            None => Ok(()),
        }
    }

    /// Hands the committed state of many instances to the data plane, one after the other. All are
    /// tried; the first failure is returned.
    pub(crate) async fn apply_all(&self, instances: Vec<InstanceId>) -> Result<(), Error> {
        let mut outcome = Ok(());
        for instance in instances {
            let lock = self.lock(instance).await;
            let applied = self.apply(&lock).await;
            outcome = outcome.and(applied);
        }
        outcome
    }
}
