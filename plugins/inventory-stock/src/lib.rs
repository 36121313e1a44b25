//! Stock keeping: items at locations, in batches with expiry dates, and the movements that change how
//! much there is. The first application of the product `inventory`.
//!
//! One file per noun holds its handlers; this file is the index of the API. What keeps stock right:
//! - every change runs in one write transaction ([`operation`]), and transactions of an instance run
//!   one after the other;
//! - a level never goes below zero: it is allocated within the transaction ([`allocation`]), and the
//!   table refuses it besides;
//! - movements are append-only, and add up to the levels.

mod adjustments;
#[cfg(feature = "reorder-levels")]
mod alerts;
mod allocation;
mod batches;
// Generated code has its own habits; what exports is used in WebAssembly alone.
#[allow(missing_docs, unused_imports, unused_qualifications, clippy::unwrap_used)]
#[cfg(feature = "extension-points")]
mod bindings;
mod fields;
mod filter;
mod html;
mod items;
mod levels;
mod locations;
mod movements;
mod moves;
mod operation;
mod overview;
mod paging;
mod picks;
#[cfg(feature = "extension-points")]
mod points;
mod receipts;
mod rules;
#[cfg(feature = "extension-points")]
mod scans;
mod sequence;
#[cfg(feature = "extension-points")]
mod services;

use cloudware_sdk::http::{Request, Response, Router};

#[cfg(target_arch = "wasm32")]
cloudware_sdk::app!(handle);

/// The release that this build is.
pub const VERSION: &str = if cfg!(feature = "extension-points") {
    "1.2.0"
} else if cfg!(feature = "reorder-levels") {
    "1.1.0"
} else {
    "1.0.0"
};

/// Answers a request. A form that is refused shows the page again, with the reason.
#[must_use]
pub fn handle(request: Request) -> Response {
    let form_prefix = fields::is_from_page(&request).then(|| request.prefix());
    let response = router().handle(request);
    match form_prefix {
        Some(prefix) if response.status().code() >= 400 => overview::refusal(prefix, response),
        _ => response,
    }
}

fn router() -> Router {
    let router = Router::new()
        .get("/", overview::show)
        .get("/health", health)
        .get("/items", items::list)
        .post("/items", items::create)
        .get("/items/{sku}", items::show)
        .put("/items/{sku}", items::update)
        .get("/locations", locations::list)
        .post("/locations", locations::create)
        .get("/stock", levels::list)
        .get("/stock/{level}", levels::show)
        .post("/receipts", receipts::create)
        .post("/moves", moves::create)
        .post("/picks", picks::create)
        .post("/adjustments", adjustments::create)
        .get("/movements", movements::list);
    #[cfg(feature = "reorder-levels")]
    let router = router
        .put("/items/{sku}/reorder-level", alerts::set_reorder_level)
        .get("/alerts", alerts::list);
    #[cfg(feature = "extension-points")]
    let router = router.get("/scan", scans::show);
    router
}

fn health(_request: Request) -> Response {
    Response::json(&serde_json::json!({
        "status": "ok",
        "app": env!("CARGO_PKG_NAME"),
        "version": VERSION,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> toml::Table {
        text.parse().unwrap()
    }

    #[test]
    fn the_version_is_that_of_the_manifest() {
        let text = if cfg!(feature = "extension-points") {
            include_str!("../cloudware-1.2.toml")
        } else if cfg!(feature = "reorder-levels") {
            include_str!("../cloudware-1.1.toml")
        } else {
            include_str!("../cloudware.toml")
        };
        let package = manifest(text)["package"].as_table().unwrap().clone();
        assert_eq!(package["version"].as_str(), Some(VERSION));
        assert_eq!(package["name"].as_str(), Some(env!("CARGO_PKG_NAME")));
    }

    #[test]
    fn health_needs_no_capability() {
        let request = Request::new(cloudware_sdk::http::Method::Get, "/health");
        let body = handle(request).into_body().unwrap();
        let health: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(health["status"], "ok");
        assert_eq!(health["version"], VERSION);
    }
}
