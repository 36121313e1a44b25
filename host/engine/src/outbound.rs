//! Outbound HTTP of guests: refused, because no capability grants it, but for `http://<app>.internal/`, which leads
//! to another app of the same instance without leaving the host.

use std::sync::{Arc, LazyLock};

use cloudware_capability::{Progress, Tape};
use cloudware_types::{Class, Dimension, StopCause};
use http::HeaderName;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, Result, WasiBody,
    WasiHttpHooks,
};

use crate::{
    hook::CallContext,
    internal,
    limits::{BODY_CHUNK_BYTES, BODY_CHUNKS_AHEAD},
};

/// The wasi:http policy of a run of `class`. `context` is what it may call other apps with, `tape` where its host calls
/// are noted or answered from.
pub(crate) fn outbound(
    context: Option<&Arc<CallContext>>,
    tape: Option<&Arc<Tape>>,
    progress: &Arc<Progress>,
    class: Class,
) -> Box<dyn WasiHttpHooks> {
    let within = |context: &Arc<CallContext>| Within {
        context: Arc::clone(context),
        progress: Arc::clone(progress),
        class,
    };
    match (context, tape) {
        // Takes no memory.
        (None, _) => Box::new(Outbound(Denied)),
        (Some(context), None) => Box::new(Outbound(within(context))),
        (Some(context), Some(tape)) => Box::new(Outbound(Taped {
            within: within(context),
            tape: Arc::clone(tape),
        })),
    }
}

/// A policy that differs in what becomes of requests alone.
struct Outbound<S>(S);

/// Nothing may be sent.
struct Denied;

/// Other apps of the instance may be called.
struct Within {
    context: Arc<CallContext>,
    progress: Arc<Progress>,
    class: Class,
}

impl Within {
    /// Whether the run has sent more requests than it may. It ends then, whatever it makes of that.
    fn is_exhausted(&self) -> bool {
        let used = self.progress.add_outbound_call();
        let limit = Dimension::OutboundCalls.of(self.class);
        let max = self.context.install.limits.get(limit);
        if used > max {
            self.progress.stop(StopCause::Limit { limit, used, max });
        }
        used > max
    }
}

/// Other apps may be called, which no tape can hold: bodies stream in both directions.
struct Taped {
    within: Within,
    tape: Arc<Tape>,
}

/// In memory once: the constant would be put together anew for each header of each request.
static FORBIDDEN: [HeaderName; 9] = DEFAULT_FORBIDDEN_HEADERS;

static FORBIDDEN_HEADERS: LazyLock<ForbiddenHeaderFilter> =
    LazyLock::new(|| Arc::new(|name: &HeaderName| FORBIDDEN.contains(name)));

type Transmission = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = Box<dyn Future<Output = Result<(http::Response<WasiBody>, Transmission)>> + Send>;

/// What becomes of a request.
trait Destination: Send {
    fn send(&self, request: http::Request<WasiBody>) -> Sent;
}

impl Destination for Denied {
    fn send(&self, _request: http::Request<WasiBody>) -> Sent {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }
}

impl Destination for Within {
    fn send(&self, request: http::Request<WasiBody>) -> Sent {
        let Some(app) = internal::app_of(request.uri()).map(str::to_owned) else {
            return Denied.send(request);
        };
        if self.is_exhausted() {
            return Denied.send(request);
        }
        let (context, class) = (Arc::clone(&self.context), self.class);
        Box::new(async move {
            let response = internal::call(&context, class, &app, request).await;
            let transmission: Transmission = Box::new(async { Ok(()) });
            Ok((response, transmission))
        })
    }
}

impl Destination for Taped {
    fn send(&self, request: http::Request<WasiBody>) -> Sent {
        let Some(app) = internal::app_of(request.uri()) else {
            return Denied.send(request);
        };
        self.tape.end(format!(
            "it sends an HTTP request to {app}, and requests to other apps can't be recorded"
        ));
        if self.tape.replays() {
            return Denied.send(request);
        }
        self.within.send(request)
    }
}

impl<S: Destination + 'static> WasiHttpHooks for Outbound<S> {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::clone(&FORBIDDEN_HEADERS)
    }

    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        FORBIDDEN.contains(name)
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _transmission: Transmission,
    ) -> Sent {
        self.0.send(request)
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        BODY_CHUNKS_AHEAD
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK_BYTES
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK_BYTES
    }
}
