//! Hostile components, hostile bytes and hostile names against a running platform: each does one abuse,
//! is answered for, and neither the host nor a neighbour notices.
//!
//! Limits of each kind are in `limits`, malformed packages and requests in `bad_input`, SQL and paths of
//! other tenants in `isolation`; here is what no toolchain would make.

mod bytes;
mod clients;
mod compile;
mod connections;
mod guests;
mod host_work;
mod keys;
mod log;
mod memory;
mod names;
mod responses;
mod text;

use cloudware_tests::{Platform, Source};
use serde_json::json;

/// A platform where birch has an app that behaves and acme has none yet.
pub(crate) async fn platform() -> Platform {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    platform.publish(Source::HELLO).await;
    platform.tenants(&["acme"], &[]).await;
    platform.tenants(&["birch"], &["hello"]).await;
    platform
}

/// The same with the app for acme that misbehaves as its path says.
pub(crate) async fn platform_with_adversary() -> Platform {
    let platform = platform().await;
    platform.publish(Source::ADVERSARY).await;
    platform.enable("acme", "adversary", json!({})).await;
    platform
}

/// The host and the neighbour answer as ever.
pub(crate) async fn assert_others_are_well(platform: &Platform) {
    let hello = platform.site("birch", "/hello").get("/").await.expect(200);
    assert_eq!(hello.text(), "hello\n");
    let _ = platform.api().get("/health").await.expect(200);
    assert!(!platform.log().contains("panicked"), "{}", platform.log());
}
