//! What the host holds for a guest behind its WASI handles. It is memory of the run like what the guest has itself: a handle
//! is small, and what is behind it may not be.

use std::any::Any;

use http::HeaderMap;
use wasmtime::component::ResourceTable;
use wasmtime_wasi_http::{
    FieldMap,
    p2::{
        bindings::http::types::{Method, Scheme},
        body::HostIncomingBody,
        types::{
            HostFutureIncomingResponse, HostIncomingResponse, HostOutgoingRequest,
            HostOutgoingResponse,
        },
    },
    p3,
};

use crate::limits::{
    BODY_CHUNK_BYTES, BODY_CHUNKS_AHEAD, HANDLE_BYTES, HEADER_BYTES_MAX, HEADER_FIELD_BYTES,
};

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
