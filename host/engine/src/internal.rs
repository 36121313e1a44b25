//! Requests of one app to another of the same instance, `http://<app>.internal/…`: no socket, the called app's own
//! sandbox, limits and meters, and a span in the trace of the request that it belongs to. Only apps that the
//! caller's manifest names among its dependencies can be called.

use std::sync::Arc;

use bytes::Bytes;
use cloudware_types::{Class, Dimension};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full};
use serde_json::json;
use wasmtime_wasi_http::{Error, WasiBody};

use crate::hook::{CallContext, SpanStart, Who};

/// Ends the host names of apps as other apps of the instance call them.
const SUFFIX: &str = ".internal";

/// Tells the called app who calls. Nobody but the host can set it.
const CALLER: HeaderName = HeaderName::from_static("x-cloudware-caller");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED: [&str; 6] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-cloudware-caller",
];

/// The app that an address means, if it is one inside the instance.
pub(crate) fn app_of(uri: &Uri) -> Option<&str> {
    if uri.scheme_str() != Some("http") || uri.port_u16().is_some_and(|port| port != 80) {
        return None;
    }
    uri.host()?.strip_suffix(SUFFIX)
}

/// Sends a request of a run of `class` to an app and returns its response, or one that says why there is none.
pub(crate) async fn call(
    context: &Arc<CallContext>,
    class: Class,
    app: &str,
    mut request: Request<WasiBody>,
) -> Response<WasiBody> {
    let caller = &context.install.identity;
    let own = context.peers.get(caller.install);
    if !own.is_some_and(|peer| peer.depends_on(app)) {
        let message = format!(
            "{} may not call {app}: it is not among the [dependencies] of its manifest",
            caller.app
        );
        return problem(StatusCode::FORBIDDEN, "not-a-dependency", &message);
    }
    let Some(callee) = context.peers.by_app(app) else {
        let message = format!("{app} is not served in this instance at the moment");
        return problem(StatusCode::SERVICE_UNAVAILABLE, "not-served", &message);
    };
    let limit = Dimension::Recursion.of(class);
    let depth_max = context.install.limits.get(limit);
    if context.path.depth() >= depth_max {
        context.too_deep(class, depth_max);
        let message = format!("apps call each other {depth_max} deep, which is the limit {limit}");
        return problem(StatusCode::LOOP_DETECTED, "recursion", &message);
    }
    if context.path.has_install(callee.identity.install) {
        let message = format!(
            "{app} runs for this request already: {} called back",
            caller.app
        );
        return problem(StatusCode::LOOP_DETECTED, "recursion", &message);
    }
    let span = context.composition.span(SpanStart {
        parent: context.span,
        who: Who::Install(Arc::clone(callee)),
        point: None,
        call: format!("{} {}", request.method(), request.uri().path()).into(),
        shadow: false,
    });
    let nested = context.apart(callee, span, Arc::clone(&context.time));
    rewrite(&mut request, context, app);
    match callee.serve_within(request, nested).await {
        Ok(response) => response.map(|body| {
            let broken =
                |stop: Box<cloudware_types::Stop>| Error::InternalError(Some(stop.explanation()));
            body.map_err(broken).boxed_unsync()
        }),
        Err(stop) => {
            let status = StatusCode::from_u16(stop.http_status());
            let status = status.unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            problem(status, stop.kind(), &stop.explanation())
        }
    }
}

/// The request as the called app sees it: its path alone, and headers that only the host may set.
fn rewrite(request: &mut Request<WasiBody>, context: &CallContext, app: &str) {
    let path = request.uri().path_and_query().cloned();
    let mut parts = http::uri::Parts::default();
    parts.path_and_query = path.or_else(|| "/".parse().ok());
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    let headers = request.headers_mut();
    for name in FORWARDED {
        headers.remove(name);
    }
    if let Ok(host) = HeaderValue::try_from(format!("{app}{SUFFIX}")) {
        headers.insert(header::HOST, host);
    }
    if let Ok(caller) = HeaderValue::from_str(context.install.identity.app.as_str()) {
        headers.insert(CALLER, caller);
    }
    if let Ok(id) = HeaderValue::from_str(context.composition.request_id().as_str()) {
        headers.insert(REQUEST_ID, id);
    }
}

/// A response of the host's own (RFC 9457).
fn problem(status: StatusCode, kind: &str, detail: &str) -> Response<WasiBody> {
    let body = json!({
        "type": format!("/problems/{kind}"),
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": detail,
    });
    let body = Full::new(Bytes::from(body.to_string()));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
