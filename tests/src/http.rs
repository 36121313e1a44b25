//! HTTP as clients speak it: to the API with a token, to sites by host name or path.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use cloudware_types::Digest;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use reqwest::{Client, RequestBuilder};
use serde_json::Value;

/// Longer than any answer takes, shorter than the patience of the test runner.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);

/// A base address with headers that every request carries. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client,
    base: String,
    headers: HeaderMap,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// An answer whose body is still to come.
pub struct Pending(reqwest::Response);

impl Http {
    /// Requests to addresses that begin with `base`. Proxies of the surroundings are not used, and
    /// redirects are answers like others.
    #[must_use]
    pub fn new(base: impl Into<String>) -> Self {
        let client = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ANSWER_WITHIN)
            .build()
            .expect("a client without special settings can be made");
        Self {
            client,
            base: base.into(),
            headers: HeaderMap::new(),
        }
    }

    /// The same with another header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("tests use valid header values");
        self.headers.insert(name, value);
        self
    }

    /// The same with another access token.
    #[must_use]
    pub fn with_token(self, token: &str) -> Self {
        self.with_header(header::AUTHORIZATION, &format!("Bearer {token}"))
    }

    /// The same with its base further down.
    #[must_use]
    pub fn under(mut self, path: &str) -> Self {
        self.base.push_str(path);
        self
    }

    /// A request, to be completed.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.base);
        self.client
            .request(method, url)
            .headers(self.headers.clone())
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// The transport's, also where the body breaks off.
    pub async fn try_send(&self, request: RequestBuilder) -> reqwest::Result<Answer> {
        Pending(request.send().await?).try_finish().await
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Panics
    /// Where none comes.
    #[track_caller]
    pub fn send(&self, request: RequestBuilder) -> impl Future<Output = Answer> {
        let place = std::panic::Location::caller();
        let answer = self.try_send(request);
        async move {
            match answer.await {
                Ok(answer) => answer,
                Err(error) => panic!("no answer, asked at {place}: {error:?}"),
            }
        }
    }

    /// Sends a request and waits for the head of the answer alone.
    ///
    /// # Panics
    /// Where none comes.
    pub async fn open(&self, request: RequestBuilder) -> Pending {
        self.try_open(request).await.expect("the server answers")
    }

    /// As [`Http::open`], for a request whose connection may be closed before the head of an answer.
    ///
    /// # Errors
    /// Why none came.
    pub async fn try_open(&self, request: RequestBuilder) -> reqwest::Result<Pending> {
        request.send().await.map(Pending)
    }

    /// `GET`.
    #[track_caller]
    pub fn get(&self, path: &str) -> impl Future<Output = Answer> {
        self.send(self.request(Method::GET, path))
    }

    /// `DELETE`.
    #[track_caller]
    pub fn delete(&self, path: &str) -> impl Future<Output = Answer> {
        self.send(self.request(Method::DELETE, path))
    }

    /// `POST` with a JSON body.
    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> impl Future<Output = Answer> {
        self.send(self.request(Method::POST, path).json(body))
    }

    /// `PUT` with a JSON body.
    #[track_caller]
    pub fn put(&self, path: &str, body: &Value) -> impl Future<Output = Answer> {
        self.send(self.request(Method::PUT, path).json(body))
    }

    /// `PATCH` with a JSON body.
    #[track_caller]
    pub fn patch(&self, path: &str, body: &Value) -> impl Future<Output = Answer> {
        self.send(self.request(Method::PATCH, path).json(body))
    }
}

impl Pending {
    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.0.status().as_u16()
    }

    /// A header's value; empty where it is absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        text_of(self.0.headers(), name)
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// Where the body breaks off.
    pub async fn chunk(&mut self) -> reqwest::Result<Option<Bytes>> {
        self.0.chunk().await
    }

    /// The rest.
    ///
    /// # Errors
    /// Where the body breaks off.
    pub async fn try_finish(self) -> reqwest::Result<Answer> {
        Ok(Answer {
            status: self.0.status().as_u16(),
            headers: self.0.headers().clone(),
            body: self.0.bytes().await?,
        })
    }
}

impl Answer {
    /// The answer itself where it has this status.
    ///
    /// # Panics
    /// With the body where it has another one.
    #[track_caller]
    #[must_use]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// Where it is none.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("{} {error}: {}", self.status, self.text()),
        }
    }

    /// A header's value; empty where it is absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        text_of(&self.headers, name)
    }

    /// The problem document, which must have the media type, the members that every problem has, and
    /// this status and kind.
    ///
    /// # Panics
    /// Where it is none, or another one.
    #[track_caller]
    #[must_use]
    pub fn problem(&self, status: u16, kind: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["type"], format!("/problems/{kind}"), "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        for member in ["title", "detail"] {
            let text = problem[member].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{member} is missing: {problem}");
        }
        problem
    }
}

fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let value = headers.get(name);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// The value of `Content-Digest` (RFC 9530) for these bytes.
#[must_use]
pub fn content_digest(bytes: &[u8]) -> String {
    let digest = Digest::of(bytes);
    format!("sha-256=:{}:", STANDARD.encode(digest.as_bytes()))
}
