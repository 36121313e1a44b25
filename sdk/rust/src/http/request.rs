//! The request that the app is asked. Everything is fetched from the host when it is first asked for.

use std::{
    cell::{OnceCell, RefCell},
    fmt,
};

use wasip2::http::types::{self, Fields, IncomingRequest};

use super::{BodyError, BodyReader, decode, parse_pairs};

/// The method of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `DELETE`
    Delete,
    /// `CONNECT`
    Connect,
    /// `OPTIONS`
    Options,
    /// `TRACE`
    Trace,
    /// `PATCH`
    Patch,
    /// Another one.
    Other(String),
}

impl Method {
    /// The name, as in HTTP.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
            Self::Patch => "PATCH",
            Self::Other(name) => name,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<types::Method> for Method {
    fn from(method: types::Method) -> Self {
        match method {
            types::Method::Get => Self::Get,
            types::Method::Head => Self::Head,
            types::Method::Post => Self::Post,
            types::Method::Put => Self::Put,
            types::Method::Delete => Self::Delete,
            types::Method::Connect => Self::Connect,
            types::Method::Options => Self::Options,
            types::Method::Trace => Self::Trace,
            types::Method::Patch => Self::Patch,
            types::Method::Other(name) => Self::Other(name),
        }
    }
}

/// A request. The path is relative to where the site mounts the app.
pub struct Request {
    source: Source,
    method: OnceCell<Method>,
    /// Path and query, as they came.
    target: OnceCell<String>,
    params: Vec<(&'static str, String)>,
}

enum Source {
    Host {
        request: IncomingRequest,
        headers: OnceCell<Fields>,
    },
    /// A request that a test made up.
    Parts {
        headers: Vec<(String, Vec<u8>)>,
        body: RefCell<Option<Vec<u8>>>,
    },
}

impl Request {
    pub(super) fn from_host(request: IncomingRequest) -> Self {
        Self {
            source: Source::Host {
                request,
                headers: OnceCell::new(),
            },
            method: OnceCell::new(),
            target: OnceCell::new(),
            params: Vec::new(),
        }
    }

    /// A request that did not come from the host, for tests of handlers. `target` is path and query.
    #[must_use]
    pub fn new(method: Method, target: impl Into<String>) -> Self {
        Self {
            source: Source::Parts {
                headers: Vec::new(),
                body: RefCell::new(Some(Vec::new())),
            },
            method: method.into(),
            target: OnceCell::from(target.into()),
            params: Vec::new(),
        }
    }

    /// Adds a header to a request made by [`Self::new`]; one of the host stays as it is.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        if let Source::Parts { headers, .. } = &mut self.source {
            headers.push((name.to_ascii_lowercase(), value.into()));
        }
        self
    }

    /// Sets the body of a request made by [`Self::new`]; one of the host stays as it is.
    #[must_use]
    pub fn with_body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        if let Source::Parts { body, .. } = &mut self.source {
            *body.get_mut() = Some(bytes.into());
        }
        self
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &Method {
        self.method.get_or_init(|| match &self.source {
            Source::Host { request, .. } => request.method().into(),
            Source::Parts { .. } => Method::Get,
        })
    }

    /// Path and query as they came, not decoded: `/items?after=A%201`.
    #[must_use]
    pub fn target(&self) -> &str {
        self.target.get_or_init(|| {
            let target = match &self.source {
                Source::Host { request, .. } => request.path_with_query(),
                Source::Parts { .. } => None,
            };
            target.unwrap_or_else(|| "/".into())
        })
    }

    /// The path without the query, not decoded.
    #[must_use]
    pub fn path(&self) -> &str {
        let target = self.target();
        target.split_once('?').map_or(target, |(path, _)| path)
    }

    /// The decoded segments of the path: `/items/A%201/` has `items` and `A 1`.
    pub fn segments(&self) -> impl Iterator<Item = String> + '_ {
        self.path()
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(|segment| decode(segment).into_owned())
    }

    /// The query as it came, without the question mark; empty where there is none.
    #[must_use]
    pub fn query_text(&self) -> &str {
        self.target().split_once('?').map_or("", |(_, query)| query)
    }

    /// The decoded pairs of the query, in order.
    #[must_use]
    pub fn query_pairs(&self) -> Vec<(String, String)> {
        parse_pairs(self.query_text())
    }

    /// The decoded value of the query's first pair of a name.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<String> {
        let pairs = self.query_pairs().into_iter();
        pairs
            .filter(|pair| pair.0 == name)
            .map(|pair| pair.1)
            .next()
    }

    /// The part of the path that the router's pattern names; empty where it names no such part.
    #[must_use]
    pub fn param(&self, name: &str) -> &str {
        self.params
            .iter()
            .find(|(present, _)| *present == name)
            .map_or("", |(_, value)| value)
    }

    pub(super) fn set_params(&mut self, params: Vec<(&'static str, String)>) {
        self.params = params;
    }

    /// The first header of a name, in any case, if it is UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        String::from_utf8(self.header_bytes(name)?).ok()
    }

    /// The bytes of the first header of a name, in any case.
    #[must_use]
    pub fn header_bytes(&self, name: &str) -> Option<Vec<u8>> {
        match &self.source {
            Source::Host { .. } => self
                .host_headers()
                .and_then(|fields| fields.get(name).into_iter().next()),
            Source::Parts { headers, .. } => headers
                .iter()
                .find(|(present, _)| present.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.clone()),
        }
    }

    /// Every header, names in lower case.
    #[must_use]
    pub fn headers(&self) -> Vec<(String, Vec<u8>)> {
        match &self.source {
            Source::Host { .. } => self.host_headers().map(Fields::entries).unwrap_or_default(),
            Source::Parts { headers, .. } => headers.clone(),
        }
    }

    fn host_headers(&self) -> Option<&Fields> {
        match &self.source {
            Source::Host { request, headers } => Some(headers.get_or_init(|| request.headers())),
            Source::Parts { .. } => None,
        }
    }

    /// Where the site mounts the app, for links: `/stock`, `/t/acme/main/stock`, or empty where it is
    /// mounted at the root. Comes from the header `X-Forwarded-Prefix`, which the host sets.
    #[must_use]
    pub fn prefix(&self) -> String {
        let prefix = self.header("x-forwarded-prefix").unwrap_or_default();
        let well_formed = prefix.starts_with('/')
            && !prefix.starts_with("//")
            && prefix
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"/-._~%".contains(&b));
        if well_formed {
            prefix.trim_end_matches('/').to_owned()
        } else {
            String::new()
        }
    }

    /// Begins to read the body, which can be done once.
    ///
    /// # Errors
    /// [`BodyError::AlreadyRead`].
    pub fn body_reader(&self) -> Result<BodyReader, BodyError> {
        match &self.source {
            Source::Host { request, .. } => {
                let body = request.consume().map_err(|()| BodyError::AlreadyRead)?;
                BodyReader::from_host(body)
            }
            Source::Parts { body, .. } => body
                .borrow_mut()
                .take()
                .map(BodyReader::from_bytes)
                .ok_or(BodyError::AlreadyRead),
        }
    }

    /// The body, if it has at most `bytes_max` bytes.
    ///
    /// # Errors
    /// [`BodyError`].
    pub fn body(&self, bytes_max: usize) -> Result<Vec<u8>, BodyError> {
        let declared = self
            .header("content-length")
            .and_then(|length| length.parse::<usize>().ok());
        if declared.is_some_and(|length| length > bytes_max) {
            return Err(BodyError::TooLarge { bytes_max });
        }
        self.body_reader()?.read_all(bytes_max)
    }

    /// The body as JSON, if it has at most [`super::JSON_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// [`super::JsonError`]; it converts into a [`super::Problem`].
    #[cfg(feature = "json")]
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, super::JsonError> {
        let bytes = self
            .body(super::JSON_BYTES_MAX)
            .map_err(super::JsonError::Body)?;
        serde_json::from_slice(&bytes).map_err(super::JsonError::Json)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", self.method())
            .field("target", &self.target())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_target() {
        let request = Request::new(Method::Get, "/items/A%2F1//x/?after=A+1&limit=5&after=2");
        assert_eq!(request.path(), "/items/A%2F1//x/");
        assert_eq!(
            request.segments().collect::<Vec<_>>(),
            ["items", "A/1", "x"]
        );
        assert_eq!(request.query("after").as_deref(), Some("A 1"));
        assert_eq!(request.query("before"), None);
        assert_eq!(Request::new(Method::Get, "/").query_text(), "");
    }

    #[test]
    fn a_prefix_that_is_no_path_is_dropped() {
        let prefix = |value: &str| {
            Request::new(Method::Get, "/")
                .with_header("X-Forwarded-Prefix", value)
                .prefix()
        };
        assert_eq!(prefix("/t/acme/main/stock"), "/t/acme/main/stock");
        assert_eq!(prefix("/"), "");
        assert_eq!(prefix("//evil.example"), "");
        assert_eq!(prefix("/\"><script>"), "");
        assert_eq!(prefix("javascript:x"), "");
    }

    #[test]
    fn a_body_is_read_once_and_within_its_bound() {
        let request = Request::new(Method::Post, "/").with_body("12345");
        assert_eq!(request.body(5).unwrap(), b"12345");
        assert_eq!(request.body(5), Err(BodyError::AlreadyRead));
        let declared = Request::new(Method::Post, "/").with_header("Content-Length", "6");
        assert_eq!(declared.body(5), Err(BodyError::TooLarge { bytes_max: 5 }));
    }
}
