//! The response that the app gives.

use std::{borrow::Cow, fmt, io};

use wasip2::http::types::{Fields, OutgoingBody, OutgoingResponse, ResponseOutparam};

use super::BodyWriter;

/// A status code (RFC 9110, section 15), from 100 to 599.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Status(u16);

macro_rules! statuses {
    ($($name:ident $code:literal $reason:literal;)*) => {
        impl Status {
            $(#[doc = concat!("`", $code, " ", $reason, "`")] pub const $name: Self = Self($code);)*

            /// The phrase that goes with the code; empty for a code without one here.
            #[must_use]
            pub fn reason(self) -> &'static str {
                match self.0 { $($code => $reason,)* _ => "" }
            }
        }
    };
}

statuses! {
    OK 200 "OK";
    CREATED 201 "Created";
    ACCEPTED 202 "Accepted";
    NO_CONTENT 204 "No Content";
    SEE_OTHER 303 "See Other";
    NOT_MODIFIED 304 "Not Modified";
    TEMPORARY_REDIRECT 307 "Temporary Redirect";
    PERMANENT_REDIRECT 308 "Permanent Redirect";
    BAD_REQUEST 400 "Bad Request";
    UNAUTHORIZED 401 "Unauthorized";
    FORBIDDEN 403 "Forbidden";
    NOT_FOUND 404 "Not Found";
    METHOD_NOT_ALLOWED 405 "Method Not Allowed";
    CONFLICT 409 "Conflict";
    GONE 410 "Gone";
    PRECONDITION_FAILED 412 "Precondition Failed";
    PAYLOAD_TOO_LARGE 413 "Content Too Large";
    UNSUPPORTED_MEDIA_TYPE 415 "Unsupported Media Type";
    UNPROCESSABLE_CONTENT 422 "Unprocessable Content";
    PRECONDITION_REQUIRED 428 "Precondition Required";
    TOO_MANY_REQUESTS 429 "Too Many Requests";
    INTERNAL_SERVER_ERROR 500 "Internal Server Error";
    NOT_IMPLEMENTED 501 "Not Implemented";
    BAD_GATEWAY 502 "Bad Gateway";
    SERVICE_UNAVAILABLE 503 "Service Unavailable";
    GATEWAY_TIMEOUT 504 "Gateway Timeout";
    INSUFFICIENT_STORAGE 507 "Insufficient Storage";
}

impl Status {
    /// The status of a code; `None` for one that HTTP does not have.
    #[must_use]
    pub const fn new(code: u16) -> Option<Self> {
        if code >= 100 && code <= 599 {
            Some(Self(code))
        } else {
            None
        }
    }

    /// The code.
    #[must_use]
    pub const fn code(self) -> u16 {
        self.0
    }

    /// Whether a response of this status may declare a length (RFC 9110, section 8.6). Without one an
    /// HTTP/1.1 host has to send the body in chunks.
    fn has_length(self) -> bool {
        self.0 >= 200 && self.0 != 204 && self.0 != 304
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.reason())
    }
}

/// A response.
pub struct Response {
    status: Status,
    headers: Vec<(String, Vec<u8>)>,
    body: Body,
}

enum Body {
    Bytes(Cow<'static, [u8]>),
    Stream(WriteBody),
}

/// Makes a body while it is being sent.
type WriteBody = Box<dyn FnOnce(&mut BodyWriter) -> io::Result<()>>;

/// What a handler may give.
pub trait IntoResponse {
    /// Makes it a response.
    fn into_response(self) -> Response;
}

impl Response {
    /// A response without headers and body.
    #[must_use]
    pub fn new(status: Status) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::Bytes(Cow::Borrowed(&[])),
        }
    }

    /// `200 OK` with plain text.
    #[must_use]
    pub fn text(text: impl Into<Cow<'static, str>>) -> Self {
        Self::with_type("text/plain; charset=utf-8", text)
    }

    /// `200 OK` with HTML.
    #[must_use]
    pub fn html(html: impl Into<Cow<'static, str>>) -> Self {
        Self::with_type("text/html; charset=utf-8", html)
    }

    fn with_type(content_type: &str, text: impl Into<Cow<'static, str>>) -> Self {
        let mut response = Self::new(Status::OK).with_header("content-type", content_type);
        response.body = Body::Bytes(match text.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        });
        response
    }

    /// `200 OK` with a value as JSON. A value that has no JSON form gives `500`.
    #[cfg(feature = "json")]
    #[must_use]
    pub fn json(value: &impl serde::Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(bytes) => Self::new(Status::OK)
                .with_header("content-type", "application/json")
                .with_body(bytes),
            Err(error) => {
                eprintln!("the response has no JSON form: {error}");
                super::Problem::new(Status::INTERNAL_SERVER_ERROR, "internal").into_response()
            }
        }
    }

    /// `303 See Other`: the browser gets another page, for example after a form.
    #[must_use]
    pub fn see_other(location: &str) -> Self {
        Self::new(Status::SEE_OTHER).with_header("location", location)
    }

    /// `200 OK` with a body that `write` makes while it is being sent. Where `write` gives an error the
    /// response is cut off, so that the caller does not take it for complete.
    #[must_use]
    pub fn stream(
        content_type: &str,
        write: impl FnOnce(&mut BodyWriter) -> io::Result<()> + 'static,
    ) -> Self {
        let mut response = Self::new(Status::OK).with_header("content-type", content_type);
        response.body = Body::Stream(Box::new(write));
        response
    }

    /// Replaces the status.
    #[must_use]
    pub fn with_status(mut self, status: Status) -> Self {
        self.status = status;
        self
    }

    /// Adds a header. One that HTTP does not allow makes the response a `500`.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into().into()));
        self
    }

    /// Replaces the body by bytes.
    #[must_use]
    pub fn with_body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.body = Body::Bytes(Cow::Owned(bytes.into()));
        self
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// The first header of a name, in any case, if it is UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|h| h.0.eq_ignore_ascii_case(name));
        header.and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// The whole body, a streamed one included; for tests.
    ///
    /// # Errors
    /// What the writer of a streamed body gave.
    pub fn into_body(self) -> io::Result<Vec<u8>> {
        match self.body {
            Body::Bytes(bytes) => Ok(bytes.into_owned()),
            Body::Stream(write) => {
                let mut writer = BodyWriter::to_memory();
                write(&mut writer)?;
                Ok(writer.into_bytes())
            }
        }
    }

    /// Hands the response to the host. Errors of the peer are ignored: nobody is left to be told.
    pub(super) fn send(mut self, out: ResponseOutparam) {
        if let Body::Bytes(bytes) = &self.body
            && self.status.has_length()
            && self.header("content-length").is_none()
        {
            let length = bytes.len().to_string();
            self.headers.push(("content-length".into(), length.into()));
        }
        let fields = match Fields::from_list(&self.headers) {
            Ok(fields) => fields,
            Err(error) => {
                eprintln!("the response has a header that HTTP does not allow: {error}");
                self = Self::new(Status::INTERNAL_SERVER_ERROR);
                Fields::new()
            }
        };
        let response = OutgoingResponse::new(fields);
        if self.status != Status::OK {
            response
                .set_status_code(self.status.0)
                .expect("a status is within the range of HTTP");
        }
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(out, Ok(response));
        if write_body(self.body, &body).is_ok() {
            // A peer that has gone away needs no end of the body.
            let _ = OutgoingBody::finish(body, None);
        }
    }
}

/// Writes a body; the body resource must be dropped and not finished where it fails.
fn write_body(content: Body, body: &OutgoingBody) -> io::Result<()> {
    match content {
        Body::Bytes(bytes) if bytes.is_empty() => Ok(()),
        Body::Bytes(bytes) => {
            let stream = body.write().expect("the stream is taken once");
            BodyWriter::to_host(stream).write_whole(&bytes)
        }
        Body::Stream(write) => {
            let stream = body.write().expect("the stream is taken once");
            let result = write(&mut BodyWriter::to_host(stream));
            if let Err(error) = &result
                && error.kind() != io::ErrorKind::BrokenPipe
            {
                eprintln!("the response was cut off: {error}");
            }
            result
        }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }
}

impl IntoResponse for &'static str {
    fn into_response(self) -> Response {
        Response::text(self)
    }
}

impl IntoResponse for String {
    fn into_response(self) -> Response {
        Response::text(self)
    }
}

impl<T: IntoResponse, E: IntoResponse> IntoResponse for Result<T, E> {
    fn into_response(self) -> Response {
        match self {
            Ok(value) => value.into_response(),
            Err(error) => error.into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::{super::Problem, *};

    #[test]
    fn a_streamed_body_is_what_was_written() {
        let response = Response::stream("text/csv", |writer| {
            for line in 0..3 {
                writeln!(writer, "{line}")?;
            }
            Ok(())
        });
        assert_eq!(response.header("Content-Type"), Some("text/csv"));
        assert_eq!(response.into_body().unwrap(), b"0\n1\n2\n");
    }

    #[test]
    fn results_become_responses() {
        let found: Result<&str, Problem> = Ok("yes");
        assert_eq!(found.into_response().into_body().unwrap(), b"yes");
        let missing: Result<&str, Problem> = Err(Problem::new(Status::NOT_FOUND, "missing"));
        assert_eq!(missing.into_response().status(), Status::NOT_FOUND);
    }

    #[test]
    fn only_codes_of_http_are_statuses() {
        assert_eq!(Status::new(200), Some(Status::OK));
        assert_eq!(Status::new(99), None);
        assert_eq!(Status::new(600), None);
    }
}
