//! Providers over HTTP.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use cloudware_control::{Provider, ProviderNew, provider};
use cloudware_types::Slug;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Api,
    caller::{Caller, to_the_end},
    page::{PageQuery, PageView, page},
    problem::{ApiError, Refusal},
};

/// A provider.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProviderView {
    /// Its id.
    id: String,
    /// Its name, unique on the platform.
    slug: String,
    /// Its name for people.
    title: String,
    /// Since when it is here (RFC 3339).
    created_at: String,
}

/// A provider to be created.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProviderCreate {
    /// Its name, unique on the platform: 1 to 30 of a-z, 0-9 and single inner hyphens.
    #[schema(value_type = String)]
    slug: Slug,
    /// Its name for people; the slug if absent.
    title: Option<String>,
}

impl From<Provider> for ProviderView {
    fn from(provider: Provider) -> Self {
        Self {
            id: provider.id.to_string(),
            slug: provider.slug.to_string(),
            title: provider.title,
            created_at: provider.created_at.to_string(),
        }
    }
}

/// Create a provider
#[utoipa::path(
    post, path = "/providers", tag = "providers", request_body = ProviderCreate,
    responses((status = 201, body = ProviderView), Refusal)
)]
pub(crate) async fn provider_create(
    State(api): State<Api>,
    Caller(call): Caller,
    Json(body): Json<ProviderCreate>,
) -> Result<(StatusCode, Json<ProviderView>), ApiError> {
    let new = ProviderNew {
        slug: body.slug,
        title: body.title,
    };
    let created =
        to_the_end(async move { provider::create(&api.control, &call, new).await }).await?;
    Ok((StatusCode::CREATED, Json(created.into())))
}

/// List providers
#[utoipa::path(
    get, path = "/providers", tag = "providers", params(PageQuery),
    responses((status = 200, body = PageView<ProviderView>), Refusal)
)]
pub(crate) async fn provider_list(
    State(api): State<Api>,
    Caller(call): Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<PageView<ProviderView>>, ApiError> {
    page(provider::list(&api.control, &call, &query.request()?).await?)
}

/// Show a provider
#[utoipa::path(
    get, path = "/providers/{provider}", tag = "providers",
    params(("provider" = String, Path, description = "Id or name")),
    responses((status = 200, body = ProviderView), Refusal)
)]
pub(crate) async fn provider_get(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(name): Path<String>,
) -> Result<Json<ProviderView>, ApiError> {
    Ok(Json(
        provider::get(&api.control, &call, &name).await?.into(),
    ))
}
