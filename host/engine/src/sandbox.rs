//! A sandbox: one component instantiated in a store of its own, with everything it may use and nothing else.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use cloudware_capability::{
    GuestLog, Invocation, InvocationParts, Progress, Renewal, StandardStream, Tape,
};
use cloudware_types::{Class, Dimension, Limits, Waiting};
use wasmtime::{
    Store,
    component::{Accessor, Instance},
};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder};
use wasmtime_wasi_http::{WasiHttpView, handler::Proxy};

use crate::{
    BoundInstall,
    clock::coarse,
    code::Wasi,
    hook::CallContext,
    host_work,
    limits::{HEADER_BYTES_MAX, HOST_CALL_BYTES_MAX, RANDOM_BYTES_MAX},
    outbound::outbound,
    stdio::LogStream,
    world::World,
};

/// One instantiated component.
pub struct Sandbox {
    pub(crate) store: Store<Invocation>,
    proxy: Option<Arc<Proxy>>,
    /// The component, where its functions are called and not its HTTP handler.
    instance: Option<Instance>,
    fuel_yield_interval: u64,
    served: u32,
}

/// What one invocation is set up with.
pub(crate) struct Setup {
    /// Why it runs.
    pub(crate) class: Class,
    /// What it may use.
    pub(crate) limits: Arc<Limits>,
    /// Fuel, which hooks are given by what they are called with.
    pub(crate) fuel: u64,
    /// What it needs to call others, where it may.
    pub(crate) context: Option<Arc<CallContext>>,
    /// Time and chance, where they are not the host's.
    pub(crate) world: Option<World>,
    /// Where its host calls are noted or answered from. Only with a world of its own.
    pub(crate) tape: Option<Arc<Tape>>,
}

impl Setup {
    /// For a request to `install`.
    pub(crate) fn request(install: &BoundInstall, context: Option<Arc<CallContext>>) -> Self {
        Self {
            class: Class::Request,
            limits: Arc::clone(&install.limits),
            fuel: install.limits.get(Dimension::Fuel),
            context,
            world: None,
            tape: None,
        }
    }
}

/// The runs that wait for the one with this context.
fn waiting(context: Option<&Arc<CallContext>>) -> Waiting {
    context
        .map(|context| context.waiting.clone())
        .unwrap_or_default()
}

impl Sandbox {
    /// A store for one invocation of `install`; nothing of the guest has run yet.
    pub(crate) fn new(install: &BoundInstall, setup: Setup) -> wasmtime::Result<Self> {
        let Setup {
            class,
            limits,
            fuel,
            context,
            world,
            tape,
        } = setup;
        let log = Arc::new(GuestLog::new(
            Arc::clone(&install.identity),
            Arc::clone(&install.log),
            class,
            limits.get(Dimension::LogBytes.of(class)),
        ));
        let waiting = waiting(context.as_ref());
        let progress = Arc::new(Progress::default());
        let invocation = Invocation::new(InvocationParts {
            wasi,
            http_hooks: outbound(context.as_ref(), tape.as_ref(), &progress, class),
            identity: Arc::clone(&install.identity),
            class,
            limits: Arc::clone(&limits),
            bindings: Arc::clone(&install.bindings),
            log,
            progress,
            context: context.map(|context| context as _),
            access: install.find_access,
            tape,
            waiting,
            memory: Arc::clone(install.admission.memory()),
        });
        let mut store = Store::new(install.code.engine(), invocation);
        if let Some(world) = world {
            let mut wasi = grants_nothing(store.data().log());
            world.give(&mut wasi);
            store.data_mut().set_wasi(wasi.build());
        }
        store.limiter(|invocation| &mut invocation.memory);
        store.set_hostcall_fuel(HOST_CALL_BYTES_MAX);
        let handles =
            usize::try_from(limits.get(Dimension::Handles.of(class))).unwrap_or(usize::MAX);
        store.data_mut().table.set_max_capacity(handles);
        store.set_max_component_handles(handles);
        store
            .data_mut()
            .http()
            .ctx
            .set_field_size_limit(HEADER_BYTES_MAX);
        let mut sandbox = Self {
            store,
            proxy: None,
            instance: None,
            fuel_yield_interval: install.fuel_yield_interval,
            served: 0,
        };
        host_work::watch(
            &mut sandbox.store,
            sandbox.fuel_yield_interval,
            install.code.is_copied_for,
        );
        sandbox.refuel(fuel)?;
        Ok(sandbox)
    }

    /// A sandbox of `install` with its component instantiated, for measuring what that costs.
    ///
    /// # Errors
    /// What the engine says when the component's own start fails.
    pub async fn instantiate(install: &BoundInstall) -> wasmtime::Result<Self> {
        let mut sandbox = Self::new(install, Setup::request(install, None))?;
        sandbox.store.data().progress().begin_slice(coarse());
        sandbox.start(install).await?;
        Ok(sandbox)
    }

    /// Instantiates the component for HTTP, unless this sandbox is a warm one.
    pub(crate) async fn start(&mut self, install: &BoundInstall) -> wasmtime::Result<Arc<Proxy>> {
        if let Some(proxy) = &self.proxy {
            return Ok(Arc::clone(proxy));
        }
        let Some(pre) = &install.code.proxy else {
            wasmtime::bail!("the component has no HTTP handler");
        };
        let proxy = Arc::new(pre.instantiate_async(&mut self.store).await?);
        self.proxy = Some(Arc::clone(&proxy));
        Ok(proxy)
    }

    /// Instantiates the component for calls of its functions, unless this sandbox is a warm one.
    pub(crate) async fn instance(&mut self, install: &BoundInstall) -> wasmtime::Result<Instance> {
        if let Some(instance) = self.instance {
            return Ok(instance);
        }
        let instance = install.code.instantiate(&mut self.store).await?;
        self.instance = Some(instance);
        Ok(instance)
    }

    /// Makes a warm sandbox ready to be used again, for an invocation of the same class.
    pub(crate) fn renew(&mut self, setup: Setup) -> wasmtime::Result<()> {
        let progress = Arc::new(Progress::default());
        let context = setup.context.as_ref();
        self.store.data_mut().renew(Renewal {
            limits: setup.limits,
            http_hooks: outbound(context, None, &progress, setup.class),
            progress,
            waiting: waiting(setup.context.as_ref()),
            context: setup.context.map(|context| context as _),
        });
        self.refuel(setup.fuel)
    }

    fn refuel(&mut self, fuel: u64) -> wasmtime::Result<()> {
        self.store.data().progress().give_fuel(fuel);
        self.store.set_fuel(fuel)?;
        self.store
            .fuel_async_yield_interval(Some(self.fuel_yield_interval))
    }

    /// Whether nothing of the guest goes on: a task that was left over would run in the next call, and at its expense.
    pub(crate) async fn is_at_rest(&mut self, install: &BoundInstall) -> bool {
        if install.code.wasi == Wasi::P2 {
            return true;
        }
        let look = async |accessor: &Accessor<Invocation>| {
            let looked = |cx: &mut Context<'_>| {
                Poll::Ready(accessor.poll_no_interesting_tasks(cx).is_ready())
            };
            poll_fn(looked).await
        };
        self.store.run_concurrent(look).await.unwrap_or(false)
    }

    /// Notes that one more request has been served.
    pub(crate) fn count_request(&mut self) {
        self.served += 1;
    }

    /// Why it runs.
    pub(crate) fn class(&self) -> Class {
        self.store.data().class()
    }

    /// Requests served so far.
    pub(crate) fn served(&self) -> u32 {
        self.served
    }

    /// Fuel that it was last filled with.
    pub(crate) fn fuel_given(&self) -> u64 {
        self.store.data().progress().fuel_given()
    }

    /// Fuel consumed since it was last filled.
    pub(crate) fn fuel_used(&self) -> u64 {
        let left = self.store.get_fuel().unwrap_or(0);
        self.fuel_given().saturating_sub(left)
    }
}

/// A WASI context that grants nothing but clocks, random numbers and a log.
fn wasi(log: &Arc<GuestLog>) -> WasiCtx {
    grants_nothing(log).build()
}

fn grants_nothing(log: &Arc<GuestLog>) -> WasiCtxBuilder {
    let stream = |stream| LogStream {
        log: Arc::clone(log),
        stream,
    };
    let mut wasi = WasiCtxBuilder::new();
    wasi.stdout(stream(StandardStream::Output))
        .stderr(stream(StandardStream::Error))
        .max_random_size(RANDOM_BYTES_MAX)
        .allow_tcp(false)
        .allow_udp(false);
    wasi
}
