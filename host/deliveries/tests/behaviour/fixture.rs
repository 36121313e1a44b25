//! Instances with observers, and a target that lets the test decide what comes of each attempt.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use cloudware_deliveries::{
    Call, Caller, Clock, Config, Deliver, Deliveries, Delivery, DeliveryEvent, DeliveryFailure,
    DeliveryFilter, HookPlace, Observer, Parts, Recorded,
};
use cloudware_instance_db::{AppKey, AppScope, Holder, InstanceDbs, Mode, Request, Transaction};
use cloudware_types::{
    DeliveryId, DeliveryRecord, DeliveryState, DesiredHook, DesiredInstall, DesiredInstance,
    DesiredPoint, Digest, Dimension, HookId, HookMode, HookTarget, InstallId, InstanceId, Limits,
    Migration, OnFailure, OtherPlans, PointKind, ReleaseId, Reuse, RunChain, TenantId,
};
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

/// The run that calls, where it matters which.
pub const RUN: u64 = 7;

/// The extension point that is called.
pub const POINT: &str = "after-stock-moved";

/// Where the clock begins.
pub const BEGIN_MS: u64 = 1_800_000_000_000;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A host with one instance.
pub struct Fixture {
    pub deliveries: Arc<Deliveries>,
    pub databases: Arc<InstanceDbs>,
    pub instance: InstanceId,
    pub clock: Arc<ManualClock>,
    pub events: Arc<Events>,
    pub storage_bytes_max: u64,
    attempts: mpsc::UnboundedReceiver<Attempt>,
    target: Arc<Target>,
}

/// A clock that stands still until it is moved.
pub struct ManualClock(watch::Sender<u64>);

impl ManualClock {
    pub fn advance(&self, duration: Duration) {
        let millis = duration.as_millis() as u64;
        self.0.send_modify(|now| *now += millis);
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now_ms(&self) -> u64 {
        *self.0.borrow()
    }

    async fn sleep_until(&self, moment_ms: u64) {
        let mut now = self.0.subscribe();
        drop(now.wait_for(|now| *now >= moment_ms).await);
    }
}

/// An attempt under way.
#[derive(Debug)]
pub struct Attempt {
    pub delivery: Delivery,
    answer: oneshot::Sender<Result<(), DeliveryFailure>>,
}

impl Attempt {
    pub fn succeed(self) -> DeliveryId {
        self.answer.send(Ok(())).unwrap();
        self.delivery.id
    }

    pub fn fail(self, failure: DeliveryFailure) -> DeliveryId {
        self.answer.send(Err(failure)).unwrap();
        self.delivery.id
    }
}

struct Target(mpsc::UnboundedSender<Attempt>);

#[async_trait]
impl Deliver for Target {
    async fn deliver(&self, delivery: &Delivery) -> Result<(), DeliveryFailure> {
        let (answer, answered) = oneshot::channel();
        let delivery = delivery.clone();
        self.0.send(Attempt { delivery, answer }).unwrap();
        // A test that drops the attempt lets the host's own code fail.
        answered.await.expect("the test answers")
    }
}

/// What happened.
#[derive(Default)]
pub struct Events(Mutex<Vec<DeliveryEvent>>);

impl Events {
    pub fn all(&self) -> Vec<DeliveryEvent> {
        self.0.lock().unwrap().clone()
    }
}

impl Observer for Events {
    fn happened(&self, event: DeliveryEvent) {
        self.0.lock().unwrap().push(event);
    }
}

impl Fixture {
    /// In a directory, with a table of the app `stock`, started.
    pub async fn at(dir: &Path) -> Self {
        let fixture = Self::unstarted(dir, InstanceId::generate(), Config::default());
        fixture.migrate().await;
        fixture.start();
        fixture
    }

    pub fn unstarted(dir: &Path, instance: InstanceId, config: Config) -> Self {
        let databases = InstanceDbs::new(cloudware_instance_db::Config {
            dir: dir.join("instances"),
            ..cloudware_instance_db::Config::default()
        })
        .unwrap();
        let clock = Arc::new(ManualClock(watch::channel(BEGIN_MS).0));
        let events = Arc::new(Events::default());
        let (attempted, attempts) = mpsc::unbounded_channel();
        let deliveries = Deliveries::new(Parts {
            databases: Arc::clone(&databases),
            observer: Arc::clone(&events) as Arc<dyn Observer>,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            config,
        });
        Self {
            deliveries: Arc::new(deliveries),
            databases,
            instance,
            clock,
            events,
            storage_bytes_max: 256 << 20,
            attempts,
            target: Arc::new(Target(attempted)),
        }
    }

    pub async fn migrate(&self) {
        let step = Migration {
            version: 1,
            name: "items".into(),
            up: "CREATE TABLE stock_items (id INTEGER PRIMARY KEY, data BLOB)".into(),
            down: None,
        };
        let namespace = "stock".parse().unwrap();
        self.databases
            .migrate(self.instance, &namespace, vec![step], 1, 256 << 20)
            .await
            .unwrap();
    }

    pub fn start(&self) {
        self.deliveries
            .start(Arc::clone(&self.target) as Arc<dyn Deliver>);
    }

    /// Serves these hooks and no others.
    pub fn serve(&self, hooks: &[DesiredHook]) {
        self.deliveries.apply(&desired(
            self.instance,
            hooks.to_vec(),
            self.storage_bytes_max,
        ));
    }

    /// Calls the point `moved` of the app in no transaction of a run.
    pub async fn record(&self, hooks: &[DesiredHook], arguments: Value) {
        self.record_as(0, hooks, arguments).await.result.unwrap();
    }

    pub async fn record_as(&self, run: u64, hooks: &[DesiredHook], arguments: Value) -> Recorded {
        let caller = Caller {
            instance: self.instance,
            app: "stock",
            run: RunChain::of(run),
            weight: 100,
            storage_bytes_max: self.storage_bytes_max,
        };
        self.deliveries.record(caller, call(arguments), hooks).await
    }

    /// The next attempt.
    pub async fn attempt(&mut self) -> Attempt {
        let next = timeout(PATIENCE, self.attempts.recv()).await;
        next.expect("an attempt is made").unwrap()
    }

    /// Fails if an attempt has been begun that was not asked for.
    pub fn assert_no_attempt(&mut self) {
        if let Ok(attempt) = self.attempts.try_recv() {
            panic!("{attempt:?}");
        }
    }

    /// All deliveries, the oldest first.
    pub async fn records(&self) -> Vec<DeliveryRecord> {
        let filter = DeliveryFilter {
            count_max: 500,
            ..DeliveryFilter::default()
        };
        let listed = self.deliveries.list(self.instance, filter).await;
        let mut records = listed.unwrap();
        records.reverse();
        records
    }

    /// Waits until the delivery is in this state, and gives it.
    pub async fn until(&self, id: DeliveryId, state: DeliveryState) -> DeliveryRecord {
        self.until_it(id, state.name(), |record| record.state == state)
            .await
    }

    /// Waits until the delivery is as it should become, and gives it.
    pub async fn until_it(
        &self,
        id: DeliveryId,
        what: &str,
        is_it: impl Fn(&DeliveryRecord) -> bool,
    ) -> DeliveryRecord {
        let becomes = async {
            loop {
                let found = self.deliveries.get(self.instance, id).await.unwrap();
                if let Some((record, _)) = found
                    && is_it(&record)
                {
                    return record;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, becomes)
            .await
            .unwrap_or_else(|_| panic!("{id} never becomes: {what}"))
    }

    /// Waits until nothing is to be tried any more.
    pub async fn until_all_ended(&self) {
        let ended = async {
            for state in DeliveryState::ALL.iter().filter(|state| state.is_open()) {
                let filter = DeliveryFilter {
                    state: Some(*state),
                    count_max: 1,
                    ..DeliveryFilter::default()
                };
                while !self
                    .deliveries
                    .list(self.instance, filter.clone())
                    .await
                    .unwrap()
                    .is_empty()
                {
                    tokio::task::yield_now().await;
                }
            }
        };
        timeout(PATIENCE, ended).await.expect("all end");
    }

    pub async fn begin(&self, run: u64) -> Transaction {
        let scope = AppScope {
            namespace: "stock".parse().unwrap(),
            storage_bytes_max: self.storage_bytes_max,
            holder: Holder::new(RunChain::of(run), AppKey::of("stock")),
        };
        let database = self.databases.get(self.instance).unwrap();
        database.begin(&scope, Mode::Write).await.result.unwrap()
    }
}

/// Waits for something that another task brings about.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let happens = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, happens)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}

pub fn call(arguments: Value) -> Call {
    Call {
        app: "stock".into(),
        point: POINT.into(),
        interface: "inventory:stock/after-stock-moved@1.0.0".into(),
        function: "moved".into(),
        arguments,
        items: 2,
        request_id: "req-1".into(),
    }
}

pub fn some() -> Value {
    json!({ "sku": "a", "quantity": 3 })
}

/// An observer by name that is tried again.
pub fn hook(name: &str) -> DesiredHook {
    DesiredHook {
        id: HookId::generate(),
        name: name.into(),
        target: HookTarget::Install(InstallId::generate()),
        mode: HookMode::Active,
        on_failure: OnFailure::Retry,
        deadline_ms: 50,
        fuel: 1,
        fuel_per_item: 0,
        memory: Some(1),
    }
}

pub fn failure() -> DeliveryFailure {
    DeliveryFailure::retryable("the printer is out of paper")
}

pub fn statement(text: &str) -> Request {
    Request {
        statement: text.into(),
        parameters: Vec::new(),
        rows_read_max: 100,
        rows_written_max: 100,
        time_max: PATIENCE,
        access: None,
    }
}

pub fn desired(id: InstanceId, hooks: Vec<DesiredHook>, storage: u64) -> DesiredInstance {
    let mut limits = Limits::default();
    limits.set(Dimension::Storage, storage).unwrap();
    let limits = Arc::new(limits);
    let point = DesiredPoint {
        name: "after-stock-moved".parse().unwrap(),
        interface: "inventory:stock/after-stock-moved@1.0.0".into(),
        kind: PointKind::Observe,
        hooks,
    };
    // Hooks on points of other kinds are called at once and owed nothing.
    let decide = DesiredPoint {
        name: "allocation".parse().unwrap(),
        interface: "inventory:stock/allocation@1.0.0".into(),
        kind: PointKind::Decide,
        hooks: vec![hook("fefo")],
    };
    DesiredInstance {
        id,
        slug: "main".parse().unwrap(),
        tenant: TenantId::generate(),
        tenant_slug: "acme".parse().unwrap(),
        is_default: true,
        unavailable: None,
        limits: Arc::clone(&limits),
        installs: vec![DesiredInstall {
            id: InstallId::generate(),
            app: "stock".parse().unwrap(),
            release: ReleaseId::generate(),
            version: semver::Version::new(1, 0, 0),
            component: Digest::of(b""),
            http: None,
            reuse: Reuse::Fresh,
            points: vec![point, decide],
            calls: Vec::new(),
            dependencies: Vec::new(),
            grants: Vec::new(),
            config: Arc::default(),
            database_namespace: Some("stock".into()),
            access_tables: Arc::default(),
            limits,
            other_plans: OtherPlans::default(),
            recording: None,
        }],
        yanked: Vec::new(),
    }
}

/// A hook on the point of [`call`], as others hear of it.
pub fn place(hook: &DesiredHook) -> HookPlace {
    HookPlace {
        id: hook.id,
        app: "stock".into(),
        point: POINT.into(),
        name: hook.name.to_string(),
    }
}
