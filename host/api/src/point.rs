//! Extension points of an instance over HTTP.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use cloudware_control::{Point, point};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Api,
    caller::Caller,
    hook::HookView,
    instance::InstancePath,
    page::{PageQuery, PageView, page},
    problem::{ApiError, Refusal},
};

/// Where an app asks others.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PointView {
    /// The app that asks.
    app: String,
    /// Its version.
    version: String,
    /// The point's name, unique in the app.
    name: String,
    /// The interface that the app imports and hooks export.
    interface: String,
    /// `guard`, `decide`, `transform` or `observe`.
    kind: &'static str,
    /// What it decides or tells.
    description: String,
    /// What holds for hooks where nobody chose.
    defaults: PointDefaultsView,
    /// Its functions.
    functions: Vec<FunctionView>,
    /// The hooks on it, in the order in which they are asked.
    hooks: Vec<HookView>,
}

/// What holds for the hooks of a point where nobody chose.
#[derive(Debug, Serialize, ToSchema)]
struct PointDefaultsView {
    /// What happens when a hook fails: `refuse`, `skip`, `default` or `retry`.
    on_failure: &'static str,
    /// Wall time of one call in milliseconds.
    deadline_ms: u64,
    /// Fuel of one call, whatever its arguments.
    fuel: u64,
    /// Further fuel for each element of the lists in the arguments.
    fuel_per_item: u64,
}

/// A function of an extension point.
#[derive(Debug, Serialize, ToSchema)]
struct FunctionView {
    /// Its name.
    name: String,
    /// Its type in WIT, with all types written out: `func(sku: string) -> option<u64>`.
    r#type: String,
}

impl From<Point> for PointView {
    fn from(point: Point) -> Self {
        let functions = point.functions.into_iter().map(|function| FunctionView {
            r#type: function.to_string(),
            name: function.name,
        });
        Self {
            app: point.app.to_string(),
            version: point.version.to_string(),
            name: point.name.to_string(),
            interface: point.interface,
            kind: point.kind.name(),
            description: point.description,
            defaults: PointDefaultsView {
                on_failure: point.defaults.on_failure.name(),
                deadline_ms: point.defaults.deadline_ms,
                fuel: point.defaults.fuel,
                fuel_per_item: point.defaults.fuel_per_item,
            },
            functions: functions.collect(),
            hooks: point.hooks.into_iter().map(HookView::from).collect(),
        }
    }
}

/// List the extension points of the apps that are enabled in an instance
#[utoipa::path(
    get, path = "/tenants/{tenant}/instances/{instance}/points", tag = "hooks",
    params(InstancePath, PageQuery),
    responses((status = 200, body = PageView<PointView>), Refusal)
)]
pub(crate) async fn point_list(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(path): Path<InstancePath>,
    Query(query): Query<PageQuery>,
) -> Result<Json<PageView<PointView>>, ApiError> {
    page(point::list(&api.control, &call, path.pair(), &query.request()?).await?)
}
