//! What the host holds for a guest behind its WASI handles. It is memory of the run like what the guest has itself: a handle
//! is small, and what is behind it may not be.

use std::any::Any;

use cloudware_capability::Invocation;
use http::HeaderMap;
use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource, ResourceTable},
};
use wasmtime_wasi_http::{
    FieldMap, WasiHttpView as _,
    p2::{
        self,
        bindings::http::types::{Method, Scheme},
        body::HostIncomingBody,
        types::{
            HostFutureIncomingResponse, HostIncomingResponse, HostOutgoingRequest,
            HostOutgoingResponse,
        },
    },
    p3,
};

use crate::{
    code::Wasi,
    limits::{
        AUTHORITY_BYTES_MAX, BODY_CHUNK_BYTES, BODY_CHUNKS_AHEAD, HANDLE_BYTES, HEADER_BYTES_MAX,
        HEADER_FIELD_BYTES, METHOD_BYTES_MAX,
    },
};

/// WASI's interface of messages, in the versions that it is linked with.
pub(crate) const P2_TYPES: &str = "wasi:http/types@0.2.12";
pub(crate) const P3_TYPES: &str = "wasi:http/types@0.3.0";

/// What may wait unread in the body of one message and behind it: as much as its writer may be ahead, and trailers.
const UNREAD_BYTES: u64 = ((BODY_CHUNKS_AHEAD + 1) * BODY_CHUNK_BYTES + HEADER_BYTES_MAX) as u64;

/// What was found behind the handles of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// How many handles there are.
    pub(crate) handles: u64,
    /// Bytes that the host holds for them, at most.
    pub(crate) bytes: u64,
}

/// Looks at all handles.
pub(crate) fn look(table: &mut ResourceTable) -> Found {
    let mut found = Found::default();
    let mut bodies: u64 = 0;
    for resource in table.iter_mut() {
        found.handles += 1;
        let (bytes, has_body) = behind(resource);
        found.bytes += HANDLE_BYTES + bytes;
        bodies += u64::from(has_body);
    }
    // The body of the answer, which every run has, is not told apart.
    found.bytes += bodies.saturating_sub(1) * UNREAD_BYTES;
    found
}

/// Bytes behind one handle, and whether it has a body of which something may not have been read.
fn behind(resource: &(dyn Any + Send)) -> (u64, bool) {
    if let Some(fields) = resource.downcast_ref::<FieldMap>() {
        return (headers(fields), false);
    }
    if let Some(response) = resource.downcast_ref::<HostOutgoingResponse>() {
        return (headers(&response.headers), response.body.is_some());
    }
    if let Some(request) = resource.downcast_ref::<HostOutgoingRequest>() {
        let method = match &request.method {
            Method::Other(method) => method.len(),
            _ => 0,
        };
        let scheme = match &request.scheme {
            Some(Scheme::Other(scheme)) => scheme.len(),
            _ => 0,
        };
        let texts = [&request.authority, &request.path_with_query];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        let line = (method + scheme + texts) as u64;
        return (line + headers(&request.headers), request.body.is_some());
    }
    if let Some(response) = resource.downcast_ref::<HostIncomingResponse>() {
        return (headers(&response.headers), response.body.is_some());
    }
    if resource.is::<HostIncomingBody>() || resource.is::<HostFutureIncomingResponse>() {
        return (0, true);
    }
    if let Some(response) = resource.downcast_ref::<p3::Response>() {
        return (headers(&response.headers), true);
    }
    if let Some(request) = resource.downcast_ref::<p3::Request>() {
        let authority = request.authority.as_ref().map(|text| text.as_str().len());
        let path = request.path_with_query.as_ref();
        let path = path.map(|text| text.as_str().len());
        let line = request.method.as_str().len() + authority.unwrap_or(0) + path.unwrap_or(0);
        return (line as u64 + headers(&request.headers), false);
    }
    (0, false)
}

fn headers(headers: &HeaderMap) -> u64 {
    let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        HEADER_FIELD_BYTES + (name.as_str().len() + value.len()) as u64
    };
    headers.iter().map(field).sum()
}

/// Replaces how WASI takes the method and the authority of a request that a guest makes: no longer than any server takes
/// them, which WASI leaves open.
pub(crate) fn link(linker: &mut Linker<Invocation>, wasi: Wasi) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    link_p2(linker)?;
    if wasi == Wasi::P3 {
        link_p3(linker)?;
    }
    linker.allow_shadowing(false);
    Ok(())
}

fn link_p2(linker: &mut Linker<Invocation>) -> wasmtime::Result<()> {
    use p2::bindings::http::types::HostOutgoingRequest as _;
    let mut types = linker.instance(P2_TYPES)?;
    types.func_wrap(
        "[method]outgoing-request.set-method",
        |mut store: Store<'_>, (request, method): (Resource<_>, Method)| {
            let mut http = store.data_mut().http();
            match &method {
                Method::Other(text) if text.len() > METHOD_BYTES_MAX => Ok((Err(()),)),
                _ => Ok((http.set_method(request, method)?,)),
            }
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-authority",
        |mut store: Store<'_>, (request, authority): (Resource<_>, Option<String>)| {
            let mut http = store.data_mut().http();
            match authority {
                Some(text) if text.len() > AUTHORITY_BYTES_MAX => Ok((Err(()),)),
                authority => Ok((http.set_authority(request, authority)?,)),
            }
        },
    )
}

fn link_p3(linker: &mut Linker<Invocation>) -> wasmtime::Result<()> {
    use p3::bindings::http::types::{HostRequest as _, Method};
    let mut types = linker.instance(P3_TYPES)?;
    types.func_wrap(
        "[method]request.set-method",
        |mut store: Store<'_>, (request, method): (Resource<_>, Method)| {
            let mut http = store.data_mut().http();
            match &method {
                Method::Other(text) if text.len() > METHOD_BYTES_MAX => Ok((Err(()),)),
                _ => Ok((http.set_method(request, method)?,)),
            }
        },
    )?;
    types.func_wrap(
        "[method]request.set-authority",
        |mut store: Store<'_>, (request, authority): (Resource<_>, Option<String>)| {
            let mut http = store.data_mut().http();
            match authority {
                Some(text) if text.len() > AUTHORITY_BYTES_MAX => Ok((Err(()),)),
                authority => Ok((http.set_authority(request, authority)?,)),
            }
        },
    )
}

type Store<'a> = StoreContextMut<'a, Invocation>;

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn what_is_behind_a_handle_is_found() {
        let mut table = ResourceTable::new();
        assert_eq!(look(&mut table), Found::default());
        let mut map = HeaderMap::new();
        map.insert(
            HeaderName::from_static("x-large"),
            HeaderValue::from_bytes(&[b'a'; 50_000]).unwrap(),
        );
        let fields = |map: &HeaderMap| {
            let mut fields = FieldMap::new_mutable(1 << 20);
            for (name, value) in map {
                fields.append_raw(name.clone(), value.clone()).unwrap();
            }
            fields
        };
        let held = table.push(fields(&map)).unwrap();
        let of_fields = HANDLE_BYTES + HEADER_FIELD_BYTES + 50_007;
        let found = Found {
            handles: 1,
            bytes: of_fields,
        };
        assert_eq!(look(&mut table), found);
        let request = HostOutgoingRequest {
            method: Method::Other("QUERY".into()),
            scheme: None,
            authority: Some("example.com".into()),
            path_with_query: Some("/".into()),
            headers: fields(&map),
            body: None,
        };
        table.push(request).unwrap();
        table.push("what is small").unwrap();
        let found = Found {
            handles: 3,
            bytes: 2 * of_fields + HANDLE_BYTES + 5 + 11 + 1,
        };
        assert_eq!(look(&mut table), found);
        table.delete(held).unwrap();
        assert_eq!(look(&mut table).handles, 2);
    }
}
