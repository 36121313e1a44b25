//! One run of a sandbox: calls the guest's HTTP handler, and when it ends, however it ends, meters what
//! it used. Dropping a run (deadline, client gone) ends the guest where it stands.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use cloudware_types::{Meter, Stop, StopCause};
use http::{Request, Response, header::CONTENT_LENGTH};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::sync::oneshot;
use wasmtime::{
    AsContextMut as _, Store, StoreContextMut,
    component::{Accessor, Resource},
};
use wasmtime_wasi_http::{
    Error, WasiBody, WasiHttpView,
    handler::{Proxy, ProxyPre},
    p2::{
        self,
        bindings::http::types::{ErrorCode, Scheme},
        body::HostOutgoingBody,
        types::HostIncomingRequest,
    },
    p3,
};

use crate::{
    BoundInstall, Sandbox,
    admission::SandboxPlace,
    bodiless::{has_no_body, take_length},
    body::EndSignal,
    clock::thread_moment,
    hook::{CallContext, Ended},
    near::{self, Unmetered},
    serve::RequestId,
    stop,
    task::Task,
};

/// Becomes ready when a request's body has been taken to its end.
type Transmitted = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// A run that has not ended.
pub(crate) struct Run {
    install: Arc<BoundInstall>,
    task: Arc<Task>,
    sandbox: Option<Sandbox>,
    place: Option<SandboxPlace>,
    started: Instant,
    request_id: RequestId,
    stopped: bool,
    /// What it calls others with, where it may.
    context: Option<Arc<CallContext>>,
    /// How it ended, for the trace.
    outcome: &'static str,
}

/// What a [`Run`] is made from.
pub(crate) struct RunParts {
    pub(crate) install: Arc<BoundInstall>,
    pub(crate) task: Arc<Task>,
    pub(crate) sandbox: Sandbox,
    pub(crate) place: SandboxPlace,
    pub(crate) started: Instant,
    pub(crate) request_id: RequestId,
    pub(crate) context: Option<Arc<CallContext>>,
}

/// What the guest is asked, as its generation of WASI takes it.
pub(crate) enum Asked {
    P2(wasmtime::Result<Resource<HostIncomingRequest>>),
    P3(Box<Request<WasiBody>>),
}

impl Asked {
    /// Hands a request over to a sandbox of `install`. A future that held it whole would be moved about with it.
    pub(crate) fn new<B>(install: &BoundInstall, sandbox: &mut Sandbox, request: Request<B>) -> Self
    where
        B: Body<Data = Bytes, Error = Error> + Send + 'static,
    {
        if let Some(ProxyPre::P3(_)) = install.code.proxy {
            return Self::P3(Box::new(request.map(|body| body.boxed_unsync())));
        }
        let mut http = sandbox.store.data_mut().http();
        Self::P2(http.new_incoming_request(Scheme::Http, request))
    }
}

impl Run {
    pub(crate) fn new(mut parts: RunParts) -> Self {
        let usage = Arc::clone(&parts.install.usage);
        parts.sandbox.store.data_mut().set_usage(usage);
        Self {
            install: parts.install,
            task: parts.task,
            sandbox: Some(parts.sandbox),
            place: Some(parts.place),
            started: parts.started,
            request_id: parts.request_id,
            stopped: true,
            context: parts.context,
            outcome: "cancelled",
        }
    }

    /// Calls the handler and waits for its end. The task has the response before that.
    ///
    /// # Errors
    /// The stop, explained.
    pub(crate) async fn handle(mut self, asked: Asked) -> Result<(), Box<Stop>> {
        let sandbox = self.sandbox.as_mut().expect("taken at the end only");
        sandbox.count_request();
        let called = match sandbox.start(&self.install).await {
            Ok(proxy) => match (&*proxy, asked) {
                (Proxy::P2(proxy), Asked::P2(request)) => {
                    call_p2(&mut sandbox.store, proxy, request, &self.task).await
                }
                (Proxy::P3(service), Asked::P3(request)) => {
                    call_p3(&mut sandbox.store, service, *request, &self.task).await
                }
                _ => unreachable!("both are of the component's generation"),
            },
            Err(error) => Err(error),
        };
        match called {
            Ok(()) => self.succeed(),
            // A guest that ends its process after it has answered has ended normally.
            Err(error) if exited_well(&error) && !left_unfinished(&mut sandbox.store) => {
                self.stopped = false;
                self.outcome = "ok";
                Ok(())
            }
            Err(error) => {
                let stop = stop::explain(&error, &mut sandbox.store, self.started);
                self.outcome = stop.cause_name();
                Err(stop)
            }
        }
    }

    fn succeed(mut self) -> Result<(), Box<Stop>> {
        let sandbox = self.sandbox.as_mut().expect("taken here only");
        let cause = sandbox.store.data_mut().take_stop().or_else(|| {
            left_unfinished(&mut sandbox.store).then(|| StopCause::NoResponse {
                message: "the handler returned without finishing the response body".to_owned(),
            })
        });
        if let Some(cause) = cause {
            let stop = stop::stop(&self.install.identity, cause, self.started);
            self.outcome = stop.cause_name();
            return Err(stop);
        }
        self.stopped = false;
        self.outcome = "ok";
        self.meter();
        if let (Some(sandbox), Some(place)) = (self.sandbox.take(), self.place.take()) {
            self.install.give_back(sandbox, place);
        }
        Ok(())
    }

    fn meter(&mut self) {
        let Some(sandbox) = &mut self.sandbox else {
            return;
        };
        let wall = self.started.elapsed();
        let handles = sandbox.store.data_mut().handles();
        let invocation = sandbox.store.data();
        let mut meters = *invocation.meters();
        meters[Meter::Requests] = 1;
        meters[Meter::Fuel] = sandbox.fuel_used();
        let progress = invocation.progress();
        progress.cpu_leave(thread_moment);
        meters[Meter::CpuNanoseconds] = progress.cpu_own();
        meters[Meter::MemoryPeakBytes] = invocation.memory.peak();
        meters[Meter::MemoryByteMilliseconds] = byte_milliseconds(invocation.memory.peak(), wall);
        meters[Meter::RequestBytes] = invocation.progress().request_bytes();
        meters[Meter::OutboundCalls] = invocation.progress().outbound_calls();
        meters[Meter::LogBytes] = invocation.log().finish();
        meters[Meter::LogBytesLost] = invocation.log().lost();
        let mut rest = meters;
        let metered = self.task.metered();
        rest[Meter::Fuel] = rest[Meter::Fuel].saturating_sub(metered.fuel);
        rest[Meter::CpuNanoseconds] =
            rest[Meter::CpuNanoseconds].saturating_sub(metered.cpu_nanoseconds);
        self.install.usage.add(&rest);
        let class = invocation.class();
        let limits = &self.install.limits;
        let storage = invocation.is_full().then(|| {
            self.install
                .storage_was_full(self.started, class, &self.request_id)
        });
        let context = self.context.as_ref();
        let unmetered = Unmetered {
            wall,
            handles,
            depth: context.map_or(0, |context| context.path.depth()),
            hooks: context.map_or(Duration::ZERO, |context| context.hooks_time()),
        };
        self.task
            .note_near(near::of_run(&meters, unmetered, limits, class).chain(storage));
        let others = self
            .context
            .as_ref()
            .map_or(0, |context| context.totals.memory());
        self.task.held(others.max(meters[Meter::MemoryPeakBytes]));
        // Nobody is stopped any more by a window that this run has emptied; the next one is.
        let nested = self
            .context
            .as_ref()
            .map_or(0, |context| context.totals.fuel());
        let burned = meters[Meter::Fuel].saturating_add(nested);
        let rest = burned.saturating_sub(self.task.fuel_counted());
        let _ = self.install.admission.burn(rest);
        if let Some(context) = &self.context {
            let ended = Ended {
                outcome: self.outcome.into(),
                wall,
                cpu_nanoseconds: meters[Meter::CpuNanoseconds],
                fuel: meters[Meter::Fuel],
                memory_bytes: meters[Meter::MemoryPeakBytes],
            };
            context.composition.end(context.span, ended);
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.stopped {
            self.task.break_off();
        }
        self.meter();
    }
}

/// Bytes held for a time; most runs are shorter than a millisecond, so that the time is not rounded first.
pub(crate) fn byte_milliseconds(bytes: u64, held: Duration) -> u64 {
    let product = u128::from(bytes) * held.as_micros() / 1_000;
    u64::try_from(product).unwrap_or(u64::MAX)
}

/// Whether a response body was neither finished nor dropped. WASI calls such a body corrupted; it would look
/// whole to the client when the sandbox goes.
fn left_unfinished(store: &mut Store<cloudware_capability::Invocation>) -> bool {
    let mut resources = store.data_mut().table.iter_mut();
    resources.any(|resource| resource.is::<HostOutgoingBody>())
}

fn exited_well(error: &wasmtime::Error) -> bool {
    error
        .downcast_ref::<wasmtime_wasi::I32Exit>()
        .is_some_and(|exit| exit.0 == 0)
}

async fn call_p2(
    store: &mut Store<cloudware_capability::Invocation>,
    proxy: &p2::bindings::Proxy,
    request: wasmtime::Result<Resource<HostIncomingRequest>>,
    task: &Arc<Task>,
) -> wasmtime::Result<()> {
    let request = request?;
    let mut http = store.data_mut().http();
    let task = Arc::clone(task);
    let outparam = http.new_response_outparam_from_callback(move |result| {
        task.answer(result.map_err(|code: ErrorCode| format!("{code:?}")));
    })?;
    proxy
        .wasi_http_incoming_handler()
        .call_handle(store, request, outparam)
        .await
}

async fn call_p3(
    store: &mut Store<cloudware_capability::Invocation>,
    service: &p3::bindings::Service,
    request: Request<WasiBody>,
    task: &Arc<Task>,
) -> wasmtime::Result<()> {
    store
        .run_concurrent(async |accessor| -> wasmtime::Result<()> {
            let (request, transmitted) = accessor.with(|mut store| {
                let hooks = store.get().http().hooks;
                let (request, transmitted) = p3::Request::from_http(hooks, request);
                (request, Box::pin(transmitted) as Transmitted)
            });
            let response = match service.handle(accessor, request).await? {
                Ok(response) => response,
                Err(code) => {
                    task.answer(Err(format!("{code:?}")));
                    at_rest(accessor).await;
                    return Ok(());
                }
            };
            let response = accessor
                .with(|mut store| into_http(response, store.as_context_mut(), transmitted))?;
            // The guest's tasks write the body for as long as this future is polled.
            let (ended, end) = oneshot::channel();
            let response = response.map(|body| EndSignal::new(body, ended).boxed_unsync());
            task.answer(Ok(response));
            let _ = end.await;
            at_rest(accessor).await;
            Ok(())
        })
        .await?
}

/// Waits for all tasks of the guest, which may do something behind its answer: what is left over would go on in
/// the next request of a warm sandbox, and at its expense.
async fn at_rest<T: 'static>(accessor: &Accessor<T>) {
    poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
}

/// The response as it is sent.
fn into_http(
    mut response: p3::Response,
    mut store: StoreContextMut<'_, cloudware_capability::Invocation>,
    transmitted: Transmitted,
) -> wasmtime::Result<Response<WasiBody>> {
    let invocation = store.data_mut();
    let length = match has_no_body(invocation.is_head(), response.status) {
        true => take_length(&mut response.headers, invocation.http().hooks),
        false => None,
    };
    let mut response = response.into_http(store, transmitted)?;
    if let Some(length) = length {
        response.headers_mut().insert(CONTENT_LENGTH, length);
    }
    Ok(response)
}

/// The cause for a guest that returned without a response, or with one that it marked as failed.
pub(crate) fn no_response(message: Option<String>) -> StopCause {
    StopCause::NoResponse {
        message: message.map_or_else(
            || "the handler returned without setting a response".to_owned(),
            |code| format!("the handler answered with the error {code}"),
        ),
    }
}
