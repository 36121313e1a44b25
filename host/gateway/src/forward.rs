//! Prepares a request for a guest: the path within the app, and headers that only the host may set.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Uri,
    header::{CONNECTION, HOST, TE},
    uri::{Parts, PathAndQuery},
};
use uuid::{Uuid, fmt::Simple};

use crate::limits::REQUEST_ID_BYTES_MAX;

/// Names the request in logs and answers.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");

/// Headers that [`rewrite`] adds.
const SET_BY_HOST: usize = 6;

/// The client's request id where it is a plain one, else a new one.
pub(crate) fn request_id<B>(request: &Request<B>) -> HeaderValue {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    match request.headers().get(REQUEST_ID) {
        Some(id)
            if (1..=REQUEST_ID_BYTES_MAX).contains(&id.len())
                && id.as_bytes().iter().all(|&byte| plain(byte)) =>
        {
            id.clone()
        }
        _ => {
            let mut digits = [0; Simple::LENGTH];
            let id = Uuid::now_v7().as_simple().encode_lower(&mut digits);
            HeaderValue::from_str(id).expect("hexadecimal digits are a header value")
        }
    }
}

/// Where a request came from and where it goes.
pub(crate) struct Hop<'a> {
    /// Bytes of the path that lead to the app.
    pub(crate) prefix_bytes: usize,
    /// The client's address.
    pub(crate) client: &'a HeaderValue,
    /// The request's id.
    pub(crate) request_id: &'a HeaderValue,
}

/// Rewrites the request in place. The guest sees the path within its app; what it needs to build links is
/// in `X-Forwarded-Prefix` and `X-Forwarded-Host`. What a client sent under these names is thrown away.
pub(crate) fn rewrite<B>(request: &mut Request<B>, hop: &Hop<'_>) {
    let path = request.uri().path();
    let prefix = HeaderValue::from_str(&path[..hop.prefix_bytes]);
    let host = request
        .uri()
        .authority()
        .and_then(|authority| HeaderValue::from_str(authority.as_str()).ok())
        .or_else(|| request.headers().get(HOST).cloned());
    let target = within(request.uri(), hop.prefix_bytes);
    *request.uri_mut() = target;
    let headers = request.headers_mut();
    // Once for all that follow: each time that it grows, the map sorts all of it anew.
    headers.reserve(SET_BY_HOST);
    remove_reserved(headers);
    if let Ok(prefix) = prefix {
        headers.insert(FORWARDED_PREFIX, prefix);
    }
    if let Some(host) = host {
        headers.entry(HOST).or_insert_with(|| host.clone());
        headers.insert(FORWARDED_HOST, host);
    }
    headers.insert(FORWARDED_FOR, hop.client.clone());
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
    headers.insert(REQUEST_ID, hop.request_id.clone());
}

fn within(uri: &Uri, prefix_bytes: usize) -> Uri {
    let path_and_query = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let rest = path_and_query.get(prefix_bytes..).unwrap_or("/");
    let mut target = String::with_capacity(rest.len() + 1);
    if !rest.starts_with('/') {
        target.push('/');
    }
    target.push_str(rest);
    let mut parts = Parts::default();
    parts.path_and_query = PathAndQuery::from_maybe_shared(Bytes::from(target)).ok();
    Uri::from_parts(parts).unwrap_or_default()
}

/// Removes what only the host may set, and what `Connection` names, which is for this hop only (RFC 9110, 7.6.1).
fn remove_reserved(headers: &mut HeaderMap) {
    // Most requests have nothing of it, and one look at each name costs less than looking each of these up.
    let mut reserved: Vec<HeaderName> = Vec::new();
    for (name, value) in headers.iter() {
        if is_reserved(name) {
            reserved.push(name.clone());
        } else if name == CONNECTION {
            let named = value.to_str().unwrap_or_default().split(',');
            reserved.extend(named.filter_map(|name| name.trim().parse().ok()));
        }
    }
    for name in reserved {
        headers.remove(name);
    }
}

fn is_reserved(name: &HeaderName) -> bool {
    let text = name.as_str();
    text.starts_with("x-forwarded-")
        || text.starts_with("x-cloudware-")
        || *name == FORWARDED
        || name == TE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_within_the_app() {
        for (uri, prefix, within_app) in [
            ("/stock/items?x=1", "/stock", "/items?x=1"),
            ("/stock", "/stock", "/"),
            ("/stock?x=1", "/stock", "/?x=1"),
            ("/stock/", "/stock", "/"),
            ("/a%2Fb", "", "/a%2Fb"),
            ("http://acme.localhost/t/a/b/x", "/t/a/b", "/x"),
        ] {
            let uri: Uri = uri.parse().unwrap();
            assert_eq!(within(&uri, prefix.len()).to_string(), within_app);
        }
    }

    #[test]
    fn a_client_can_not_set_what_the_host_sets() {
        let mut request = Request::builder()
            .uri("/stock/items")
            .header("host", "acme.localhost")
            .header("x-forwarded-prefix", "/evil")
            .header("x-forwarded-for", "1.2.3.4")
            .header("x-cloudware-tenant", "birch")
            .header("forwarded", "for=1.2.3.4")
            .header("accept", "*/*")
            .body(())
            .unwrap();
        let id = HeaderValue::from_static("r1");
        let hop = Hop {
            prefix_bytes: "/stock".len(),
            client: &HeaderValue::from_static("127.0.0.1"),
            request_id: &id,
        };
        rewrite(&mut request, &hop);
        let headers = request.headers();
        assert_eq!(headers["x-forwarded-prefix"], "/stock");
        assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
        assert_eq!(headers["accept"], "*/*");
        assert!(headers.get("x-cloudware-tenant").is_none());
        assert!(headers.get("forwarded").is_none());
    }

    #[test]
    fn strange_request_ids_are_replaced() {
        for id in ["", "a b", "x\u{7f}", &"a".repeat(65)] {
            let Ok(request) = Request::builder().header("x-request-id", id).body(()) else {
                continue;
            };
            assert_ne!(request_id(&request).as_bytes(), id.as_bytes());
        }
        let request = Request::builder()
            .header("x-request-id", "abc-1")
            .body(())
            .unwrap();
        assert_eq!(request_id(&request), "abc-1");
    }
}
