//! The control plane on the data folder of a platform that does not run: changes are made by its own functions,
//! as the API makes them, and served when the platform starts.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use cloudware_control::{
    ApplyError, Call, Config, Control, DataPlane, EnableRequest, InstanceLoad, InstanceNew,
    MigrateError, PackageStore, PrepareError, ReleaseToPrepare, Store, install, instance,
};
use cloudware_types::{DesiredInstance, HostLoad, InstanceId, Migration, Slug};

use crate::up;

/// Where the control database and the packages are in a data folder.
const DATABASE: &str = "control.db";
const PACKAGES: &str = "packages";

/// A control plane without a data plane.
pub(super) struct Offline {
    control: Control,
    store: Store,
}

/// Serves nothing; refuses what would have to be done at once.
struct Nothing;

impl Offline {
    /// Opens a data folder. Its platform must have ended. What is made is not forced to disk: a bench that is
    /// broken off begins anew.
    pub(super) async fn open(data: &Path) -> Result<Self> {
        let opened = Store::open_unsynced(&data.join(DATABASE)).await;
        let store = opened.with_context(|| {
            format!("the control database in {} can't be opened", data.display())
        })?;
        let control = Control::new(Config {
            store: store.clone(),
            packages: PackageStore::open(data.join(PACKAGES))?,
            interfaces: up::host_interfaces(),
            data_plane: Arc::new(Nothing),
        });
        Ok(Self { control, store })
    }

    /// Makes an instance and enables an app in it that has no database.
    pub(super) async fn make(&self, tenant: &str, name: &str, app: &str) -> Result<()> {
        let call = Call::host();
        let slug: Slug = name
            .parse()
            .with_context(|| format!("`{name}` is no name of an instance"))?;
        let new = InstanceNew {
            slug,
            product: None,
        };
        instance::create(&self.control, &call, tenant, new).await?;
        let request = EnableRequest {
            app: app.to_owned(),
            version: None,
            config: Default::default(),
            mount: None,
        };
        install::enable(&self.control, &call, (tenant, name), request).await?;
        Ok(())
    }

    /// Closes the database, so that a platform can start on it.
    pub(super) async fn close(self) {
        self.store.close().await;
    }
}

#[async_trait]
impl DataPlane for Nothing {
    fn check_webhook(&self, _url: &str) -> Result<(), String> {
        Err("can be checked on a platform that runs only".to_owned())
    }

    async fn prepare(&self, _release: ReleaseToPrepare) -> Result<(), PrepareError> {
        Err(PrepareError::Host(
            "releases are published on a platform that runs".to_owned(),
        ))
    }

    async fn apply(&self, _desired: DesiredInstance) -> Result<(), ApplyError> {
        Ok(())
    }

    async fn migrate(
        &self,
        _instance: InstanceId,
        _namespace: &str,
        _migrations: &[Migration],
        _target: u32,
    ) -> Result<(), MigrateError> {
        Err(MigrateError(
            "databases are migrated on a platform that runs".to_owned(),
        ))
    }

    async fn instance_load(&self, _instance: InstanceId) -> InstanceLoad {
        InstanceLoad::default()
    }

    fn host_load(&self) -> HostLoad {
        HostLoad::default()
    }

    async fn flush_usage(&self) {}

    async fn flush_stops(&self) {}
}
