//! The data plane of this host: the engine, the gateway's routes and the private databases behind the
//! one trait through which the control plane reaches them.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cloudware_control::{
    ApplyError, DataPlane, MigrateError, PackageStore, PrepareError, ReleaseToPrepare,
    usage::Ledger,
};
use cloudware_engine::{BoundInstall, CodeError, Engine};
use cloudware_gateway::{Mount, RouteTable, Site};
use cloudware_instance_db::{InstanceDbs, Namespace, NamespaceError, check_migrations};
use cloudware_packages::{Problem, Problems};
use cloudware_types::{
    DesiredInstall, DesiredInstance, Digest, Dimension, InstanceId, Limit, Migration, UsageRecord,
};
use dashmap::DashMap;
use tokio::sync::Mutex;

/// The parts of the data plane.
pub(crate) struct Plane {
    pub(crate) engine: Arc<Engine>,
    pub(crate) routes: Arc<RouteTable>,
    pub(crate) databases: Arc<InstanceDbs>,
    pub(crate) packages: PackageStore,
    pub(crate) ledger: Ledger,
    /// Storage quota of every instance that was served, for its migrations.
    storage: DashMap<InstanceId, u64>,
    /// Usage that was taken from the engine and has not reached the ledger yet.
    unrecorded: Mutex<Vec<UsageRecord>>,
}

impl Plane {
    pub(crate) fn new(
        engine: Arc<Engine>,
        routes: Arc<RouteTable>,
        databases: Arc<InstanceDbs>,
        packages: PackageStore,
        ledger: Ledger,
    ) -> Self {
        Self {
            engine,
            routes,
            databases,
            packages,
            ledger,
            storage: DashMap::new(),
            unrecorded: Mutex::new(Vec::new()),
        }
    }

    /// Serves an instance at start. What can't be bound is served as unavailable, so that it keeps
    /// neither the other apps of the instance nor other instances from starting.
    pub(crate) async fn start(&self, mut desired: DesiredInstance) {
        let lost = !self.databases.exists(desired.id);
        if lost
            && desired
                .installs
                .iter()
                .any(|i| i.database_namespace.is_some())
        {
            tracing::error!(instance = %desired.id, "the private database of an instance is missing");
            desired.unavailable =
                Some("its data is missing; the operator's log says more".to_owned());
        }
        let mut mounts = Vec::with_capacity(desired.installs.len());
        for install in &desired.installs {
            let bound = self.bind(&desired, install).await;
            if let Err(error) = &bound {
                tracing::error!(instance = %desired.id, app = %install.app, %error, "an app can't be served");
            }
            mounts.extend(mount(install, bound.ok()));
        }
        self.serve(desired, mounts);
    }

    async fn bind(
        &self,
        instance: &DesiredInstance,
        install: &DesiredInstall,
    ) -> Result<Arc<BoundInstall>, ApplyError> {
        self.load(install.component).await?;
        self.engine
            .bind(instance, install)
            .await
            .map_err(|error| ApplyError(format!("{}: {error}", install.app)))
    }

    fn serve(&self, desired: DesiredInstance, mounts: Vec<Mount>) {
        let storage = desired.limits.get(Dimension::Storage);
        self.storage.insert(desired.id, storage);
        let site = Site {
            tenant: desired.tenant_slug,
            instance: desired.slug,
            is_default: desired.is_default,
            unavailable: desired.unavailable,
            mounts,
        };
        self.routes.put(desired.id, site);
    }

    /// Compiles a component from its published bytes where the cache does not have it, which happens
    /// after an upgrade of the host.
    async fn load(&self, digest: Digest) -> Result<(), ApplyError> {
        let loaded = self.engine.load(digest).await;
        let Err(CodeError::Missing(_)) = loaded else {
            return loaded.map_err(|error| ApplyError(error.to_string()));
        };
        let component = self
            .packages
            .component(&digest)
            .await
            .map_err(|error| ApplyError(error.to_string()))?;
        self.engine
            .compile(digest, component)
            .await
            .map_err(|error| ApplyError(error.to_string()))
    }

    async fn compile(&self, digest: Digest, component: Bytes) -> Result<(), PrepareError> {
        let fault = |message: String, fix: &str| {
            let problem = Problem::new("component-refused", "component.wasm", message, fix);
            Err(PrepareError::Rejected(Problems::from(problem)))
        };
        match self.engine.compile(digest, component).await {
            Ok(()) => Ok(()),
            Err(error @ (CodeError::Invalid(_) | CodeError::Import(_))) => fault(
                error.to_string(),
                "build it against the WIT of this platform: `cloudware new` shows how",
            ),
            Err(error @ CodeError::Export(_)) => fault(
                error.to_string(),
                "export wasi:http/incoming-handler (WASI 0.2) or wasi:http/handler (0.3)",
            ),
            Err(error @ CodeError::WasiP3Off) => fault(error.to_string(), "build it for WASI 0.2"),
            Err(error) => Err(PrepareError::Host(error.to_string())),
        }
    }
}

/// Where the site serves an install, if the app answers HTTP.
fn mount(install: &DesiredInstall, bound: Option<Arc<BoundInstall>>) -> Option<Mount> {
    install.http.as_ref().map(|http| Mount {
        prefix: http.mount.clone(),
        install: bound,
    })
}

#[async_trait]
impl DataPlane for Plane {
    async fn prepare(&self, release: ReleaseToPrepare) -> Result<(), PrepareError> {
        self.compile(release.component_digest, release.component)
            .await?;
        let Some(namespace) = &release.namespace else {
            return Ok(());
        };
        let namespace: Namespace = namespace
            .parse()
            .map_err(|error: NamespaceError| PrepareError::Host(error.to_string()))?;
        let migrations = release.migrations;
        let checked =
            tokio::task::spawn_blocking(move || check_migrations(&namespace, &migrations)).await;
        match checked {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                let problem = Problem::new(
                    "migration-failed",
                    "migrations",
                    error.to_string(),
                    "mend the step; each must run on what the steps before it left",
                );
                Err(PrepareError::Rejected(Problems::from(problem)))
            }
            Err(error) => Err(PrepareError::Host(error.to_string())),
        }
    }

    async fn apply(&self, desired: DesiredInstance) -> Result<(), ApplyError> {
        let mut mounts = Vec::with_capacity(desired.installs.len());
        for install in &desired.installs {
            let bound = self.bind(&desired, install).await?;
            mounts.extend(mount(install, Some(bound)));
        }
        self.serve(desired, mounts);
        Ok(())
    }

    async fn migrate(
        &self,
        instance: InstanceId,
        namespace: &str,
        migrations: &[Migration],
        target: u32,
    ) -> Result<(), MigrateError> {
        let namespace: Namespace = namespace
            .parse()
            .map_err(|error: NamespaceError| MigrateError(error.to_string()))?;
        let storage = self.storage.get(&instance).map(|bytes| *bytes);
        let storage = storage.unwrap_or_else(|| Limit::from(Dimension::Storage).default_value());
        self.databases
            .migrate(instance, &namespace, migrations.to_vec(), target, storage)
            .await
            .map_err(|error| MigrateError(error.to_string()))
    }

    async fn flush_usage(&self) {
        let mut unrecorded = self.unrecorded.lock().await;
        // While the ledger takes nothing, the engine adds up by minute and install, which is bounded.
        if unrecorded.is_empty() {
            *unrecorded = self.engine.drain_usage();
        }
        match self.ledger.record(&unrecorded).await {
            Ok(()) => unrecorded.clear(),
            // Kept under the same sources, so that trying again counts nothing twice.
            Err(error) => tracing::error!(%error, "usage can't be recorded and is kept for later"),
        }
    }
}
