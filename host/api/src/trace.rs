//! Traces over HTTP: what composed requests were made of.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use cloudware_control::{PageRequest, TraceEntry, TraceQuery, trace};
use cloudware_types::Span;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    Api,
    caller::Caller,
    page::{PageView, page},
    problem::{ApiError, Refusal},
};

/// Which traces are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TraceParams {
    /// Only of this tenant, by id or name.
    tenant: Option<String>,
    /// Only of this instance of the tenant, by id or name.
    instance: Option<String>,
    /// At most this many items, from 1 to 500; 50 if absent.
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// One composed request: an app that asked hooks or called other apps.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TraceView {
    /// The request's id, which its caller was given as `x-request-id`.
    request_id: String,
    /// When it began (RFC 3339).
    began_at: String,
    /// The tenant.
    tenant: String,
    /// The instance.
    instance: String,
    /// Wall time of the whole, in microseconds.
    wall_us: u64,
    /// Fuel of all together.
    fuel: u64,
    /// Processor time of all together, in microseconds.
    cpu_us: u64,
    /// What ran, in the order of beginning; the first is the app that the request was for.
    spans: Vec<SpanView>,
    /// Spans that were left out because there were too many.
    omitted: u64,
}

/// One run within a composed request. What it used is its own; what it called has spans of their own.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SpanView {
    /// Index of the span that called it; absent for the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<u32>,
    /// The app, or the webhook's name.
    app: String,
    /// The release's version; absent for a webhook.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// The extension point that it filled, as `app/point`; absent for apps.
    #[serde(skip_serializing_if = "Option::is_none")]
    point: Option<String>,
    /// The function or the request, for example `allocate` or `GET /stock`.
    call: String,
    /// How it ended: `ok`, `refused` by a hook whose answer is a refusal, or the name of what stopped it.
    outcome: String,
    /// Whether it ran only to be compared.
    shadow: bool,
    /// When it began, in microseconds since the request did.
    began_us: u64,
    /// Wall time in microseconds, with what it called.
    wall_us: u64,
    /// Processor time inside its own sandbox, in microseconds.
    cpu_us: u64,
    /// Fuel of its own.
    fuel: u64,
    /// Its part of the fuel of all, in percent.
    fuel_percent: f64,
    /// The largest memory of its sandbox, in bytes.
    memory_bytes: u64,
}

impl From<TraceEntry> for TraceView {
    fn from(entry: TraceEntry) -> Self {
        let spans = entry.trace.spans;
        let sum = |of: fn(&Span) -> u64| spans.iter().map(of).sum::<u64>();
        let (fuel, cpu_us) = (sum(|span| span.fuel), sum(|span| span.cpu_us));
        let wall_us = spans.first().map_or(0, |span| span.wall_us);
        Self {
            request_id: entry.trace.request_id,
            began_at: entry.began_at.to_string(),
            tenant: entry.tenant.to_string(),
            instance: entry.instance.to_string(),
            wall_us,
            fuel,
            cpu_us,
            spans: spans.into_iter().map(|span| shown(span, fuel)).collect(),
            omitted: entry.trace.omitted,
        }
    }
}

fn shown(span: Span, fuel: u64) -> SpanView {
    // Two decimals are more than a person reads.
    let percent = match fuel {
        0 => 0.0,
        fuel => (span.fuel as f64 * 10_000.0 / fuel as f64).round() / 100.0,
    };
    SpanView {
        parent: span.parent,
        app: span.app,
        version: Some(span.version).filter(|version| !version.is_empty()),
        point: span.point,
        call: span.call,
        outcome: span.outcome,
        shadow: span.shadow,
        began_us: span.began_us,
        wall_us: span.wall_us,
        cpu_us: span.cpu_us,
        fuel: span.fuel,
        fuel_percent: percent,
        memory_bytes: span.memory_bytes,
    }
}

/// List composed requests, newest first
///
/// A sample of the requests in which apps asked hooks or called each other, with what each part took. Tenants see
/// their own; operators see all. Of each instance the newest are kept.
#[utoipa::path(
    get, path = "/traces", tag = "traces", params(TraceParams),
    responses((status = 200, body = PageView<TraceView>), Refusal)
)]
pub(crate) async fn trace_list(
    State(api): State<Api>,
    Caller(call): Caller,
    Query(params): Query<TraceParams>,
) -> Result<Json<PageView<TraceView>>, ApiError> {
    let request = PageRequest::new(params.limit, params.after)?;
    let query = TraceQuery {
        tenant: params.tenant,
        instance: params.instance,
    };
    page(trace::list(&api.control, &call, query, &request).await?)
}

/// Show what a composed request was made of
#[utoipa::path(
    get, path = "/traces/{request}", tag = "traces",
    params(("request" = String, Path, description = "Id of the request, its x-request-id")),
    responses((status = 200, body = TraceView), Refusal)
)]
pub(crate) async fn trace_get(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(id): Path<String>,
) -> Result<Json<TraceView>, ApiError> {
    Ok(Json(trace::get(&api.control, &call, &id).await?.into()))
}
