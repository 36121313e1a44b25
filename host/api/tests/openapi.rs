//! The checked-in OpenAPI document is the one that is served.

#![allow(clippy::unwrap_used, reason = "a test that fails says so")]

mod support;

use serde_json::Value;
use support::{Server, plane::World};

#[test]
fn the_checked_in_document_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    let current = cloudware_api::openapi_document();
    if std::env::var_os("CLOUDWARE_WRITE_OPENAPI").is_some() {
        std::fs::write(path, &current).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == current,
        "host/api/openapi.json is out of date: run `CLOUDWARE_WRITE_OPENAPI=1 cargo nextest run -p cloudware-api openapi`"
    );
}

#[tokio::test]
async fn the_document_is_served_and_whole() {
    let server = Server::new(World::new().await);
    let answer = server.get("", "/openapi.json").await;
    assert_eq!(answer.text, cloudware_api::openapi_document());
    let document = answer.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut ids = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            ids.push(operation["operationId"].as_str().unwrap().to_owned());
            assert!(
                operation["summary"].is_string(),
                "{method} {path} has no summary"
            );
            if !path.ends_with("/openapi.json") {
                let refusal = &operation["responses"]["default"]["content"];
                assert!(
                    refusal["application/problem+json"].is_object(),
                    "{method} {path}"
                );
            }
        }
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "operation ids are unique");
    check_references(&document, &document);
}

/// Every reference leads somewhere.
fn check_references(document: &Value, value: &Value) {
    match value {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(
                    document.pointer(pointer).is_some(),
                    "{reference} leads nowhere"
                );
            }
            members
                .values()
                .for_each(|member| check_references(document, member));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| check_references(document, item)),
        _ => {}
    }
}
