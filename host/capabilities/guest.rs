//! Runs small guests against one capability, for the tests of this folder. A guest is a core module in text
//! form whose imports follow the canonical ABI; it becomes a component, is linked with nothing but the
//! capability, and asserts from inside: `run` returns 0, or the number of the check that failed.

#![allow(dead_code, reason = "each test uses the parts that it needs")]

use std::sync::{Arc, Mutex};

use cloudware_capability::{
    Binding, Capability, GuestLog, Identity, Invocation, InvocationParts, LogRecord, LogSink,
    Progress,
};
use cloudware_types::{
    Class, DesiredInstall, DesiredInstance, Digest, Dimension, InstallId, InstanceId, Limits,
    Meters, OtherPlans, ReleaseId, Reuse, StopCause, TenantId, Waiting,
};
use wasmtime::{
    Engine, Store,
    component::{Component, Linker},
};
use wasmtime_wasi_http::{RequestOptions, WasiBody, WasiHttpHooks};

/// A guest's world and code.
pub struct Guest<'g> {
    /// Directories of WIT, each after those that it needs.
    pub wit: &'g [&'g str],
    /// Imports of the guest's world, as WIT.
    pub imports: &'g str,
    /// The core module in text form, without memory and allocator.
    pub code: &'g str,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// What `run` returned, or how it trapped.
    pub result: Result<u32, String>,
    /// Why the host stopped it.
    pub stop: Option<StopCause>,
    /// What it used.
    pub meters: Meters,
    /// What it logged: level, context, text.
    pub logged: Vec<(String, String, String)>,
}

/// An install to run guests as.
pub fn install() -> DesiredInstall {
    DesiredInstall {
        id: InstallId::generate(),
        app: "stock".parse().expect("a slug"),
        release: ReleaseId::generate(),
        version: semver::Version::new(1, 0, 0),
        component: Digest::of(b""),
        http: None,
        reuse: Reuse::Fresh,
        points: Vec::new(),
        calls: Vec::new(),
        dependencies: Vec::new(),
        grants: Vec::new(),
        config: Arc::default(),
        database_namespace: Some("stock".into()),
        access_tables: Arc::default(),
        limits: Arc::default(),
        other_plans: OtherPlans::default(),
        recording: None,
    }
}

/// An instance to run guests in.
pub fn instance() -> DesiredInstance {
    DesiredInstance {
        id: InstanceId::generate(),
        slug: "main".parse().expect("a slug"),
        tenant: TenantId::generate(),
        tenant_slug: "acme".parse().expect("a slug"),
        is_default: true,
        unavailable: None,
        limits: Arc::default(),
        installs: Vec::new(),
        yanked: Vec::new(),
    }
}

/// Limits that differ from the defaults in one dimension.
pub fn limits(dimension: Dimension, value: u64) -> Arc<Limits> {
    let mut limits = Limits::default();
    limits.set(dimension, value).expect("a value within bounds");
    Arc::new(limits)
}

/// Runs a guest once, on an engine with fibers alone and on one with component-model concurrency.
pub async fn run(
    capability: &dyn Capability,
    instance: &DesiredInstance,
    install: &DesiredInstall,
    guest: &Guest<'_>,
) -> Ended {
    let bytes = component(guest);
    let mut ended = Vec::new();
    for concurrency in [false, true] {
        let mut config = wasmtime::Config::new();
        config.concurrency_support(concurrency);
        let engine = Engine::new(&config).expect("an engine");
        ended.push(run_on(&engine, capability, (instance, install), &bytes).await);
    }
    let last = ended.pop().expect("two runs");
    let other = &ended[0].result;
    assert_eq!(
        last.result.as_ref().ok(),
        other.as_ref().ok(),
        "both engines agree"
    );
    last
}

async fn run_on(
    engine: &Engine,
    capability: &dyn Capability,
    (instance, install): (&DesiredInstance, &DesiredInstall),
    bytes: &[u8],
) -> Ended {
    let mut linker = Linker::new(engine);
    capability.link(&mut linker).expect("the capability links");
    let binding = capability.bind(instance, install).expect("it binds");
    let sink = Arc::new(Kept::default());
    let bindings = [(capability.name(), binding)];
    let parts = parts((instance, install), bindings, Arc::clone(&sink));
    let mut store = Store::new(engine, Invocation::new(parts));
    let component = Component::new(engine, bytes).expect("the guest compiles");
    let guest = linker
        .instantiate_async(&mut store, &component)
        .await
        .expect("every import is there");
    let run = guest
        .get_typed_func::<(), (u32,)>(&mut store, "run")
        .expect("the guest exports run");
    let result = run.call_async(&mut store, ()).await;
    Ended {
        result: result
            .map(|(code,)| code)
            .map_err(|error| format!("{:#}", error.root_cause())),
        stop: store.data_mut().take_stop(),
        meters: *store.data().meters(),
        logged: std::mem::take(&mut sink.0.lock().expect("not poisoned")),
    }
}

fn parts(
    (instance, install): (&DesiredInstance, &DesiredInstall),
    bindings: [(&'static str, Arc<dyn Binding>); 1],
    sink: Arc<Kept>,
) -> InvocationParts {
    let identity = Arc::new(Identity {
        tenant: instance.tenant,
        tenant_slug: instance.tenant_slug.clone(),
        instance: instance.id,
        instance_slug: instance.slug.clone(),
        install: install.id,
        app: install.app.clone(),
        version: install.version.to_string(),
    });
    let log_bytes_max = install.limits.get(Dimension::LogBytes);
    InvocationParts {
        wasi: |_| wasmtime_wasi::WasiCtx::builder().build(),
        http_hooks: Box::new(NoOutbound),
        class: Class::Request,
        limits: Arc::clone(&install.limits),
        bindings: Arc::new(bindings),
        log: Arc::new(GuestLog::new(
            Arc::clone(&identity),
            sink,
            Class::Request,
            log_bytes_max,
        )),
        progress: Arc::new(Progress::default()),
        context: None,
        access: |_| Ok(None),
        tape: None,
        waiting: Waiting::default(),
        memory: Arc::default(),
        identity,
    }
}

#[derive(Default)]
struct Kept(Mutex<Vec<(String, String, String)>>);

impl LogSink for Kept {
    fn record(&self, record: &LogRecord<'_>) -> bool {
        let level = format!("{:?}", record.level);
        let kept = (level, record.context.to_owned(), record.message.to_owned());
        self.0.lock().expect("not poisoned").push(kept);
        true
    }
}

struct NoOutbound;

type Sent = Box<dyn Future<Output = Result<(), wasmtime_wasi_http::Error>> + Send>;
type Answer = Result<(http::Response<WasiBody>, Sent), wasmtime_wasi_http::Error>;

impl WasiHttpHooks for NoOutbound {
    fn send_request(
        &mut self,
        _: http::Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Sent,
    ) -> Box<dyn Future<Output = Answer> + Send> {
        Box::new(async { Err(wasmtime_wasi_http::Error::HttpRequestDenied) })
    }
}

/// The guest as a component.
fn component(guest: &Guest<'_>) -> Vec<u8> {
    let mut resolve = wit_parser::Resolve::default();
    for dir in guest.wit {
        resolve.push_path(dir).expect("the WIT parses");
    }
    let world = format!(
        "package test:guest; world guest {{ {} export run: func() -> u32; }}",
        guest.imports
    );
    let package = resolve
        .push_str("guest.wit", &world)
        .expect("the world parses");
    let world = resolve.select_world(&[package], None).expect("one world");
    let text = format!(
        r#"(module {}
            (memory (export "memory") 1)
            (global $free (mut i32) (i32.const 32768))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (local $at i32)
                global.get $free i32.const 7 i32.add i32.const -8 i32.and local.tee $at
                local.get 3 i32.add global.set $free
                local.get $at))"#,
        guest.code
    );
    let mut module = wat::parse_str(text).expect("the code parses");
    wit_component::embed_component_metadata(
        &mut module,
        &resolve,
        world,
        wit_component::StringEncoding::UTF8,
    )
    .expect("the world embeds");
    wit_component::ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .expect("the module fits its world")
        .encode()
        .expect("the component encodes")
}
