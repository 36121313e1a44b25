//! Answers that end with their head: those to HEAD, and those whose status says so. The length in such a head is that of
//! what another request would get, and not of what the guest writes; WASI's check of one against the other is left out.

use std::mem;

use cloudware_capability::Invocation;
use http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_LENGTH};
use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource},
};
use wasmtime_wasi_http::{
    FieldMap, WasiHttpHooks, WasiHttpView as _,
    p2::{
        bindings::http::types::HostOutgoingResponse as _, body::HostOutgoingBody,
        types::HostOutgoingResponse,
    },
};

use crate::messages::P2_TYPES;

/// Whether an answer ends with its head (RFC 9110, section 6.4.1).
pub(crate) fn has_no_body(is_head: bool, status: StatusCode) -> bool {
    is_head || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Takes the length out of a head; it is put back when the body has been made.
pub(crate) fn take_length(
    headers: &mut FieldMap,
    hooks: &mut dyn WasiHttpHooks,
) -> Option<HeaderValue> {
    if !headers.contains_key(CONTENT_LENGTH) {
        return None;
    }
    let mut all = HeaderMap::from(mem::take(headers));
    let length = all.remove(CONTENT_LENGTH);
    *headers = FieldMap::new_immutable(hooks, all);
    length
}

/// Replaces how WASI 0.2 makes the body of a response.
pub(crate) fn link(linker: &mut Linker<Invocation>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.instance(P2_TYPES)?.func_wrap(
        "[method]outgoing-response.body",
        |mut store: StoreContextMut<'_, Invocation>, (response,): (Resource<_>,)| {
            Ok((body(store.data_mut(), response)?,))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

fn body(
    invocation: &mut Invocation,
    response: Resource<HostOutgoingResponse>,
) -> wasmtime::Result<Result<Resource<HostOutgoingBody>, ()>> {
    let is_head = invocation.is_head();
    let mut http = invocation.http();
    let held = http.table.get_mut(&response)?;
    if !has_no_body(is_head, held.status) {
        return http.body(response);
    }
    let headers = held.headers.clone();
    take_length(&mut held.headers, http.hooks);
    let made = http.body(Resource::new_borrow(response.rep()));
    http.table.get_mut(&response)?.headers = headers;
    made
}
