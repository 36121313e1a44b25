//! The audit trail over HTTP.

use axum::{
    Json,
    extract::{Query, State},
};
use cloudware_control::{AuditEntry, AuditQuery, PageRequest, audit};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    Api,
    caller::Caller,
    page::{PageView, page},
    problem::{ApiError, Refusal},
};

/// Which entries are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditParams {
    /// Only of this tenant, by id or name.
    tenant: Option<String>,
    /// Only on this subject, by id or name, for example `acme/main`.
    subject: Option<String>,
    /// Only this action, for example `quota.change`.
    action: Option<String>,
    /// At most this many items, from 1 to 500; 50 if absent.
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// Who did what to what, from what to what, when.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditEntryView {
    /// Its id.
    id: String,
    /// When (RFC 3339).
    at: String,
    /// `operator`, `provider`, `tenant` or `platform`.
    actor_kind: String,
    /// The name of the token that was shown.
    actor: String,
    /// The token that was shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor_token: Option<String>,
    /// What was done, as `noun.verb`.
    action: String,
    /// Name of what it was done to.
    subject: String,
    /// Id of what it was done to.
    subject_id: String,
    /// What was changed, as it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<serde_json::Value>,
    /// What was changed, as it was then.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<serde_json::Value>,
    /// Why, in the words of who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The request by which it was done.
    request_id: String,
}

impl From<AuditEntry> for AuditEntryView {
    fn from(entry: AuditEntry) -> Self {
        Self {
            id: entry.id.to_string(),
            at: entry.at.to_string(),
            actor_kind: entry.actor_kind,
            actor: entry.actor,
            actor_token: entry.actor_token.map(|id| id.to_string()),
            action: entry.action,
            subject: entry.subject,
            subject_id: entry.subject_id,
            before: entry.before,
            after: entry.after,
            reason: entry.reason,
            request_id: entry.request_id,
        }
    }
}

/// List what was done, newest first
///
/// Operators see all; providers and tenants see what was done to what is theirs.
#[utoipa::path(
    get, path = "/audit", tag = "audit", params(AuditParams),
    responses((status = 200, body = PageView<AuditEntryView>), Refusal)
)]
pub(crate) async fn audit_list(
    State(api): State<Api>,
    Caller(call): Caller,
    Query(params): Query<AuditParams>,
) -> Result<Json<PageView<AuditEntryView>>, ApiError> {
    let request = PageRequest::new(params.limit, params.after)?;
    let query = AuditQuery {
        tenant: params.tenant,
        subject: params.subject,
        action: params.action,
    };
    page(audit::list(&api.control, &call, query, &request).await?)
}
