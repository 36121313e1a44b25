//! Apps over HTTP.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use cloudware_control::{App, app};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Api,
    caller::Caller,
    page::{PageQuery, PageView, page},
    problem::{ApiError, Refusal},
};

/// An app of the catalog.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AppView {
    /// Its id.
    id: String,
    /// Its name, unique on the platform.
    slug: String,
    /// The provider that owns it.
    provider: String,
    /// The product that it belongs to.
    product: String,
    /// Its name for people.
    title: String,
    /// What it does.
    description: String,
    /// The newest published version; absent if all are deprecated or yanked.
    #[serde(skip_serializing_if = "Option::is_none")]
    latest: Option<String>,
    /// Since when it is here (RFC 3339).
    created_at: String,
}

impl From<App> for AppView {
    fn from(app: App) -> Self {
        Self {
            id: app.id.to_string(),
            slug: app.slug.to_string(),
            provider: app.provider.to_string(),
            product: app.product.to_string(),
            title: app.title,
            description: app.description,
            latest: app.latest.as_ref().map(ToString::to_string),
            created_at: app.created_at.to_string(),
        }
    }
}

/// List apps
#[utoipa::path(
    get, path = "/apps", tag = "catalog", params(PageQuery),
    responses((status = 200, body = PageView<AppView>), Refusal)
)]
pub(crate) async fn app_list(
    State(api): State<Api>,
    Caller(call): Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<PageView<AppView>>, ApiError> {
    page(app::list(&api.control, &call, &query.request()?).await?)
}

/// Show an app
#[utoipa::path(
    get, path = "/apps/{app}", tag = "catalog",
    params(("app" = String, Path, description = "Id or name")),
    responses((status = 200, body = AppView), Refusal)
)]
pub(crate) async fn app_get(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(name): Path<String>,
) -> Result<Json<AppView>, ApiError> {
    Ok(Json(app::get(&api.control, &call, &name).await?.into()))
}
