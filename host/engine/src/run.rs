//! One run of a sandbox: calls the guest's HTTP handler, and when it ends, however it ends, meters what
//! it used. Dropping a run (deadline, client gone) ends the guest where it stands.

use std::{pin::Pin, sync::Arc, time::Instant};

use bytes::Bytes;
use cloudware_types::{Meter, Stop, StopCause};
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use wasmtime::Store;
use wasmtime_wasi_http::{
    Error, WasiBody, WasiHttpView,
    handler::Proxy,
    p2::bindings::http::types::{ErrorCode, Scheme},
    p3,
};

use crate::{BoundInstall, Sandbox, body::EndSignal, stop, timed::thread_cpu};

/// Where the guest's response appears; the one who drives the run looks here after each poll.
pub(crate) type ResponseSlot = Arc<Mutex<Option<Result<Response<WasiBody>, String>>>>;

/// Becomes ready when a request's body has been taken to its end.
type Transmitted = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// A run that has not ended.
pub(crate) struct Run {
    install: Arc<BoundInstall>,
    sandbox: Option<Sandbox>,
    place: Option<OwnedSemaphorePermit>,
    started: Instant,
    stopped: bool,
}

impl Run {
    pub(crate) fn new(
        install: Arc<BoundInstall>,
        sandbox: Sandbox,
        place: OwnedSemaphorePermit,
        started: Instant,
    ) -> Self {
        Self {
            install,
            sandbox: Some(sandbox),
            place: Some(place),
            started,
            stopped: true,
        }
    }

    /// Calls the handler and waits for its end. The response appears in `slot` before that.
    ///
    /// # Errors
    /// The stop, explained.
    pub(crate) async fn handle<B>(
        mut self,
        request: Request<B>,
        slot: ResponseSlot,
    ) -> Result<(), Box<Stop>>
    where
        B: Body<Data = Bytes, Error = Error> + Send + 'static,
    {
        let sandbox = self.sandbox.as_mut().expect("taken at the end only");
        sandbox.count_request();
        let called = match sandbox.start(&self.install).await {
            Ok(proxy) => match &*proxy {
                Proxy::P2(_) => call_p2(&mut sandbox.store, &proxy, request, &slot).await,
                Proxy::P3(_) => call_p3(&mut sandbox.store, &proxy, request, &slot).await,
            },
            Err(error) => Err(error),
        };
        match called {
            Ok(()) => self.succeed(),
            // A guest that ends its process after it has answered has ended normally.
            Err(error) if exited_well(&error) => {
                self.stopped = false;
                Ok(())
            }
            Err(error) => Err(stop::explain(&error, &mut sandbox.store, self.started)),
        }
    }

    fn succeed(mut self) -> Result<(), Box<Stop>> {
        let sandbox = self.sandbox.as_mut().expect("taken here only");
        if let Some(cause) = sandbox.store.data_mut().take_stop() {
            return Err(stop::stop(&self.install.identity, cause, self.started));
        }
        self.stopped = false;
        self.meter();
        if let (Some(sandbox), Some(place)) = (self.sandbox.take(), self.place.take()) {
            self.install.give_back(sandbox, place);
        }
        Ok(())
    }

    fn meter(&self) {
        let Some(sandbox) = &self.sandbox else {
            return;
        };
        let invocation = sandbox.store.data();
        let mut meters = *invocation.meters();
        meters[Meter::Requests] = 1;
        meters[Meter::Stops] = u64::from(self.stopped);
        meters[Meter::Fuel] = sandbox.fuel_used();
        meters[Meter::CpuNanoseconds] = invocation.progress().cpu_nanoseconds(thread_cpu());
        meters[Meter::MemoryPeakBytes] = invocation.memory.peak();
        meters[Meter::RequestBytes] = invocation.progress().request_bytes();
        meters[Meter::LogBytes] = invocation.log().bytes();
        self.install.usage.add(&meters);
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.meter();
    }
}

fn exited_well(error: &wasmtime::Error) -> bool {
    error
        .downcast_ref::<wasmtime_wasi::I32Exit>()
        .is_some_and(|exit| exit.0 == 0)
}

async fn call_p2<B>(
    store: &mut Store<cloudware_capability::Invocation>,
    proxy: &Proxy,
    request: Request<B>,
    slot: &ResponseSlot,
) -> wasmtime::Result<()>
where
    B: Body<Data = Bytes, Error = Error> + Send + 'static,
{
    let Proxy::P2(proxy) = proxy else {
        unreachable!("the caller matched the generation");
    };
    let mut http = store.data_mut().http();
    let request = http.new_incoming_request(Scheme::Http, request)?;
    let slot = Arc::clone(slot);
    let outparam = http.new_response_outparam_from_callback(move |result| {
        *slot.lock() = Some(result.map_err(|code: ErrorCode| format!("{code:?}")));
    })?;
    proxy
        .wasi_http_incoming_handler()
        .call_handle(store, request, outparam)
        .await
}

async fn call_p3<B>(
    store: &mut Store<cloudware_capability::Invocation>,
    proxy: &Proxy,
    request: Request<B>,
    slot: &ResponseSlot,
) -> wasmtime::Result<()>
where
    B: Body<Data = Bytes, Error = Error> + Send + 'static,
{
    let Proxy::P3(service) = proxy else {
        unreachable!("the caller matched the generation");
    };
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
                    *slot.lock() = Some(Err(format!("{code:?}")));
                    return Ok(());
                }
            };
            let response =
                accessor.with(|mut store| response.into_http(&mut store, transmitted))?;
            // The guest's tasks write the body for as long as this future is polled.
            let (ended, end) = oneshot::channel();
            let response = response.map(|body| EndSignal::new(body, ended).boxed_unsync());
            *slot.lock() = Some(Ok(response));
            let _ = end.await;
            Ok(())
        })
        .await?
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
