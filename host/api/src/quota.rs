//! Quotas over HTTP: the limits in force at a tenant, an instance or an install, with where they
//! come from, and their change.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, State},
};
use cloudware_control::{EffectiveLimit, Error, QuotaChange, QuotaSetting, QuotaTarget, quota};
use cloudware_types::{Limit, format_quantity, parse_quantity};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Api,
    caller::{Caller, to_the_end},
    install::InstallPath,
    instance::InstancePath,
    problem::{ApiError, Refusal},
};

/// The limits in force.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QuotaView {
    /// One for each limit.
    limits: Vec<EffectiveLimitView>,
}

/// The value in force of one limit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EffectiveLimitView {
    /// The limit.
    name: &'static str,
    /// The value in force, in the limit's unit.
    value: u64,
    /// The value for people.
    text: String,
    /// The level that set it: `default`, `manifest`, `tenant`, `instance` or `install`.
    level: &'static str,
    /// Every level that sets it, weak to strong; the last one is in force.
    settings: Vec<SettingView>,
}

/// One value that one level sets.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SettingView {
    /// The level.
    level: &'static str,
    /// The value, in the limit's unit.
    value: u64,
    /// Who set it.
    set_by: String,
    /// When it was set (RFC 3339); absent for the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    set_at: Option<String>,
    /// Why it was set.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Limits by name, each a number in the limit's unit, a quantity such as `"64MiB"`, `"500ms"` or
/// `"50M"`, or null to unset it; and optionally why.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct QuotaPatch {
    /// Why, for the audit trail and those whom it concerns.
    reason: Option<String>,
    /// The limits to change.
    #[serde(flatten)]
    limits: BTreeMap<String, Quantity>,
}

/// A value as machines or as people write it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Quantity {
    /// In the dimension's unit.
    Number(u64),
    /// With a unit.
    Text(String),
    /// The value of the level below.
    Unset,
}

impl QuotaPatch {
    fn change(self) -> Result<QuotaChange, Error> {
        let mut values = BTreeMap::new();
        for (name, value) in self.limits {
            let field = || name.chars().take(64).collect::<String>();
            let limit: Limit = name
                .parse()
                .map_err(|error| Error::invalid(field(), format!("is refused: {error}")))?;
            let value = match value {
                Quantity::Unset => None,
                Quantity::Number(number) => Some(number),
                Quantity::Text(text) => Some(parse_quantity(limit, &text).map_err(|error| {
                    Error::invalid(limit.name(), format!("is refused: {error}"))
                })?),
            };
            values.insert(limit, value);
        }
        Ok(QuotaChange {
            values,
            reason: self.reason,
        })
    }
}

impl From<QuotaSetting> for SettingView {
    fn from(setting: QuotaSetting) -> Self {
        Self {
            level: setting.level.as_str(),
            value: setting.value,
            set_by: setting.set_by,
            set_at: setting.set_at.map(|time| time.to_string()),
            reason: setting.reason,
        }
    }
}

impl From<EffectiveLimit> for EffectiveLimitView {
    fn from(limit: EffectiveLimit) -> Self {
        let in_force = limit.in_force();
        Self {
            name: limit.limit.name(),
            value: in_force.value,
            text: format_quantity(limit.limit.unit(), in_force.value),
            level: in_force.level.as_str(),
            settings: limit.settings.into_iter().map(SettingView::from).collect(),
        }
    }
}

fn of_tenant(tenant: String) -> QuotaTarget {
    QuotaTarget {
        tenant,
        instance: None,
        app: None,
    }
}

fn of_instance(path: InstancePath) -> QuotaTarget {
    QuotaTarget {
        tenant: path.tenant,
        instance: Some(path.instance),
        app: None,
    }
}

fn of_install(path: InstallPath) -> QuotaTarget {
    QuotaTarget {
        tenant: path.tenant,
        instance: Some(path.instance),
        app: Some(path.app),
    }
}

async fn get(api: Api, caller: Caller, target: QuotaTarget) -> Result<Json<QuotaView>, ApiError> {
    let limits = quota::get(&api.control, &caller.0, &target).await?;
    Ok(Json(view(limits)))
}

async fn set(
    api: Api,
    Caller(call): Caller,
    target: QuotaTarget,
    patch: QuotaPatch,
) -> Result<Json<QuotaView>, ApiError> {
    let change = async move {
        // The caller's right is looked at before the values are.
        quota::may_change(&api.control, &call, &target).await?;
        quota::change(&api.control, &call, &target, patch.change()?).await
    };
    Ok(Json(view(to_the_end(change).await?)))
}

fn view(limits: Vec<EffectiveLimit>) -> QuotaView {
    QuotaView {
        limits: limits.into_iter().map(EffectiveLimitView::from).collect(),
    }
}

/// Show the limits in force for a tenant
#[utoipa::path(
    get, path = "/tenants/{tenant}/quota", tag = "quotas",
    params(("tenant" = String, Path, description = "Id or name of the tenant")),
    responses((status = 200, body = QuotaView), Refusal)
)]
pub(crate) async fn quota_get_tenant(
    State(api): State<Api>,
    caller: Caller,
    Path(tenant): Path<String>,
) -> Result<Json<QuotaView>, ApiError> {
    get(api, caller, of_tenant(tenant)).await
}

/// Change the limits of all of a tenant's instances
#[utoipa::path(
    patch, path = "/tenants/{tenant}/quota", tag = "quotas", request_body = QuotaPatch,
    params(("tenant" = String, Path, description = "Id or name of the tenant")),
    responses((status = 200, body = QuotaView), Refusal)
)]
pub(crate) async fn quota_set_tenant(
    State(api): State<Api>,
    caller: Caller,
    Path(tenant): Path<String>,
    Json(body): Json<QuotaPatch>,
) -> Result<Json<QuotaView>, ApiError> {
    set(api, caller, of_tenant(tenant), body).await
}

/// Show the limits in force for an instance
#[utoipa::path(
    get, path = "/tenants/{tenant}/instances/{instance}/quota", tag = "quotas",
    params(InstancePath),
    responses((status = 200, body = QuotaView), Refusal)
)]
pub(crate) async fn quota_get_instance(
    State(api): State<Api>,
    caller: Caller,
    Path(path): Path<InstancePath>,
) -> Result<Json<QuotaView>, ApiError> {
    get(api, caller, of_instance(path)).await
}

/// Change the limits of an instance
#[utoipa::path(
    patch, path = "/tenants/{tenant}/instances/{instance}/quota", tag = "quotas",
    params(InstancePath), request_body = QuotaPatch,
    responses((status = 200, body = QuotaView), Refusal)
)]
pub(crate) async fn quota_set_instance(
    State(api): State<Api>,
    caller: Caller,
    Path(path): Path<InstancePath>,
    Json(body): Json<QuotaPatch>,
) -> Result<Json<QuotaView>, ApiError> {
    set(api, caller, of_instance(path), body).await
}

/// Show the limits in force for an install
#[utoipa::path(
    get, path = "/tenants/{tenant}/instances/{instance}/installs/{app}/quota", tag = "quotas",
    params(InstallPath),
    responses((status = 200, body = QuotaView), Refusal)
)]
pub(crate) async fn quota_get_install(
    State(api): State<Api>,
    caller: Caller,
    Path(path): Path<InstallPath>,
) -> Result<Json<QuotaView>, ApiError> {
    get(api, caller, of_install(path)).await
}

/// Change the limits of an install
#[utoipa::path(
    patch, path = "/tenants/{tenant}/instances/{instance}/installs/{app}/quota", tag = "quotas",
    params(InstallPath), request_body = QuotaPatch,
    responses((status = 200, body = QuotaView), Refusal)
)]
pub(crate) async fn quota_set_install(
    State(api): State<Api>,
    caller: Caller,
    Path(path): Path<InstallPath>,
    Json(body): Json<QuotaPatch>,
) -> Result<Json<QuotaView>, ApiError> {
    set(api, caller, of_install(path), body).await
}
