//! Instances over HTTP.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use cloudware_control::{Instance, InstanceNew, instance};
use cloudware_types::Slug;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    Api,
    caller::{Caller, to_the_end},
    page::{PageQuery, PageView, page},
    problem::{ApiError, Refusal},
    revision::Revised,
    tenant::Reason,
};

/// A tenant's running copy of a product.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InstanceView {
    /// Its id.
    id: String,
    /// Its name, unique within the tenant.
    slug: String,
    /// The tenant that owns it.
    tenant: String,
    /// The product that it was made for.
    #[serde(skip_serializing_if = "Option::is_none")]
    product: Option<String>,
    /// Whether the tenant's bare host name serves it.
    default: bool,
    /// `ready` or `suspended`.
    state: String,
    /// Why it is suspended.
    #[serde(skip_serializing_if = "Option::is_none")]
    state_reason: Option<String>,
    /// Since when it is here (RFC 3339).
    created_at: String,
    /// Counts its changes; also its `ETag`.
    revision: u64,
}

/// An instance to be created.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InstanceCreate {
    /// Its name, unique within the tenant: 1 to 30 of a-z, 0-9 and single inner hyphens.
    #[schema(value_type = String)]
    slug: Slug,
    /// The product that it is made for, by name; apps of others can be enabled in it too.
    #[schema(value_type = Option<String>)]
    product: Option<Slug>,
}

/// The place of an instance.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct InstancePath {
    /// Id or name of the tenant.
    pub(crate) tenant: String,
    /// Id or name of the instance.
    pub(crate) instance: String,
}

impl InstancePath {
    pub(crate) fn pair(&self) -> (&str, &str) {
        (&self.tenant, &self.instance)
    }
}

impl From<Instance> for InstanceView {
    fn from(instance: Instance) -> Self {
        Self {
            id: instance.id.to_string(),
            slug: instance.slug.to_string(),
            tenant: instance.tenant.to_string(),
            product: instance.product.as_ref().map(ToString::to_string),
            default: instance.is_default,
            state: instance.state().to_owned(),
            state_reason: instance.suspended,
            created_at: instance.created_at.to_string(),
            revision: instance.revision,
        }
    }
}

fn revised(instance: Instance) -> Revised<InstanceView> {
    Revised::ok(instance.revision, instance.into())
}

/// Create an instance
#[utoipa::path(
    post, path = "/tenants/{tenant}/instances", tag = "instances", request_body = InstanceCreate,
    params(("tenant" = String, Path, description = "Id or name of the tenant")),
    responses((status = 201, body = InstanceView), Refusal)
)]
pub(crate) async fn instance_create(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(tenant): Path<String>,
    Json(body): Json<InstanceCreate>,
) -> Result<Revised<InstanceView>, ApiError> {
    let new = InstanceNew {
        slug: body.slug,
        product: body.product,
    };
    let change = async move { instance::create(&api.control, &call, &tenant, new).await };
    let created = to_the_end(change).await?;
    Ok(Revised::created(created.revision, created.into()))
}

/// List a tenant's instances
#[utoipa::path(
    get, path = "/tenants/{tenant}/instances", tag = "instances",
    params(("tenant" = String, Path, description = "Id or name of the tenant"), PageQuery),
    responses((status = 200, body = PageView<InstanceView>), Refusal)
)]
pub(crate) async fn instance_list(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(tenant): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<PageView<InstanceView>>, ApiError> {
    page(instance::list(&api.control, &call, &tenant, &query.request()?).await?)
}

/// Show an instance
#[utoipa::path(
    get, path = "/tenants/{tenant}/instances/{instance}", tag = "instances", params(InstancePath),
    responses((status = 200, body = InstanceView), Refusal)
)]
pub(crate) async fn instance_get(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(path): Path<InstancePath>,
) -> Result<Revised<InstanceView>, ApiError> {
    let found = instance::get(&api.control, &call, &path.tenant, &path.instance).await?;
    Ok(revised(found))
}

/// Stop serving an instance
#[utoipa::path(
    post, path = "/tenants/{tenant}/instances/{instance}/suspend", tag = "instances",
    params(InstancePath), request_body = Reason,
    responses((status = 200, body = InstanceView), Refusal)
)]
pub(crate) async fn instance_suspend(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(path): Path<InstancePath>,
    Json(body): Json<Reason>,
) -> Result<Revised<InstanceView>, ApiError> {
    let change = async move {
        let (tenant, name) = path.pair();
        instance::suspend(&api.control, &call, tenant, name, &body.reason).await
    };
    Ok(revised(to_the_end(change).await?))
}

/// Serve a suspended instance again
#[utoipa::path(
    post, path = "/tenants/{tenant}/instances/{instance}/resume", tag = "instances",
    params(InstancePath),
    responses((status = 200, body = InstanceView), Refusal)
)]
pub(crate) async fn instance_resume(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(path): Path<InstancePath>,
) -> Result<Revised<InstanceView>, ApiError> {
    let change = async move {
        let (tenant, name) = path.pair();
        instance::resume(&api.control, &call, tenant, name).await
    };
    Ok(revised(to_the_end(change).await?))
}
