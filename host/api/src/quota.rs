//! Quotas over HTTP: the limits in force at a plan, a tenant, an instance or an install, with where they
//! come from and how much of them is used, and their change.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, Query, State},
};
use cloudware_control::{
    EffectiveLimit, Error, QuotaChange, QuotaOverride, QuotaOverrides, QuotaSetting, QuotaTarget,
    quota,
};
use cloudware_types::{
    Limit, Standing, Unit, format_exact, format_quantity, parse_quantity, percent,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::{
    Api,
    caller::{Caller, to_the_end},
    install::InstallPath,
    instance::InstancePath,
    limits::GIVEN_CHARACTERS_MAX,
    problem::{ApiError, Refusal},
};

/// The limits in force.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QuotaView {
    /// One for each limit, or the one that was asked for.
    limits: Vec<EffectiveLimitView>,
    /// Present, and true, where more is set within than `overrides` list.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    overrides_are_cut: bool,
}

/// The value in force of one limit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EffectiveLimitView {
    /// The limit.
    name: &'static str,
    /// `invocation` (one sandboxed run) or `instance` (all of it together).
    #[schema(value_type = String)]
    scope: cloudware_types::Scope,
    /// Of which invocations: `request`, `hook` or `job`; says nothing where it bounds an instance.
    #[schema(value_type = String)]
    class: cloudware_types::Class,
    /// The value in force, in the limit's unit.
    value: u64,
    /// The value for people.
    text: String,
    /// The level that set it: `default`, `manifest`, `plan`, `tenant`, `instance` or `install`.
    level: &'static str,
    /// What is used at present, where that was asked for and is known, in the limit's unit.
    #[serde(flatten)]
    usage: Option<LimitUsageView>,
    /// Every level that sets it, weak to strong; the last one is in force.
    settings: Vec<SettingView>,
    /// What operators have set for something within, where that was asked for or the limit was changed: for instances and
    /// installs of a tenant, for installs of an instance.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    overrides: Vec<OverrideView>,
}

/// A value that is set for something within, and holds there instead.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OverrideView {
    /// The instance or install, such as `acme/main/stock`.
    target: String,
    /// The value that holds there.
    #[serde(flatten)]
    setting: SettingView,
}

/// How much of a limit is used at present.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LimitUsageView {
    /// What is used, in the limit's unit.
    used: u64,
    /// The same for people.
    used_text: String,
    /// The same in whole percent of the value in force.
    percent: u64,
    /// `ok`, `soft` (from 80 % on) or `hard` (all is used: what is more is refused, slowed down or left out).
    #[schema(value_type = String)]
    state: Standing,
}

/// What is wanted beside the limits.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct QuotaQuery {
    /// Whether to say how much of the limits is used at present; for an instance or an install.
    #[serde(default)]
    #[param(required = false)]
    usage: bool,
    /// Whether to say what is set for something within a tenant or an instance.
    #[serde(default)]
    #[param(required = false)]
    overrides: bool,
    /// Only the limit of this name, such as `fuel`.
    name: Option<String>,
}

/// One value that one level sets.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SettingView {
    /// The level.
    level: &'static str,
    /// The name of the plan, at the level of plans.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    /// The value, in the limit's unit.
    value: u64,
    /// The value for people.
    text: String,
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
// What serde derives is for the OpenAPI document, which follows its attributes; [`QuotaPatch::read`] reads bodies.
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
    /// Reads a body. It is taken as any JSON first, because only here it is known which limit has a value that is none,
    /// and what would be one.
    fn read(body: Value) -> Result<Self, Error> {
        let Value::Object(members) = body else {
            return Err(Error::invalid(
                "body",
                format!(
                    "must be an object of limits with their values, such as {{\"fuel\": \"50M\"}}, and \
                     not {}",
                    given(&body)
                ),
            ));
        };
        let mut patch = Self {
            reason: None,
            limits: BTreeMap::new(),
        };
        for (name, value) in members {
            if name == "reason" {
                patch.reason = Option::deserialize(&value).map_err(|_| {
                    let message = format!("must be a text or null, and not {}", given(&value));
                    Error::invalid("reason", message)
                })?;
                continue;
            }
            let quantity = match Quantity::deserialize(&value) {
                Ok(quantity) => quantity,
                Err(_) => return Err(no_quantity(limit_named(&name, &name)?, &value)),
            };
            patch.limits.insert(name, quantity);
        }
        Ok(patch)
    }

    fn change(self) -> Result<QuotaChange, Error> {
        let mut values = BTreeMap::new();
        for (name, value) in self.limits {
            let limit = limit_named(&name, &name)?;
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

/// The limit of this name, which stands in this field of the request.
fn limit_named(name: &str, field: &str) -> Result<Limit, Error> {
    name.parse().map_err(|error| {
        let field: String = field.chars().take(GIVEN_CHARACTERS_MAX).collect();
        Error::invalid(field, format!("is refused: {error}"))
    })
}

/// Why a value that is of another kind, or beyond every number of its kind, is not taken for a limit.
fn no_quantity(limit: Limit, value: &Value) -> Error {
    let (min, max) = limit.bounds();
    let example = match limit.unit() {
        Unit::Bytes | Unit::BytesPerSecond => "2MiB",
        Unit::Milliseconds => "500ms",
        Unit::Fuel | Unit::Count | Unit::PerSecond => "10k",
    };
    Error::invalid(
        limit.name(),
        format!(
            "must be a whole number from {min} to {max}, a text such as \"{example}\", or null to \
             unset it, and not {}",
            given(value)
        ),
    )
}

/// The begin of a value, as the caller may find it again.
fn given(value: &Value) -> String {
    let text = value.to_string();
    let begin: String = text.chars().take(GIVEN_CHARACTERS_MAX).collect();
    match begin.len() < text.len() {
        true => format!("`{begin}…`"),
        false => format!("`{begin}`"),
    }
}

impl SettingView {
    fn new(limit: Limit, setting: QuotaSetting) -> Self {
        Self {
            level: setting.level.as_str(),
            plan: setting.plan.map(|plan| plan.to_string()),
            value: setting.value,
            text: format_exact(limit.unit(), setting.value),
            set_by: setting.set_by,
            set_at: setting.set_at.map(|time| time.to_string()),
            reason: setting.reason,
        }
    }
}

impl LimitUsageView {
    fn new(limit: Limit, used: u64, max: u64) -> Self {
        Self {
            used,
            used_text: format_quantity(limit.unit(), used),
            percent: percent(used, max),
            state: Standing::of(used, max),
        }
    }
}

impl EffectiveLimitView {
    fn new(effective: EffectiveLimit, used: Option<u64>) -> Self {
        let limit = effective.limit;
        let in_force = effective.in_force();
        let (value, level) = (in_force.value, in_force.level.as_str());
        let settings = effective.settings.into_iter();
        Self {
            name: limit.name(),
            scope: limit.scope(),
            class: limit.class(),
            value,
            text: format_exact(limit.unit(), value),
            level,
            usage: used.map(|used| LimitUsageView::new(limit, used, value)),
            settings: settings
                .map(|setting| SettingView::new(limit, setting))
                .collect(),
            overrides: Vec::new(),
        }
    }
}

fn of_tenant(tenant: String) -> QuotaTarget {
    QuotaTarget::Tenant {
        tenant,
        instance: None,
        app: None,
    }
}

fn of_instance(path: InstancePath) -> QuotaTarget {
    QuotaTarget::Tenant {
        tenant: path.tenant,
        instance: Some(path.instance),
        app: None,
    }
}

fn of_install(path: InstallPath) -> QuotaTarget {
    QuotaTarget::Tenant {
        tenant: path.tenant,
        instance: Some(path.instance),
        app: Some(path.app),
    }
}

async fn get(
    api: Api,
    Caller(call): Caller,
    target: QuotaTarget,
    query: QuotaQuery,
) -> Result<Json<QuotaView>, ApiError> {
    let mut limits = quota::get(&api.control, &call, &target).await?;
    let only = query
        .name
        .map(|name| limit_named(&name, "name"))
        .transpose()?;
    if let Some(only) = only {
        limits.retain(|effective| effective.limit == only);
    }
    let used = match query.usage {
        true => quota::used(&api.control, &call, &target).await?,
        false => BTreeMap::new(),
    };
    let mut view = view(limits, &used);
    if query.overrides {
        let within = quota::overrides(&api.control, &call, &target, only.as_slice()).await?;
        view.add(within);
    }
    Ok(Json(view))
}

async fn set(
    api: Api,
    Caller(call): Caller,
    target: QuotaTarget,
    body: Value,
) -> Result<Json<QuotaView>, ApiError> {
    let change = async move {
        // The caller's right is looked at before the values are.
        quota::may_change(&api.control, &call, &target).await?;
        let change = QuotaPatch::read(body)?.change()?;
        let changed: Vec<Limit> = change.values.keys().copied().collect();
        let limits = quota::change(&api.control, &call, &target, change).await?;
        let mut view = view(limits, &BTreeMap::new());
        // The change is made, whether it can be said or not what stays as it was.
        let within = quota::overrides(&api.control, &call, &target, &changed).await;
        view.add(within.unwrap_or_default());
        Ok(view)
    };
    Ok(Json(to_the_end(change).await?))
}

impl QuotaView {
    fn add(&mut self, within: QuotaOverrides) {
        self.overrides_are_cut = within.is_cut;
        for QuotaOverride {
            limit,
            target,
            setting,
        } in within.first
        {
            let setting = SettingView::new(limit, setting);
            let view = self
                .limits
                .iter_mut()
                .find(|view| view.name == limit.name());
            if let Some(view) = view {
                view.overrides.push(OverrideView { target, setting });
            }
        }
    }
}

fn view(limits: Vec<EffectiveLimit>, used: &BTreeMap<Limit, u64>) -> QuotaView {
    let view = |effective: EffectiveLimit| {
        let used = used.get(&effective.limit).copied();
        EffectiveLimitView::new(effective, used)
    };
    QuotaView {
        limits: limits.into_iter().map(view).collect(),
        overrides_are_cut: false,
    }
}

/// Show what a plan sets
#[utoipa::path(
    get, path = "/plans/{plan}/quota", tag = "quotas",
    params(("plan" = String, Path, description = "Id or name of the plan"), QuotaQuery),
    responses((status = 200, body = QuotaView), Refusal)
)]
pub(crate) async fn quota_get_plan(
    State(api): State<Api>,
    caller: Caller,
    Path(plan): Path<String>,
    Query(query): Query<QuotaQuery>,
) -> Result<Json<QuotaView>, ApiError> {
    get(api, caller, QuotaTarget::Plan(plan), query).await
}

/// Change the limits of all tenants that have a plan
#[utoipa::path(
    patch, path = "/plans/{plan}/quota", tag = "quotas", request_body = QuotaPatch,
    params(("plan" = String, Path, description = "Id or name of the plan")),
    responses((status = 200, body = QuotaView), Refusal)
)]
pub(crate) async fn quota_set_plan(
    State(api): State<Api>,
    caller: Caller,
    Path(plan): Path<String>,
    Json(body): Json<Value>,
) -> Result<Json<QuotaView>, ApiError> {
    set(api, caller, QuotaTarget::Plan(plan), body).await
}

/// Show the limits in force for a tenant
#[utoipa::path(
    get, path = "/tenants/{tenant}/quota", tag = "quotas",
    params(("tenant" = String, Path, description = "Id or name of the tenant"), QuotaQuery),
    responses((status = 200, body = QuotaView), Refusal)
)]
pub(crate) async fn quota_get_tenant(
    State(api): State<Api>,
    caller: Caller,
    Path(tenant): Path<String>,
    Query(query): Query<QuotaQuery>,
) -> Result<Json<QuotaView>, ApiError> {
    get(api, caller, of_tenant(tenant), query).await
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
    Json(body): Json<Value>,
) -> Result<Json<QuotaView>, ApiError> {
    set(api, caller, of_tenant(tenant), body).await
}

/// Show the limits in force for an instance
#[utoipa::path(
    get, path = "/tenants/{tenant}/instances/{instance}/quota", tag = "quotas",
    params(InstancePath, QuotaQuery),
    responses((status = 200, body = QuotaView), Refusal)
)]
pub(crate) async fn quota_get_instance(
    State(api): State<Api>,
    caller: Caller,
    Path(path): Path<InstancePath>,
    Query(query): Query<QuotaQuery>,
) -> Result<Json<QuotaView>, ApiError> {
    get(api, caller, of_instance(path), query).await
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
    Json(body): Json<Value>,
) -> Result<Json<QuotaView>, ApiError> {
    set(api, caller, of_instance(path), body).await
}

/// Show the limits in force for an install
#[utoipa::path(
    get, path = "/tenants/{tenant}/instances/{instance}/installs/{app}/quota", tag = "quotas",
    params(InstallPath, QuotaQuery),
    responses((status = 200, body = QuotaView), Refusal)
)]
pub(crate) async fn quota_get_install(
    State(api): State<Api>,
    caller: Caller,
    Path(path): Path<InstallPath>,
    Query(query): Query<QuotaQuery>,
) -> Result<Json<QuotaView>, ApiError> {
    get(api, caller, of_install(path), query).await
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
    Json(body): Json<Value>,
) -> Result<Json<QuotaView>, ApiError> {
    set(api, caller, of_install(path), body).await
}
