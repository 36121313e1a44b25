//! What the host has to do, over HTTP.

use axum::{Json, extract::State};
use cloudware_control::host;
use cloudware_types::HostLoad;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Api,
    caller::Caller,
    problem::{ApiError, Refusal},
};

/// What the host has to do at a moment, and what it holds for that.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HostLoadView {
    /// Instances of which an app was served since the host began.
    instances: u64,
    /// Sandboxes in use, those included that are kept warm.
    sandboxes: u64,
    /// How many there can be (`engine.sandboxes_max`).
    sandboxes_max: u64,
    /// Bytes of memory that they have together: linear memories, tables, and what is held behind their handles.
    memory_bytes: u64,
    /// How many they may have (`engine.memory_bytes_max`).
    memory_bytes_max: u64,
    /// Runs that compute and wait for a processor.
    waiting: u64,
    /// How long what is ready waits for a thread that serves sockets, in milliseconds; less than 10 is 0. Beyond half of an
    /// instance's `queue-time` its observers that are components are put off, for a minute at most, and practice runs left out.
    /// Beyond all of it its requests are refused, but for ten a second, and beyond four times as much all.
    lag_ms: u64,
    /// Tasks of the process: connections, runs, and work in the background.
    tasks: u64,
}

impl From<HostLoad> for HostLoadView {
    fn from(load: HostLoad) -> Self {
        Self {
            instances: load.instances,
            sandboxes: load.sandboxes,
            sandboxes_max: load.sandboxes_max,
            memory_bytes: load.memory_bytes,
            memory_bytes_max: load.memory_bytes_max,
            waiting: load.waiting,
            lag_ms: load.lag_ms,
            tasks: load.tasks,
        }
    }
}

/// What the host has to do at this moment
#[utoipa::path(
    get, path = "/host", tag = "platform",
    responses((status = 200, body = HostLoadView), Refusal)
)]
pub(crate) async fn host_load(
    State(api): State<Api>,
    Caller(call): Caller,
) -> Result<Json<HostLoadView>, ApiError> {
    Ok(Json(host::load(&api.control, &call)?.into()))
}
