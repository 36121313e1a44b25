//! A host function that panics costs the run that called it and nothing else: a hook's panic is the hook's failure, also
//! where nobody waits for it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use cloudware_capability::{
    BindError, Binding, Capability, CapabilityLinker, Consent, Identity, Invocation, LogRecord,
    LogSink, Stateless,
};
use cloudware_engine::{
    BoundInstall, Delivery, DeliveryError, DirectCall, Engine, EngineConfig, HookChanged,
    HookFailed, Journal, Observer, Peers, ShadowCompared, World,
};
use cloudware_types::{
    BreakerState, Class, DesiredHook, DesiredInstall, DesiredInstance, DesiredPoint, Digest,
    HookId, HookMode, HookTarget, Id, InstanceId, Limit, Meter, OnFailure, OtherPlans, PointKind,
    RecordedOne, Reuse, Stop, Trace,
};
use parking_lot::Mutex;
use serde_json::json;
use tempfile::TempDir;
use wasmtime::StoreContextMut;

/// Asks its extension point for a number, and returns whether it got one.
const APP: &str = r#"(component
    (import "test:points/price@1.0.0" (instance $points
        (export "price" (func (result (option u32))))))
    (core module $memory (memory (export "memory") 1))
    (core instance $memory (instantiate $memory))
    (core func $price (canon lower (func $points "price") (memory (core memory $memory "memory"))))
    (core module $code
        (import "points" "price" (func $price (param i32)))
        (import "memory" "memory" (memory 1))
        (func (export "run") (result i32)
            i32.const 16 call $price
            i32.const 16 i32.load8_u))
    (core instance $code (instantiate $code
        (with "points" (instance (export "price" (func $price))))
        (with "memory" (instance $memory))))
    (func $run (result u32) (canon lift (core func $code "run")))
    (instance $app (export "run" (func $run)))
    (export "test:app/run@1.0.0" (instance $app)))"#;

/// Calls a host function that panics before it gives a number.
const EXTENSION: &str = r#"(component
    (import "test:fault/fault@1.0.0" (instance $fault (export "fail" (func))))
    (core module $memory (memory (export "memory") 1))
    (core instance $memory (instantiate $memory))
    (core func $fail (canon lower (func $fault "fail")))
    (core module $code
        (import "fault" "fail" (func $fail))
        (func (export "price") (result i32) call $fail i32.const 16))
    (core instance $code (instantiate $code
        (with "fault" (instance (export "fail" (func $fail))))))
    (func $price (result (option u32))
        (canon lift (core func $code "price") (memory (core memory $memory "memory"))))
    (instance $points (export "price" (func $price)))
    (export "test:points/price@1.0.0" (instance $points)))"#;

/// A capability with a defect.
struct Fault(When);

/// When a host function panics.
#[derive(Clone, Copy, Debug)]
enum When {
    /// While the guest's slice is polled that called it.
    AtOnce,
    /// In a later slice: it has waited for something.
    Later,
}

async fn fail(when: When) -> wasmtime::Result<()> {
    if let When::Later = when {
        tokio::task::yield_now().await;
    }
    panic!("a defect of the host")
}

const ALWAYS: [When; 2] = [When::AtOnce, When::Later];

impl Capability for Fault {
    fn name(&self) -> &'static str {
        "fault"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &["test:fault/fault@1.0.0"]
    }

    fn consent(&self) -> Consent {
        Consent::Always
    }

    fn link(&self, linker: &mut CapabilityLinker) -> wasmtime::Result<()> {
        let mut instance = linker.instance("test:fault/fault@1.0.0")?;
        let when = self.0;
        instance.func_wrap_async(
            "fail",
            move |mut store: StoreContextMut<'_, Invocation>, (): ()| {
                let entered = store.data_mut().enter("fault.fail");
                Box::new(async move {
                    entered?;
                    fail(when).await
                })
            },
        )
    }

    fn bind(&self, _: &DesiredInstance, _: &DesiredInstall) -> Result<Arc<dyn Binding>, BindError> {
        Ok(Arc::new(Stateless))
    }
}

/// Keeps what it is told.
#[derive(Default)]
struct Seen {
    stops: Mutex<Vec<(String, Stop)>>,
    failed: Mutex<Vec<String>>,
    changes: Mutex<Vec<BreakerState>>,
}

impl Observer for Seen {
    fn stopped(&self, identity: &Identity, stop: &Stop, _: &str) {
        self.stops
            .lock()
            .push((identity.app.to_string(), stop.clone()));
    }

    fn near_limit(&self, _: &Identity, _: Limit, _: u64, _: u64) {}

    fn hook_failed(&self, _: &Identity, failed: &HookFailed) {
        self.failed.lock().push(failed.reason.clone());
    }

    fn hook_changed(&self, _: &Identity, changed: &HookChanged) {
        self.changes.lock().push(changed.state);
    }

    fn shadow_compared(&self, _: &Identity, _: ShadowCompared) {}

    fn traced(&self, _: Trace) {}

    fn recorded(&self, _: &Identity, _: RecordedOne) {}
}

struct Silence;

impl LogSink for Silence {
    fn record(&self, _: &LogRecord<'_>) -> bool {
        true
    }
}

/// An engine with the app and its hook.
struct Host {
    engine: Arc<Engine>,
    seen: Arc<Seen>,
    instance: InstanceId,
    hook: HookId,
    app: Arc<BoundInstall>,
    _peers: Option<Arc<Peers>>,
    _folder: TempDir,
}

impl Host {
    async fn start(kind: PointKind, when: When) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = EngineConfig {
            cache_dir: folder.path().join("cache"),
            sandboxes_max: 16,
            ..EngineConfig::default()
        };
        let seen = Arc::new(Seen::default());
        let (journal, _) = Journal::open(&folder.path().join("usage")).expect("a journal");
        let observer = Arc::clone(&seen) as Arc<dyn Observer>;
        let capabilities: Vec<Arc<dyn Capability>> = vec![Arc::new(Fault(when))];
        let engine = Engine::new(&config, capabilities, Arc::new(Silence), observer, journal);
        let engine = Arc::new(engine.expect("an engine"));
        let extension = install(&engine, "extension", EXTENSION).await;
        let hook = hook(&extension);
        let (id, point) = (hook.id, "test:points/price@1.0.0");
        let mut app = install(&engine, "app", APP).await;
        app.points.push(DesiredPoint {
            name: "price".parse().expect("a slug"),
            interface: point.into(),
            kind,
            hooks: vec![hook],
        });
        let instance = instance(vec![app, extension]);
        let mut bound = Vec::new();
        for install in &instance.installs {
            bound.push(engine.bind(&instance, install).await.expect("it binds"));
        }
        let peers = engine.join(&instance, &bound);
        Self {
            engine,
            seen,
            instance: instance.id,
            hook: id,
            app: Arc::clone(&bound[0]),
            _peers: peers,
            _folder: folder,
        }
    }

    async fn deliver(&self) -> Result<(), DeliveryError> {
        let delivery = Delivery {
            hook: self.hook,
            function: "price",
            arguments: &json!({}),
            id: "dlv",
            request_id: "",
            called_ms: 0,
        };
        self.engine.deliver(self.instance, delivery).await
    }

    /// Stops of the extension that say what happened.
    fn stops(&self) -> usize {
        let stops = self.seen.stops.lock();
        for (app, stop) in &*stops {
            assert_eq!((app.as_str(), stop.class), ("extension", Class::Hook));
            let explanation = stop.explanation();
            assert!(
                explanation.contains("a host function failed")
                    && explanation.contains("fault.fail"),
                "{explanation}"
            );
        }
        stops.len()
    }

    fn metered(&self, meter: Meter) -> u64 {
        let batch = self.engine.drain_usage();
        let of = batch.records.iter().map(|record| record.meters[meter]);
        of.sum()
    }
}

async fn install(engine: &Arc<Engine>, app: &str, code: &str) -> DesiredInstall {
    let component = Bytes::from(wat::parse_str(code).expect("the text parses"));
    let digest = Digest::of(&component);
    engine
        .compile(digest, component)
        .await
        .expect("it compiles");
    DesiredInstall {
        id: Id::generate(),
        app: app.parse().expect("a slug"),
        release: Id::generate(),
        version: semver::Version::new(1, 0, 0),
        component: digest,
        http: None,
        reuse: Reuse::Fresh,
        grants: Vec::new(),
        points: Vec::new(),
        calls: Vec::new(),
        dependencies: Vec::new(),
        config: Arc::default(),
        database_namespace: None,
        access_tables: Arc::default(),
        limits: Arc::default(),
        other_plans: OtherPlans::default(),
        recording: None,
    }
}

fn hook(target: &DesiredInstall) -> DesiredHook {
    DesiredHook {
        id: Id::generate(),
        name: "extension".into(),
        target: HookTarget::Install(target.id),
        mode: HookMode::Active,
        on_failure: OnFailure::Default,
        deadline_ms: 10_000,
        fuel: 10_000_000,
        fuel_per_item: 0,
        memory: Some(16 << 20),
    }
}

fn instance(installs: Vec<DesiredInstall>) -> DesiredInstance {
    DesiredInstance {
        id: InstanceId::generate(),
        slug: "main".parse().expect("a slug"),
        tenant: Id::generate(),
        tenant_slug: "acme".parse().expect("a slug"),
        is_default: true,
        unavailable: None,
        limits: Arc::default(),
        installs,
        yanked: Vec::new(),
    }
}

#[tokio::test]
async fn an_observer_in_which_the_host_panics_has_failed_and_is_tripped_in_the_end() {
    for when in ALWAYS {
        observer_is_tripped(when).await;
    }
}

async fn observer_is_tripped(when: When) {
    let host = Host::start(PointKind::Observe, when).await;
    let mut failed = 0;
    let tripped = loop {
        match host.deliver().await {
            Err(DeliveryError::Failed(reason)) => {
                assert!(reason.contains("a host function failed"), "{reason}");
                failed += 1;
            }
            other => break other,
        }
        assert!(failed <= 100, "a hook is tripped where most calls fail");
    };
    assert!(
        matches!(tripped, Err(DeliveryError::Later { .. })),
        "{tripped:?}"
    );
    assert_eq!(host.stops(), failed);
    assert_eq!(*host.seen.changes.lock(), [BreakerState::Tripped]);
    assert_eq!(host.metered(Meter::HookFailures), failed as u64);
}

#[tokio::test]
async fn an_app_goes_on_where_the_host_panics_in_its_hook() {
    for when in ALWAYS {
        app_goes_on(when).await;
    }
}

async fn app_goes_on(when: When) {
    let host = Host::start(PointKind::Decide, when).await;
    let nothing = json!({});
    let called = host.app.call(DirectCall {
        interface: "test:app/run@1.0.0",
        function: "run",
        arguments: &nothing,
        deadline: Duration::from_secs(10),
        world: World {
            seed: 1,
            wall_clock: Duration::ZERO,
        },
        replay: None,
    });
    let answer = called.await.expect("the app is called");
    assert_eq!(answer.result, Ok(json!(0)), "it gets no number");
    let failed = host.seen.failed.lock();
    let [reason] = failed.as_slice() else {
        panic!("{failed:?}");
    };
    assert!(reason.contains("a host function failed"), "{reason}");
    assert_eq!(host.stops(), 1);
}
