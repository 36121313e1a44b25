//! The data plane of a host within this process, without sockets: for measuring its parts, and for trying what a package
//! does.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Result, anyhow};
use bytes::Bytes;
use cloudware_capability::{LogRecord, LogSink};
use cloudware_engine::{BoundInstall, Engine, EngineConfig, Journal, NobodyObserves, Peers};
use cloudware_instance_db::InstanceDbs;
use cloudware_packages::Package;
use cloudware_types::{
    DesiredInstall, DesiredInstance, Dimension, Id, InstanceId, Limit, Limits, OtherPlans, Reuse,
    Slug,
};
use http::Request;
use http_body_util::{BodyExt as _, Empty};

use crate::up;

/// Sandboxes of this host; whoever uses it runs a few at a time.
const SANDBOXES: u32 = 64;

/// An engine with every capability, and databases.
pub(crate) struct Host {
    engine: Arc<Engine>,
    databases: Arc<InstanceDbs>,
    /// What everything may use.
    limits: Arc<Limits>,
    /// Where the databases are.
    pub(crate) folder: PathBuf,
}

/// Log text of guests goes nowhere.
struct Silence;

impl LogSink for Silence {
    fn record(&self, _record: &LogRecord<'_>) -> bool {
        true
    }
}

impl Host {
    /// A host with its state in `folder`, whose guests yield after so much fuel where that is given. Its
    /// threads run where the one does that makes it.
    pub(crate) fn new(folder: &Path, yield_fuel: Option<u64>, limits: Arc<Limits>) -> Result<Self> {
        cloudware_instance_db::init()?;
        let databases = InstanceDbs::new(cloudware_instance_db::Config {
            dir: folder.join("instances"),
            ..Default::default()
        })?;
        let own = EngineConfig::default();
        let config = EngineConfig {
            cache_dir: folder.join("cache"),
            sandboxes_max: SANDBOXES,
            fuel_yield_interval: yield_fuel.unwrap_or(own.fuel_yield_interval),
            ..own
        };
        let capabilities = up::capabilities(&databases);
        // Usage goes to a journal as on a platform, so that its cost is in the figures.
        let (journal, _) = Journal::open(&folder.join("usage"))?;
        let observer = Arc::new(NobodyObserves);
        let engine = Engine::new(&config, capabilities, Arc::new(Silence), observer, journal)?;
        Ok(Self {
            engine: Arc::new(engine),
            databases,
            limits,
            folder: folder.to_owned(),
        })
    }

    /// A package in a new instance, bound as the control plane would have it, with every limit in force.
    pub(crate) async fn bind(&self, package: &Package, reuse: Reuse) -> Result<Arc<BoundInstall>> {
        self.compile(package).await?;
        let install = self.install(package, reuse);
        let instance = self.instance(vec![install.clone()])?;
        if let Some(database) = &package.manifest.database {
            self.databases
                .migrate(
                    instance.id,
                    &database.namespace.parse()?,
                    package.migrations.clone(),
                    database.schema,
                    instance.limits.get(Dimension::Storage),
                )
                .await?;
        }
        Ok(self.engine.bind(&instance, &install).await?)
    }

    /// Compiles the component of a package.
    pub(crate) async fn compile(&self, package: &Package) -> Result<()> {
        let component = package.component.clone();
        self.engine
            .compile(package.component_digest, component)
            .await?;
        Ok(())
    }

    /// An install of a package as the control plane would have it.
    pub(crate) fn install(&self, package: &Package, reuse: Reuse) -> DesiredInstall {
        let manifest = &package.manifest;
        DesiredInstall {
            id: Id::generate(),
            app: manifest.name.clone(),
            release: Id::generate(),
            version: manifest.version.clone(),
            component: package.component_digest,
            http: None,
            reuse,
            points: Vec::new(),
            calls: Vec::new(),
            dependencies: Vec::new(),
            grants: manifest.capabilities.keys().cloned().collect(),
            config: Arc::default(),
            database_namespace: manifest.database.as_ref().map(|d| d.namespace.clone()),
            access_tables: Arc::default(),
            limits: Arc::clone(&self.limits),
            other_plans: OtherPlans::default(),
            recording: None,
        }
    }

    /// Installs of one new instance, bound and joined; their components have been compiled. What is returned beside
    /// them keeps them together.
    pub(crate) async fn bind_all(
        &self,
        installs: Vec<DesiredInstall>,
    ) -> Result<(Vec<Arc<BoundInstall>>, Option<Arc<Peers>>)> {
        let instance = self.instance(installs)?;
        let mut bound = Vec::new();
        for install in &instance.installs {
            bound.push(self.engine.bind(&instance, install).await?);
        }
        let peers = self.engine.join(&instance, &bound);
        Ok((bound, peers))
    }

    /// A new instance with these installs.
    fn instance(&self, installs: Vec<DesiredInstall>) -> Result<DesiredInstance> {
        let slug = |text: &str| {
            text.parse::<Slug>()
                .map_err(|error| anyhow!("{text}: {error}"))
        };
        Ok(DesiredInstance {
            id: InstanceId::generate(),
            slug: slug("main")?,
            tenant: Id::generate(),
            tenant_slug: slug("local")?,
            is_default: true,
            unavailable: None,
            limits: Arc::clone(&self.limits),
            installs,
            yanked: Vec::new(),
        })
    }
}

/// Every limit at its largest.
pub(crate) fn largest_limits() -> Arc<Limits> {
    let mut limits = Limits::default();
    for &limit in Limit::all() {
        limits
            .set(limit, limit.bounds().1)
            .expect("the bound lies within the bounds");
    }
    Arc::new(limits)
}

/// Sends one request to an install, without a socket, and gives the answer's body.
pub(crate) async fn call(install: &Arc<BoundInstall>, path: &str) -> Result<Bytes> {
    let request = Request::get(path)
        .header("host", "local.localhost")
        .body(Empty::<Bytes>::new())?;
    let response = install
        .serve(request)
        .await
        .map_err(|stop| anyhow!("the guest was stopped: {}", stop.explanation()))?;
    let status = response.status();
    let body = response
        .into_body()
        .collect()
        .await
        .map_err(|stop| anyhow!("the answer broke off: {}", stop.explanation()))?
        .to_bytes();
    if !status.is_success() {
        return Err(anyhow!(
            "the guest answered {status}: {}",
            String::from_utf8_lossy(&body)
        ));
    }
    Ok(body)
}
