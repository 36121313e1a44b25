//! Whom a token speaks for.

use axum::Json;
use cloudware_control::Caller as ControlCaller;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{caller::Caller, problem::Refusal};

/// The caller as the platform knows it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WhoamiView {
    /// `operator`, `provider` or `tenant`.
    kind: &'static str,
    /// Id of the provider or tenant; absent for operators.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// The name by which the audit trail knows the caller.
    actor: String,
    /// Id of the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// Whom the token speaks for
#[utoipa::path(
    get, path = "/whoami", tag = "platform",
    responses((status = 200, body = WhoamiView), Refusal)
)]
pub(crate) async fn whoami(Caller(call): Caller) -> Json<WhoamiView> {
    let (kind, id) = match call.caller {
        ControlCaller::Operator => ("operator", None),
        ControlCaller::Provider(id) => ("provider", Some(id.to_string())),
        ControlCaller::Tenant(id) => ("tenant", Some(id.to_string())),
        ControlCaller::Nobody => ("nobody", None),
    };
    Json(WhoamiView {
        kind,
        id,
        actor: call.actor,
        token: call.token.map(|id| id.to_string()),
    })
}
