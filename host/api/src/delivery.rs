//! Deliveries to observers over HTTP.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use cloudware_control::{Delivery, Error, PageRequest, Timestamp, delivery};
use cloudware_types::{DeliveryRecord, DeliveryState, UnknownWord};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::{
    Api,
    caller::{Caller, to_the_end},
    instance::InstancePath,
    page::{PageView, page},
    problem::{ApiError, Refusal},
};

/// Which deliveries are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeliveryParams {
    /// Only those that are `pending`, `retrying`, `replayed`, `delivered`, `dead` or `dropped`.
    state: Option<String>,
    /// Only those of this hook, by id or name.
    hook: Option<String>,
    /// At most this many items, from 1 to 500; 50 if absent.
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// The place of a delivery.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct DeliveryPath {
    /// Id or name of the tenant.
    tenant: String,
    /// Id or name of the instance.
    instance: String,
    /// Id of the delivery.
    delivery: String,
}

/// What one hook is owed of one call of an observe point.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeliveryView {
    /// Its id, the same at every attempt.
    id: String,
    /// `pending`, `retrying`, `replayed`, `delivered`, `dead` or `dropped`.
    state: String,
    /// Id of the hook.
    hook: String,
    /// What the hook was called when the call was made.
    hook_name: String,
    /// What was called: `app/point.function`.
    event: String,
    /// Elements of the lists in the arguments.
    items: u64,
    /// The request in which the call was made.
    request_id: String,
    /// When the call was made (RFC 3339).
    created_at: String,
    /// When its state last changed (RFC 3339).
    changed_at: String,
    /// When it is tried next (RFC 3339); absent where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at: Option<String>,
    /// Attempts since the call, or since it was last replayed.
    attempts: u32,
    /// How often it was replayed.
    replays: u32,
    /// Why the last attempt failed, or why it was dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The arguments of the call by the parameters' names, as long as they are kept; in lists always absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    arguments: Option<Value>,
}

/// Which dead deliveries are to be tried again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayAll {
    /// Only those of this hook, by id or name.
    hook: Option<String>,
}

/// How many deliveries are tried again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Replayed {
    /// How many.
    replayed: u64,
}

impl From<DeliveryRecord> for DeliveryView {
    fn from(record: DeliveryRecord) -> Self {
        Self {
            id: record.id.to_string(),
            state: record.state.to_string(),
            hook: record.hook.to_string(),
            hook_name: record.hook_name,
            event: format!("{}/{}.{}", record.app, record.point, record.function),
            items: record.items,
            request_id: record.request_id,
            created_at: time(record.created_ms),
            changed_at: time(record.changed_ms),
            due_at: record.due_ms.map(time),
            attempts: record.attempts,
            replays: record.replays,
            reason: record.reason,
            arguments: None,
        }
    }
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        Self {
            arguments: delivery.arguments,
            ..delivery.record.into()
        }
    }
}

fn time(ms: u64) -> String {
    Timestamp::from_millis(i64::try_from(ms).unwrap_or(i64::MAX)).to_string()
}

/// List what hooks on observe points are owed, newest first
///
/// Dead letters are kept for 30 days, what was delivered or dropped for 7, and a thousand of each.
#[utoipa::path(
    get, path = "/tenants/{tenant}/instances/{instance}/deliveries", tag = "deliveries",
    params(InstancePath, DeliveryParams),
    responses((status = 200, body = PageView<DeliveryView>), Refusal)
)]
pub(crate) async fn delivery_list(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(path): Path<InstancePath>,
    Query(params): Query<DeliveryParams>,
) -> Result<Json<PageView<DeliveryView>>, ApiError> {
    let request = PageRequest::new(params.limit, params.after)?;
    let state = params.state.map(|word| word.parse::<DeliveryState>());
    let state = state
        .transpose()
        .map_err(|error: UnknownWord| Error::invalid("state", format!("is refused: {error}")))?;
    let wanted = (state, params.hook);
    page(delivery::list(&api.control, &call, path.pair(), wanted, &request).await?)
}

/// Show a delivery
#[utoipa::path(
    get, path = "/tenants/{tenant}/instances/{instance}/deliveries/{delivery}", tag = "deliveries",
    params(DeliveryPath),
    responses((status = 200, body = DeliveryView), Refusal)
)]
pub(crate) async fn delivery_get(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(path): Path<DeliveryPath>,
) -> Result<Json<DeliveryView>, ApiError> {
    let place = (path.tenant.as_str(), path.instance.as_str());
    let found = delivery::get(&api.control, &call, place, &path.delivery).await?;
    Ok(Json(found.into()))
}

/// Try a dead delivery again
#[utoipa::path(
    post, path = "/tenants/{tenant}/instances/{instance}/deliveries/{delivery}/replay",
    tag = "deliveries", params(DeliveryPath),
    responses((status = 200, body = DeliveryView), Refusal)
)]
pub(crate) async fn delivery_replay(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(path): Path<DeliveryPath>,
) -> Result<Json<DeliveryView>, ApiError> {
    let change = async move {
        let place = (path.tenant.as_str(), path.instance.as_str());
        delivery::replay(&api.control, &call, place, &path.delivery).await
    };
    Ok(Json(to_the_end(change).await?.into()))
}

/// Try all dead deliveries of an instance again
#[utoipa::path(
    post, path = "/tenants/{tenant}/instances/{instance}/replay-dead", tag = "deliveries",
    params(InstancePath), request_body = ReplayAll,
    responses((status = 200, body = Replayed), Refusal)
)]
pub(crate) async fn delivery_replay_all(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(path): Path<InstancePath>,
    Json(body): Json<ReplayAll>,
) -> Result<Json<Replayed>, ApiError> {
    let change =
        async move { delivery::replay_all(&api.control, &call, path.pair(), body.hook).await };
    let replayed = to_the_end(change).await?;
    Ok(Json(Replayed { replayed }))
}
