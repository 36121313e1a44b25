//! The REST API under `/api/v1`: one file for each noun; a handler decodes, calls the control plane
//! and encodes. Whatever the command line or a console can do goes through here.
//!
//! Every error is problem+json (RFC 9457), whoever found it; every answer carries the request's id.
//! The OpenAPI document is made from the handlers and checked in as `openapi.json`. This crate knows
//! no SQL and nothing of how apps are run.

#![expect(
    unused_qualifications,
    reason = "the attribute that describes a handler repeats the types of its arguments in its own words"
)]

mod app;
mod audit;
mod caller;
mod delivery;
mod event;
mod health;
mod hook;
mod host;
mod install;
mod instance;
mod limit;
mod limits;
mod openapi;
mod page;
mod plan;
mod point;
mod problem;
mod product;
mod provider;
mod quota;
mod recording;
mod release;
mod request;
mod revision;
mod stop;
mod tenant;
mod token;
mod trace;
mod upload;
mod usage;
mod whoami;

use std::sync::Arc;

use axum::{Router, extract::DefaultBodyLimit, middleware};
use cloudware_control::Control;
use utoipa_axum::{router::OpenApiRouter, routes};

pub use problem::Problem;

use upload::Uploads;

/// What every handler works with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) control: Arc<Control>,
    pub(crate) uploads: Arc<Uploads>,
    pub(crate) document: Arc<str>,
}

/// The routes of the API with their middleware, to be served or merged into another router.
pub fn router(control: Arc<Control>) -> Router {
    let (router, document) = routes().split_for_parts();
    let api = Api {
        control,
        uploads: Arc::default(),
        document: openapi::render(document).into(),
    };
    router
        .fallback(problem::no_such_path)
        .layer(DefaultBodyLimit::max(limits::JSON_BYTES_MAX))
        .layer(middleware::from_fn(request::frame))
        .with_state(api)
}

/// The OpenAPI document, as JSON for people: indented, in the order of the routes' paths.
#[must_use]
pub fn openapi_document() -> String {
    openapi::render(routes().into_openapi())
}

/// The index of the API.
fn routes() -> OpenApiRouter<Api> {
    let v1 = OpenApiRouter::new()
        .routes(routes!(health::health))
        .routes(routes!(openapi::openapi))
        .routes(routes!(whoami::whoami))
        .routes(routes!(limit::limit_list))
        .routes(routes!(provider::provider_create, provider::provider_list))
        .routes(routes!(provider::provider_get))
        .routes(routes!(product::product_list))
        .routes(routes!(plan::plan_create, plan::plan_list))
        .routes(routes!(plan::plan_get, plan::plan_delete))
        .routes(routes!(quota::quota_get_plan, quota::quota_set_plan))
        .routes(routes!(tenant::tenant_create, tenant::tenant_list))
        .routes(routes!(tenant::tenant_get, tenant::tenant_rename))
        .routes(routes!(tenant::tenant_set_plan))
        .routes(routes!(tenant::tenant_suspend))
        .routes(routes!(tenant::tenant_resume))
        .routes(routes!(quota::quota_get_tenant, quota::quota_set_tenant))
        .routes(routes!(usage::usage_get_tenant))
        .routes(routes!(instance::instance_create, instance::instance_list))
        .routes(routes!(instance::instance_get))
        .routes(routes!(instance::instance_suspend))
        .routes(routes!(instance::instance_resume))
        .routes(routes!(
            quota::quota_get_instance,
            quota::quota_set_instance
        ))
        .routes(routes!(usage::usage_get_instance))
        .routes(routes!(install::install_enable, install::install_list))
        .routes(routes!(install::install_get))
        .routes(routes!(install::install_disable))
        .routes(routes!(install::install_upgrade))
        .routes(routes!(install::install_rollback))
        .routes(routes!(quota::quota_get_install, quota::quota_set_install))
        .routes(routes!(hook::hook_add, hook::hook_list))
        .routes(routes!(hook::hook_get, hook::hook_set, hook::hook_remove))
        .routes(routes!(hook::hook_rotate_key))
        .routes(routes!(point::point_list))
        .routes(routes!(app::app_list))
        .routes(routes!(app::app_get))
        .routes(routes!(app::app_hooks))
        .routes(routes!(release::release_list))
        .routes(routes!(release::release_get))
        .routes(routes!(release::release_deprecate))
        .routes(routes!(release::release_yank))
        .routes(routes!(release::release_push))
        .routes(routes!(host::host_load))
        .routes(routes!(usage::usage_list))
        .routes(routes!(stop::stop_list))
        .routes(routes!(stop::stop_get))
        .routes(routes!(delivery::delivery_list))
        .routes(routes!(delivery::delivery_get))
        .routes(routes!(delivery::delivery_replay))
        .routes(routes!(delivery::delivery_replay_all))
        .routes(routes!(trace::trace_list))
        .routes(routes!(trace::trace_get))
        .routes(routes!(recording::recording_start))
        .routes(routes!(recording::recording_list))
        .routes(routes!(
            recording::recording_get,
            recording::recording_remove
        ))
        .routes(routes!(recording::recording_export))
        .routes(routes!(recording::recording_stop))
        .routes(routes!(audit::audit_list))
        .routes(routes!(event::event_list))
        .routes(routes!(token::token_create, token::token_list))
        .routes(routes!(token::token_revoke));
    OpenApiRouter::with_openapi(openapi::base()).nest("/api/v1", v1)
}
