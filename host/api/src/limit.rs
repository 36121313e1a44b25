//! The table of limits: what can be limited, in which unit, with which default and bounds, and why.

use axum::Json;
use cloudware_types::Limit;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{caller::Caller, problem::Refusal};

/// One thing that can be limited.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LimitView {
    /// Its name in quotas and manifests.
    name: &'static str,
    /// `invocation` (one sandboxed run) or `instance` (all of it together).
    #[schema(value_type = String)]
    scope: cloudware_types::Scope,
    /// Of which invocations: `request`, `hook` or `job`; says nothing where it bounds an instance.
    #[schema(value_type = String)]
    class: cloudware_types::Class,
    /// The unit of its numbers: `fuel`, `bytes`, `bytes-per-second`, `milliseconds`, `count` or
    /// `per-second`.
    #[schema(value_type = String)]
    unit: cloudware_types::Unit,
    /// The value where nobody sets one.
    default: u64,
    /// The smallest value that may be set.
    min: u64,
    /// The largest value that may be set.
    max: u64,
    /// What it bounds and why the default is what it is.
    reason: &'static str,
}

/// Everything that can be limited
#[utoipa::path(
    get, path = "/limits", tag = "quotas",
    responses((status = 200, body = Vec<LimitView>), Refusal)
)]
pub(crate) async fn limit_list(_caller: Caller) -> Json<Vec<LimitView>> {
    let view = |limit: &Limit| {
        let (min, max) = limit.bounds();
        LimitView {
            name: limit.name(),
            scope: limit.scope(),
            class: limit.class(),
            unit: limit.unit(),
            default: limit.default_value(),
            min,
            max,
            reason: limit.dimension().reason(),
        }
    };
    Json(Limit::all().iter().map(view).collect())
}
