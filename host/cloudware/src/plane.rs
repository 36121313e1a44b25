//! The data plane of this host: the engine, the gateway's routes and the private databases behind the
//! one trait through which the control plane reaches them.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cloudware_control::{
    ApplyError, DataPlane, DeliveriesError, DeliveryQuery, DeliveryReplay, EventLog, Hook, HookLog,
    InstanceLoad, MigrateError, NearLimit, PackageStore, PrepareError, RecordingLog,
    ReleaseToPrepare, StopLog, Store, TraceLog,
    event::DeliveryReport,
    hook::{Observation, StateChange},
    usage::Ledger,
};
use cloudware_deliveries::{Deliveries, DeliveryFilter, HookPlace, Replay, WebhookClient};
use cloudware_engine::{BoundInstall, CodeError, Engine, Journal, Peers, UsageBatch};
use cloudware_gateway::{Mount, NotServed, RouteTable, Site};
use cloudware_instance_db::{
    InstanceDbs, MigrationError, Namespace, NamespaceError, check_migrations,
};
use cloudware_packages::{Problem, Problems};
use cloudware_types::{
    BreakerState, DeliveryId, DeliveryRecord, DesiredInstall, DesiredInstance, Digest, Dimension,
    HookId, HostLoad, InstallId, InstanceId, Limit, Migration, RecordedOne, StopRecord, Trace,
    YankedInstall,
};
use dashmap::DashMap;
use tokio::sync::Mutex;

use crate::{
    storage::{self, StorageReadings},
    watch::{Watch, now_ms},
};

/// The parts of the data plane.
pub(crate) struct Plane {
    pub(crate) engine: Arc<Engine>,
    pub(crate) routes: Arc<RouteTable>,
    pub(crate) databases: Arc<InstanceDbs>,
    pub(crate) packages: PackageStore,
    journal: Arc<Journal>,
    watch: Arc<Watch>,
    pub(crate) deliveries: Arc<Deliveries>,
    webhooks: Arc<WebhookClient>,
    pub(crate) ledger: Ledger,
    stops: StopLog,
    events: EventLog,
    traces: TraceLog,
    hooks: HookLog,
    recordings: RecordingLog,
    /// Hooks that were tripped since somebody looked ([`Self::take_tripped`]).
    tripped: parking_lot::Mutex<Vec<HookId>>,
    /// Storage quota of every instance that was served, for its migrations.
    storage: DashMap<InstanceId, u64>,
    /// Installs that could not be bound at the start, with the components that they have.
    broken: DashMap<InstallId, Digest>,
    metered: Mutex<Metered>,
    watched: Mutex<Watched>,
}

/// Usage on its way from the engine to the ledger.
#[derive(Default)]
struct Metered {
    /// What was taken from the engine and has not reached the ledger yet.
    batch: Option<UsageBatch>,
    storage: StorageReadings,
}

/// What was taken from the watch and has not reached its log yet.
#[derive(Default)]
struct Watched {
    stops: Vec<StopRecord>,
    warnings: Vec<NearLimit>,
    traces: Vec<Trace>,
    hooks: Vec<Observation>,
    changes: Vec<StateChange>,
    deliveries: Vec<DeliveryReport>,
    recorded: Vec<RecordedOne>,
}

/// What a [`Plane`] is composed of.
pub(crate) struct PlaneParts {
    pub(crate) engine: Arc<Engine>,
    pub(crate) routes: Arc<RouteTable>,
    pub(crate) databases: Arc<InstanceDbs>,
    pub(crate) packages: PackageStore,
    pub(crate) journal: Arc<Journal>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) deliveries: Arc<Deliveries>,
    pub(crate) webhooks: Arc<WebhookClient>,
    pub(crate) store: Store,
}

impl Plane {
    pub(crate) fn new(parts: PlaneParts) -> Self {
        Self {
            engine: parts.engine,
            routes: parts.routes,
            databases: parts.databases,
            packages: parts.packages,
            journal: parts.journal,
            watch: parts.watch,
            deliveries: parts.deliveries,
            webhooks: parts.webhooks,
            ledger: Ledger::new(parts.store.clone()),
            stops: StopLog::new(parts.store.clone()),
            events: EventLog::new(parts.store.clone()),
            traces: TraceLog::new(parts.store.clone()),
            recordings: RecordingLog::new(parts.store.clone()),
            hooks: HookLog::new(parts.store),
            tripped: parking_lot::Mutex::default(),
            storage: DashMap::new(),
            broken: DashMap::new(),
            metered: Mutex::default(),
            watched: Mutex::default(),
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
        let mut joined = Vec::with_capacity(desired.installs.len());
        for install in &desired.installs {
            let bound = self.bind(&desired, install).await;
            match &bound {
                Ok(bound) => joined.push(Arc::clone(bound)),
                Err(error) => {
                    tracing::error!(instance = %desired.id, app = %install.app, %error, "an app can't be served");
                    self.broken.insert(install.id, install.component);
                }
            }
            mounts.extend(mount(install, bound.map_err(|_| NotServed::Broken)));
        }
        let peers = self.engine.join(&desired, &joined);
        self.serve(desired, mounts, peers);
    }

    /// Whether the release of an install could not be bound at the start.
    fn is_broken(&self, install: &DesiredInstall) -> bool {
        let component = self.broken.get(&install.id);
        component.is_some_and(|component| *component == install.component)
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

    fn serve(&self, desired: DesiredInstance, mut mounts: Vec<Mount>, peers: Option<Arc<Peers>>) {
        self.deliveries.apply(&desired);
        mounts.extend(desired.yanked.into_iter().filter_map(yanked));
        let storage = desired.limits.get(Dimension::Storage);
        self.storage.insert(desired.id, storage);
        let site = Site {
            tenant: desired.tenant_slug,
            instance: desired.slug,
            is_default: desired.is_default,
            unavailable: desired.unavailable,
            mounts,
            peers,
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
            Err(error @ CodeError::TooCostly { .. }) => fault(
                error.to_string(),
                "split its largest functions, or ask the operator to raise engine.compile_seconds_max",
            ),
            Err(error @ CodeError::WasiP3Off) => fault(error.to_string(), "build it for WASI 0.2"),
            Err(error) => Err(PrepareError::Host(error.to_string())),
        }
    }
}

/// Where the site serves an install, if the app answers HTTP.
fn mount(install: &DesiredInstall, bound: Result<Arc<BoundInstall>, NotServed>) -> Option<Mount> {
    install.http.as_ref().map(|http| Mount {
        prefix: http.mount.clone(),
        install: bound,
    })
}

/// The place of an app whose release was yanked: it stays taken, so that visitors are told.
fn yanked(install: YankedInstall) -> Option<Mount> {
    install.http.map(|http| Mount {
        prefix: http.mount,
        install: Err(NotServed::Yanked {
            app: install.app,
            version: install.version.to_string(),
            reason: install.reason,
        }),
    })
}

fn deliveries_error(error: cloudware_instance_db::Error) -> DeliveriesError {
    match error {
        cloudware_instance_db::Error::Busy => DeliveriesError::Busy,
        other => DeliveriesError::Failed(other.to_string()),
    }
}

#[async_trait]
impl DataPlane for Plane {
    fn check_webhook(&self, url: &str) -> Result<(), String> {
        let checked = self.webhooks.check(url);
        checked.map_err(|error| error.reason().to_owned())
    }

    async fn prepare(&self, release: ReleaseToPrepare) -> Result<(), PrepareError> {
        self.compile(release.component_digest, release.component)
            .await?;
        let Some(namespace) = &release.namespace else {
            return Ok(());
        };
        let namespace: Namespace = namespace
            .parse()
            .map_err(|error: NamespaceError| PrepareError::Host(error.to_string()))?;
        let (migrations, declared) = (release.migrations, release.declared);
        let checked = tokio::task::spawn_blocking(move || {
            check_migrations(&namespace, &migrations, &declared)
        });
        match checked.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                let (code, at, fix) = match &error {
                    MigrationError::NotATable { .. } => (
                        "access-not-a-table",
                        "access",
                        "name a table that the migrations leave, as they write it",
                    ),
                    _ => (
                        "migration-failed",
                        "migrations",
                        "mend the step; each must run on what the steps before it left",
                    ),
                };
                let problem = Problem::new(code, at, error.to_string(), fix);
                Err(PrepareError::Rejected(Problems::from(problem)))
            }
            Err(error) => Err(PrepareError::Host(error.to_string())),
        }
    }

    async fn apply(&self, desired: DesiredInstance) -> Result<(), ApplyError> {
        let mut mounts = Vec::with_capacity(desired.installs.len());
        let mut joined = Vec::with_capacity(desired.installs.len());
        for install in &desired.installs {
            let bound = match self.bind(&desired, install).await {
                Ok(bound) => {
                    self.broken.remove(&install.id);
                    joined.push(Arc::clone(&bound));
                    Ok(bound)
                }
                // What nobody has changed about it keeps no change of the others from them.
                Err(_) if self.is_broken(install) => Err(NotServed::Broken),
                Err(error) => return Err(error),
            };
            mounts.extend(mount(install, bound));
        }
        let peers = self.engine.join(&desired, &joined);
        self.serve(desired, mounts, peers);
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
        let storage = self.storage_max(instance);
        self.databases
            .migrate(instance, &namespace, migrations.to_vec(), target, storage)
            .await
            .map_err(|error| MigrateError(error.to_string()))
    }

    async fn instance_load(&self, instance: InstanceId) -> InstanceLoad {
        let used = self
            .databases
            .used_bytes(instance, storage::ASKED_MAX)
            .await;
        let storage_bytes = match used {
            Ok(used) => used,
            Err(_) => self.databases.file_bytes(instance),
        };
        InstanceLoad {
            storage_bytes,
            used: self.engine.used(instance).into(),
        }
    }

    fn host_load(&self) -> HostLoad {
        let tasks = tokio::runtime::Handle::current().metrics();
        HostLoad {
            tasks: tasks.num_alive_tasks() as u64,
            ..self.engine.host_load()
        }
    }

    async fn deliveries(
        &self,
        instance: InstanceId,
        query: &DeliveryQuery,
    ) -> Result<Vec<DeliveryRecord>, DeliveriesError> {
        let filter = DeliveryFilter {
            state: query.state,
            hook: query.hook.clone(),
            before: query.before,
            count_max: query.count_max,
        };
        let listed = self.deliveries.list(instance, filter).await;
        listed.map_err(deliveries_error)
    }

    async fn delivery(
        &self,
        instance: InstanceId,
        id: DeliveryId,
    ) -> Result<Option<(DeliveryRecord, Option<String>)>, DeliveriesError> {
        let found = self.deliveries.get(instance, id).await;
        found.map_err(deliveries_error)
    }

    async fn replay(
        &self,
        instance: InstanceId,
        which: DeliveryReplay,
    ) -> Result<u64, DeliveriesError> {
        let which = match which {
            DeliveryReplay::One(id) => Replay::One(id),
            DeliveryReplay::All { hook } => Replay::All { hook },
        };
        let replayed = self.deliveries.replay(instance, which).await;
        replayed.map_err(deliveries_error)
    }

    async fn forget_hook(&self, hook: &Hook) -> Result<u64, DeliveriesError> {
        let removed = HookPlace {
            id: hook.id,
            app: hook.app.to_string(),
            point: hook.point.to_string(),
            name: hook.name.to_string(),
        };
        let dropped = self.deliveries.forget_hook(hook.instance_id, removed).await;
        dropped.map_err(deliveries_error)
    }

    async fn flush_usage(&self) {
        let mut metered = self.metered.lock().await;
        let Metered { batch, storage } = &mut *metered;
        // While the ledger takes nothing, the engine adds up by minute and install, which is bounded. A batch
        // stays here until it is recorded, also where a caller goes away in between.
        let taken = batch.get_or_insert_with(|| {
            let mut taken = self.engine.drain_usage();
            storage.note(&mut taken.records);
            taken
        });
        let records = &mut taken.records;
        storage.read(&self.databases, &self.engine, records).await;
        match self.ledger.record(&taken.records).await {
            Ok(()) => {
                if let Some(taken) = batch.take() {
                    taken.recorded();
                }
            }
            // Kept under the same sources, so that trying again counts nothing twice.
            Err(error) => {
                tracing::error!(%error, "usage can't be recorded and is kept for later");
                self.keep_safe().await;
            }
        }
    }

    async fn flush_stops(&self) {
        let mut watched = self.watched.lock().await;
        let Watched {
            stops,
            warnings,
            traces,
            hooks,
            changes,
            deliveries,
            recorded,
        } = &mut *watched;
        if stops.is_empty() {
            *stops = self.watch.take_stops();
        }
        if warnings.is_empty() {
            *warnings = self.watch.take_warnings();
        }
        if traces.is_empty() {
            *traces = self.watch.hooks.take_traces();
        }
        if hooks.is_empty() {
            *hooks = self.watch.hooks.take_hooks();
        }
        if changes.is_empty() {
            *changes = self.watch.hooks.take_changes();
        }
        if deliveries.is_empty() {
            *deliveries = self.watch.deliveries.take(now_ms());
        }
        if recorded.is_empty() {
            *recorded = self.watch.recordings.take();
        }
        match self.recordings.record(recorded).await {
            Ok(()) => recorded.clear(),
            Err(error) => {
                tracing::error!(%error, "recorded calls can't be kept yet and are kept for later");
            }
        }
        match self.hooks.record(hooks).await {
            Ok(()) => hooks.clear(),
            Err(error) => {
                tracing::error!(%error, "what was seen of hooks can't be recorded and is kept for later")
            }
        }
        match self.events.hook_changed(changes).await {
            Ok(()) => {
                let tripped = |change: &StateChange| change.state == BreakerState::Tripped;
                let tripped = changes.drain(..).filter(tripped).map(|change| change.hook);
                self.tripped.lock().extend(tripped);
            }
            Err(error) => {
                tracing::error!(%error, "changes of hooks can't be recorded and are kept for later");
            }
        }
        match self.events.deliveries(deliveries).await {
            Ok(()) => deliveries.clear(),
            Err(error) => {
                tracing::error!(%error, "what became of deliveries can't be told and is kept for later");
            }
        }
        match self.traces.record(traces).await {
            Ok(()) => traces.clear(),
            Err(error) => {
                tracing::error!(%error, "traces can't be recorded and are kept for later")
            }
        }
        match self.stops.record(stops).await {
            Ok(()) => stops.clear(),
            Err(error) => tracing::error!(%error, "stops can't be recorded and are kept for later"),
        }
        match self.events.near_limit(warnings).await {
            Ok(()) => warnings.clear(),
            Err(error) => {
                tracing::error!(%error, "warnings of limits can't be recorded and are kept for later");
            }
        }
    }
}

impl Plane {
    fn storage_max(&self, instance: InstanceId) -> u64 {
        let storage = self.storage.get(&instance).map(|bytes| *bytes);
        storage.unwrap_or_else(|| Limit::from(Dimension::Storage).default_value())
    }

    /// Removes what is kept for a time only and whose time is over.
    pub(crate) async fn forget_old(&self) {
        match self.recordings.forget_old().await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "old recordings are removed"),
            Err(error) => tracing::error!(%error, "old recordings can't be removed yet"),
        }
    }

    /// Hands everything that was seen to its log, also what would be gathered for longer: called when the host stops.
    pub(crate) async fn flush_last(&self) {
        // What could not be told before stands in the way of what is newer.
        self.flush_stops().await;
        self.watch.deliveries.hurry();
        self.flush_stops().await;
    }

    /// Hooks that were tripped since the last call, and whose change is recorded.
    pub(crate) fn take_tripped(&self) -> Vec<HookId> {
        std::mem::take(&mut *self.tripped.lock())
    }

    /// What the ledger does not take is in the journal alone: there it shall outlive a power cut too. What the
    /// ledger takes is on disk with its answer.
    async fn keep_safe(&self) {
        let journal = Arc::clone(&self.journal);
        let synced = tokio::task::spawn_blocking(move || journal.sync()).await;
        if let Ok(Err(error)) = synced {
            tracing::error!(%error, "the usage journal can't be written to disk");
        }
    }
}
