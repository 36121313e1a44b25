//! Tenants over HTTP.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use cloudware_control::{Tenant, TenantNew, tenant};
use cloudware_types::Slug;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Api,
    caller::{Caller, to_the_end},
    page::{PageQuery, PageView, page},
    problem::{ApiError, Refusal},
    revision::Revised,
};

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TenantView {
    /// Its id.
    id: String,
    /// Its name, unique on the platform and part of its host name.
    slug: String,
    /// Its name for people.
    title: String,
    /// Its plan, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    /// `active` or `suspended`.
    state: String,
    /// Why it is suspended.
    #[serde(skip_serializing_if = "Option::is_none")]
    state_reason: Option<String>,
    /// Since when it is here (RFC 3339).
    created_at: String,
    /// Counts its changes; also its `ETag`.
    revision: u64,
}

/// A tenant to be created.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TenantCreate {
    /// Its name, unique on the platform: 1 to 30 of a-z, 0-9 and single inner hyphens.
    #[schema(value_type = String)]
    slug: Slug,
    /// Its name for people; the slug if absent.
    title: Option<String>,
    /// Its plan, by id or name; none if absent.
    plan: Option<String>,
}

/// What of a tenant is to be changed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TenantPatch {
    /// Its new name for people.
    title: String,
}

/// Which plan a tenant is to have.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TenantPlan {
    /// Id or name of the plan; null for none.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required)]
    plan: Option<String>,
    /// Why, for the audit trail and those whom it concerns.
    reason: Option<String>,
}

/// Why something is taken out of service.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reason {
    /// Shown in the audit trail and to those whom it concerns; at most 500 characters.
    pub(crate) reason: String,
}

impl From<Tenant> for TenantView {
    fn from(tenant: Tenant) -> Self {
        Self {
            id: tenant.id.to_string(),
            slug: tenant.slug.to_string(),
            state: tenant.state().to_owned(),
            title: tenant.title,
            plan: tenant.plan.map(|plan| plan.to_string()),
            state_reason: tenant.suspended,
            created_at: tenant.created_at.to_string(),
            revision: tenant.revision,
        }
    }
}

fn revised(tenant: Tenant) -> Revised<TenantView> {
    Revised::ok(tenant.revision, tenant.into())
}

/// Create a tenant
#[utoipa::path(
    post, path = "/tenants", tag = "tenants", request_body = TenantCreate,
    responses((status = 201, body = TenantView), Refusal)
)]
pub(crate) async fn tenant_create(
    State(api): State<Api>,
    Caller(call): Caller,
    Json(body): Json<TenantCreate>,
) -> Result<Revised<TenantView>, ApiError> {
    let new = TenantNew {
        slug: body.slug,
        title: body.title,
        plan: body.plan,
    };
    let created = to_the_end(async move { tenant::create(&api.control, &call, new).await }).await?;
    Ok(Revised::created(created.revision, created.into()))
}

/// List tenants
#[utoipa::path(
    get, path = "/tenants", tag = "tenants", params(PageQuery),
    responses((status = 200, body = PageView<TenantView>), Refusal)
)]
pub(crate) async fn tenant_list(
    State(api): State<Api>,
    Caller(call): Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<PageView<TenantView>>, ApiError> {
    page(tenant::list(&api.control, &call, &query.request()?).await?)
}

/// Show a tenant
#[utoipa::path(
    get, path = "/tenants/{tenant}", tag = "tenants",
    params(("tenant" = String, Path, description = "Id or name")),
    responses((status = 200, body = TenantView), Refusal)
)]
pub(crate) async fn tenant_get(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(name): Path<String>,
) -> Result<Revised<TenantView>, ApiError> {
    Ok(revised(tenant::get(&api.control, &call, &name).await?))
}

/// Change a tenant's title
#[utoipa::path(
    patch, path = "/tenants/{tenant}", tag = "tenants", request_body = TenantPatch,
    params(("tenant" = String, Path, description = "Id or name")),
    responses((status = 200, body = TenantView), Refusal)
)]
pub(crate) async fn tenant_rename(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(name): Path<String>,
    Json(body): Json<TenantPatch>,
) -> Result<Revised<TenantView>, ApiError> {
    let change = async move { tenant::rename(&api.control, &call, &name, &body.title).await };
    Ok(revised(to_the_end(change).await?))
}

/// Give a tenant a plan, or none
#[utoipa::path(
    put, path = "/tenants/{tenant}/plan", tag = "tenants", request_body = TenantPlan,
    params(("tenant" = String, Path, description = "Id or name")),
    responses((status = 200, body = TenantView), Refusal)
)]
pub(crate) async fn tenant_set_plan(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(name): Path<String>,
    Json(body): Json<TenantPlan>,
) -> Result<Revised<TenantView>, ApiError> {
    let change = async move {
        let (plan, reason) = (body.plan.as_deref(), body.reason.as_deref());
        tenant::set_plan(&api.control, &call, &name, plan, reason).await
    };
    Ok(revised(to_the_end(change).await?))
}

/// Stop serving a tenant's instances
#[utoipa::path(
    post, path = "/tenants/{tenant}/suspend", tag = "tenants", request_body = Reason,
    params(("tenant" = String, Path, description = "Id or name")),
    responses((status = 200, body = TenantView), Refusal)
)]
pub(crate) async fn tenant_suspend(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(name): Path<String>,
    Json(body): Json<Reason>,
) -> Result<Revised<TenantView>, ApiError> {
    let change = async move { tenant::suspend(&api.control, &call, &name, &body.reason).await };
    Ok(revised(to_the_end(change).await?))
}

/// Serve a suspended tenant's instances again
#[utoipa::path(
    post, path = "/tenants/{tenant}/resume", tag = "tenants",
    params(("tenant" = String, Path, description = "Id or name")),
    responses((status = 200, body = TenantView), Refusal)
)]
pub(crate) async fn tenant_resume(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(name): Path<String>,
) -> Result<Revised<TenantView>, ApiError> {
    let change = async move { tenant::resume(&api.control, &call, &name).await };
    Ok(revised(to_the_end(change).await?))
}
