//! `cloudware up`: composes the platform from its parts, runs it, and drains it when told to stop.

use std::{
    fs,
    fs::{File, TryLockError},
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use cloudware_capability::Capability;
use cloudware_control::{
    Call, Control, DataPlane, PackageStore, Store, hook,
    token::{self, TokenNew},
    usage::Ledger,
};
use cloudware_deliveries::{Deliveries, SystemClock, WebhookClient};
use cloudware_engine::{Compiler, Engine, Journal, Observer, limits::WARM_IDLE_FOR};
use cloudware_gateway::{BodyError, Fallback, Gateway, RouteTable, Server};
use cloudware_instance_db::InstanceDbs;
use cloudware_packages::{Consent, HostInterfaces, ProvidedCapability};
use http_body_util::BodyExt;
use tokio::{net::TcpListener, signal::unix, task::JoinHandle, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    credentials::Credentials,
    demo,
    logs::GuestLogs,
    observers::{Called, Handed, Kept, Told},
    plane::{Plane, PlaneParts},
    ready::Ready,
    watch::Watch,
};

/// How often usage goes to the ledger, a row for each active install. Whoever asks sees it at once.
const USAGE_EVERY: Duration = Duration::from_secs(5);

/// How often stops, events and traces go to their logs. Whoever asks sees them at once. Usage counts what a host that
/// is killed had not written yet, and nothing else tells of it.
const SEEN_EVERY: Duration = Duration::from_secs(1);

/// How often idle warm sandboxes are looked for.
const EVICT_EVERY: Duration = Duration::from_secs(5);

/// Which packages are there after the start.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// What was there before.
    Kept,
    /// The demo's as well.
    Demo,
}

/// A platform that runs.
struct Platform {
    control: Arc<Control>,
    plane: Arc<Plane>,
    store: Store,
    address: SocketAddr,
    shutdown: CancellationToken,
    server: JoinHandle<()>,
    chores: Vec<JoinHandle<()>>,
    /// Held for as long as this process uses the data folder.
    _lock: File,
}

/// How long observers that are being told may take when the process stops; they are told again after the next start.
const DELIVERIES_GRACE: Duration = Duration::from_secs(2);

/// The hidden command that compiles one component for a running platform.
pub(crate) const COMPILE_COMMAND: &str = "compile-component";

/// Runs until the process is told to stop. `announce` is called once, when everything is ready.
pub(crate) async fn run(
    config: Config,
    content: Content,
    announce: impl FnOnce(&Ready),
) -> Result<()> {
    let mut stop = Signals::new()?;
    #[cfg(target_os = "linux")]
    small_pages();
    let platform = tokio::select! {
        platform = Platform::start(&config) => platform?,
        () = stop.received() => return Ok(()),
    };
    let ready = tokio::select! {
        ready = platform.prepare(&config, content) => ready?,
        () = stop.received() => return platform.stop(&config).await,
    };
    announce(&ready);
    stop.received().await;
    tracing::info!("stopping: requests in flight finish first");
    platform.stop(&config).await
}

/// Has the kernel give this process memory in pages of the usual size. The allocator asks for pages of 2 MiB, which are made
/// ready as a whole by the thread that touches them first: the one that serves sockets, milliseconds at a time, when many
/// requests come at once (see ARCHITECTURE.md).
#[cfg(target_os = "linux")]
fn small_pages() {
    if let Err(error) = nix::sys::prctl::set_thp_disable(true) {
        tracing::warn!(%error, "the kernel may give memory in large pages: requests wait longer where many come at once");
    }
}

/// The signals that ask the process to stop.
struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    /// Listened to and never asked for: by default it would end the process where a file may not grow further,
    /// which is an error of one write like a full disk.
    _file_size: unix::Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        Ok(Self {
            terminate: unix::signal(unix::SignalKind::terminate())?,
            interrupt: unix::signal(unix::SignalKind::interrupt())?,
            _file_size: unix::signal(unix::SignalKind::from_raw(libc::SIGXFSZ))?,
        })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

impl Platform {
    async fn start(config: &Config) -> Result<Self> {
        let lock = open_data(&config.data)?;
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("can't listen on {}", config.listen))?;
        let address = listener.local_addr()?;
        // Before anything opens a SQLite database: it bounds what statements may allocate.
        cloudware_instance_db::init()?;
        let database = config.data.join("control.db");
        let store = Store::open(&database)
            .await
            .with_context(|| format!("can't open {}", database.display()))?;
        let packages = PackageStore::open(config.data.join("packages"))?;
        let databases = InstanceDbs::new(config.database.clone())?;
        let journal = open_journal(&config.data.join("usage"), &store).await?;
        let watch = Arc::new(Watch::default());
        let engine = Engine::new(
            &config.engine,
            capabilities(&databases),
            Arc::new(GuestLogs),
            Arc::clone(&watch) as Arc<dyn Observer>,
            Arc::clone(&journal),
        )?;
        let deliveries = Arc::new(Deliveries::new(cloudware_deliveries::Parts {
            databases: Arc::clone(&databases),
            observer: Arc::new(Told(Arc::clone(&watch))),
            clock: Arc::new(SystemClock),
            config: config.deliveries.clone(),
        }));
        let webhooks = Arc::new(WebhookClient::new(config.webhooks.clone())?);
        let outbox = Arc::new(Kept(Arc::clone(&deliveries)));
        let engine = engine.with_hooks(outbox, Arc::new(Called(Arc::clone(&webhooks))));
        let engine = Arc::new(engine.with_compiler(Compiler::Process {
            program: own_program()?,
            arguments: vec![COMPILE_COMMAND.to_owned()],
        }));
        let charged = Arc::downgrade(&engine);
        databases.charge_to(move |instance, cpu| {
            if let Some(engine) = charged.upgrade() {
                engine.charge(instance, cpu);
            }
        });
        let watched = Arc::downgrade(&databases);
        engine.watch_databases(move || watched.upgrade().is_some_and(|db| db.is_at_work()));
        let routes = Arc::new(RouteTable::default());
        let plane = Arc::new(Plane::new(PlaneParts {
            engine,
            routes: Arc::clone(&routes),
            databases,
            packages: packages.clone(),
            journal,
            watch,
            deliveries,
            webhooks,
            store: store.clone(),
        }));
        let control = Arc::new(Control::new(cloudware_control::Config {
            store: store.clone(),
            packages,
            interfaces: host_interfaces(),
            data_plane: Arc::clone(&plane) as Arc<dyn DataPlane>,
        }));
        let desired = control.start().await?;
        let burned = plane.ledger.fuel_since(today()).await?;
        for desired in desired {
            let instance = desired.id;
            plane.start(desired).await;
            plane
                .engine
                .resume_fuel(instance, burned.get(&instance).copied().unwrap_or(0));
        }
        let handed = Arc::new(Handed(Arc::clone(&plane.engine)));
        plane.deliveries.start(handed);
        let shutdown = CancellationToken::new();
        let gateway = Arc::new(Gateway::new(config.gateway.clone(), routes, api(&control)));
        let server = Server::new(gateway, listener).run(shutdown.clone(), config.drain());
        Ok(Self {
            chores: chores(&plane, &control, &shutdown),
            control,
            plane,
            store,
            address,
            server: tokio::spawn(server),
            shutdown,
            _lock: lock,
        })
    }

    /// Makes sure that the local operator can get in, and sets up the demo where it is wanted.
    async fn prepare(&self, config: &Config, content: Content) -> Result<Ready> {
        let mut credentials = self.credentials(&config.data).await?;
        credentials.api = format!("http://{}", reachable(self.address));
        credentials.write(&config.data)?;
        if content == Content::Kept {
            return Ok(Ready::of(config, credentials, Vec::new()));
        }
        let sites = demo::set_up(&config.data, &mut credentials).await?;
        credentials.write(&config.data)?;
        Ok(Ready::of(config, credentials, sites))
    }

    async fn credentials(&self, data: &Path) -> Result<Credentials> {
        let mut credentials = Credentials::read(data)?.unwrap_or_default();
        if token::authenticate(&self.control, &credentials.operator)
            .await
            .is_err()
        {
            let new = TokenNew {
                name: "local operator".to_owned(),
                provider: None,
                tenant: None,
            };
            let minted = token::create(&self.control, &Call::host(), new).await?;
            credentials.operator = minted.secret;
        }
        Ok(credentials)
    }

    async fn stop(self, config: &Config) -> Result<()> {
        self.shutdown.cancel();
        self.server.await?;
        for chore in self.chores {
            chore.await?;
        }
        self.plane.deliveries.stop(DELIVERIES_GRACE).await;
        self.plane.flush_usage().await;
        self.plane.flush_last().await;
        self.store.close().await;
        tracing::info!(data = %config.data.display(), "stopped");
        Ok(())
    }
}

/// The executable of this process, on Linux also where its file was replaced since it was started.
fn own_program() -> Result<PathBuf> {
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() {
        return Ok(running);
    }
    std::env::current_exe().context("can't find this program's own file")
}

/// The whole list of capabilities of this host, each with its backend.
pub(crate) fn capabilities(databases: &Arc<InstanceDbs>) -> Vec<Arc<dyn Capability>> {
    vec![
        Arc::new(cloudware_kv::Kv::new(Arc::clone(databases))),
        Arc::new(cloudware_sql::Sql::new(Arc::clone(databases))),
        Arc::new(cloudware_config::Config::new()),
        Arc::new(cloudware_limits::Limits::new()),
        Arc::new(cloudware_logging::Logging::new()),
    ]
}

/// What the capabilities above provide, and which of them an app must ask for.
pub(crate) fn host_interfaces() -> HostInterfaces {
    use Consent::{Always, Asked};
    HostInterfaces::new([
        ProvidedCapability::new(cloudware_kv::NAME, cloudware_kv::INTERFACES, Asked),
        ProvidedCapability::new(cloudware_sql::NAME, cloudware_sql::INTERFACES, Asked),
        ProvidedCapability::new(
            cloudware_config::NAME,
            &cloudware_config::INTERFACES,
            Always,
        ),
        ProvidedCapability::new(
            cloudware_limits::NAME,
            &cloudware_limits::INTERFACES,
            Always,
        ),
        ProvidedCapability::new(
            cloudware_logging::NAME,
            &cloudware_logging::INTERFACES,
            Always,
        ),
    ])
}

fn api(control: &Arc<Control>) -> Fallback {
    let router = cloudware_api::router(Arc::clone(control));
    Arc::new(move |request| {
        let router = router.clone();
        Box::pin(async move {
            use tower::ServiceExt;
            let answered = router.oneshot(request.map(axum::body::Body::new)).await;
            let response = answered.unwrap_or_else(|never| match never {});
            response.map(|body| body.map_err(BodyError::from).boxed_unsync())
        })
    })
}

/// An extension whose hook was tripped goes back to the release before, where it has one.
async fn fall_back(plane: &Plane, control: &Control) {
    for hook in plane.take_tripped() {
        match hook::fall_back(control, hook).await {
            Ok(outcome) => tracing::warn!(%hook, ?outcome, "a hook was tripped"),
            Err(error) => {
                tracing::error!(%hook, %error, "a hook was tripped, and its extension can't go back")
            }
        }
    }
}

fn chores(
    plane: &Arc<Plane>,
    control: &Arc<Control>,
    shutdown: &CancellationToken,
) -> Vec<JoinHandle<()>> {
    let (usage, control) = (Arc::clone(plane), Arc::clone(control));
    let (seen, warm) = (Arc::clone(plane), Arc::clone(plane));
    vec![
        tokio::spawn(every(USAGE_EVERY, shutdown.clone(), move || {
            let (plane, control) = (Arc::clone(&usage), Arc::clone(&control));
            async move {
                plane.flush_usage().await;
                plane.forget_old().await;
                fall_back(&plane, &control).await;
            }
        })),
        tokio::spawn(every(SEEN_EVERY, shutdown.clone(), move || {
            let plane = Arc::clone(&seen);
            async move { plane.flush_stops().await }
        })),
        tokio::spawn(every(EVICT_EVERY, shutdown.clone(), move || {
            let plane = Arc::clone(&warm);
            async move { plane.engine.evict_idle(WARM_IDLE_FOR) }
        })),
    ]
}

async fn every<F: Future<Output = ()>>(
    period: Duration,
    shutdown: CancellationToken,
    mut work: impl FnMut() -> F,
) {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => work().await,
            () = shutdown.cancelled() => return,
        }
    }
}

/// Makes the usage journal of this start, after what earlier starts left in theirs is in the ledger.
async fn open_journal(folder: &Path, store: &Store) -> Result<Arc<Journal>> {
    let unusable = || {
        format!(
            "can't use the folder of the usage journal {}",
            folder.display()
        )
    };
    let (journal, leftover) = Journal::open(folder).with_context(unusable)?;
    Ledger::new(store.clone())
        .record(leftover.records())
        .await
        .context("can't record the usage that an earlier start left")?;
    let records = leftover.records().len();
    if records > 0 {
        tracing::info!(records, "usage that an earlier start left is recorded");
    }
    leftover.discard().with_context(unusable)?;
    Ok(journal)
}

/// Makes the data folder if need be, readable by the owner alone, and takes it for this process.
fn open_data(data: &PathBuf) -> Result<File> {
    fs::create_dir_all(data)
        .with_context(|| format!("can't make the data folder {}", data.display()))?;
    fs::set_permissions(data, fs::Permissions::from_mode(0o700))
        .with_context(|| format!("can't protect the data folder {}", data.display()))?;
    let path = data.join("lock");
    let lock = File::create(&path).with_context(|| format!("can't write {}", path.display()))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => bail!(
            "the data folder {} is in use by another cloudware: stop that one or choose another with --data",
            data.display()
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("can't lock {}", path.display()))
        }
    }
}

/// The minute of the Unix epoch in which this day (UTC) has begun.
fn today() -> u64 {
    const MINUTES: u64 = 24 * 60;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    now.as_secs() / 60 / MINUTES * MINUTES
}

/// The address under which this machine reaches a listener on all interfaces.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}
