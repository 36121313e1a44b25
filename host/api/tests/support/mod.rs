//! The API on a control plane of its own, called without a network.

#![allow(clippy::unwrap_used, reason = "a test that fails says so")]
#![allow(dead_code, reason = "each test file uses its own part")]

#[path = "../../../control/tests/support/mod.rs"]
pub mod plane;

use axum::{Router, body::Body};
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use plane::World;
use serde_json::Value;
use tower::ServiceExt;

/// The API and the world behind it.
pub struct Server {
    pub world: World,
    router: Router,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Server {
    pub fn new(world: World) -> Self {
        let router = cloudware_api::router(world.control.clone());
        Self { world, router }
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let answer = Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        };
        if answer.status.as_u16() >= 400 {
            answer.assert_problem();
        }
        answer
    }

    /// Sends a request that stays under way until it is aborted.
    pub fn spawn(&self, request: Request<Body>) -> tokio::task::AbortHandle {
        let router = self.router.clone();
        tokio::spawn(async move { drop(router.oneshot(request).await) }).abort_handle()
    }

    /// Sends requests until one has the answer that is waited for.
    pub async fn send_until(
        &self,
        is_it: impl Fn(&Answer) -> bool,
        request: impl Fn() -> Request<Body>,
    ) -> Answer {
        let begun = std::time::Instant::now();
        loop {
            let answer = self.send(request()).await;
            if is_it(&answer) {
                return answer;
            }
            assert!(begun.elapsed().as_secs() < 20, "still {answer:?}");
            tokio::task::yield_now().await;
        }
    }

    /// A call with a JSON body, `Null` for none.
    pub async fn call(&self, secret: &str, method: Method, path: &str, body: &Value) -> Answer {
        self.send(request(secret, method, path, body)).await
    }

    pub async fn get(&self, secret: &str, path: &str) -> Answer {
        self.call(secret, Method::GET, path, &Value::Null).await
    }

    pub async fn post(&self, secret: &str, path: &str, body: &Value) -> Answer {
        self.call(secret, Method::POST, path, body).await
    }
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// What the problem's type ends with.
    pub fn problem(&self) -> String {
        let kind = self.json()["type"].as_str().unwrap().to_owned();
        kind.trim_start_matches("/problems/").to_owned()
    }

    /// Every error is a whole problem document.
    #[track_caller]
    fn assert_problem(&self) {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{self:?}"
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        assert_eq!(problem["request_id"], self.header("x-request-id"));
        for member in ["type", "title", "detail", "request_id"] {
            let text = problem[member].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{member} of {self:?}");
        }
    }
}

/// A request with a token, where the secret is not empty, and a JSON body, where it is not null.
pub fn request(secret: &str, method: Method, path: &str, body: &Value) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("/api/v1{path}"));
    if !secret.is_empty() {
        request = request.header(header::AUTHORIZATION, format!("Bearer {secret}"));
    }
    match body {
        Value::Null => request.body(Body::empty()).unwrap(),
        body => request
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.to_string().into())
            .unwrap(),
    }
}
