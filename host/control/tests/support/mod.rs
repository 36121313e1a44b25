//! A control plane on a fresh database with a data plane that records what it is told and refuses
//! on command, and packages that are as small as they can be.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test that fails says so")]

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use cloudware_control::{
    ApplyError, Call, Config, Control, DataPlane, EnableRequest, Error, EventLog, HookLog, Install,
    InstallChanged, InstanceLoad, InstanceNew, MigrateError, PackageStore, PlanNew, PrepareError,
    ProviderNew, Pushed, RecordingLog, ReleaseToPrepare, StopLog, Store, TenantNew, TokenNew,
    TraceLog, install, instance, plan, provider, release, tenant, token, usage::Ledger,
};
use cloudware_packages::{Consent, HostInterfaces, Problem, ProvidedCapability, Source, pack};
use cloudware_types::{DesiredInstance, HostLoad, InstanceId, Migration, StopRecord, UsageRecord};
use tempfile::TempDir;
use tokio::sync::{Notify, Semaphore};

/// What the data plane has been told and what it shall refuse.
#[derive(Default)]
pub struct Plane {
    state: Mutex<PlaneState>,
    /// Where migrations wait, if they are to.
    gate: Mutex<Option<Arc<Gate>>>,
    ledger: std::sync::OnceLock<Ledger>,
    stop_log: std::sync::OnceLock<StopLog>,
}

/// Holds migrations up until it is opened.
pub struct Gate {
    arrived: Notify,
    pass: Semaphore,
}

impl Gate {
    /// Waits until a migration has begun.
    pub async fn arrival(&self) {
        self.arrived.notified().await;
    }

    /// Lets every migration go on, those to come included.
    pub fn open(&self) {
        self.pass.close();
    }
}

#[derive(Default)]
struct PlaneState {
    served: HashMap<InstanceId, DesiredInstance>,
    schemas: HashMap<(InstanceId, String), u32>,
    prepared: u32,
    applied: u32,
    refuse_version: Option<String>,
    refuse_migration: Option<u32>,
    refuse_release: bool,
    usage: Vec<UsageRecord>,
    stops: Vec<StopRecord>,
    loads: HashMap<InstanceId, InstanceLoad>,
    applying: u32,
    applying_most: u32,
}

impl Plane {
    /// The instance as it is served now.
    pub fn served(&self, instance: InstanceId) -> DesiredInstance {
        self.lock().served[&instance].clone()
    }

    /// The schema of a namespace in an instance.
    pub fn schema(&self, instance: InstanceId, namespace: &str) -> u32 {
        let key = (instance, namespace.to_owned());
        self.lock().schemas.get(&key).copied().unwrap_or(0)
    }

    pub fn set_schema(&self, instance: InstanceId, namespace: &str, schema: u32) {
        let key = (instance, namespace.to_owned());
        self.lock().schemas.insert(key, schema);
    }

    pub fn prepared(&self) -> u32 {
        self.lock().prepared
    }

    pub fn applied(&self) -> u32 {
        self.lock().applied
    }

    /// From now on, states with an install at this version are not taken over.
    pub fn refuse_version(&self, version: Option<&str>) {
        self.lock().refuse_version = version.map(ToOwned::to_owned);
    }

    /// From now on, migrations to this schema fail.
    pub fn refuse_migration(&self, target: Option<u32>) {
        self.lock().refuse_migration = target;
    }

    /// From now on, releases are not prepared.
    pub fn refuse_release(&self, refuse: bool) {
        self.lock().refuse_release = refuse;
    }

    /// Usage that is handed to the ledger when it is asked for.
    pub fn consume(&self, record: UsageRecord) {
        self.lock().usage.push(record);
    }

    /// Stops that are handed to their log when they are asked for.
    pub fn stop(&self, record: StopRecord) {
        self.lock().stops.push(record);
    }

    /// What an instance takes from now on.
    pub fn set_load(&self, instance: InstanceId, load: InstanceLoad) {
        self.lock().loads.insert(instance, load);
    }

    /// From now on, migrations take until the gate is opened.
    pub fn hold_migrations(&self) -> Arc<Gate> {
        let gate = Arc::new(Gate {
            arrived: Notify::new(),
            pass: Semaphore::new(0),
        });
        *self.gate.lock().unwrap() = Some(gate.clone());
        gate
    }

    /// How many states were taken over at the same time at most.
    pub fn applying_most(&self) -> u32 {
        self.lock().applying_most
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, PlaneState> {
        self.state.lock().unwrap()
    }
}

#[async_trait]
impl DataPlane for Plane {
    fn check_webhook(&self, url: &str) -> Result<(), String> {
        match url.starts_with("https://") {
            true => Ok(()),
            false => Err("must begin with https://".to_owned()),
        }
    }

    async fn prepare(&self, _release: ReleaseToPrepare) -> Result<(), PrepareError> {
        let mut state = self.lock();
        if state.refuse_release {
            let problem = Problem::new("component-refused", "component.wasm", "No.", "Do better.");
            return Err(PrepareError::Rejected(problem.into()));
        }
        state.prepared += 1;
        Ok(())
    }

    async fn apply(&self, desired: DesiredInstance) -> Result<(), ApplyError> {
        let count = |state: &mut PlaneState| {
            state.applying += 1;
            state.applying_most = state.applying_most.max(state.applying);
        };
        count(&mut self.lock());
        // Whoever else may work at the same time gets the chance.
        tokio::task::yield_now().await;
        let mut state = self.lock();
        state.applying -= 1;
        let refused = state.refuse_version.clone();
        let versions = desired.installs.iter().map(|i| i.version.to_string());
        if versions.into_iter().any(|v| Some(v) == refused) {
            return Err(ApplyError("out of sandboxes".to_owned()));
        }
        state.applied += 1;
        state.served.insert(desired.id, desired);
        Ok(())
    }

    async fn migrate(
        &self,
        instance: InstanceId,
        namespace: &str,
        migrations: &[Migration],
        target: u32,
    ) -> Result<(), MigrateError> {
        let gate = self.gate.lock().unwrap().clone();
        if let Some(gate) = gate {
            gate.arrived.notify_one();
            assert!(
                gate.pass.acquire().await.is_err(),
                "it is closed, never filled"
            );
        }
        let mut state = self.lock();
        if state.refuse_migration == Some(target) {
            return Err(MigrateError("no such table: stock_items".to_owned()));
        }
        let key = (instance, namespace.to_owned());
        let current = state.schemas.get(&key).copied().unwrap_or(0);
        // A real database needs every step between, and a way back where it goes down.
        for version in (current.min(target) + 1)..=current.max(target) {
            let step = migrations.iter().find(|step| step.version == version);
            let step = step.ok_or_else(|| MigrateError(format!("step {version} is missing")))?;
            if target < current && step.down.is_none() {
                return Err(MigrateError(format!("step {version} has no way back")));
            }
        }
        state.schemas.insert(key, target);
        Ok(())
    }

    async fn instance_load(&self, instance: InstanceId) -> InstanceLoad {
        self.lock()
            .loads
            .get(&instance)
            .cloned()
            .unwrap_or_default()
    }

    fn host_load(&self) -> HostLoad {
        HostLoad::default()
    }

    async fn flush_usage(&self) {
        let records = std::mem::take(&mut self.lock().usage);
        let ledger = self.ledger.get().expect("set when the world is made");
        ledger.record(&records).await.unwrap();
    }

    async fn flush_stops(&self) {
        let records = std::mem::take(&mut self.lock().stops);
        let log = self.stop_log.get().expect("set when the world is made");
        log.record(&records).await.unwrap();
    }
}

/// A control plane with its parts.
pub struct World {
    pub control: Arc<Control>,
    pub plane: Arc<Plane>,
    pub ledger: Ledger,
    pub events: EventLog,
    pub hooks: HookLog,
    pub traces: TraceLog,
    pub recordings: RecordingLog,
    pub dir: TempDir,
    store: Store,
}

impl World {
    pub async fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap()).await
    }

    /// On the data of an earlier world.
    pub async fn at(dir: TempDir) -> Self {
        let store = Store::open(&dir.path().join("control.db")).await.unwrap();
        let plane = Arc::new(Plane::default());
        let ledger = Ledger::new(store.clone());
        plane.ledger.set(ledger.clone()).unwrap();
        plane.stop_log.set(StopLog::new(store.clone())).unwrap();
        let control = Control::new(Config {
            store: store.clone(),
            packages: PackageStore::open(dir.path().join("packages")).unwrap(),
            interfaces: host(),
            data_plane: plane.clone(),
        });
        Self {
            control: Arc::new(control),
            plane,
            ledger,
            events: EventLog::new(store.clone()),
            hooks: HookLog::new(store.clone()),
            traces: TraceLog::new(store.clone()),
            recordings: RecordingLog::new(store.clone()),
            dir,
            store,
        }
    }

    /// Ends it, with everything in its data.
    pub async fn close(self) -> TempDir {
        self.store.close().await;
        self.dir
    }

    /// A token's secret for a provider or tenant, or for operators.
    pub async fn secret(&self, provider: Option<&str>, tenant: Option<&str>) -> String {
        let new = TokenNew {
            name: "test".to_owned(),
            provider: provider.map(ToOwned::to_owned),
            tenant: tenant.map(ToOwned::to_owned),
        };
        let minted = token::create(&self.control, &Call::host(), new).await;
        minted.unwrap().secret
    }

    pub async fn operator(&self) -> Call {
        self.call(&self.secret(None, None).await).await
    }

    /// A provider, which is created, and its call.
    pub async fn provider(&self, slug: &str) -> Call {
        let new = ProviderNew {
            slug: slug.parse().unwrap(),
            title: None,
        };
        provider::create(&self.control, &Call::host(), new)
            .await
            .unwrap();
        self.call(&self.secret(Some(slug), None).await).await
    }

    /// A tenant with an instance `main`, both created, and its call.
    pub async fn tenant(&self, slug: &str) -> Call {
        let new = TenantNew {
            slug: slug.parse().unwrap(),
            title: None,
            plan: None,
        };
        tenant::create(&self.control, &Call::host(), new)
            .await
            .unwrap();
        self.instance(slug, "main").await;
        self.call(&self.secret(None, Some(slug)).await).await
    }

    /// A plan that sets nothing.
    pub async fn plan(&self, slug: &str) {
        let new = PlanNew {
            slug: slug.parse().unwrap(),
            title: None,
        };
        plan::create(&self.control, &Call::host(), new)
            .await
            .unwrap();
    }

    pub async fn instance(&self, tenant: &str, slug: &str) -> InstanceId {
        let new = InstanceNew {
            slug: slug.parse().unwrap(),
            product: None,
        };
        let created = instance::create(&self.control, &Call::host(), tenant, new).await;
        created.unwrap().id
    }

    pub async fn id_of(&self, tenant: &str, instance: &str) -> InstanceId {
        let found = instance::get(&self.control, &Call::host(), tenant, instance).await;
        found.unwrap().id
    }

    pub async fn push(&self, call: &Call, package: &Package<'_>) -> Result<Pushed, Error> {
        release::push(&self.control, call, None, package.archive(), None).await
    }

    pub async fn enable(
        &self,
        call: &Call,
        tenant: &str,
        app: &str,
        version: &str,
    ) -> Result<Install, Error> {
        let changed = self.enabled(call, tenant, app, version).await?;
        Ok(changed.install)
    }

    /// As [`Self::enable`], with what came of it.
    pub async fn enabled(
        &self,
        call: &Call,
        tenant: &str,
        app: &str,
        version: &str,
    ) -> Result<InstallChanged, Error> {
        let request = EnableRequest {
            app: app.to_owned(),
            version: Some(version.parse().unwrap()),
            config: BTreeMap::new(),
            mount: None,
        };
        install::enable(&self.control, call, (tenant, "main"), request).await
    }

    pub async fn call(&self, secret: &str) -> Call {
        let token = token::authenticate(&self.control, secret).await.unwrap();
        token.call("test-request")
    }

    /// A statement past all rules, as somebody with the file would run it.
    pub async fn raw_sql(&self, statement: &'static str) -> Result<(), sqlx::Error> {
        let file = self.dir.path().join("control.db");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
        let pool = sqlx::SqlitePool::connect_with(options).await?;
        let outcome = sqlx::query(statement).execute(&pool).await.map(drop);
        pool.close().await;
        outcome
    }
}

/// A host with the capabilities that the packages ask for.
pub fn host() -> HostInterfaces {
    HostInterfaces::new([
        ProvidedCapability::new("kv", &["cloudware:kv/store@0.1.0"], Consent::Asked),
        ProvidedCapability::new("sql", &["cloudware:sql/database@0.1.0"], Consent::Asked),
    ])
}

/// A package to be made.
#[derive(Clone, Copy)]
pub struct Package<'a> {
    pub name: &'a str,
    pub version: &'a str,
    pub kind: &'a str,
    pub product: &'a str,
    /// Where it answers HTTP; empty if it does not.
    pub mount: &'a str,
    pub namespace: &'a str,
    /// Migrations up to here; 0 for no database.
    pub schema: u32,
    /// Whether migrations have a way back.
    pub has_down: bool,
    /// Interfaces of apps that its component imports.
    pub imports: &'a [Interface<'a>],
    /// Interfaces of apps that its component exports.
    pub exports: &'a [Interface<'a>],
    /// More of the manifest.
    pub more: &'a str,
}

/// An interface with one function.
#[derive(Clone, Copy)]
pub struct Interface<'a> {
    pub name: &'a str,
    pub function: Function<'a>,
}

/// A function, as text of a component and of its core module.
#[derive(Clone, Copy)]
pub struct Function<'a> {
    pub name: &'a str,
    pub ty: &'a str,
    pub core: &'a str,
}

/// A function that decides for a quantity.
pub const PICK: Function<'_> = Function {
    name: "pick",
    ty: r#"(param "quantity" u64) (result (option u64))"#,
    core: "(param i64) (result i32)",
};

/// [`PICK`] with another type.
pub const PICK_FLOAT: Function<'_> = Function {
    name: "pick",
    ty: r#"(param "quantity" f64) (result (option f64))"#,
    core: "(param f64) (result i32)",
};

/// A function that may refuse a quantity.
pub const ALLOW: Function<'_> = Function {
    name: "allow",
    ty: r#"(param "quantity" u64) (result (result (error string)))"#,
    core: "(param i64) (result i32)",
};

/// A function that is told a quantity.
pub const MOVED: Function<'_> = Function {
    name: "moved",
    ty: r#"(param "quantity" u64)"#,
    core: "(param i64)",
};

/// A function that other apps call.
pub const LEVEL: Function<'_> = Function {
    name: "level",
    ty: r#"(param "item" u64) (result u64)"#,
    core: "(param i64) (result i64)",
};

/// An app with tables at schema 1.
pub const STOCK: Package<'_> = Package {
    name: "stock",
    version: "1.0.0",
    kind: "app",
    product: "inventory",
    mount: "/stock",
    namespace: "stock",
    schema: 1,
    has_down: true,
    imports: &[],
    exports: &[],
    more: "[config.currency]\ndefault = \"EUR\"\ndescription = \"Printed on lists.\"\n",
};

/// An app without tables.
pub const HELLO: Package<'_> = Package {
    name: "hello",
    version: "1.0.0",
    kind: "app",
    product: "demo",
    mount: "/hello",
    namespace: "hello",
    schema: 0,
    has_down: true,
    imports: &[],
    exports: &[],
    more: "",
};

/// An app that asks which quantity is taken.
pub const STORE: Package<'_> = Package {
    name: "store",
    mount: "/store",
    imports: &[Interface {
        name: "store:app/allocation@1.0.0",
        function: PICK,
    }],
    more: "[extension-points.allocation]\ninterface = \"store:app/allocation@1.0.0\"\nkind = \"decide\"\n\
           description = \"Which quantity is taken.\"\non-failure = \"default\"\ndeadline-ms = 40\nfuel = 5_000_000\n\
           fuel-per-item = 7\n",
    ..HELLO
};

/// An extension that answers [`STORE`].
pub const FEFO: Package<'_> = Package {
    name: "fefo",
    kind: "extension",
    mount: "",
    exports: &[Interface {
        name: "store:app/allocation@1.0.0",
        function: PICK,
    }],
    more: "[extension]\nreuse = 10\n[extension.implements]\n\
           \"store:app/allocation@1.0.0\" = \"Takes what expires first.\"\n",
    ..HELLO
};

impl Package<'_> {
    pub fn archive(&self) -> Bytes {
        let folder = tempfile::tempdir().unwrap();
        let migrations = folder.path().join("migrations");
        std::fs::create_dir(&migrations).unwrap();
        for step in 1..=self.schema {
            let table = format!("{}_t{step}", self.namespace);
            let up = format!("CREATE TABLE {table} (id INTEGER PRIMARY KEY);");
            std::fs::write(migrations.join(format!("{step:04}_t.up.sql")), up).unwrap();
            if self.has_down {
                let down = format!("DROP TABLE {table};");
                std::fs::write(migrations.join(format!("{step:04}_t.down.sql")), down).unwrap();
            }
        }
        let source = Source {
            folder: folder.path(),
            manifest: &self.manifest(),
            component: wat::parse_str(self.component()).unwrap(),
        };
        pack(source).expect("the test's package is right").into()
    }

    fn manifest(&self) -> String {
        let Self {
            name,
            version,
            kind,
            product,
            mount,
            namespace,
            schema,
            more,
            ..
        } = self;
        let http = match *mount {
            "" => String::new(),
            mount => format!("[http]\nmount = \"{mount}\"\n"),
        };
        let database = match schema {
            0 => String::new(),
            _ => format!(
                "[capabilities]\nsql = \"Keeps things.\"\n[database]\nnamespace = \"{namespace}\"\nschema = {schema}\n"
            ),
        };
        format!(
            "[package]\nname = \"{name}\"\nversion = \"{version}\"\nkind = \"{kind}\"\nproduct = \"{product}\"\n\
             title = \"{name}\"\ndescription = \"A test.\"\n{http}{database}{more}"
        )
    }

    /// Has functions that end as soon as they are called.
    fn component(&self) -> String {
        let mut text = "(component\n".to_owned();
        if self.schema > 0 {
            text.push_str(
                r#"(import "cloudware:sql/database@0.1.0" (instance (export "x" (func))))"#,
            );
        }
        for import in self.imports {
            let Function { name, ty, .. } = import.function;
            let function = format!(r#"(export "{name}" (func {ty}))"#);
            text.push_str(&format!(
                r#"(import "{}" (instance {function}))"#,
                import.name
            ));
        }
        text.push_str(r#"(core module $m (memory (export "memory") 1) (func (export "handle"))"#);
        for (index, export) in self.exports.iter().enumerate() {
            let core = export.function.core;
            text.push_str(&format!(r#"(func (export "f{index}") {core} unreachable)"#));
        }
        text.push_str(") (core instance $i (instantiate $m))");
        for (index, export) in self.exports.iter().enumerate() {
            let Function { name, ty, .. } = export.function;
            text.push_str(&format!(
                r#"(func $f{index} {ty} (canon lift (core func $i "f{index}") (memory (core memory $i "memory"))))
                   (instance $e{index} (export "{name}" (func $f{index})))
                   (export "{}" (instance $e{index}))"#,
                export.name
            ));
        }
        if !self.mount.is_empty() {
            text.push_str(
                r#"(func $handle (canon lift (core func $i "handle")))
                   (instance $out (export "handle" (func $handle)))
                   (export "wasi:http/incoming-handler@0.2.10" (instance $out))"#,
            );
        }
        text + ")"
    }
}

/// The code of a conflict, or what it was instead.
pub fn conflict<T: std::fmt::Debug>(outcome: Result<T, Error>) -> &'static str {
    match outcome {
        Err(Error::Conflict { code, .. }) => code,
        other => panic!("not a conflict: {other:?}"),
    }
}
