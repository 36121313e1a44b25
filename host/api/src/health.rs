//! Whether the control plane can work.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Api,
    problem::{ApiError, Refusal},
};

/// A control plane that can work.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthView {
    /// Always `ok`; a control plane that cannot work answers with a problem.
    status: &'static str,
    /// Version of the platform.
    version: &'static str,
}

/// Whether the control plane answers and reaches its database
#[utoipa::path(
    get, path = "/health", tag = "platform", security(()),
    responses((status = 200, body = HealthView), Refusal)
)]
pub(crate) async fn health(State(api): State<Api>) -> Result<Json<HealthView>, ApiError> {
    api.control.ready().await?;
    Ok(Json(HealthView {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
    }))
}
