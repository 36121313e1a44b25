//! Revisions as entity tags: `ETag: "r3"` on single resources, `If-Match: "r3"` on their changes.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

/// A single resource at a revision.
pub(crate) struct Revised<T> {
    status: StatusCode,
    revision: u64,
    body: T,
}

impl<T> Revised<T> {
    /// A resource that was read or changed.
    pub(crate) fn ok(revision: u64, body: T) -> Self {
        Self {
            status: StatusCode::OK,
            revision,
            body,
        }
    }

    /// A resource that was created.
    pub(crate) fn created(revision: u64, body: T) -> Self {
        Self {
            status: StatusCode::CREATED,
            revision,
            body,
        }
    }
}

impl<T: Serialize> IntoResponse for Revised<T> {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        if let Ok(tag) = HeaderValue::try_from(format!("\"r{}\"", self.revision)) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        response
    }
}

/// The revision that the caller insists on. A tag that is not one of ours fits no revision.
pub(crate) fn expected(headers: &HeaderMap) -> Option<u64> {
    let tag = headers.get(header::IF_MATCH)?;
    let tag = tag.to_str().unwrap_or_default().trim();
    if tag == "*" {
        return None;
    }
    let revision = tag
        .strip_prefix("\"r")
        .and_then(|tag| tag.strip_suffix('"'))
        .and_then(|digits| digits.parse().ok());
    Some(revision.unwrap_or(0))
}
