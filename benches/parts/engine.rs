//! What the engine does before a guest runs: looks limits up, admits the request, makes a sandbox.

use std::{hint::black_box, sync::Arc};

use bytes::Bytes;
use cloudware_capability::{LogRecord, LogSink};
use cloudware_engine::{
    Admission, BoundInstall, Engine, EngineConfig, Journal, NobodyObserves, Rate, Sandbox,
};
use cloudware_types::{
    Class, DesiredInstall, DesiredInstance, Digest, Dimension, Id, Limit, Limits, OtherPlans, Reuse,
};
use criterion::Criterion;
use tokio::runtime::Runtime;

/// A component with two memories that answers HTTP.
const COMPONENT: &str = include_str!("../../tests/e2e/components/two_memories.wat");

struct Silence;

impl LogSink for Silence {
    fn record(&self, _record: &LogRecord<'_>) -> bool {
        true
    }
}

pub fn limits(criterion: &mut Criterion) {
    let limits = Arc::new(Limits::default());
    criterion.bench_function("limits: typed lookup", |bench| {
        bench.iter(|| {
            let limit = black_box(Dimension::HostCalls).of(black_box(Class::Request));
            black_box(&limits).get(limit)
        });
    });
}

pub fn admission(criterion: &mut Criterion) {
    let admission = Arc::new(Admission::new(&largest_limits()));
    criterion.bench_function("admission: admit and give back", |bench| {
        bench.iter(|| drop(black_box(&admission).admit().unwrap()));
    });
    let mut limits = Limits::default();
    limits.set(Dimension::Concurrency, 1).unwrap();
    let full = Arc::new(Admission::new(&limits));
    let _running = full.admit().unwrap();
    criterion.bench_function("admission: refuse", |bench| {
        bench.iter(|| black_box(&full).admit().unwrap_err());
    });
}

pub fn rate(criterion: &mut Criterion) {
    let rate = Rate::default();
    let mut now = 0;
    criterion.bench_function("rate (GCRA): take", |bench| {
        bench.iter(|| {
            now += 1_000;
            black_box(&rate)
                .take(black_box(now), black_box(1_000_000))
                .unwrap();
        });
    });
}

pub fn sandbox(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = EngineConfig {
        cache_dir: folder.path().join("cache"),
        sandboxes_max: 16,
        ..EngineConfig::default()
    };
    let (journal, _) = Journal::open(&folder.path().join("usage")).unwrap();
    let (_engine, install) = runtime.block_on(bind(&config, journal));
    criterion.bench_function("sandbox: create and destroy", |bench| {
        bench.iter(|| drop(runtime.block_on(Sandbox::instantiate(&install)).unwrap()));
    });
}

async fn bind(config: &EngineConfig, journal: Arc<Journal>) -> (Arc<Engine>, Arc<BoundInstall>) {
    let (log, observer) = (Arc::new(Silence), Arc::new(NobodyObserves));
    let engine = Engine::new(config, Vec::new(), log, observer, journal).unwrap();
    let engine = Arc::new(engine);
    let component = Bytes::from(cloudware_tests::component(COMPONENT));
    let digest = Digest::of(&component);
    engine.compile(digest, component).await.unwrap();
    let limits = Arc::new(Limits::default());
    let instance = DesiredInstance {
        id: Id::generate(),
        slug: "main".parse().unwrap(),
        tenant: Id::generate(),
        tenant_slug: "bench".parse().unwrap(),
        is_default: true,
        unavailable: None,
        limits: Arc::clone(&limits),
        installs: Vec::new(),
        yanked: Vec::new(),
    };
    let install = DesiredInstall {
        id: Id::generate(),
        app: "bench".parse().unwrap(),
        release: Id::generate(),
        version: semver::Version::new(1, 0, 0),
        component: digest,
        http: None,
        reuse: Reuse::Fresh,
        points: Vec::new(),
        calls: Vec::new(),
        dependencies: Vec::new(),
        grants: Vec::new(),
        config: Arc::default(),
        database_namespace: None,
        access_tables: Arc::default(),
        limits,
        other_plans: OtherPlans::default(),
        recording: None,
    };
    let bound = engine.bind(&instance, &install).await.unwrap();
    (engine, bound)
}

/// With these, admission refuses nothing however often it is asked.
fn largest_limits() -> Limits {
    let mut limits = Limits::default();
    for &limit in Limit::all() {
        limits.set(limit, limit.bounds().1).unwrap();
    }
    limits
}
