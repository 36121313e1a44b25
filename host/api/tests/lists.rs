//! Lists: they come in pages, and only a cursor of their own leads on.

#![allow(clippy::unwrap_used, reason = "a test that fails says so")]

mod support;

use serde_json::json;
use support::{
    Server,
    plane::{HELLO, World},
};

async fn server() -> (Server, String) {
    let world = World::new().await;
    let secret = world.secret(None, None).await;
    (Server::new(world), secret)
}

#[tokio::test]
async fn lists_come_in_pages() {
    let (server, secret) = server().await;
    for number in 0..7 {
        let body = json!({ "slug": format!("t{number}") });
        assert_eq!(server.post(&secret, "/tenants", &body).await.status, 201);
    }
    for path in ["/tenants", "/audit"] {
        let mut seen = Vec::new();
        let mut next = String::new();
        loop {
            let page = server
                .get(&secret, &format!("{path}?limit=3{next}"))
                .await
                .json();
            let items = page["items"].as_array().unwrap();
            assert!((1..=3).contains(&items.len()));
            seen.extend(items.iter().map(|item| item["id"].to_string()));
            match page["next"].as_str() {
                Some(after) => next = format!("&after={after}"),
                None => break,
            }
        }
        let mut unique = seen.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), seen.len(), "{path} repeats items");
        assert!(seen.len() >= 7, "{path}: {seen:?}");
    }
}

#[tokio::test]
async fn what_is_no_cursor_is_refused() {
    let (server, secret) = server().await;
    let provider = server.world.provider("northwind").await;
    drop(server.world.push(&provider, &HELLO).await.unwrap());
    server.world.tenant("acme").await;
    server.world.instance("acme", "shop").await;
    for path in [
        "/stops",
        "/audit",
        "/traces",
        "/recordings",
        "/tokens",
        "/events",
        "/apps/hello/releases",
        "/tenants/acme/instances/shop/deliveries",
    ] {
        assert_eq!(server.get(&secret, path).await.status, 200, "{path}");
        for after in ["bogus", "ten_0123456789abcdef0123456789abcdef"] {
            let answer = server.get(&secret, &format!("{path}?after={after}")).await;
            let problem = (answer.status.as_u16(), answer.problem());
            assert_eq!(problem, (422, "invalid".to_owned()), "{path} after {after}");
        }
    }
}
