//! A plain wasmtime engine for `bench limits` and `bench sandbox`: the same pool and the same interfaces of WASI as the
//! host's own, and nothing that bounds a guest: no fuel, no epochs, no limiter, no bound on handles or host calls.

use std::{convert::Infallible, sync::Arc};

use anyhow::{Context as _, Result, anyhow, ensure};
use bytes::Bytes;
use cloudware_engine::{limits, pool};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use tokio::sync::oneshot;
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, Store,
    component::{Component, Linker, ResourceTable},
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
    p2::bindings::{Proxy, ProxyPre, http::types::Scheme},
};

/// Sandboxes of the pool; a bench has one at a time.
const SANDBOXES: u32 = 8;

/// A component that can be called.
pub(super) struct Plain {
    engine: Engine,
    proxy: Arc<ProxyPre<State>>,
}

/// An instance of it, which may be called again and again.
pub(super) struct PlainSandbox {
    store: Store<State>,
    proxy: Proxy,
}

/// What a guest's store holds.
struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    hooks: NoRequests,
}

/// Resolves when a request's body has been sent.
type Transmission = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// What sending a request gives.
type Sent = wasmtime_wasi_http::Result<(Response<WasiBody>, Transmission)>;

/// The guest sends no requests of its own.
struct NoRequests;

impl Plain {
    /// Compiles a component.
    pub(super) fn new(component: &[u8]) -> Result<Self> {
        let engine = Engine::new(&settings())
            .map_err(|error| anyhow!("the plain engine can't be made: {error:#}"))?;
        let build = || {
            let component = Component::from_binary(&engine, component)?;
            let mut linker = Linker::new(&engine);
            wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
            wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
            ProxyPre::new(linker.instantiate_pre(&component)?)
        };
        let proxy: wasmtime::Result<_> = build();
        let proxy = proxy.map_err(|error| anyhow!("the component can't be run: {error:#}"))?;
        Ok(Self {
            engine,
            proxy: Arc::new(proxy),
        })
    }

    /// Makes a sandbox.
    pub(super) async fn sandbox(&self) -> Result<PlainSandbox> {
        let state = State {
            wasi: WasiCtx::builder().build(),
            http: WasiHttpCtx::new(),
            table: ResourceTable::new(),
            hooks: NoRequests,
        };
        let mut store = Store::new(&self.engine, state);
        let proxy = self.proxy.instantiate_async(&mut store).await;
        let proxy = proxy.map_err(|error| anyhow!("the sandbox can't be made: {error:#}"))?;
        Ok(PlainSandbox { store, proxy })
    }

    /// Sends one request to a fresh sandbox and gives the answer's body.
    pub(super) async fn call(&self, path: &str) -> Result<Bytes> {
        self.sandbox().await?.call(path).await
    }
}

impl PlainSandbox {
    /// Sends one request to it and gives the answer's body.
    pub(super) async fn call(&mut self, path: &str) -> Result<Bytes> {
        let Self { store, proxy } = self;
        let request = Request::get(path)
            .header("host", "bench.localhost")
            .body(Empty::<Bytes>::new().map_err(no_error))?;
        let (answered, answer) = oneshot::channel();
        let call = async {
            let mut http = store.data_mut().http();
            let request = http.new_incoming_request(Scheme::Http, request)?;
            let out = http.new_response_outparam(answered)?;
            proxy
                .wasi_http_incoming_handler()
                .call_handle(store, request, out)
                .await
        };
        // The body is read while the guest writes it.
        let (called, body) = tokio::join!(call, read(answer));
        called.map_err(|error: wasmtime::Error| anyhow!("the guest failed: {error:#}"))?;
        body
    }
}

/// A body that is there already can't fail.
fn no_error(never: Infallible) -> Error {
    match never {}
}

async fn read<B, E, F>(answer: oneshot::Receiver<Result<Response<B>, F>>) -> Result<Bytes>
where
    B: http_body::Body<Data = Bytes, Error = E>,
    E: std::fmt::Debug,
    F: std::fmt::Debug,
{
    let response = answer.await.context("the guest set no response")?;
    let response = response.map_err(|error| anyhow!("the guest set an error: {error:?}"))?;
    let status = response.status();
    let body = response.into_body().collect().await;
    let body = body.map_err(|error| anyhow!("the answer broke off: {error:?}"))?;
    let body = body.to_bytes();
    ensure!(
        status.is_success(),
        "the guest answered {status}: {}",
        String::from_utf8_lossy(&body)
    );
    Ok(body)
}

/// As the host's own settings, without what bounds a guest. Stacks and memories come from a pool of the same
/// shape, so that these cost the same.
fn settings() -> Config {
    let mut settings = Config::new();
    settings.wasm_component_model(true);
    settings.concurrency_support(false);
    settings.memory_init_cow(true);
    settings.max_wasm_stack(limits::WASM_STACK_BYTES);
    settings.async_stack_size(limits::ASYNC_STACK_BYTES);
    settings.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(SANDBOXES)));
    settings
}

impl WasiHttpHooks for NoRequests {
    fn send_request(
        &mut self,
        _request: Request<WasiBody>,
        _options: Option<RequestOptions>,
        _transmission: Transmission,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.hooks,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}
