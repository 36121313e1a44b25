//! Installs over HTTP.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, Query, State},
};
use cloudware_control::{EnableRequest, Install, InstallChanged, install};
use semver::Version;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    Api,
    caller::{Caller, to_the_end},
    instance::InstancePath,
    page::{PageQuery, PageView, page},
    problem::{ApiError, Refusal},
    revision::Revised,
};

/// An app enabled in an instance.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InstallView {
    /// Its id.
    id: String,
    /// The tenant.
    tenant: String,
    /// The instance.
    instance: String,
    /// The app.
    app: String,
    /// The version that is served.
    version: String,
    /// The version before, to which a rollback leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<String>,
    /// `enabled` or `disabled`.
    state: String,
    /// `published`, `deprecated` or `yanked`; an install of a yanked release is not served.
    release_state: String,
    /// Its path prefix in the instance's site, if it answers HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    mount: Option<String>,
    /// Its path on every host name of the platform, if it answers HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// Configuration values that differ from the app's defaults.
    config: BTreeMap<String, String>,
    /// Capabilities that the tenant consented to by enabling it.
    grants: Vec<String>,
    /// When it was first enabled (RFC 3339).
    created_at: String,
    /// Counts its changes; also its `ETag`.
    revision: u64,
}

/// What a change of an install came to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InstallChangedView {
    /// The install.
    #[serde(flatten)]
    install: InstallView,
    /// Hooks that were registered with it, because an extension and an extension point came together.
    hooks: Vec<RegisteredView>,
    /// What is worth knowing, for example that an extension has no extension point here yet.
    notes: Vec<String>,
}

/// A hook that was registered.
#[derive(Debug, Serialize, ToSchema)]
struct RegisteredView {
    /// Its id.
    id: String,
    /// The app that asks.
    app: String,
    /// Its extension point.
    point: String,
    /// The extension that is called.
    name: String,
}

/// An app to be enabled.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InstallEnable {
    /// Id or name of the app.
    app: String,
    /// The version; the newest published one if absent, or for a disabled install the one it had.
    #[schema(value_type = Option<String>)]
    version: Option<Version>,
    /// Values for configuration keys that the app declares; `null` goes back to the app's default.
    #[serde(default)]
    config: BTreeMap<String, Option<String>>,
    /// Another path prefix than the app's own.
    mount: Option<String>,
}

/// Where an install is moved to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InstallUpgrade {
    /// The version; the newest published one if absent.
    #[schema(value_type = Option<String>)]
    version: Option<Version>,
}

/// The place of an install.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct InstallPath {
    /// Id or name of the tenant.
    pub(crate) tenant: String,
    /// Id or name of the instance.
    pub(crate) instance: String,
    /// Name of the app, or id of the install.
    pub(crate) app: String,
}

impl InstallPath {
    fn place(&self) -> (&str, &str) {
        (&self.tenant, &self.instance)
    }
}

impl From<Install> for InstallView {
    fn from(install: Install) -> Self {
        let site = format!("/t/{}/{}", install.tenant, install.instance);
        Self {
            id: install.id.to_string(),
            tenant: install.tenant.to_string(),
            instance: install.instance.to_string(),
            app: install.app.to_string(),
            version: install.version.to_string(),
            previous: install.previous.as_ref().map(ToString::to_string),
            state: install.state.to_string(),
            release_state: install.release_state.to_string(),
            path: install.mount.as_ref().map(|mount| format!("{site}{mount}")),
            mount: install.mount,
            config: install.config,
            grants: install.grants,
            created_at: install.created_at.to_string(),
            revision: install.revision,
        }
    }
}

impl From<InstallChanged> for InstallChangedView {
    fn from(changed: InstallChanged) -> Self {
        let hooks = changed.hooks.into_iter().map(|hook| RegisteredView {
            id: hook.id.to_string(),
            app: hook.app.to_string(),
            point: hook.point.to_string(),
            name: hook.name.to_string(),
        });
        Self {
            install: changed.install.into(),
            hooks: hooks.collect(),
            notes: changed.notes,
        }
    }
}

fn changed(changed: InstallChanged) -> Revised<InstallChangedView> {
    Revised::ok(changed.install.revision, changed.into())
}

fn revised(install: Install) -> Revised<InstallView> {
    Revised::ok(install.revision, install.into())
}

/// Enable an app, or change configuration and mount of one that is enabled
///
/// Configuration that was chosen before stays where it is neither chosen anew nor set to `null`. When enabled, the app is hooked on the
/// extension points of other apps that it implements, and extensions that are enabled already on its own.
#[utoipa::path(
    post, path = "/tenants/{tenant}/instances/{instance}/installs", tag = "installs",
    params(InstancePath), request_body = InstallEnable,
    responses((status = 201, body = InstallChangedView), Refusal)
)]
pub(crate) async fn install_enable(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(path): Path<InstancePath>,
    Json(body): Json<InstallEnable>,
) -> Result<Revised<InstallChangedView>, ApiError> {
    let request = EnableRequest {
        app: body.app,
        version: body.version,
        config: body.config,
        mount: body.mount,
    };
    let change = async move { install::enable(&api.control, &call, path.pair(), request).await };
    let enabled = to_the_end(change).await?;
    Ok(Revised::created(enabled.install.revision, enabled.into()))
}

/// List an instance's installs
#[utoipa::path(
    get, path = "/tenants/{tenant}/instances/{instance}/installs", tag = "installs",
    params(InstancePath, PageQuery),
    responses((status = 200, body = PageView<InstallView>), Refusal)
)]
pub(crate) async fn install_list(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(path): Path<InstancePath>,
    Query(query): Query<PageQuery>,
) -> Result<Json<PageView<InstallView>>, ApiError> {
    page(install::list(&api.control, &call, path.pair(), &query.request()?).await?)
}

/// Show an install
#[utoipa::path(
    get, path = "/tenants/{tenant}/instances/{instance}/installs/{app}", tag = "installs",
    params(InstallPath),
    responses((status = 200, body = InstallView), Refusal)
)]
pub(crate) async fn install_get(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(path): Path<InstallPath>,
) -> Result<Revised<InstallView>, ApiError> {
    let found = install::get(&api.control, &call, path.place(), &path.app).await?;
    Ok(revised(found))
}

/// Stop serving an app; its data stays
#[utoipa::path(
    post, path = "/tenants/{tenant}/instances/{instance}/installs/{app}/disable",
    tag = "installs", params(InstallPath),
    responses((status = 200, body = InstallView), Refusal)
)]
pub(crate) async fn install_disable(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(path): Path<InstallPath>,
) -> Result<Revised<InstallView>, ApiError> {
    let change =
        async move { install::disable(&api.control, &call, path.place(), &path.app).await };
    Ok(revised(to_the_end(change).await?))
}

/// Move an install to another version
#[utoipa::path(
    post, path = "/tenants/{tenant}/instances/{instance}/installs/{app}/upgrade",
    tag = "installs", params(InstallPath), request_body = InstallUpgrade,
    responses((status = 200, body = InstallChangedView), Refusal)
)]
pub(crate) async fn install_upgrade(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(path): Path<InstallPath>,
    Json(body): Json<InstallUpgrade>,
) -> Result<Revised<InstallChangedView>, ApiError> {
    let change = async move {
        let place = path.place();
        install::upgrade(&api.control, &call, place, &path.app, body.version).await
    };
    Ok(changed(to_the_end(change).await?))
}

/// Move an install back to the version before
#[utoipa::path(
    post, path = "/tenants/{tenant}/instances/{instance}/installs/{app}/rollback",
    tag = "installs", params(InstallPath),
    responses((status = 200, body = InstallChangedView), Refusal)
)]
pub(crate) async fn install_rollback(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(path): Path<InstallPath>,
) -> Result<Revised<InstallChangedView>, ApiError> {
    let change =
        async move { install::rollback(&api.control, &call, path.place(), &path.app).await };
    Ok(changed(to_the_end(change).await?))
}
