//! Hooks over HTTP: what a change answers, keys that are shown once, and refusals that name both sides.

#![allow(clippy::unwrap_used, reason = "a test that fails says so")]

mod support;

use http::Method;
use serde_json::{Value, json};
use support::{
    Answer, Server,
    plane::{FEFO, Interface, PICK_FLOAT, Package, STORE, World},
};

const INSTALLS: &str = "/tenants/acme/instances/main/installs";
const HOOKS: &str = "/tenants/acme/instances/main/hooks";
const FEFO_HOOK: &str = "/tenants/acme/instances/main/hooks/store.allocation.fefo";

/// A world where acme may enable the app with the point and the extension, and acme's token.
async fn server() -> (Server, String) {
    let world = World::new().await;
    let provider = world.provider("northwind").await;
    let float = Package {
        version: "2.0.0",
        exports: &[Interface {
            name: "store:app/allocation@1.0.0",
            function: PICK_FLOAT,
        }],
        ..FEFO
    };
    for package in [STORE, FEFO, float] {
        world.push(&provider, &package).await.unwrap();
    }
    world.tenant("acme").await;
    let secret = world.secret(None, Some("acme")).await;
    (Server::new(world), secret)
}

async fn enable(server: &Server, secret: &str, app: &str, version: &str) -> Answer {
    let body = json!({ "app": app, "version": version });
    server.post(secret, INSTALLS, &body).await
}

#[tokio::test]
async fn enabling_tells_what_was_hooked_on_and_what_was_not() {
    let (server, secret) = server().await;
    let early = enable(&server, &secret, "fefo", "1.0.0").await;
    assert_eq!(early.status, 201, "{early:?}");
    let early = early.json();
    assert_eq!(early["hooks"], json!([]));
    let note = early["notes"][0].as_str().unwrap();
    assert!(note.contains("store:app/allocation@1.0.0"), "{note}");
    assert_eq!(early["app"], "fefo", "the install is there as ever");

    let app = enable(&server, &secret, "store", "1.0.0").await.json();
    assert_eq!(app["notes"], json!([]));
    assert_eq!(
        (&app["hooks"][0]["point"], &app["hooks"][0]["name"]),
        (&json!("allocation"), &json!("fefo"))
    );
    let points = server
        .get(&secret, "/tenants/acme/instances/main/points")
        .await
        .json();
    let point = &points["items"][0];
    assert_eq!(
        point["functions"],
        json!([{ "name": "pick", "type": "func(quantity: u64) -> option<u64>" }])
    );
    assert_eq!(point["hooks"][0]["id"], app["hooks"][0]["id"]);
    let release = server.get(&secret, "/apps/store/releases/1.0.0").await;
    let offered = &release.json()["extension_points"]["allocation"];
    assert_eq!(offered["kind"], "decide");
}

#[tokio::test]
async fn a_mismatch_is_a_conflict_of_its_own() {
    let (server, secret) = server().await;
    enable(&server, &secret, "store", "1.0.0").await;
    let refused = enable(&server, &secret, "fefo", "2.0.0").await;
    assert_eq!(
        (refused.status.as_u16(), refused.problem().as_str()),
        (409, "point-mismatch")
    );
    let detail = refused.json()["detail"].to_string();
    for words in ["fefo 2.0.0", "store/allocation", "u64", "f64"] {
        assert!(detail.contains(words), "{detail}");
    }
}

#[tokio::test]
async fn a_hook_is_changed_member_by_member() {
    let (server, secret) = server().await;
    for app in ["store", "fefo"] {
        enable(&server, &secret, app, "1.0.0").await;
    }
    let patch = |body: Value| {
        let (server, secret) = (&server, &secret);
        async move { server.call(secret, Method::PATCH, FEFO_HOOK, &body).await }
    };
    let plain = server.get(&secret, FEFO_HOOK).await;
    assert_eq!(plain.header("etag"), "\"r1\"");
    assert!(plain.json().get("deadline_ms").is_none());
    assert_eq!(plain.json()["effect"]["deadline_ms"], 40);
    let set = patch(json!({ "deadline_ms": 20, "on_failure": "skip", "mode": "shadow" })).await;
    assert_eq!((set.status.as_u16(), set.header("etag")), (200, "\"r2\""));
    let set = set.json();
    assert_eq!(
        (&set["deadline_ms"], &set["effect"]["deadline_ms"]),
        (&json!(20), &json!(20))
    );
    assert_eq!(
        (&set["mode"], &set["on_failure"]),
        (&json!("shadow"), &json!("skip"))
    );
    let unset = patch(json!({ "deadline_ms": null })).await.json();
    assert!(unset.get("deadline_ms").is_none(), "{unset}");
    assert_eq!(unset["on_failure"], "skip", "what is absent stays");
    for body in [
        json!({ "colour": "red" }),
        json!({ "mode": "ghost" }),
        json!({ "on_failure": "retry" }),
        json!({ "position": 7 }),
        json!({ "deadline_ms": -1 }),
        json!({ "enabled": null, "url": "https://example.com/" }),
    ] {
        let answer = patch(body.clone()).await;
        assert_eq!(answer.status, 422, "{body}: {answer:?}");
    }
    let off = patch(json!({ "enabled": false })).await.json();
    assert!(off.get("effect").is_none(), "{off}");
}

#[tokio::test]
async fn a_key_is_shown_once() {
    let (server, secret) = server().await;
    enable(&server, &secret, "store", "1.0.0").await;
    let both = json!({
        "app": "store", "point": "allocation", "extension": "fefo",
        "webhook": { "name": "erp", "url": "https://erp.example.com/" },
    });
    let answer = server.post(&secret, HOOKS, &both).await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()["field"].as_str()),
        (422, Some("extension"))
    );
    let body = json!({
        "app": "store", "point": "allocation",
        "webhook": { "name": "erp", "url": "https://erp.example.com/" },
    });
    let added = server.post(&secret, HOOKS, &body).await;
    assert_eq!(added.status, 201, "{added:?}");
    let first = added.json()["secret"].as_str().unwrap().to_owned();
    let erp = format!("{HOOKS}/store.allocation.erp");
    let rotated = server
        .post(&secret, &format!("{erp}/rotate-key"), &Value::Null)
        .await
        .json();
    let second = rotated["secret"].as_str().unwrap().to_owned();
    assert_eq!(rotated["webhook"]["keys"].as_array().unwrap().len(), 2);
    let revoked = server
        .post(
            &secret,
            &format!("{erp}/rotate-key"),
            &json!({ "revoke_previous": true }),
        )
        .await
        .json();
    assert_eq!(revoked["webhook"]["keys"].as_array().unwrap().len(), 1);
    let points = "/tenants/acme/instances/main/points";
    for path in [HOOKS, &erp, points, "/audit", "/events"] {
        let answer = server.get(&secret, path).await;
        assert_eq!(answer.status, 200);
        for key in [&first, &second] {
            assert!(!answer.text.contains(key.as_str()), "{path}");
        }
    }
    let twice = server.post(&secret, HOOKS, &body).await;
    assert_eq!(twice.problem(), "already-exists");
    let by_id = format!("{HOOKS}/{}", added.json()["id"].as_str().unwrap());
    let removed = server
        .call(&secret, Method::DELETE, &by_id, &Value::Null)
        .await;
    assert_eq!(
        (removed.status.as_u16(), removed.json()["name"].as_str()),
        (200, Some("erp"))
    );
    assert_eq!(server.get(&secret, &erp).await.problem(), "not-found");
}
