//! Apps over HTTP.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use cloudware_control::{
    App, app,
    hook::{self, AppHook},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Api,
    caller::Caller,
    hook::LastFailureView,
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

/// A hook that calls an app in one of the instances where it is installed. Whose instance that is, is not told.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AppHookView {
    /// Its id.
    id: String,
    /// The install that is called.
    install: String,
    /// The version that the install is at.
    version: String,
    /// The app that asks.
    app: String,
    /// Its extension point.
    point: String,
    /// Whether it is to be called.
    enabled: bool,
    /// `active`, or `shadow`: its result is compared and used for nothing.
    mode: &'static str,
    /// `active`, `tripped` or `probing`.
    state: &'static str,
    /// Since when (RFC 3339); absent for one that was never anything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    state_since: Option<String>,
    /// Calls that failed since the install is at this version.
    failures: u64,
    /// The last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<LastFailureView>,
    /// How often it was compared while it practised.
    compared: u64,
    /// How often it differed.
    different: u64,
}

impl From<AppHook> for AppHookView {
    fn from(hook: AppHook) -> Self {
        let observed = hook.observed;
        Self {
            id: hook.id.to_string(),
            install: hook.install.to_string(),
            version: hook.version.to_string(),
            app: hook.app.to_string(),
            point: hook.point.to_string(),
            enabled: hook.is_enabled,
            mode: hook.mode.name(),
            state: observed.state.name(),
            state_since: observed.changed_at.map(|at| at.to_string()),
            failures: observed.failures,
            last_failure: observed.last_failure.map(LastFailureView::from),
            compared: observed.compared,
            different: observed.different,
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

/// List the hooks that call an app, in all instances; for its provider and operators
#[utoipa::path(
    get, path = "/apps/{app}/hooks", tag = "catalog",
    params(("app" = String, Path, description = "Id or name"), PageQuery),
    responses((status = 200, body = PageView<AppHookView>), Refusal)
)]
pub(crate) async fn app_hooks(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(name): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<PageView<AppHookView>>, ApiError> {
    page(hook::of_app(&api.control, &call, &name, &query.request()?).await?)
}
