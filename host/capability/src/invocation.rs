//! The store data of an invocation: WASI contexts that grant nothing, the identity that the host
//! vouches for, the limits and what has been used of them, and the state of opened capabilities.

use std::{
    any::Any,
    sync::Arc,
    time::{Duration, Instant},
};

use cloudware_types::{
    Class, Dimension, InstallId, InstanceId, Limit, Limits, Meter, Meters, RunChain, Slug,
    StopCause, TenantId, Waiting,
};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};

use crate::{
    Binding, DataAccess, GuestLog, InstanceMemory, MemoryMeter, Progress, Tape, UsageSink,
};

/// What the engine keeps with a run that may call other apps, or is called.
pub trait RunContext: Any + Send + Sync {
    /// See [`Invocation::depth`].
    fn depth(&self) -> u64;

    /// See [`Invocation::extension_time`].
    fn extension_time(&self) -> ExtensionTime;
}

/// Time that all hooks of a request have together.
#[derive(Clone, Copy, Debug)]
pub struct ExtensionTime {
    /// The limit that bounds it: of the class of the run with which the request began.
    pub limit: Limit,
    /// What they have had, those included that go on.
    pub used: Duration,
    /// What they may have.
    pub max: Duration,
}

/// Who runs. It comes from the route, never from the guest, and no guest-facing function takes it.
#[derive(Debug)]
pub struct Identity {
    /// The tenant that owns the instance.
    pub tenant: TenantId,
    /// The tenant's name.
    pub tenant_slug: Slug,
    /// The instance.
    pub instance: InstanceId,
    /// The instance's name within the tenant.
    pub instance_slug: Slug,
    /// The install.
    pub install: InstallId,
    /// The app.
    pub app: Slug,
    /// The version of the release that runs.
    pub version: String,
}

/// What the engine builds an [`Invocation`] from.
pub struct InvocationParts {
    /// Makes the WASI context when the guest first asks for something of it.
    pub wasi: fn(&Arc<GuestLog>) -> WasiCtx,
    /// wasi:http hooks: outbound policy, header filter, buffer sizes.
    pub http_hooks: Box<dyn WasiHttpHooks>,
    /// Who runs.
    pub identity: Arc<Identity>,
    /// Why it runs; says which limits hold.
    pub class: Class,
    /// What it may use.
    pub limits: Arc<Limits>,
    /// The capabilities bound to the install, by name.
    pub bindings: Arc<[(&'static str, Arc<dyn Binding>)]>,
    /// Where the guest's log text goes.
    pub log: Arc<GuestLog>,
    /// What the engine can see of the run from outside.
    pub progress: Arc<Progress>,
    /// What the engine itself must find again when the guest calls other apps.
    pub context: Option<Arc<dyn RunContext>>,
    /// Finds whoever decides about the use of the app's tables in the run; asked once, where the app uses tables at all.
    pub access: FindAccess,
    /// Where its host calls are noted or answered from, for one that is recorded or repeated.
    pub tape: Option<Arc<Tape>>,
    /// The invocations that wait for it to end.
    pub waiting: Waiting,
    /// What its instance has of the memory of the host.
    pub memory: Arc<InstanceMemory>,
}

/// Finds whoever decides about the use of an app's tables in a run; none where nobody does, and an error where somebody
/// does who can't be found.
pub type FindAccess = fn(&Invocation) -> wasmtime::Result<Option<Arc<dyn DataAccess>>>;

/// What is new when a warm sandbox serves again.
pub struct Renewal {
    /// What it may use this time.
    pub limits: Arc<Limits>,
    /// wasi:http hooks.
    pub http_hooks: Box<dyn WasiHttpHooks>,
    /// What the engine can see of the run from outside. Whoever waited for the run before may still look at that one's.
    pub progress: Arc<Progress>,
    /// See [`InvocationParts::context`].
    pub context: Option<Arc<dyn RunContext>>,
    /// See [`InvocationParts::waiting`].
    pub waiting: Waiting,
}

/// The data of one wasmtime store; dropped with it.
pub struct Invocation {
    /// What few guests ask for: clocks, random numbers, standard streams.
    wasi: Option<WasiCtx>,
    make_wasi: fn(&Arc<GuestLog>) -> WasiCtx,
    http: WasiHttpCtx,
    http_hooks: Box<dyn WasiHttpHooks>,
    /// Resources that the guest holds handles of.
    pub table: ResourceTable,
    /// Adds up memories and tables, and what the host holds for it; the store's limiter.
    pub memory: MemoryMeter,
    identity: Arc<Identity>,
    class: Class,
    limits: Arc<Limits>,
    bindings: Arc<[(&'static str, Arc<dyn Binding>)]>,
    opened: Vec<(&'static str, Box<dyn Any + Send>)>,
    log: Arc<GuestLog>,
    progress: Arc<Progress>,
    context: Option<Arc<dyn RunContext>>,
    access: FindAccess,
    tape: Option<Arc<Tape>>,
    waiting: Waiting,
    meters: Meters,
    usage: Option<Arc<dyn UsageSink>>,
    began: Instant,
    stop: Option<StopCause>,
    is_full: bool,
    is_head: bool,
    /// How deep the guest is in calls of the host.
    host_depth: u32,
    /// The depth of the last call that has reached a host function.
    function_depth: u32,
}

/// A limit was reached inside a host function. Returned as the error of a host function, it ends the
/// invocation; the engine finds the explanation in [`Invocation::take_stop`].
#[derive(Debug, thiserror::Error)]
#[error("the limit {limit} was reached: {used} of {max}")]
pub struct LimitReached {
    /// The limit.
    pub limit: Limit,
    /// What was used or asked for.
    pub used: u64,
    /// The limit's value.
    pub max: u64,
}

impl Invocation {
    /// A new invocation that has used nothing.
    #[must_use]
    pub fn new(parts: InvocationParts) -> Self {
        Self {
            wasi: None,
            make_wasi: parts.wasi,
            http: WasiHttpCtx::new(),
            http_hooks: parts.http_hooks,
            table: ResourceTable::new(),
            memory: MemoryMeter::new(
                parts.class,
                parts.limits.get(Dimension::Memory.of(parts.class)),
                parts.memory,
            ),
            identity: parts.identity,
            class: parts.class,
            limits: parts.limits,
            bindings: parts.bindings,
            opened: Vec::new(),
            log: parts.log,
            progress: parts.progress,
            context: parts.context,
            access: parts.access,
            tape: parts.tape,
            waiting: parts.waiting,
            meters: Meters::default(),
            usage: None,
            began: Instant::now(),
            stop: None,
            is_full: false,
            is_head: false,
            host_depth: 0,
            function_depth: 0,
        }
    }

    /// Who runs.
    #[must_use]
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// Why the invocation runs.
    #[must_use]
    pub fn class(&self) -> Class {
        self.class
    }

    /// What the invocation may use, all classes.
    #[must_use]
    pub fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    /// What the invocation may use in one dimension.
    #[must_use]
    pub fn limit(&self, dimension: Dimension) -> u64 {
        self.limits.get(dimension.of(self.class))
    }

    /// How long the invocation has run.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Where the guest's log text goes.
    #[must_use]
    pub fn log(&self) -> &Arc<GuestLog> {
        &self.log
    }

    /// What the engine can see of the run from outside.
    #[must_use]
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// What the engine keeps with the invocation, where it is of this type.
    #[must_use]
    pub fn context<C: Send + Sync + 'static>(&self) -> Option<Arc<C>> {
        let context: Arc<dyn RunContext> = Arc::clone(self.context.as_ref()?);
        let any: Arc<dyn Any + Send + Sync> = context;
        any.downcast().ok()
    }

    /// How many calls of apps and hooks lie between the request and this run.
    #[must_use]
    pub fn depth(&self) -> u64 {
        self.context.as_ref().map_or(0, |context| context.depth())
    }

    /// Time that the hooks of the request have together.
    #[must_use]
    pub fn extension_time(&self) -> ExtensionTime {
        match &self.context {
            Some(context) => context.extension_time(),
            None => ExtensionTime {
                limit: Dimension::ExtensionTime.of(self.class),
                used: Duration::ZERO,
                max: Duration::from_millis(self.limit(Dimension::ExtensionTime)),
            },
        }
    }

    /// Whoever decides about the use of the app's tables in this run; `None` where nobody does.
    ///
    /// # Errors
    /// Where somebody does who can't be found: nothing may be used then.
    pub fn access(&self) -> wasmtime::Result<Option<Arc<dyn DataAccess>>> {
        (self.access)(self)
    }

    /// Where its host calls are noted or answered from, for one that is recorded or repeated. A sandbox that has one
    /// serves once.
    #[must_use]
    pub fn tape(&self) -> Option<&Arc<Tape>> {
        self.tape.as_ref()
    }

    /// The invocation, by a number that is unique on this host while it runs, and those that wait for it. Capabilities
    /// that share something, such as a database, know one another's calls by it.
    #[must_use]
    pub fn chain(&self) -> RunChain {
        let number = Arc::as_ptr(&self.progress).addr() as u64;
        RunChain::new(number, self.waiting.clone())
    }

    /// Gives the invocation a WASI context of its own in place of the one that it would make.
    pub fn set_wasi(&mut self, wasi: WasiCtx) {
        self.wasi = Some(wasi);
    }

    /// What the invocation has used so far, fuel, CPU and memory excepted (the engine adds them).
    #[must_use]
    pub fn meters(&self) -> &Meters {
        &self.meters
    }

    /// Says where it is metered, before anything of the guest runs.
    pub fn set_usage(&mut self, usage: Arc<dyn UsageSink>) {
        self.usage = Some(usage);
    }

    /// Where it is metered: for what a capability finds to have been used after the invocation has ended. What it finds
    /// before is charged here.
    #[must_use]
    pub fn usage(&self) -> Option<&Arc<dyn UsageSink>> {
        self.usage.as_ref()
    }

    /// Counts a host call and notes its name, so that a stop can say where the guest waited.
    /// Every capability function begins with it. `name` is for example `kv.get`.
    ///
    /// # Errors
    /// [`LimitReached`] when the guest has made all the host calls it may.
    pub fn enter(&mut self, name: &'static str) -> Result<(), LimitReached> {
        self.reach_function();
        self.progress.enter(name);
        self.charge(Meter::HostCalls, Dimension::HostCalls, 1)
    }

    /// Notes that the guest has called the host: one of its functions, or what the engine does by itself for an
    /// instruction, such as the growth of a memory.
    pub fn enter_host(&mut self) {
        self.host_depth = self.host_depth.saturating_add(1);
        if self.function_depth == self.host_depth {
            self.function_depth = 0;
        }
    }

    /// Notes that the host returns to the guest from what [`Self::enter_host`] began. Whether that has reached one of
    /// its functions: each asks the invocation for something.
    pub fn leave_host(&mut self) -> bool {
        let is_function = self.function_depth > 0 && self.function_depth == self.host_depth;
        self.host_depth = self.host_depth.saturating_sub(1);
        if self.host_depth == 0 {
            self.memory.passed();
        }
        is_function
    }

    /// Notes that a host function has been reached. To be called by whatever gives host functions a part of the
    /// invocation.
    pub fn reach_function(&mut self) {
        self.function_depth = self.host_depth;
    }

    /// Notes that the host call that [`Self::enter`] began has ended.
    pub fn leave(&mut self) {
        self.progress.leave();
    }

    /// Adds `amount` to a meter that a limit of the same unit bounds.
    ///
    /// # Errors
    /// [`LimitReached`] when the meter is now above the limit; the cause is kept for the stop.
    pub fn charge(
        &mut self,
        meter: Meter,
        limit: Dimension,
        amount: u64,
    ) -> Result<(), LimitReached> {
        self.meters[meter] = self.meters[meter].saturating_add(amount);
        let (used, max) = (self.meters[meter], self.limit(limit));
        if used > max {
            return Err(self.reached(limit, used, max));
        }
        Ok(())
    }

    /// Adds database work; [`Dimension::SqlTime`] bounds it.
    ///
    /// # Errors
    /// [`LimitReached`] when the work is now longer than the limit.
    pub fn charge_sql_time(&mut self, worked: Duration) -> Result<(), LimitReached> {
        let nanoseconds = u64::try_from(worked.as_nanos()).unwrap_or(u64::MAX);
        self.meters[Meter::SqlNanoseconds] =
            self.meters[Meter::SqlNanoseconds].saturating_add(nanoseconds);
        let used = self.meters[Meter::SqlNanoseconds] / 1_000_000;
        let max = self.limit(Dimension::SqlTime);
        if used > max {
            return Err(self.reached(Dimension::SqlTime, used, max));
        }
        Ok(())
    }

    /// Adds to a meter that no limit bounds here.
    pub fn count(&mut self, meter: Meter, amount: u64) {
        self.meters[meter] = self.meters[meter].saturating_add(amount);
    }

    /// Records that a limit ended the invocation. The first cause wins: what follows is its effect.
    pub fn reached(&mut self, limit: Dimension, used: u64, max: u64) -> LimitReached {
        let limit = limit.of(self.class);
        self.stop
            .get_or_insert(StopCause::Limit { limit, used, max });
        LimitReached { limit, used, max }
    }

    /// The recorded cause of the invocation's end, from inside or outside the store.
    pub fn take_stop(&mut self) -> Option<StopCause> {
        self.stop
            .take()
            .or_else(|| self.memory.take_stop())
            .or_else(|| self.progress.stop_cause())
    }

    /// Says whether the request wants the head of the answer alone.
    pub fn set_head(&mut self, is_head: bool) {
        self.is_head = is_head;
    }

    /// Whether the request wants the head of the answer alone.
    #[must_use]
    pub fn is_head(&self) -> bool {
        self.is_head
    }

    /// Handles that the guest holds in the host's table. Takes longer where there were many.
    pub fn handles(&mut self) -> u64 {
        self.table.iter_mut().count() as u64
    }

    /// Notes that a write found no room within the instance's storage: the guest has an error that it may answer to, and
    /// people shall know of the limit whatever it says.
    pub fn note_full(&mut self) {
        self.is_full = true;
    }

    /// Whether a write found no room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// Makes the invocation ready for the next request of a warm sandbox: nothing is counted as used,
    /// and the state of capabilities is opened anew. What the guest keeps in its memory stays.
    pub fn renew(&mut self, renewal: Renewal) {
        self.limits = renewal.limits;
        self.http_hooks = renewal.http_hooks;
        self.context = renewal.context;
        self.waiting = renewal.waiting;
        self.memory.renew(self.limit(Dimension::Memory));
        self.opened.clear();
        self.meters = Meters::default();
        self.usage = None;
        self.began = Instant::now();
        self.stop = None;
        self.is_full = false;
        self.is_head = false;
        (self.host_depth, self.function_depth) = (0, 0);
        self.log.reset();
        self.progress = renewal.progress;
    }

    /// The state of a capability in this invocation, opened at the first call. `None` where the
    /// capability is not granted, which the publish check makes impossible for a linked import.
    pub fn state<S: 'static>(&mut self, capability: &'static str) -> Option<&mut S> {
        let index = match self.opened.iter().position(|(name, _)| *name == capability) {
            Some(index) => index,
            None => {
                let (_, binding) = self.bindings.iter().find(|(name, _)| *name == capability)?;
                let state = match &self.tape {
                    None => binding.open(),
                    Some(tape) => binding.open_taped(tape),
                };
                self.opened.push((capability, state));
                self.opened.len() - 1
            }
        };
        self.opened[index].1.downcast_mut()
    }
}

impl WasiView for Invocation {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.reach_function();
        let log = &self.log;
        WasiCtxView {
            ctx: self.wasi.get_or_insert_with(|| (self.make_wasi)(log)),
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for Invocation {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.reach_function();
        WasiHttpCtxView {
            hooks: &mut *self.http_hooks,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}
