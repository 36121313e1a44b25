//! Errors as `application/problem+json` (RFC 9457).

use std::{borrow::Cow, fmt::Write as _};

use super::{IntoResponse, Response, Status};
use crate::{StorageFailure, kv, sql};

/// An error for the caller: what was wrong and what to do, for people and for programs.
#[derive(Clone, Debug)]
pub struct Problem {
    status: Status,
    kind: Cow<'static, str>,
    detail: String,
    headers: Vec<(&'static str, String)>,
    /// Further members: name and JSON text.
    members: Vec<(Cow<'static, str>, String)>,
}

impl Problem {
    /// A problem of a kind, which is a word for programs such as `no-such-item`; the `type` is
    /// `/problems/<kind>`. The title is that of the status.
    #[must_use]
    pub fn new(status: Status, kind: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            kind: kind.into(),
            detail: String::new(),
            headers: Vec::new(),
            members: Vec::new(),
        }
    }

    /// Says what was wrong in this case and what to do, in a sentence for people.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Adds a header to the response.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Adds a member for programs. A value that has no JSON form becomes `null`.
    #[cfg(feature = "json")]
    #[must_use]
    pub fn with_member(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: &impl serde::Serialize,
    ) -> Self {
        let json = serde_json::to_string(value).unwrap_or_else(|_| "null".into());
        self.members.push((name.into(), json));
        self
    }

    /// The status of the response.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The sentence for people; empty where none was given.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    fn to_json(&self) -> String {
        let mut json = String::from("{\"type\":");
        push_json_text(&mut json, &format!("/problems/{}", self.kind));
        json.push_str(",\"title\":");
        push_json_text(&mut json, self.status.reason());
        // Writing to a string can't fail.
        let _ = write!(json, ",\"status\":{}", self.status.code());
        if !self.detail.is_empty() {
            json.push_str(",\"detail\":");
            push_json_text(&mut json, &self.detail);
        }
        for (name, value) in &self.members {
            json.push(',');
            push_json_text(&mut json, name);
            json.push(':');
            json.push_str(value);
        }
        json.push('}');
        json
    }
}

/// Appends a text as a JSON string (RFC 8259, section 7).
fn push_json_text(json: &mut String, text: &str) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            control if control < ' ' => {
                let _ = write!(json, "\\u{:04x}", u32::from(control));
            }
            other => json.push(other),
        }
    }
    json.push('"');
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(self.status)
            .with_header("content-type", "application/problem+json")
            .with_body(self.to_json());
        for (name, value) in self.headers {
            response = response.with_header(name, value);
        }
        response
    }
}

impl From<StorageFailure> for Problem {
    fn from(failure: StorageFailure) -> Self {
        let problem = match failure {
            StorageFailure::Busy => Self::new(Status::SERVICE_UNAVAILABLE, "storage-busy")
                .with_header("retry-after", "1"),
            StorageFailure::Full => Self::new(Status::INSUFFICIENT_STORAGE, "storage-full"),
            StorageFailure::Unavailable => {
                Self::new(Status::SERVICE_UNAVAILABLE, "storage-unavailable")
            }
        };
        problem.with_detail(failure.to_string())
    }
}

/// A mistake of the app itself: its text goes to the app's log, and not to the caller.
fn mistake(error: &dyn std::error::Error) -> Problem {
    eprintln!("{error}");
    let mut source = error.source();
    while let Some(cause) = source {
        eprintln!("  because {cause}");
        source = cause.source();
    }
    Problem::new(Status::INTERNAL_SERVER_ERROR, "internal")
        .with_detail("the app made a mistake; its log says which")
}

impl From<sql::Error> for Problem {
    fn from(error: sql::Error) -> Self {
        if let Some(reason) = error.access_refused() {
            return Self::new(Status::FORBIDDEN, "access-refused").with_detail(reason);
        }
        match error {
            sql::Error::Storage(failure) => failure.into(),
            other => mistake(&other),
        }
    }
}

impl From<sql::ColumnError> for Problem {
    fn from(error: sql::ColumnError) -> Self {
        mistake(&error)
    }
}

impl From<kv::Error> for Problem {
    fn from(error: kv::Error) -> Self {
        match error {
            kv::Error::Storage(failure) => failure.into(),
            other => mistake(&other),
        }
    }
}

#[cfg(all(test, feature = "json"))]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_valid_json_with_its_members() {
        let response = Problem::new(Status::CONFLICT, "insufficient-stock")
            .with_detail("a \"quoted\"\nline\u{1} with \\")
            .with_member("available", &3)
            .into_response();
        assert_eq!(response.status(), Status::CONFLICT);
        assert_eq!(
            response.header("content-type"),
            Some("application/problem+json")
        );
        let body: serde_json::Value =
            serde_json::from_slice(&response.into_body().unwrap()).unwrap();
        assert_eq!(body["type"], "/problems/insufficient-stock");
        assert_eq!(body["status"], 409);
        assert_eq!(body["detail"], "a \"quoted\"\nline\u{1} with \\");
        assert_eq!(body["available"], 3);
    }

    #[test]
    fn a_busy_database_is_worth_another_try() {
        let response = Problem::from(sql::Error::Storage(StorageFailure::Busy)).into_response();
        assert_eq!(response.status(), Status::SERVICE_UNAVAILABLE);
        assert_eq!(response.header("retry-after"), Some("1"));
    }

    #[test]
    fn a_mistake_of_the_app_is_not_shown_to_the_caller() {
        let problem = Problem::from(sql::Error::Statement("near \"SELEC\"".into()));
        assert_eq!(problem.status(), Status::INTERNAL_SERVER_ERROR);
        assert!(!problem.to_json().contains("SELEC"));
    }
}
