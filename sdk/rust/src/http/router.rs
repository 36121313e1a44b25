//! Finds the handler of a request by method and path.

use super::{IntoResponse, Method, Problem, Request, Response, Status, decode};

type Handler = Box<dyn Fn(Request) -> Response>;

/// Routes, in the order in which they are tried: the first that fits answers.
///
/// A pattern is a path whose segments are literal, or `{name}` for any one segment that is not
/// empty, or, at the end, `{*name}` for the rest. A slash at the end of the path makes no difference.
/// `HEAD` is answered by the route of `GET`.
#[derive(Default)]
pub struct Router {
    routes: Vec<(Method, &'static str, Handler)>,
}

impl Router {
    /// A router without routes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a route.
    #[must_use]
    pub fn route<R: IntoResponse>(
        mut self,
        method: Method,
        pattern: &'static str,
        handler: impl Fn(Request) -> R + 'static,
    ) -> Self {
        let handler = Box::new(move |request| handler(request).into_response());
        self.routes.push((method, pattern, handler));
        self
    }

    /// Adds a route for `GET`.
    #[must_use]
    pub fn get<R: IntoResponse>(
        self,
        pattern: &'static str,
        handler: impl Fn(Request) -> R + 'static,
    ) -> Self {
        self.route(Method::Get, pattern, handler)
    }

    /// Adds a route for `POST`.
    #[must_use]
    pub fn post<R: IntoResponse>(
        self,
        pattern: &'static str,
        handler: impl Fn(Request) -> R + 'static,
    ) -> Self {
        self.route(Method::Post, pattern, handler)
    }

    /// Adds a route for `PUT`.
    #[must_use]
    pub fn put<R: IntoResponse>(
        self,
        pattern: &'static str,
        handler: impl Fn(Request) -> R + 'static,
    ) -> Self {
        self.route(Method::Put, pattern, handler)
    }

    /// Adds a route for `DELETE`.
    #[must_use]
    pub fn delete<R: IntoResponse>(
        self,
        pattern: &'static str,
        handler: impl Fn(Request) -> R + 'static,
    ) -> Self {
        self.route(Method::Delete, pattern, handler)
    }

    /// Answers a request: by the first route that fits, by `405` where only the method does not
    /// fit, and by `404` otherwise.
    #[must_use]
    pub fn handle(&self, mut request: Request) -> Response {
        let wanted = match request.method() {
            Method::Head => Method::Get,
            method => method.clone(),
        };
        let mut allowed: Vec<&str> = Vec::new();
        for (method, pattern, handler) in &self.routes {
            let Some(params) = matches(pattern, request.path()) else {
                continue;
            };
            if *method == wanted {
                request.set_params(params);
                return handler(request);
            }
            if !allowed.contains(&method.as_str()) {
                allowed.push(method.as_str());
            }
        }
        refuse(&request, &allowed).into_response()
    }
}

fn refuse(request: &Request, allowed: &[&str]) -> Problem {
    let path: String = request.path().chars().take(200).collect();
    if allowed.is_empty() {
        return Problem::new(Status::NOT_FOUND, "not-found")
            .with_detail(format!("there is nothing at `{path}`"));
    }
    let allowed = allowed.join(", ");
    Problem::new(Status::METHOD_NOT_ALLOWED, "method-not-allowed")
        .with_detail(format!(
            "`{path}` does not answer {}; it answers {allowed}",
            request.method()
        ))
        .with_header("allow", allowed)
}

/// The named parts of a path that fits a pattern.
fn matches(pattern: &'static str, path: &str) -> Option<Vec<(&'static str, String)>> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let mut rest = Some(path.strip_suffix('/').unwrap_or(path)).filter(|p| !p.is_empty());
    let mut params = Vec::new();
    for expected in pattern.split('/').filter(|segment| !segment.is_empty()) {
        let name = expected
            .strip_prefix('{')
            .and_then(|inner| inner.strip_suffix('}'));
        if let Some(name) = name.and_then(|name| name.strip_prefix('*')) {
            let value = decode(rest.unwrap_or_default()).into_owned();
            params.push((name, value));
            return Some(params);
        }
        let present = rest?;
        let (segment, after) = match present.split_once('/') {
            Some((segment, after)) => (segment, Some(after)),
            None => (present, None),
        };
        rest = after;
        let segment = decode(segment);
        match name {
            Some(name) if !segment.is_empty() => params.push((name, segment.into_owned())),
            None if segment == expected => {}
            _ => return None,
        }
    }
    rest.is_none().then_some(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router() -> Router {
        Router::new()
            .get("/", |_| "root")
            .get("/items", |_| "list")
            .post("/items", |_| "create")
            .get("/items/new", |_| "new")
            .get("/items/{sku}", |r: Request| {
                format!("item {}", r.param("sku"))
            })
            .get("/items/{sku}/moves/{id}", |r: Request| {
                format!("{} {}", r.param("sku"), r.param("id"))
            })
            .get("/files/{*path}", |r: Request| r.param("path").to_owned())
    }

    fn ask(method: Method, target: &str) -> (u16, String) {
        let response = router().handle(Request::new(method, target));
        let status = response.status().code();
        let body = response.into_body().unwrap();
        (status, String::from_utf8(body).unwrap())
    }

    #[test]
    fn the_first_route_that_fits_answers() {
        for (target, body) in [
            ("/", "root"),
            ("/?q=/items", "root"),
            ("/items", "list"),
            ("/items/", "list"),
            ("/items/new", "new"),
            ("/items/A%201", "item A 1"),
            ("/items/a%2Fb/moves/7", "a/b 7"),
            ("/files/a/b%20c", "a/b c"),
            ("/files", ""),
        ] {
            assert_eq!(ask(Method::Get, target), (200, body.into()), "{target}");
        }
        assert_eq!(ask(Method::Post, "/items"), (200, "create".into()));
        assert_eq!(ask(Method::Head, "/items").0, 200);
    }

    #[test]
    fn what_fits_no_route_is_refused() {
        for target in ["/item", "/items/a/moves", "/items//moves/7", "/itemsx"] {
            assert_eq!(ask(Method::Get, target).0, 404, "{target}");
        }
        let response = router().handle(Request::new(Method::Delete, "/items"));
        assert_eq!(response.status(), Status::METHOD_NOT_ALLOWED);
        assert_eq!(response.header("allow"), Some("GET, POST"));
    }
}
