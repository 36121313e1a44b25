//! Problems: every error as RFC 9457 says, `application/problem+json`.

use axum::{
    body::{Body, to_bytes},
    response::{IntoResponse, Response},
};
use cloudware_control::Error;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::limits::{DETAIL_BYTES_MAX, JSON_BYTES_MAX, UPLOAD_RETRY_SECONDS};

/// The media type of a problem.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request was not done.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// The kind of problem, stable: `/problems/<kind>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What was wrong, where, and what to do.
    pub detail: String,
    /// Identifies the request in logs and in the audit trail.
    pub request_id: String,
    /// The part of the request that is refused, where one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Everything that is wrong with a package.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<PackageProblem>,
}

/// One thing that is wrong with a package.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PackageProblem {
    /// A stable word for the kind of problem.
    pub code: String,
    /// The file and the place in it.
    pub at: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub fix: String,
}

impl From<&cloudware_packages::Problem> for PackageProblem {
    fn from(problem: &cloudware_packages::Problem) -> Self {
        Self {
            code: problem.code.to_owned(),
            at: problem.at.clone(),
            message: problem.message.clone(),
            fix: problem.fix.clone(),
        }
    }
}

/// What a handler fails with.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// The control plane refused or failed.
    Control(Error),
    /// The body is longer than allowed.
    TooLarge {
        /// Bytes that are allowed.
        bytes_max: u64,
    },
    /// The body did not arrive.
    Upload(String),
    /// There is no place for the upload at the moment.
    UploadsBusy(String),
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self::Control(error)
    }
}

impl ApiError {
    /// Status, kind and title: the one table of what an error means in HTTP.
    fn meaning(&self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        let error = match self {
            Self::TooLarge { .. } => return (S::PAYLOAD_TOO_LARGE, "too-large", "Too large"),
            Self::UploadsBusy(_) => {
                return (
                    S::TOO_MANY_REQUESTS,
                    "uploads-busy",
                    "Too many uploads at the same time",
                );
            }
            Self::Upload(_) => return (S::BAD_REQUEST, "upload-broken", "The upload broke off"),
            Self::Control(error) => error,
        };
        match error {
            Error::Unauthenticated => (S::UNAUTHORIZED, "unauthenticated", "Not authenticated"),
            Error::Forbidden(_) => (S::FORBIDDEN, "forbidden", "Not allowed"),
            Error::NotFound { .. } => (S::NOT_FOUND, "not-found", "Not found"),
            Error::Invalid { .. } => (S::UNPROCESSABLE_ENTITY, "invalid", "Invalid input"),
            Error::Conflict { code, .. } => (S::CONFLICT, code, "Not possible at present"),
            Error::RevisionChanged { .. } => (
                S::PRECONDITION_FAILED,
                "revision-changed",
                "Changed meanwhile",
            ),
            Error::Rejected(_) => (
                S::UNPROCESSABLE_ENTITY,
                "package-rejected",
                "The package was refused",
            ),
            Error::Migration { .. } => (S::CONFLICT, "migration-failed", "The migration failed"),
            Error::TakenBack { .. } => (
                S::BAD_GATEWAY,
                "taken-back",
                "The release could not be served",
            ),
            Error::Apply(_) => (
                S::BAD_GATEWAY,
                "not-in-service",
                "Recorded, not in service yet",
            ),
            Error::Store(_) | Error::Packages(_) | Error::Interrupted(_) => {
                (S::INTERNAL_SERVER_ERROR, "internal", "The platform failed")
            }
        }
    }

    /// What the caller reads; detail of the platform's own failures goes to the log alone.
    fn detail(&self) -> String {
        match self {
            Self::TooLarge { bytes_max } => format!(
                "the body has more than {bytes_max} bytes, which is the most that is taken here: send a shorter one"
            ),
            Self::UploadsBusy(reason) => reason.clone(),
            Self::Upload(reason) => format!("the body could not be read: {reason}"),
            Self::Control(Error::Store(_) | Error::Packages(_) | Error::Interrupted(_)) => {
                "the platform failed; the operator finds the cause in the log by the request id"
                    .to_owned()
            }
            Self::Control(error) => error.to_string(),
        }
    }
}

impl IntoResponse for ApiError {
    /// An empty response that carries the problem; [`complete`] writes it down, because only there
    /// the request's id is known.
    fn into_response(self) -> Response {
        let (status, kind, title) = self.meaning();
        let mut problem = problem(status, kind, title, self.detail());
        let mut cause = None;
        match &self {
            Self::Control(Error::Invalid { field, .. }) => problem.field = Some(field.clone()),
            Self::Control(Error::Rejected(problems)) => {
                problem.detail =
                    "`problems` lists every reason, with what to do about it".to_owned();
                problem.problems = problems.iter().map(PackageProblem::from).collect();
            }
            Self::Control(error) if status.is_server_error() => cause = Some(chain(error)),
            _ => {}
        }
        let mut response = status.into_response();
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, scheme);
        }
        if status == StatusCode::TOO_MANY_REQUESTS {
            let seconds = HeaderValue::from(UPLOAD_RETRY_SECONDS);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response.extensions_mut().insert(Draft { problem, cause });
        response
    }
}

/// A problem on its way to [`complete`], with what only the log may know.
#[derive(Clone)]
struct Draft {
    problem: Problem,
    cause: Option<String>,
}

/// The answer to paths that the API does not have.
pub(crate) async fn no_such_path(uri: http::Uri) -> ApiError {
    Error::NotFound {
        noun: "path",
        name: uri.path().chars().take(200).collect(),
    }
    .into()
}

/// Writes the problem document of an error. Errors that a library answered itself, in plain text,
/// become problems too.
pub(crate) async fn complete(mut response: Response, request_id: &str, place: &str) -> Response {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let Draft { mut problem, cause } = match response.extensions_mut().remove::<Draft>() {
        Some(draft) => draft,
        None => {
            let body = std::mem::take(response.body_mut());
            Draft {
                problem: foreign(status, body).await,
                cause: None,
            }
        }
    };
    if status.is_server_error() {
        let cause = cause.unwrap_or_else(|| problem.detail.clone());
        tracing::error!(request_id, place, %status, cause, "a request failed");
    }
    request_id.clone_into(&mut problem.request_id);
    let body = serde_json::to_vec(&problem).expect("a problem has text keys only");
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    *response.body_mut() = Body::from(body);
    response
}

/// The problem for an error that axum or a layer found.
async fn foreign(status: StatusCode, body: Body) -> Problem {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        // The library does not say how many bytes are allowed.
        let error = ApiError::TooLarge {
            bytes_max: JSON_BYTES_MAX as u64,
        };
        let (status, kind, title) = error.meaning();
        return problem(status, kind, title, error.detail());
    }
    let text = to_bytes(body, DETAIL_BYTES_MAX).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let (kind, title, detail) = match status {
        StatusCode::METHOD_NOT_ALLOWED => (
            "method-not-allowed",
            "Method not allowed",
            "the path has other methods: see the header `Allow`",
        ),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => (
            "unsupported-media-type",
            "Unsupported media type",
            "send the body as `Content-Type: application/json`",
        ),
        StatusCode::NOT_FOUND => ("not-found", "Not found", "there is no such path"),
        StatusCode::UNPROCESSABLE_ENTITY => ("invalid", "Invalid input", "the input is refused"),
        _ => (
            "malformed",
            "Malformed request",
            "the request cannot be read",
        ),
    };
    let detail = if text.is_empty() {
        detail.to_owned()
    } else {
        text
    };
    problem(status, kind, title, detail)
}

fn problem(status: StatusCode, kind: &str, title: &str, detail: String) -> Problem {
    Problem {
        kind: format!("/problems/{kind}"),
        title: title.to_owned(),
        status: status.as_u16(),
        detail,
        request_id: String::new(),
        field: None,
        problems: Vec::new(),
    }
}

/// An error with all its causes, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// The `default` answer of every operation in the OpenAPI document.
pub(crate) struct Refusal;

impl utoipa::IntoResponses for Refusal {
    fn responses() -> std::collections::BTreeMap<
        String,
        utoipa::openapi::RefOr<utoipa::openapi::response::Response>,
    > {
        use utoipa::openapi::{ContentBuilder, Ref, ResponseBuilder};
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name("Problem")))
            .build();
        let response = ResponseBuilder::new()
            .description("Why it was not done")
            .content(MEDIA_TYPE, content)
            .build();
        [("default".to_owned(), response.into())].into()
    }
}
