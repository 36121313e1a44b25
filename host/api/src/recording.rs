//! Recordings over HTTP: calls of an install, kept with the tenant's consent so that they can run again elsewhere.

use std::time::Duration;

use axum::{
    Json,
    extract::{Path, Query, State},
};
use cloudware_control::{
    PageRequest, Recording, RecordingNew, RecordingQuery, Timestamp, recording,
};
use cloudware_types::{RecordingFile, Slug};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    Api,
    caller::{Caller, to_the_end},
    instance::InstancePath,
    page::{PageView, page},
    problem::{ApiError, Refusal},
};

/// A recording to be started.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordingStart {
    /// The app whose calls are recorded, by name. It must be enabled in the instance.
    #[schema(value_type = String)]
    app: Slug,
    /// How many calls it takes, from 1 to 200; 20 if absent.
    calls: Option<u32>,
    /// How many seconds it runs, at most a day; 600 if absent.
    seconds: Option<u64>,
    /// Names of fields whose values are replaced before anything is kept, wherever they stand.
    #[serde(default)]
    redact: Vec<String>,
    /// True if the provider of the app may see and export it.
    #[serde(default)]
    share: bool,
}

/// Which recordings are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RecordingParams {
    /// Only of this tenant, by id or name.
    tenant: Option<String>,
    /// Only of this instance of the tenant, by id or name.
    instance: Option<String>,
    /// At most this many items, from 1 to 500; 50 if absent.
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// Calls of an install that were recorded, or are.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecordingView {
    /// Its id.
    id: String,
    /// `running` or `ended`.
    state: String,
    /// Why it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_reason: Option<String>,
    /// The tenant; absent for providers.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    /// The instance; absent for providers.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    /// The app whose calls are recorded.
    app: String,
    /// How many calls it has.
    calls: u64,
    /// How many calls it takes.
    calls_max: u32,
    /// Calls that could not be recorded faithfully.
    skipped: u64,
    /// Why the last of them could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped_reason: Option<String>,
    /// Bytes of its calls.
    bytes: u64,
    /// Names of fields that are redacted, beside those that always are.
    redact: Vec<String>,
    /// Those of them that stood somewhere in its calls. A name that is missing may be written wrongly.
    redact_found: Vec<String>,
    /// Whether the provider of the app may see and export it.
    shared: bool,
    /// Since when it runs (RFC 3339).
    started_at: String,
    /// When it ended, or ends by itself (RFC 3339).
    ends_at: String,
    /// When it is removed by itself (RFC 3339).
    removed_at: String,
}

/// A recording to be run elsewhere: `cloudware replay` takes it as a file.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecordingFileView {
    /// The format and its version.
    format: String,
    /// Id of the recording.
    id: String,
    /// The app whose calls they are.
    app: String,
    /// Names of fields that were redacted, beside those that always are.
    redact: Vec<String>,
    /// The calls in order: arguments, host calls with their answers, world, limits, outcome, fuel and memory.
    calls: Vec<serde_json::Value>,
}

impl RecordingView {
    fn of(call: &cloudware_control::Call, recording: Recording) -> Self {
        let now = Timestamp::now();
        let is_provider = matches!(call.caller, cloudware_control::Caller::Provider(_));
        let place = |name: &Slug| (!is_provider).then(|| name.to_string());
        let state = match recording.is_running(now) {
            true => "running",
            false => "ended",
        };
        let ended_at = recording.ended.as_ref().map(|(at, _)| *at);
        let ends_at = ended_at.unwrap_or(recording.ends_at);
        Self {
            id: recording.id.to_string(),
            state: state.to_owned(),
            ended_reason: recording.ended_reason(now).map(ToOwned::to_owned),
            tenant: place(&recording.tenant),
            instance: place(&recording.instance),
            app: recording.app.to_string(),
            calls: recording.calls,
            calls_max: recording.calls_max,
            skipped: recording.skipped,
            started_at: recording.started_at.to_string(),
            ends_at: ends_at.to_string(),
            removed_at: recording.removed_at().to_string(),
            skipped_reason: recording.skipped_reason,
            bytes: recording.bytes,
            redact: recording.redact,
            redact_found: recording.redact_found,
            shared: recording.is_shared,
        }
    }
}

impl From<RecordingFile> for RecordingFileView {
    fn from(file: RecordingFile) -> Self {
        Self {
            format: file.format,
            id: file.id.to_string(),
            app: file.app,
            redact: file.redact,
            calls: file
                .calls
                .iter()
                .map(|call| serde_json::json!(call))
                .collect(),
        }
    }
}

/// Record the calls of an app
///
/// Records the next typed calls of the install, by the tenant or by an operator for it. What is redacted is redacted
/// before anything is kept: headers and configuration values that open something always, fields by name. Without
/// `share` the provider of the app does not learn that it exists.
#[utoipa::path(
    post, path = "/tenants/{tenant}/instances/{instance}/recordings", tag = "recordings",
    params(InstancePath), request_body = RecordingStart,
    responses((status = 201, body = RecordingView), Refusal)
)]
pub(crate) async fn recording_start(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(path): Path<InstancePath>,
    Json(body): Json<RecordingStart>,
) -> Result<(StatusCode, Json<RecordingView>), ApiError> {
    let new = RecordingNew {
        app: body.app,
        calls: body.calls,
        time: body.seconds.map(Duration::from_secs),
        redact: body.redact,
        is_shared: body.share,
    };
    let change = async move {
        let started = recording::start(&api.control, &call, path.pair(), new).await?;
        Ok(RecordingView::of(&call, started))
    };
    Ok((StatusCode::CREATED, Json(to_the_end(change).await?)))
}

/// List recordings, newest first
///
/// Tenants see their own, providers those of their apps that are shared with them, operators all.
#[utoipa::path(
    get, path = "/recordings", tag = "recordings", params(RecordingParams),
    responses((status = 200, body = PageView<RecordingView>), Refusal)
)]
pub(crate) async fn recording_list(
    State(api): State<Api>,
    Caller(call): Caller,
    Query(params): Query<RecordingParams>,
) -> Result<Json<PageView<RecordingView>>, ApiError> {
    let request = PageRequest::new(params.limit, params.after)?;
    let query = RecordingQuery {
        tenant: params.tenant,
        instance: params.instance,
    };
    let found = recording::list(&api.control, &call, query, &request).await?;
    page(found.map(|recording| RecordingView::of(&call, recording)))
}

/// Show a recording
#[utoipa::path(
    get, path = "/recordings/{recording}", tag = "recordings",
    params(("recording" = String, Path, description = "Id of the recording")),
    responses((status = 200, body = RecordingView), Refusal)
)]
pub(crate) async fn recording_get(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(id): Path<String>,
) -> Result<Json<RecordingView>, ApiError> {
    let found = recording::get(&api.control, &call, &id).await?;
    Ok(Json(RecordingView::of(&call, found)))
}

/// Export a recording with its calls
///
/// That it was exported, and by whom, is in the tenant's audit trail.
#[utoipa::path(
    get, path = "/recordings/{recording}/export", tag = "recordings",
    params(("recording" = String, Path, description = "Id of the recording")),
    responses((status = 200, body = RecordingFileView), Refusal)
)]
pub(crate) async fn recording_export(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(id): Path<String>,
) -> Result<Json<RecordingFileView>, ApiError> {
    let export = async move { recording::export(&api.control, &call, &id).await };
    Ok(Json(to_the_end(export).await?.into()))
}

/// End a recording; what it has stays
#[utoipa::path(
    post, path = "/recordings/{recording}/stop", tag = "recordings",
    params(("recording" = String, Path, description = "Id of the recording")),
    responses((status = 200, body = RecordingView), Refusal)
)]
pub(crate) async fn recording_stop(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(id): Path<String>,
) -> Result<Json<RecordingView>, ApiError> {
    let change = async move {
        let stopped = recording::stop(&api.control, &call, &id).await?;
        Ok(RecordingView::of(&call, stopped))
    };
    Ok(Json(to_the_end(change).await?))
}

/// Remove a recording with everything that it has
#[utoipa::path(
    delete, path = "/recordings/{recording}", tag = "recordings",
    params(("recording" = String, Path, description = "Id of the recording")),
    responses((status = 200, body = RecordingView), Refusal)
)]
pub(crate) async fn recording_remove(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(id): Path<String>,
) -> Result<Json<RecordingView>, ApiError> {
    let change = async move {
        let removed = recording::remove(&api.control, &call, &id).await?;
        Ok(RecordingView::of(&call, removed))
    };
    Ok(Json(to_the_end(change).await?))
}
