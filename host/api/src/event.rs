//! The event feed over HTTP.

use axum::{
    Json,
    extract::{Query, State},
};
use cloudware_control::{Event, EventQuery, PageRequest, event};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    Api,
    caller::Caller,
    page::{PageView, page},
    problem::{ApiError, Refusal},
};

/// Which events are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventParams {
    /// Only of this tenant, by id or name.
    tenant: Option<String>,
    /// Only of this type, for example `install.enable` or `quota.near-limit`.
    r#type: Option<String>,
    /// At most this many items, from 1 to 500; 50 if absent.
    limit: Option<u32>,
    /// The id of the last event that was seen; from the beginning if absent.
    after: Option<String>,
}

/// Something that happened.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventView {
    /// Its id, which is the cursor for what comes after it.
    id: String,
    /// When (RFC 3339).
    at: String,
    /// What, as `noun.verb`.
    r#type: String,
    /// Name of what it happened to.
    subject: String,
    /// Id of what it happened to.
    subject_id: String,
    /// More, by type. Actions have `actor`, `actor_kind`, `before`, `after`, `reason` and `request_id`;
    /// `quota.near-limit` has `app`, `limit`, `used`, `max` and `unit`; `delivery.dead`, `delivery.dropped` and
    /// `hook.gone` have `app`, `point`, `name`, `delivery`, `count` and `reason`, at most one a minute for each hook.
    data: serde_json::Value,
}

impl From<Event> for EventView {
    fn from(event: Event) -> Self {
        Self {
            id: event.id.to_string(),
            at: event.at.to_string(),
            r#type: event.kind,
            subject: event.subject,
            subject_id: event.subject_id,
            data: event.data,
        }
    }
}

/// List what happened, oldest first
///
/// To follow, ask again with the id of the last event as `after`, also when there was no `next`. Operators see
/// all; providers and tenants see what happened to what is theirs.
#[utoipa::path(
    get, path = "/events", tag = "events", params(EventParams),
    responses((status = 200, body = PageView<EventView>), Refusal)
)]
pub(crate) async fn event_list(
    State(api): State<Api>,
    Caller(call): Caller,
    Query(params): Query<EventParams>,
) -> Result<Json<PageView<EventView>>, ApiError> {
    let request = PageRequest::new(params.limit, params.after)?;
    let query = EventQuery {
        tenant: params.tenant,
        kind: params.r#type,
    };
    page(event::list(&api.control, &call, query, &request).await?)
}
