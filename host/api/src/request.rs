//! The frame around every request: its id, the trace of a panic, and problem+json for every error.

use std::panic::AssertUnwindSafe;

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use cloudware_control::{Error, limits::REQUEST_ID_BYTES_MAX};
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::problem::{self, ApiError};

/// Carries the request's id, both ways.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request, in its extensions.
#[derive(Clone)]
pub(crate) struct RequestId(pub(crate) String);

/// Gives the request its id, runs it, and makes sure that an error is a problem document.
pub(crate) async fn frame(mut request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    request.extensions_mut().insert(RequestId(id.clone()));
    let place = format!("{} {}", request.method(), request.uri().path());
    let response = match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            tracing::error!(request_id = id, place, "a handler panicked");
            ApiError::from(Error::Interrupted("an unexpected failure".to_owned())).into_response()
        }
    };
    let mut response = problem::complete(response, &id, &place).await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// The caller's own id if it is harmless in logs and headers, otherwise a new one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok());
    let harmless = |id: &&str| {
        (1..=REQUEST_ID_BYTES_MAX).contains(&id.len())
            && id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    match given.filter(harmless) {
        Some(id) => id.to_owned(),
        None => uuid::Uuid::now_v7().simple().to_string(),
    }
}
