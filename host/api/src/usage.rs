//! Usage over HTTP.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, Query, State},
};
use cloudware_control::{
    Error, Timestamp, UsageBy, UsageHook, UsageQuery, UsageRow, UsageStep, usage,
};
use cloudware_types::{Meter, Meters, Slug};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    Api,
    caller::Caller,
    instance::InstancePath,
    problem::{ApiError, Refusal},
};

/// Which usage is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UsageParams {
    /// Only of this app.
    #[param(value_type = Option<String>)]
    app: Option<Slug>,
    /// Only this meter, for example `fuel`.
    meter: Option<String>,
    /// From this time on (RFC 3339), to the minute.
    from: Option<String>,
    /// Before this time (RFC 3339), to the minute.
    to: Option<String>,
    /// How finely over time; one row over all of it if absent.
    #[param(inline)]
    step: Option<StepParam>,
    /// What has a row of its own beside each app.
    #[param(inline)]
    by: Option<ByParam>,
}

/// What has a row of its own beside each app.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ByParam {
    /// Each hook as which an app was called, and each webhook that was called for it. The app's row is without them
    /// then; all rows of an app together are its usage.
    Hook,
}

/// How finely usage is added up over time.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StepParam {
    /// One row a minute.
    Minute,
    /// One row an hour.
    Hour,
    /// One row a day (UTC).
    Day,
}

/// Usage by tenant, instance, app and step of time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsageView {
    /// The rows, in order of names and time.
    items: Vec<UsageRowView>,
    /// All rows joined: sums added, peaks the largest.
    total: BTreeMap<String, u64>,
}

/// What one app consumed in one instance.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsageRowView {
    /// The tenant.
    tenant: String,
    /// The instance.
    instance: String,
    /// The app.
    app: String,
    /// The hook as which the app was called, or the webhook that was called for it; absent for everything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    hook: Option<UsageHookView>,
    /// Begin of the step (RFC 3339); absent without steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// Readings by meter. `memory-peak-bytes` and `storage-bytes` are the largest, others are sums.
    meters: BTreeMap<String, u64>,
}

/// A hook in the ledger.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsageHookView {
    /// Its id.
    id: String,
    /// Its name, `app.point.name`; absent once it was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

impl From<UsageHook> for UsageHookView {
    fn from(hook: UsageHook) -> Self {
        Self {
            id: hook.id.to_string(),
            name: hook.name,
        }
    }
}

impl UsageParams {
    fn query(self, tenant: Option<String>, instance: Option<String>) -> Result<Wanted, Error> {
        let time = |field, text: Option<String>| -> Result<Option<Timestamp>, Error> {
            text.map(|text| text.parse())
                .transpose()
                .map_err(|error| Error::invalid(field, format!("is refused: {error}")))
        };
        let query = UsageQuery {
            tenant,
            instance,
            app: self.app,
            from: time("from", self.from)?,
            to: time("to", self.to)?,
            step: match self.step {
                None => UsageStep::Total,
                Some(StepParam::Minute) => UsageStep::Minute,
                Some(StepParam::Hour) => UsageStep::Hour,
                Some(StepParam::Day) => UsageStep::Day,
            },
            by: match self.by {
                None => UsageBy::App,
                Some(ByParam::Hook) => UsageBy::Hook,
            },
        };
        let meter = self.meter.map(|name| meter(&name)).transpose()?;
        Ok(Wanted { query, meter })
    }
}

/// A query, and the one meter that is shown if not all are.
struct Wanted {
    query: UsageQuery,
    meter: Option<Meter>,
}

impl Wanted {
    async fn answer(self, api: &Api, caller: &Caller) -> Result<Json<UsageView>, ApiError> {
        let rows = usage::query(&api.control, &caller.0, self.query).await?;
        let mut total = Meters::default();
        for row in &rows {
            total.join(&row.meters);
        }
        let view = |row: UsageRow| UsageRowView {
            tenant: row.tenant.to_string(),
            instance: row.instance.to_string(),
            app: row.app.to_string(),
            hook: row.hook.map(UsageHookView::from),
            from: row.from.map(|time| time.to_string()),
            meters: readings(&row.meters, self.meter),
        };
        Ok(Json(UsageView {
            items: rows.into_iter().map(view).collect(),
            total: readings(&total, self.meter),
        }))
    }
}

fn meter(name: &str) -> Result<Meter, Error> {
    let found = Meter::ALL
        .iter()
        .copied()
        .find(|meter| meter.name() == name);
    found.ok_or_else(|| {
        let names: Vec<_> = Meter::ALL.iter().map(|meter| meter.name()).collect();
        Error::invalid("meter", format!("must be one of {}", names.join(", ")))
    })
}

fn readings(meters: &Meters, only: Option<Meter>) -> BTreeMap<String, u64> {
    meters
        .iter()
        .filter(|(meter, _)| only.is_none_or(|only| only == *meter))
        .map(|(meter, reading)| (meter.name().to_owned(), reading))
        .collect()
}

/// Show the usage of all instances; for operators all tenants', for a tenant its own
#[utoipa::path(
    get, path = "/usage", tag = "usage", params(UsageParams),
    responses((status = 200, body = UsageView), Refusal)
)]
pub(crate) async fn usage_list(
    State(api): State<Api>,
    caller: Caller,
    Query(params): Query<UsageParams>,
) -> Result<Json<UsageView>, ApiError> {
    params.query(None, None)?.answer(&api, &caller).await
}

/// Show the usage of a tenant's instances
#[utoipa::path(
    get, path = "/tenants/{tenant}/usage", tag = "usage",
    params(("tenant" = String, Path, description = "Id or name of the tenant"), UsageParams),
    responses((status = 200, body = UsageView), Refusal)
)]
pub(crate) async fn usage_get_tenant(
    State(api): State<Api>,
    caller: Caller,
    Path(tenant): Path<String>,
    Query(params): Query<UsageParams>,
) -> Result<Json<UsageView>, ApiError> {
    params
        .query(Some(tenant), None)?
        .answer(&api, &caller)
        .await
}

/// Show the usage of an instance
#[utoipa::path(
    get, path = "/tenants/{tenant}/instances/{instance}/usage", tag = "usage",
    params(InstancePath, UsageParams),
    responses((status = 200, body = UsageView), Refusal)
)]
pub(crate) async fn usage_get_instance(
    State(api): State<Api>,
    caller: Caller,
    Path(path): Path<InstancePath>,
    Query(params): Query<UsageParams>,
) -> Result<Json<UsageView>, ApiError> {
    let wanted = params.query(Some(path.tenant), Some(path.instance))?;
    wanted.answer(&api, &caller).await
}
