//! Plans over HTTP. What a plan sets is at `/plans/{plan}/quota`.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use cloudware_control::{Plan, PlanNew, plan};
use cloudware_types::Slug;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    Api,
    caller::{Caller, to_the_end},
    page::{PageQuery, PageView, page},
    problem::{ApiError, Refusal},
};

/// A named set of quotas.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlanView {
    /// Its id.
    id: String,
    /// Its name, unique on the platform.
    slug: String,
    /// Its name for people.
    title: String,
    /// How many tenants have it; for operators only.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenants: Option<u64>,
    /// Since when it is here (RFC 3339).
    created_at: String,
}

/// A plan to be created.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanCreate {
    /// Its name, unique on the platform: 1 to 30 of a-z, 0-9 and single inner hyphens.
    #[schema(value_type = String)]
    slug: Slug,
    /// Its name for people; the slug if absent.
    title: Option<String>,
}

/// Why a plan is deleted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PlanDelete {
    /// Shown in the audit trail; at most 500 characters.
    reason: Option<String>,
}

impl From<Plan> for PlanView {
    fn from(plan: Plan) -> Self {
        Self {
            id: plan.id.to_string(),
            slug: plan.slug.to_string(),
            title: plan.title,
            tenants: plan.tenants,
            created_at: plan.created_at.to_string(),
        }
    }
}

/// Create a plan
#[utoipa::path(
    post, path = "/plans", tag = "plans", request_body = PlanCreate,
    responses((status = 201, body = PlanView), Refusal)
)]
pub(crate) async fn plan_create(
    State(api): State<Api>,
    Caller(call): Caller,
    Json(body): Json<PlanCreate>,
) -> Result<(StatusCode, Json<PlanView>), ApiError> {
    let new = PlanNew {
        slug: body.slug,
        title: body.title,
    };
    let created = to_the_end(async move { plan::create(&api.control, &call, new).await }).await?;
    Ok((StatusCode::CREATED, Json(created.into())))
}

/// List plans
#[utoipa::path(
    get, path = "/plans", tag = "plans", params(PageQuery),
    responses((status = 200, body = PageView<PlanView>), Refusal)
)]
pub(crate) async fn plan_list(
    State(api): State<Api>,
    Caller(call): Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<PageView<PlanView>>, ApiError> {
    page(plan::list(&api.control, &call, &query.request()?).await?)
}

/// Show a plan
#[utoipa::path(
    get, path = "/plans/{plan}", tag = "plans",
    params(("plan" = String, Path, description = "Id or name")),
    responses((status = 200, body = PlanView), Refusal)
)]
pub(crate) async fn plan_get(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(name): Path<String>,
) -> Result<Json<PlanView>, ApiError> {
    Ok(Json(plan::get(&api.control, &call, &name).await?.into()))
}

/// Delete a plan that no tenant has
#[utoipa::path(
    delete, path = "/plans/{plan}", tag = "plans",
    params(("plan" = String, Path, description = "Id or name"), PlanDelete),
    responses((status = 200, body = PlanView, description = "The plan as it was"), Refusal)
)]
pub(crate) async fn plan_delete(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(name): Path<String>,
    Query(query): Query<PlanDelete>,
) -> Result<Json<PlanView>, ApiError> {
    let change =
        async move { plan::delete(&api.control, &call, &name, query.reason.as_deref()).await };
    Ok(Json(to_the_end(change).await?.into()))
}
