//! The engine of a host: two wasmtime engines (WASI 0.2 and 0.3), the compiled code that is in use, and
//! the state of instances that outlives changes of their installs.

use std::{
    io,
    sync::{Arc, Weak},
    time::Duration,
};

use cloudware_capability::{BindError, Capability, Consent, HostMemory, LogSink};
use cloudware_types::{
    DesiredInstall, DesiredInstance, Digest, Dimension, HostLoad, InstallId, InstanceId, Limits,
    RecordingId,
};
use dashmap::DashMap;
use tokio::{
    runtime::Handle,
    sync::{Mutex, Semaphore},
};
use wasmtime::component::Component;

use crate::{
    Admission, BoundInstall, Compiler, EngineConfig, Journal, Observer, UsageBatch,
    code::{Code, Wasi},
    hook::{Delivery, DeliveryError, Hooks, NothingOutside, Outbox, Peers, Webhooks},
    install::BindParts,
    lag::Lag,
    limits,
    near::Near,
    recording::{Recorder, Room},
    runtime::Runtime,
    schedule::{Scheduler, waited_lately},
    usage::{Consumer, UsageMeters},
};

/// The data plane of one host process; created once.
pub struct Engine {
    capabilities: Vec<Arc<dyn Capability>>,
    log: Arc<dyn LogSink>,
    observer: Arc<dyn Observer>,
    p2: Runtime,
    p3: Option<Runtime>,
    codes: DashMap<Digest, Weak<Code>>,
    config: EngineConfig,
    compiler: Compiler,
    compilations: Semaphore,
    loading: Mutex<()>,
    scheduler: Scheduler,
    lag: Arc<Lag>,
    fuel_yield_interval: u64,
    sandboxes: Arc<Semaphore>,
    warm_places: Arc<Semaphore>,
    /// Of all sandboxes.
    memory: Arc<HostMemory>,
    instances: DashMap<InstanceId, Arc<Admission>>,
    installs: DashMap<InstallId, Weak<BoundInstall>>,
    peers: DashMap<InstanceId, Weak<Peers>>,
    hooks: Arc<Hooks>,
    /// How many calls each recording may still take; outlives the bindings of its install.
    recordings: DashMap<RecordingId, Arc<Room>>,
    usage: UsageMeters,
}

/// Why the engine could not be created.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// wasmtime refused the settings, or the machine can't reserve what they ask for.
    #[error(
        "the sandbox engine can't start with {sandboxes} sandboxes: {source}; fewer (engine.sandboxes_max) or engine.allocation = \"on-demand\" may help"
    )]
    Settings {
        /// Sandboxes asked for.
        sandboxes: u32,
        /// The engine's words.
        source: wasmtime::Error,
    },
    /// Two capabilities clash.
    #[error("capability `{name}` can't be linked: {source}")]
    Link {
        /// The capability.
        name: &'static str,
        /// The engine's words.
        source: wasmtime::Error,
    },
    /// No threads can be started.
    #[error("the compute threads can't be started: {0}")]
    Threads(io::Error),
    /// The cache folder can't be used.
    #[error("the folder of compiled code can't be used: {0}")]
    Cache(#[from] io::Error),
}

/// Why a component can't be run.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// It is not a valid component.
    #[error("the component can't be compiled: {0}")]
    Invalid(String),
    /// An import is not provided, or provided with another type.
    #[error("the component can't be linked: {0}")]
    Import(String),
    /// The HTTP handler is missing or has another type.
    #[error("the component has no HTTP handler that can be called: {0}")]
    Export(String),
    /// WASI 0.3 is switched off on this host.
    #[error(
        "the component is written for WASI 0.3, which this host has switched off (engine.wasi_p3)"
    )]
    WasiP3Off,
    /// It was never compiled here, or its compiled form was made by other settings.
    #[error("there is no compiled code for component {0}")]
    Missing(Digest),
    /// Compiling it takes more than this host spends on one component.
    #[error(
        "compiling the component takes more than {seconds} seconds of processor time or {bytes} bytes of memory"
    )]
    TooCostly {
        /// Processor time that a compilation may take.
        seconds: u32,
        /// Memory that a compilation may take.
        bytes: u64,
    },
    /// The compiling process failed for a reason of the host's.
    #[error("the compiler failed: {0}")]
    Compiler(String),
    /// The compiled form could not be stored.
    #[error("the compiled code can't be stored: {0}")]
    Cache(io::Error),
}

impl Engine {
    /// Creates the engine and links every capability. Usage is kept in `journal`; `observer` is told of stops.
    /// Called inside a tokio runtime, whose timers and blocking threads host functions use.
    ///
    /// # Errors
    /// [`EngineError`] in words for the operator.
    pub fn new(
        config: &EngineConfig,
        capabilities: Vec<Arc<dyn Capability>>,
        log: Arc<dyn LogSink>,
        observer: Arc<dyn Observer>,
        journal: Arc<Journal>,
    ) -> Result<Self, EngineError> {
        let p2 = Runtime::new(config, Wasi::P2, &capabilities)?;
        let p3 = config
            .wasi_p3
            .then(|| Runtime::new(config, Wasi::P3, &capabilities))
            .transpose()?;
        Ok(Self {
            capabilities,
            log,
            observer,
            p2,
            p3,
            codes: DashMap::new(),
            config: config.clone(),
            compiler: Compiler::Here,
            compilations: Semaphore::new(limits::COMPILATIONS_MAX),
            loading: Mutex::new(()),
            scheduler: Scheduler::start(&Handle::current()).map_err(EngineError::Threads)?,
            lag: Lag::watch(&Handle::current()),
            fuel_yield_interval: config.fuel_yield_interval,
            sandboxes: Arc::new(Semaphore::new(config.sandboxes_max as usize)),
            memory: Arc::new(HostMemory::new(config.memory_max())),
            warm_places: Arc::new(Semaphore::new(
                (config.sandboxes_max / limits::WARM_POOL_SHARE).max(1) as usize,
            )),
            instances: DashMap::new(),
            installs: DashMap::new(),
            peers: DashMap::new(),
            hooks: Arc::new(Hooks::new(
                Arc::new(NothingOutside),
                Arc::new(NothingOutside),
            )),
            recordings: DashMap::new(),
            usage: UsageMeters::new(journal),
        })
    }

    /// The same engine, which compiles elsewhere.
    #[must_use]
    pub fn with_compiler(mut self, compiler: Compiler) -> Self {
        self.compiler = compiler;
        self
    }

    /// The same engine, which keeps events for observers in `outbox` and calls webhooks by `webhooks`.
    #[must_use]
    pub fn with_hooks(mut self, outbox: Arc<dyn Outbox>, webhooks: Arc<dyn Webhooks>) -> Self {
        self.hooks = Arc::new(Hooks::new(outbox, webhooks));
        self
    }

    /// Compiles a component into the cache, links and type-checks it. Called at publish time, off the
    /// request path; a component that is in the cache already is only loaded.
    ///
    /// # Errors
    /// [`CodeError`] in words for the ISV.
    pub async fn compile(
        self: &Arc<Self>,
        digest: Digest,
        component: bytes::Bytes,
    ) -> Result<(), CodeError> {
        if self.code(digest).await.is_ok() {
            return Ok(());
        }
        let _permit = self
            .compilations
            .acquire()
            .await
            .expect("the semaphore is never closed");
        let wasi = Wasi::of_bytes(&component);
        self.runtime(wasi)?;
        let compiled = self.compiler.compile(&self.config, wasi, component).await?;
        let engine = Arc::clone(self);
        blocking(move || engine.keep(digest, wasi, &compiled)).await
    }

    /// Stores a compiled form where it can be linked.
    fn keep(&self, digest: Digest, wasi: Wasi, compiled: &[u8]) -> Result<(), CodeError> {
        let runtime = self.runtime(wasi)?;
        let cache = &runtime.cache;
        cache.store(&digest, compiled).map_err(CodeError::Cache)?;
        let linked = match cache.open_file(&runtime.engine, &digest) {
            Some(Ok(component)) => self.link(runtime, wasi, &component).map(drop),
            Some(Err(error)) => Err(CodeError::Invalid(format!("{error:#}"))),
            None => Err(CodeError::Missing(digest)),
        };
        if linked.is_err() {
            cache.remove(&digest);
        }
        linked
    }

    /// Loads the compiled form of a component, so that binding it is quick.
    ///
    /// # Errors
    /// [`CodeError::Missing`] where it must be compiled first.
    pub async fn load(self: &Arc<Self>, digest: Digest) -> Result<(), CodeError> {
        self.code(digest).await.map(|_| ())
    }

    /// The code of a component that was compiled before.
    pub(crate) async fn code(self: &Arc<Self>, digest: Digest) -> Result<Arc<Code>, CodeError> {
        if let Some(code) = self.codes.get(&digest).and_then(|code| code.upgrade()) {
            return Ok(code);
        }
        // One at a time, so that a thousand installs of one release load it once.
        let _loading = self.loading.lock().await;
        if let Some(code) = self.codes.get(&digest).and_then(|code| code.upgrade()) {
            return Ok(code);
        }
        let engine = Arc::clone(self);
        let code = Arc::new(blocking(move || engine.load_now(digest)).await?);
        self.codes.insert(digest, Arc::downgrade(&code));
        Ok(code)
    }

    fn load_now(&self, digest: Digest) -> Result<Code, CodeError> {
        for runtime in std::iter::once(&self.p2).chain(&self.p3) {
            if let Some(component) = runtime.cache.load(&runtime.engine, &digest) {
                return self.link(runtime, Wasi::of_component(&component), &component);
            }
        }
        Err(CodeError::Missing(digest))
    }

    fn link(
        &self,
        runtime: &Runtime,
        wasi: Wasi,
        component: &Component,
    ) -> Result<Code, CodeError> {
        let provided = |interface: &str| {
            interface.starts_with("wasi:")
                || self.capabilities.iter().any(|capability| {
                    let mut interfaces = capability.interfaces().iter();
                    interfaces.any(|provided| path(provided) == path(interface))
                })
        };
        runtime.link(wasi, component, provided)
    }

    fn runtime(&self, wasi: Wasi) -> Result<&Runtime, CodeError> {
        match wasi {
            Wasi::P2 => Ok(&self.p2),
            Wasi::P3 => self.p3.as_ref().ok_or(CodeError::WasiP3Off),
        }
    }

    /// Binds an install, so that it can serve. What is running on an earlier binding goes on.
    ///
    /// # Errors
    /// [`BindError`] when its code or one of its capabilities can't be had.
    pub async fn bind(
        self: &Arc<Self>,
        instance: &DesiredInstance,
        install: &DesiredInstall,
    ) -> Result<Arc<BoundInstall>, BindError> {
        let code = self
            .code(install.component)
            .await
            .map_err(|error| BindError {
                capability: "code".to_owned(),
                reason: error.to_string(),
            })?;
        self.check_grants(install)?;
        let granted = self.capabilities.iter().filter(|capability| {
            capability.consent() == Consent::Always
                || install
                    .grants
                    .iter()
                    .any(|grant| grant == capability.name())
        });
        let bindings: Vec<_> = granted
            .map(|capability| Ok((capability.name(), capability.bind(instance, install)?)))
            .collect::<Result<_, BindError>>()?;
        let bound = Arc::new(BoundInstall::new(BindParts {
            instance,
            install,
            code,
            bindings: bindings.into(),
            admission: self.admission(instance),
            queue: Arc::clone(self.scheduler.queue()),
            fuel_yield_interval: self.fuel_yield_interval,
            sandboxes: Arc::clone(&self.sandboxes),
            warm_places: Arc::clone(&self.warm_places),
            usage: self.usage.of(Consumer {
                instance: instance.id,
                install: install.id,
                app: install.app.clone(),
                hook: None,
            }),
            log: Arc::clone(&self.log),
            observer: Arc::clone(&self.observer),
            recorder: self.recorder(install),
        }));
        self.installs.insert(install.id, Arc::downgrade(&bound));
        Ok(bound)
    }

    /// Joins the installs of an instance that were bound, so that they can call each other. Whoever serves them
    /// keeps what it returns for as long; `None` where none of them calls another.
    #[must_use]
    pub fn join(
        &self,
        instance: &DesiredInstance,
        installs: &[Arc<BoundInstall>],
    ) -> Option<Arc<Peers>> {
        let peers = Peers::join(instance, installs, &self.hooks, &self.usage);
        match &peers {
            Some(peers) => {
                self.peers.insert(instance.id, Arc::downgrade(peers));
            }
            None => {
                self.peers.remove(&instance.id);
            }
        }
        peers
    }

    /// Tells one observer of something that was committed.
    ///
    /// # Errors
    /// [`DeliveryError`] says whether it was tried, and when to try again.
    pub async fn deliver(
        &self,
        instance: InstanceId,
        delivery: Delivery<'_>,
    ) -> Result<(), DeliveryError> {
        let peers = self.peers.get(&instance).and_then(|peers| peers.upgrade());
        let peers = peers.ok_or(DeliveryError::NotServed)?;
        peers.deliver(delivery).await
    }

    fn recorder(&self, install: &DesiredInstall) -> Option<Recorder> {
        let recording = install.recording.as_ref()?;
        let room = self.recordings.entry(recording.id);
        let room = room.or_insert_with(|| Arc::new(Room::new(recording.calls_left)));
        Some(Recorder::new(Arc::clone(recording), Arc::clone(&room)))
    }

    fn check_grants(&self, install: &DesiredInstall) -> Result<(), BindError> {
        let known = |grant: &String| self.capabilities.iter().any(|known| known.name() == grant);
        match install.grants.iter().find(|grant| !known(grant)) {
            None => Ok(()),
            Some(grant) => Err(BindError {
                capability: grant.clone(),
                reason: "this host does not have it".to_owned(),
            }),
        }
    }

    fn admission(&self, instance: &DesiredInstance) -> Arc<Admission> {
        let limits = &instance.limits;
        let admission = self
            .instances
            .entry(instance.id)
            .or_insert_with(|| Arc::new(Admission::new(limits).on(&self.lag, &self.memory)));
        admission.set_limits(limits);
        Arc::clone(&admission)
    }

    /// Counts fuel that an instance burned earlier today, before the host started, against its limit of
    /// the day.
    pub fn resume_fuel(&self, instance: InstanceId, fuel: u64) {
        if let Some(admission) = self.instances.get(&instance) {
            admission.resume(fuel);
        }
    }

    /// What an instance uses at the moment of its limits as a whole, those of its storage and its fuel apart: runs whose
    /// answers have not been sent, milliseconds that its runs wait for a processor, and of its rates how much of a second's
    /// worth. Zeros for one that is not served.
    #[must_use]
    pub fn used(&self, instance: InstanceId) -> [(Dimension, u64); 5] {
        match self.instances.get(&instance) {
            Some(admission) => admission.used(),
            None => Admission::new(&Limits::default()).used(),
        }
    }

    /// Counts processor time that the host has had for an instance elsewhere than in its runs, for example where a database
    /// worked: its runs have so much less of what it may have beside others.
    pub fn charge(&self, instance: InstanceId, cpu: Duration) {
        // The kernel is asked for something meanwhile: not with a part of all instances locked.
        let admission = self
            .instances
            .get(&instance)
            .map(|found| Arc::clone(&found));
        if let Some(admission) = admission {
            let nanoseconds = u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX);
            self.scheduler
                .queue()
                .charge_elsewhere(admission.share(), nanoseconds, waited_lately);
        }
    }

    /// Has `work` asked whether a database works at this moment and wants a processor: where instances are owed some, guests that
    /// compute leave theirs for as long only. It must be quick, and must not wait. Who is named first is asked; nobody
    /// need be.
    pub fn watch_databases(&self, work: impl Fn() -> bool + Send + Sync + 'static) {
        self.scheduler.queue().watch_databases(work);
    }

    /// What the engine has to do at this moment, which knows nothing of the other tasks of its process.
    #[must_use]
    pub fn host_load(&self) -> HostLoad {
        let sandboxes_max = u64::from(self.config.sandboxes_max);
        HostLoad {
            instances: self.instances.len() as u64,
            sandboxes: sandboxes_max.saturating_sub(self.sandboxes.available_permits() as u64),
            sandboxes_max,
            memory_bytes: self.memory.used(),
            memory_bytes_max: self.memory.max(),
            waiting: self.scheduler.queue().waiting(),
            lag_ms: self.lag.millis(),
            tasks: 0,
        }
    }

    /// Takes the usage that has been added since the last call, to be handed to the ledger.
    pub fn drain_usage(&self) -> UsageBatch {
        self.usage.drain()
    }

    /// Notes how much storage an instance has used, of which the install's app has used some, and tells the observer where
    /// little is left. Does nothing for an install that is not bound.
    pub fn storage_read(&self, install: InstallId, used: u64) {
        let bound = self.installs.get(&install);
        let Some(bound) = bound.and_then(|bound| bound.upgrade()) else {
            return;
        };
        bound.admission.note_storage(used);
        if let Some(near) = Near::of(Dimension::Storage, used, &bound.limits) {
            bound.observe_near(&near);
        }
    }

    /// Throws away warm sandboxes that have been idle for `idle_for`, and installs that are gone.
    pub fn evict_idle(&self, idle_for: Duration) {
        self.installs.retain(|_, install| match install.upgrade() {
            Some(install) => {
                install.evict_idle(idle_for);
                true
            }
            None => false,
        });
        self.codes.retain(|_, code| code.strong_count() > 0);
        self.peers.retain(|_, peers| peers.strong_count() > 0);
        self.recordings
            .retain(|_, room| Arc::strong_count(room) > 1);
        self.hooks.forget_unbound();
    }
}

/// An interface's name without its version.
fn path(interface: &str) -> &str {
    interface.split('@').next().unwrap_or(interface)
}

/// Runs work that blocks off the asynchronous threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
