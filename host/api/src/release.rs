//! Releases over HTTP.

use std::collections::BTreeMap;

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State},
};
use cloudware_control::{Release, release};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    Api,
    caller::{Caller, to_the_end},
    page::{PageQuery, PageView, page},
    problem::{ApiError, PackageProblem, Refusal},
    tenant::Reason,
    upload,
};

/// An immutable version of an app.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReleaseView {
    /// Its id.
    id: String,
    /// The app.
    app: String,
    /// The provider that published it.
    provider: String,
    /// Its version.
    version: String,
    /// Digest of the archive.
    digest: String,
    /// Digest of the component.
    component_digest: String,
    /// Bytes of the archive.
    size_bytes: u64,
    /// The app's name for people.
    title: String,
    /// What the app does.
    description: String,
    /// Capabilities that it asks for, each with its reason.
    capabilities: BTreeMap<String, String>,
    /// Its path prefix in a site, unless an install says otherwise; absent if it answers no HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    mount: Option<String>,
    /// The schema of its tables; 0 if it has none.
    schema: u32,
    /// Its configuration keys.
    config: BTreeMap<String, ConfigKeyView>,
    /// Limits that it asks for.
    limits: BTreeMap<String, u64>,
    /// Tables whose use hooks on `before-access` and `after-access` may decide about, each with why one may want to.
    access: BTreeMap<String, String>,
    /// Extension points that it offers, by name.
    extension_points: BTreeMap<String, ExtensionPointView>,
    /// Interfaces of other apps' extension points that it fills, each with what it does there.
    implements: BTreeMap<String, String>,
    /// Apps of the same instance that it needs, each with the reason.
    dependencies: BTreeMap<String, String>,
    /// Interfaces of other apps of the same instance that it calls, each with the reason.
    calls: BTreeMap<String, String>,
    /// Interfaces that it exports for the calls of other apps, each with what it does.
    services: BTreeMap<String, String>,
    /// `published`, `deprecated` or `yanked`.
    state: String,
    /// Why it is deprecated or yanked.
    #[serde(skip_serializing_if = "Option::is_none")]
    state_reason: Option<String>,
    /// When it was pushed (RFC 3339).
    created_at: String,
}

/// A configuration key of an app.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConfigKeyView {
    /// The value where an install sets none.
    default: String,
    /// What it does.
    description: String,
}

/// An extension point of an app.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExtensionPointView {
    /// The interface that the app imports and extensions export.
    interface: String,
    /// `guard`, `decide`, `transform` or `observe`.
    kind: &'static str,
    /// What it decides or tells.
    description: String,
}

/// What a push came to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PushView {
    /// The release.
    release: ReleaseView,
    /// False if the same bytes had been pushed before.
    created: bool,
    /// What is odd about the package and does no harm.
    warnings: Vec<PackageProblem>,
}

/// For whom is pushed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PushQuery {
    /// Id or name of the provider; needed if an operator pushes.
    provider: Option<String>,
}

/// The place of a release.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct ReleasePath {
    /// Id or name of the app.
    app: String,
    /// The version.
    version: String,
}

impl From<Release> for ReleaseView {
    fn from(release: Release) -> Self {
        let schema = release.schema();
        let manifest = release.manifest;
        let config = manifest.config.into_iter().map(|(name, key)| {
            let view = ConfigKeyView {
                default: key.default,
                description: key.description,
            };
            (name, view)
        });
        let limits = manifest.limits.into_iter();
        let points = manifest.extension_points.into_iter().map(|(name, point)| {
            let view = ExtensionPointView {
                interface: point.interface.to_string(),
                kind: point.kind.name(),
                description: point.description,
            };
            (name.to_string(), view)
        });
        let implements = manifest.extension.map(|extension| extension.implements);
        Self {
            id: release.id.to_string(),
            app: release.app.to_string(),
            provider: release.provider.to_string(),
            version: release.version.to_string(),
            digest: release.digest.to_string(),
            component_digest: release.component.to_string(),
            size_bytes: release.size_bytes,
            title: manifest.title,
            description: manifest.description,
            capabilities: manifest.capabilities,
            mount: manifest.http.map(|http| http.mount),
            schema,
            config: config.collect(),
            limits: limits
                .map(|(limit, value)| (limit.to_string(), value))
                .collect(),
            access: manifest.access,
            extension_points: points.collect(),
            implements: texts(implements.unwrap_or_default()),
            dependencies: texts(manifest.dependencies),
            calls: texts(manifest.calls),
            services: texts(manifest.services),
            state: release.state.to_string(),
            state_reason: release.state_reason,
            created_at: release.created_at.to_string(),
        }
    }
}

fn texts<K: ToString>(map: BTreeMap<K, String>) -> BTreeMap<String, String> {
    let texts = map.into_iter();
    texts.map(|(key, text)| (key.to_string(), text)).collect()
}

/// Publish a release
///
/// The body is a package archive. It is refused before it is read if the caller may not push or it
/// is too long, or if too many uploads are under way: of one provider at most half as many as of all
/// (429; the header `Retry-After` says when to try again). Pushing the same bytes again succeeds; other bytes under the same version never do.
#[utoipa::path(
    post, path = "/releases", tag = "catalog",
    params(
        PushQuery,
        ("content-digest" = Option<String>, Header,
         description = "Digest of the archive as RFC 9530 says: `sha-256=:<base64>:`")
    ),
    request_body(content_type = "application/vnd.cloudware.package", description = "The archive"),
    responses(
        (status = 201, body = PushView, description = "Published"),
        (status = 200, body = PushView, description = "The same bytes were published before"),
        Refusal
    )
)]
pub(crate) async fn release_push(
    State(api): State<Api>,
    Caller(call): Caller,
    Query(query): Query<PushQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<PushView>), ApiError> {
    let provider = release::may_push(&api.control, &call, query.provider.as_deref()).await?;
    let declared = upload::declared_digest(&headers)?;
    let upload = upload::receive(&api.uploads, &provider, &headers, body).await?;
    let push = async move {
        let provider = query.provider.as_deref();
        let archive = upload.archive.clone();
        let pushed = release::push(&api.control, &call, provider, archive, declared).await;
        drop(upload);
        pushed
    };
    let pushed = to_the_end(push).await?;
    let status = match pushed.is_new {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    let view = PushView {
        release: pushed.release.into(),
        created: pushed.is_new,
        warnings: pushed.warnings.iter().map(PackageProblem::from).collect(),
    };
    Ok((status, Json(view)))
}

/// List an app's releases, newest push first
#[utoipa::path(
    get, path = "/apps/{app}/releases", tag = "catalog",
    params(("app" = String, Path, description = "Id or name of the app"), PageQuery),
    responses((status = 200, body = PageView<ReleaseView>), Refusal)
)]
pub(crate) async fn release_list(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(app): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<PageView<ReleaseView>>, ApiError> {
    page(release::list(&api.control, &call, &app, &query.request()?).await?)
}

/// Show a release
#[utoipa::path(
    get, path = "/apps/{app}/releases/{version}", tag = "catalog", params(ReleasePath),
    responses((status = 200, body = ReleaseView), Refusal)
)]
pub(crate) async fn release_get(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(path): Path<ReleasePath>,
) -> Result<Json<ReleaseView>, ApiError> {
    let found = release::get(&api.control, &call, &path.app, &path.version).await?;
    Ok(Json(found.into()))
}

/// Stop offering a release as the newest; its installs go on
#[utoipa::path(
    post, path = "/apps/{app}/releases/{version}/deprecate", tag = "catalog",
    params(ReleasePath), request_body = Reason,
    responses((status = 200, body = ReleaseView), Refusal)
)]
pub(crate) async fn release_deprecate(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(path): Path<ReleasePath>,
    Json(body): Json<Reason>,
) -> Result<Json<ReleaseView>, ApiError> {
    let change = async move {
        let place = (path.app.as_str(), path.version.as_str());
        release::deprecate(&api.control, &call, place, &body.reason).await
    };
    Ok(Json(to_the_end(change).await?.into()))
}

/// Take a release out of service for good; its installs are not served any more
#[utoipa::path(
    post, path = "/apps/{app}/releases/{version}/yank", tag = "catalog",
    params(ReleasePath), request_body = Reason,
    responses((status = 200, body = ReleaseView), Refusal)
)]
pub(crate) async fn release_yank(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(path): Path<ReleasePath>,
    Json(body): Json<Reason>,
) -> Result<Json<ReleaseView>, ApiError> {
    let change = async move {
        let place = (path.app.as_str(), path.version.as_str());
        release::yank(&api.control, &call, place, &body.reason).await
    };
    Ok(Json(to_the_end(change).await?.into()))
}
