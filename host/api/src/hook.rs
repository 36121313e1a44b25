//! Hooks over HTTP: what fills the extension points of an instance's apps.

mod view;

use axum::{
    Json,
    extract::{Path, Query, State},
};
use cloudware_control::{
    Call, Error, Hook, HookChange, HookFields, HookNew, HookShown,
    hook::{self, HookKeyed, PreviousKey, TargetNew},
};
use cloudware_types::{HookMode, OnFailure, Slug};
use serde::{Deserialize, Deserializer};
use utoipa::{IntoParams, ToSchema};

use crate::{
    Api,
    caller::{Caller, to_the_end},
    instance::InstancePath,
    page::{PageQuery, PageView, page},
    problem::{ApiError, Refusal},
    revision::Revised,
};
pub(crate) use view::{HookKeyedView, HookView, LastFailureView};

/// A hook to be added: an extension or a webhook.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HookAdd {
    /// The app that asks, by name. It must be enabled in the instance.
    #[schema(value_type = String)]
    app: Slug,
    /// Its extension point.
    #[schema(value_type = String)]
    point: Slug,
    /// The extension that is to be called, by its app's name. It must be enabled in the instance.
    #[schema(value_type = Option<String>)]
    extension: Option<Slug>,
    /// The endpoint that is to be called instead.
    webhook: Option<WebhookAdd>,
    /// Its place among the hooks of the point, from 1; the end if absent.
    position: Option<u32>,
    /// Whether it is called; true if absent.
    enabled: Option<bool>,
    /// `active`, or `shadow`: its result is compared and used for nothing.
    #[schema(value_type = Option<String>)]
    mode: Option<HookMode>,
    /// What happens when it fails: for guards and transforms `refuse` or `skip`, for decisions `default` or `skip`,
    /// for observers `retry` or `skip`. What the point says if absent, as for all that follows.
    #[schema(value_type = Option<String>)]
    on_failure: Option<OnFailure>,
    /// Wall time of one call in milliseconds; 2,000 for webhooks if absent.
    deadline_ms: Option<u64>,
    /// Fuel of one call, whatever its arguments; for extensions.
    fuel: Option<u64>,
    /// Further fuel for each element of the lists in the arguments; for extensions.
    fuel_per_item: Option<u64>,
    /// Memory of one call in bytes; for extensions. What the limit `hook-memory` says if absent.
    memory: Option<u64>,
}

/// An HTTP endpoint to be called.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WebhookAdd {
    /// What the hook is called.
    #[schema(value_type = String)]
    name: Slug,
    /// Where it is called.
    url: String,
    /// Version of the payload that it was written for; the newest if absent.
    payload_version: Option<u32>,
}

/// What is to be changed of a hook; what is absent stays. Null goes back to what the point says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HookSet {
    /// Its place among the hooks of the point, from 1; those in between make room.
    position: Option<u32>,
    /// Whether it is called.
    enabled: Option<bool>,
    /// `active`, or `shadow`: its result is compared and used for nothing.
    #[schema(value_type = Option<String>)]
    mode: Option<HookMode>,
    /// What happens when it fails.
    #[schema(value_type = Option<String>)]
    #[serde(default, deserialize_with = "present")]
    on_failure: Option<Option<OnFailure>>,
    /// Wall time of one call in milliseconds.
    #[schema(value_type = Option<u64>)]
    #[serde(default, deserialize_with = "present")]
    deadline_ms: Option<Option<u64>>,
    /// Fuel of one call, whatever its arguments; for extensions.
    #[schema(value_type = Option<u64>)]
    #[serde(default, deserialize_with = "present")]
    fuel: Option<Option<u64>>,
    /// Further fuel for each element of the lists in the arguments; for extensions.
    #[schema(value_type = Option<u64>)]
    #[serde(default, deserialize_with = "present")]
    fuel_per_item: Option<Option<u64>>,
    /// Memory of one call in bytes; for extensions.
    #[schema(value_type = Option<u64>)]
    #[serde(default, deserialize_with = "present")]
    memory: Option<Option<u64>>,
    /// Where a webhook is called.
    url: Option<String>,
    /// Version of the payload that a webhook was written for.
    payload_version: Option<u32>,
}

/// How a webhook gets a new key.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HookRotate {
    /// True if the key before must not be valid any more, because it got into wrong hands. Otherwise both sign until
    /// the next rotation.
    #[serde(default)]
    revoke_previous: bool,
}

/// The place of a hook.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct HookPath {
    /// Id or name of the tenant.
    tenant: String,
    /// Id or name of the instance.
    instance: String,
    /// Id of the hook, or app, point and its name with dots between: `inventory-stock.allocation.ext-fefo`.
    hook: String,
}

impl HookPath {
    fn place(&self) -> (&str, &str) {
        (&self.tenant, &self.instance)
    }
}

/// A member that is there, though it may be null.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl HookAdd {
    fn into_new(self) -> Result<HookNew, Error> {
        let target = match (self.extension, self.webhook) {
            (Some(extension), None) => TargetNew::Extension(extension),
            (None, Some(webhook)) => TargetNew::Webhook {
                name: webhook.name,
                url: webhook.url,
                payload_version: webhook.payload_version,
            },
            _ => {
                return Err(Error::invalid(
                    "extension",
                    "or `webhook` must say what is called, and not both",
                ));
            }
        };
        Ok(HookNew {
            app: self.app,
            point: self.point,
            target,
            position: self.position,
            is_enabled: self.enabled.unwrap_or(true),
            mode: self.mode.unwrap_or(HookMode::Active),
            fields: HookFields {
                on_failure: self.on_failure,
                deadline_ms: self.deadline_ms,
                fuel: self.fuel,
                fuel_per_item: self.fuel_per_item,
                memory: self.memory,
            },
        })
    }
}

impl From<HookSet> for HookChange {
    fn from(set: HookSet) -> Self {
        Self {
            position: set.position,
            is_enabled: set.enabled,
            mode: set.mode,
            on_failure: set.on_failure,
            deadline_ms: set.deadline_ms,
            fuel: set.fuel,
            fuel_per_item: set.fuel_per_item,
            memory: set.memory,
            url: set.url,
            payload_version: set.payload_version,
        }
    }
}

/// A hook as it is after a change.
async fn shown(api: &Api, call: &Call, hook: &Hook) -> Result<HookView, Error> {
    let (tenant, instance) = (hook.tenant_id.to_string(), hook.instance_id.to_string());
    let place = (tenant.as_str(), instance.as_str());
    let shown = hook::get(&api.control, call, place, &hook.id.to_string()).await?;
    Ok(shown.into())
}

/// Add a hook
///
/// Extensions that are enabled are hooked on the points that they implement by themselves. This adds webhooks, and
/// extensions whose hook was removed.
#[utoipa::path(
    post, path = "/tenants/{tenant}/instances/{instance}/hooks", tag = "hooks",
    params(InstancePath), request_body = HookAdd,
    responses((status = 201, body = HookKeyedView), Refusal)
)]
pub(crate) async fn hook_add(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(path): Path<InstancePath>,
    Json(body): Json<HookAdd>,
) -> Result<Revised<HookKeyedView>, ApiError> {
    let new = body.into_new()?;
    let change = async move {
        let HookKeyed { hook, secret } = hook::add(&api.control, &call, path.pair(), new).await?;
        let hook = shown(&api, &call, &hook).await?;
        Ok(HookKeyedView { hook, secret })
    };
    let view = to_the_end(change).await?;
    Ok(Revised::created(view.hook.revision, view))
}

/// List an instance's hooks, in order of apps, points and positions
#[utoipa::path(
    get, path = "/tenants/{tenant}/instances/{instance}/hooks", tag = "hooks",
    params(InstancePath, PageQuery),
    responses((status = 200, body = PageView<HookView>), Refusal)
)]
pub(crate) async fn hook_list(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(path): Path<InstancePath>,
    Query(query): Query<PageQuery>,
) -> Result<Json<PageView<HookView>>, ApiError> {
    page(hook::list(&api.control, &call, path.pair(), &query.request()?).await?)
}

/// Show a hook
#[utoipa::path(
    get, path = "/tenants/{tenant}/instances/{instance}/hooks/{hook}", tag = "hooks",
    params(HookPath), responses((status = 200, body = HookView), Refusal)
)]
pub(crate) async fn hook_get(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(path): Path<HookPath>,
) -> Result<Revised<HookView>, ApiError> {
    let found = hook::get(&api.control, &call, path.place(), &path.hook).await?;
    Ok(Revised::ok(found.hook.revision, found.into()))
}

/// Change, reorder, enable or disable a hook
///
/// A change holds from the next call of the point on; calls that run end on what they began with.
#[utoipa::path(
    patch, path = "/tenants/{tenant}/instances/{instance}/hooks/{hook}", tag = "hooks",
    params(HookPath), request_body = HookSet,
    responses((status = 200, body = HookView), Refusal)
)]
pub(crate) async fn hook_set(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(path): Path<HookPath>,
    Json(body): Json<HookSet>,
) -> Result<Revised<HookView>, ApiError> {
    let change = async move {
        let place = path.place();
        let hook = hook::set(&api.control, &call, place, &path.hook, body.into()).await?;
        shown(&api, &call, &hook).await
    };
    let view = to_the_end(change).await?;
    Ok(Revised::ok(view.revision, view))
}

/// Remove a hook
///
/// An extension is hooked on again when it or the app is enabled the next time; to keep it from being called,
/// disable its hook.
#[utoipa::path(
    delete, path = "/tenants/{tenant}/instances/{instance}/hooks/{hook}", tag = "hooks",
    params(HookPath), responses((status = 200, body = HookView), Refusal)
)]
pub(crate) async fn hook_remove(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(path): Path<HookPath>,
) -> Result<Json<HookView>, ApiError> {
    let change = async move { hook::remove(&api.control, &call, path.place(), &path.hook).await };
    let hook = to_the_end(change).await?;
    Ok(Json(HookShown::from(hook).into()))
}

/// Give a webhook a new key
#[utoipa::path(
    post, path = "/tenants/{tenant}/instances/{instance}/hooks/{hook}/rotate-key", tag = "hooks",
    params(HookPath), request_body = Option<HookRotate>,
    responses((status = 200, body = HookKeyedView), Refusal)
)]
pub(crate) async fn hook_rotate_key(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(path): Path<HookPath>,
    body: Option<Json<HookRotate>>,
) -> Result<Revised<HookKeyedView>, ApiError> {
    let previous = match body.is_some_and(|Json(body)| body.revoke_previous) {
        true => PreviousKey::Revoked,
        false => PreviousKey::Kept,
    };
    let change = async move {
        let place = path.place();
        let keyed = hook::rotate_key(&api.control, &call, place, &path.hook, previous).await?;
        let hook = shown(&api, &call, &keyed.hook).await?;
        Ok(HookKeyedView {
            hook,
            secret: keyed.secret,
        })
    };
    let view = to_the_end(change).await?;
    Ok(Revised::ok(view.hook.revision, view))
}
