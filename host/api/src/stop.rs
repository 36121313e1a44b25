//! Stops over HTTP: why and where the host ended or refused invocations.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use cloudware_control::{Error, PageRequest, StopEntry, StopQuery, stop};
use cloudware_types::{Slug, StopCause};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    Api,
    caller::Caller,
    page::{PageView, page},
    problem::{ApiError, Refusal},
};

/// Which stops are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StopParams {
    /// Only of this tenant, by id or name.
    tenant: Option<String>,
    /// Only of this instance of the tenant, by id or name.
    instance: Option<String>,
    /// Only of this app.
    #[param(value_type = Option<String>)]
    app: Option<Slug>,
    /// Only by this limit, for example `fuel`, or of this kind: `trap`, `no-response`, `overloaded`.
    cause: Option<String>,
    /// Only what went on at this time (RFC 3339) or later.
    since: Option<String>,
    /// At most this many items, from 1 to 500; 50 if absent.
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// Stops of one kind that an install had in one minute; where they differ, the last of them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StopView {
    /// Id of the record.
    id: String,
    /// When the first of them happened (RFC 3339).
    first_at: String,
    /// When the last of them happened (RFC 3339).
    last_at: String,
    /// How many there were.
    count: u64,
    /// The tenant; absent for providers.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    /// The instance; absent for providers.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    /// Id of the install whose code ran.
    install: String,
    /// The app whose code ran.
    app: String,
    /// The version that ran.
    version: String,
    /// Why it ran: `request`, `hook` or `job`.
    class: String,
    /// The limit's name, or `trap`, `no-response` or `overloaded`.
    cause: String,
    /// The limit that was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<String>,
    /// How much was used or asked for when it was stopped, in `unit`; absent for providers where the limit is one of the
    /// whole instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<u64>,
    /// The limit's value, in `unit`; absent for providers where the limit is one of the whole instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<u64>,
    /// The unit of `used` and `max`, as in the table of limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    unit: Option<cloudware_types::Unit>,
    /// The extension point that it filled, as `app/point`; absent where it was not called as a hook.
    #[serde(skip_serializing_if = "Option::is_none")]
    hook: Option<String>,
    /// The innermost guest function that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<String>,
    /// The host call that the guest waited in; `http.request-body` or `http.response-body` where it waited for whoever asked to
    /// send or to take more, and `egress-rate` where the instance might not send more of its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    host_call: Option<String>,
    /// How long it had run, in milliseconds.
    elapsed_ms: u64,
    /// After how many milliseconds there may be room again, where time makes room; absent for providers where the limit is one of
    /// the whole instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    resets_in_ms: Option<u64>,
    /// The request that was ended; absent where none is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// The host calls that took the most time, the longest first.
    consumers: Vec<ConsumerView>,
    /// Plans under which the limit would not have been reached, the smallest first; none for providers where the limit is one of the
    /// whole instance.
    fits: Vec<String>,
    /// Present, and true, where a limit was reached because the host as a whole had more to do than it can.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_of_host: bool,
    /// What happened, in one sentence.
    explanation: String,
    /// What can be done about it.
    advice: String,
}

/// What the invocation spent on one kind of host call.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConsumerView {
    /// The host call, for example `sql.query`.
    host_call: String,
    /// How often it was called.
    calls: u64,
    /// How long the calls took together, in microseconds.
    microseconds: u64,
}

impl From<StopEntry> for StopView {
    fn from(entry: StopEntry) -> Self {
        let stop = entry.stop;
        let (limit, amounts) = match &stop.cause {
            StopCause::Limit { limit, used, max } => (Some(limit.to_string()), Some((*used, *max))),
            _ => (None, None),
        };
        let (used, max) = amounts.filter(|_| entry.says_amounts).unzip();
        let explanation = match entry.says_amounts {
            true => stop.explanation(),
            false => stop.explanation_without_amounts(),
        };
        let (tenant, instance) = entry.place.unzip();
        Self {
            id: entry.id.to_string(),
            first_at: entry.first_at.to_string(),
            last_at: entry.last_at.to_string(),
            count: entry.count,
            tenant: tenant.map(|slug| slug.to_string()),
            instance: instance.map(|slug| slug.to_string()),
            install: entry.install.to_string(),
            class: stop.class.to_string(),
            cause: stop.cause_name().to_owned(),
            limit,
            used,
            max,
            unit: stop.unit(),
            elapsed_ms: stop.elapsed_ms,
            resets_in_ms: stop.resets_in_ms,
            request_id: Some(entry.request_id).filter(|id| !id.is_empty()),
            explanation,
            advice: stop.advice(),
            app: stop.app,
            version: stop.version,
            hook: stop.hook,
            function: stop.function,
            host_call: stop.host_call,
            consumers: stop.consumers.into_iter().map(consumer).collect(),
            fits: stop.fits,
            is_of_host: stop.is_of_host,
        }
    }
}

fn consumer(consumer: cloudware_types::Consumer) -> ConsumerView {
    ConsumerView {
        host_call: consumer.host_call,
        calls: consumer.calls,
        microseconds: consumer.microseconds,
    }
}

/// List stops, newest first
///
/// One record for each kind of stop of an install in a minute. Tenants see their own; providers see those of
/// their apps, without whose they are; operators see all. Of each instance the newest thousand are kept.
#[utoipa::path(
    get, path = "/stops", tag = "stops", params(StopParams),
    responses((status = 200, body = PageView<StopView>), Refusal)
)]
pub(crate) async fn stop_list(
    State(api): State<Api>,
    Caller(call): Caller,
    Query(params): Query<StopParams>,
) -> Result<Json<PageView<StopView>>, ApiError> {
    let request = PageRequest::new(params.limit, params.after)?;
    let since = params.since.map(|text| text.parse()).transpose();
    let since = since.map_err(|error: cloudware_control::TimestampError| {
        Error::invalid("since", format!("is refused: {error}"))
    })?;
    let query = StopQuery {
        tenant: params.tenant,
        instance: params.instance,
        app: params.app,
        cause: params.cause,
        since,
    };
    page(stop::list(&api.control, &call, query, &request).await?)
}

/// Show stops of one kind, install and minute
#[utoipa::path(
    get, path = "/stops/{stop}", tag = "stops",
    params(("stop" = String, Path, description = "Id")),
    responses((status = 200, body = StopView), Refusal)
)]
pub(crate) async fn stop_get(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(id): Path<String>,
) -> Result<Json<StopView>, ApiError> {
    Ok(Json(stop::get(&api.control, &call, &id).await?.into()))
}
