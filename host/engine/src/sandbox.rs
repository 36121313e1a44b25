//! A sandbox: one component instantiated in a store of its own, with everything it may use and nothing else.

use std::sync::Arc;

use cloudware_capability::{GuestLog, Invocation, InvocationParts, LogLevel, Progress};
use cloudware_types::{Class, Dimension, Limits};
use wasmtime::Store;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi_http::{WasiHttpView, handler::Proxy};

use crate::{
    BoundInstall,
    limits::{HEADER_BYTES_MAX, HOST_CALL_BYTES_MAX, RANDOM_BYTES_MAX},
    outbound::OutboundDenied,
    stdio::LogStream,
};

/// One instantiated component.
pub struct Sandbox {
    pub(crate) store: Store<Invocation>,
    pub(crate) proxy: Option<Arc<Proxy>>,
    pub(crate) fuel: u64,
    fuel_yield_interval: u64,
    served: u32,
}

impl Sandbox {
    /// A store for one invocation of `install`; nothing of the guest has run yet.
    pub(crate) fn new(install: &BoundInstall) -> wasmtime::Result<Self> {
        let limits = &install.limits;
        let log = Arc::new(GuestLog::new(
            Arc::clone(&install.identity),
            Arc::clone(&install.log),
            limits.get(Dimension::LogBytes),
        ));
        let stream = |level| LogStream {
            log: Arc::clone(&log),
            level,
        };
        let wasi = WasiCtxBuilder::new()
            .stdout(stream(LogLevel::Info))
            .stderr(stream(LogLevel::Warn))
            .max_random_size(RANDOM_BYTES_MAX)
            .allow_tcp(false)
            .allow_udp(false)
            .build();
        let invocation = Invocation::new(InvocationParts {
            wasi,
            http_hooks: Box::new(OutboundDenied),
            identity: Arc::clone(&install.identity),
            class: Class::Request,
            limits: Arc::clone(limits),
            bindings: Arc::clone(&install.bindings),
            log,
            progress: Arc::new(Progress::default()),
        });
        let mut store = Store::new(install.code.engine(), invocation);
        store.limiter(|invocation| &mut invocation.memory);
        store.set_hostcall_fuel(HOST_CALL_BYTES_MAX);
        let handles = usize::try_from(limits.get(Dimension::Handles)).unwrap_or(usize::MAX);
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
            fuel: 0,
            fuel_yield_interval: install.fuel_yield_interval,
            served: 0,
        };
        sandbox.refuel(limits)?;
        Ok(sandbox)
    }

    /// A sandbox of `install` with its component instantiated, for measuring what that costs.
    ///
    /// # Errors
    /// What the engine says when the component's own start fails.
    pub async fn instantiate(install: &BoundInstall) -> wasmtime::Result<Self> {
        let mut sandbox = Self::new(install)?;
        sandbox.start(install).await?;
        Ok(sandbox)
    }

    /// Instantiates the component, unless this sandbox is a warm one.
    pub(crate) async fn start(&mut self, install: &BoundInstall) -> wasmtime::Result<Arc<Proxy>> {
        if let Some(proxy) = &self.proxy {
            return Ok(Arc::clone(proxy));
        }
        let proxy = Arc::new(
            install
                .code
                .proxy
                .instantiate_async(&mut self.store)
                .await?,
        );
        self.proxy = Some(Arc::clone(&proxy));
        Ok(proxy)
    }

    /// Makes a warm sandbox ready for its next request.
    pub(crate) fn renew(&mut self, limits: &Arc<Limits>) -> wasmtime::Result<()> {
        self.store.data_mut().renew(Arc::clone(limits));
        self.refuel(limits)
    }

    fn refuel(&mut self, limits: &Limits) -> wasmtime::Result<()> {
        self.fuel = limits.get(Dimension::Fuel);
        self.store.set_fuel(self.fuel)?;
        self.store
            .fuel_async_yield_interval(Some(self.fuel_yield_interval))
    }

    /// Notes that one more request has been served.
    pub(crate) fn count_request(&mut self) {
        self.served += 1;
    }

    /// Requests served so far.
    pub(crate) fn served(&self) -> u32 {
        self.served
    }

    /// Fuel consumed since it was last filled.
    pub(crate) fn fuel_used(&self) -> u64 {
        self.fuel - self.store.get_fuel().unwrap_or(0).min(self.fuel)
    }
}
