//! Points that HTTP endpoints fill: signed, bounded, told again, and never forgotten silently.

use std::sync::{Arc, OnceLock};

use cloudware_tests::{Cli, Endpoint, Message, eventually};
use serde_json::{Value, json};

use crate::setup::{Hooked, with_local_webhooks};

/// The key of an endpoint, which it gets after it has started.
type Key = Arc<OnceLock<String>>;

/// An endpoint that does nothing for a message that is not signed with its key.
async fn endpoint(
    answers: impl Fn(&Value, usize) -> (u16, Value) + Send + Sync + 'static,
) -> (Endpoint, Key) {
    let key = Key::default();
    let known = Arc::clone(&key);
    let checked = move |message: &Message, before| match known.get() {
        Some(key) if message.is_signed_with(key) => answers(&message.json(), before),
        _ => (401, json!({ "error": "not signed" })),
    };
    (Endpoint::start(checked).await, key)
}

#[tokio::test]
async fn endpoints_guard_and_decide() {
    let hooked = Hooked::start_with(with_local_webhooks(), &[]).await;
    let (prices, key) = endpoint(|message, _| {
        let lines = message["data"]["order"]["lines"]
            .as_array()
            .map_or(0, Vec::len);
        (200, json!({ "result": lines * 100 }))
    })
    .await;
    let secret = hooked.add_webhook("price", "erp", &prices.url()).await;
    // Before it knows its key it refuses, and the app goes by its own default.
    assert_eq!(hooked.ask("/price").await, json!({ "price": null }));
    key.set(secret).expect("it is set once");
    assert_eq!(hooked.ask("/price?lines=3").await, json!({ "price": 300 }));
    let messages = prices.messages();
    let message = messages.last().expect("it was asked").json();
    assert_eq!(message["type"], "hooks-app/price.price", "{message}");
    assert_eq!(message["version"], 1, "{message}");
    assert_ne!(messages[0].id(), messages[1].id());

    let (dock, key) = endpoint(|message, _| match message["data"]["how"].as_str() {
        Some("refuse") => (200, json!({ "result": { "err": "not today" } })),
        Some("nonsense") => (200, json!({ "result": 7 })),
        Some("gone") => (410, Value::Null),
        _ => (200, json!({ "result": { "ok": null } })),
    })
    .await;
    let secret = hooked.add_webhook("check", "dock", &dock.url()).await;
    key.set(secret).expect("it is set once");
    assert_eq!(hooked.ask("/check").await, json!({ "allowed": true }));
    let refused = hooked.ask("/check?how=refuse").await;
    assert_eq!(refused, json!({ "allowed": false, "message": "not today" }));
    // A guard that answers what no guard does lets nothing pass, and is named.
    let refused = hooked.ask("/check?how=nonsense").await;
    assert_eq!(refused["allowed"], false, "{refused}");
    assert!(refused["message"].to_string().contains("dock"), "{refused}");
    // One that is gone is called until somebody disables it, and its tenant is told.
    assert_eq!(hooked.ask("/check?how=gone").await["allowed"], false);
    assert_eq!(hooked.ask("/check").await["allowed"], true);
    let acme = hooked.platform.tenant_token("acme").await;
    let gone = hooked.events(&acme, "hook.gone").await;
    assert_eq!(gone.len(), 1, "{gone:?}");
    assert_eq!(gone[0]["subject"], "acme/main/hooks-app/check/dock");

    // What endpoints were asked is in the ledger, beside what the app itself did.
    let usage = hooked
        .instance()
        .get("/usage?by=hook")
        .await
        .expect(200)
        .json();
    let of = |name: &str| {
        let rows = usage["items"].as_array().into_iter().flatten();
        let mut rows = rows.filter(|row| row["hook"]["name"] == name);
        let row = rows
            .next()
            .unwrap_or_else(|| panic!("no {name} in {usage}"));
        ["webhook-calls", "webhook-failures", "fuel"].map(|meter| row["meters"][meter].clone())
    };
    assert_eq!(json!(of("hooks-app.price.erp")), json!([2, 1, 0]));
    assert_eq!(json!(of("hooks-app.check.dock")), json!([5, 2, 0]));
}

#[tokio::test]
async fn private_addresses_are_called_only_where_the_operator_says_so() {
    let mut options = with_local_webhooks();
    options
        .variables
        .retain(|(name, _)| !name.ends_with("PRIVATE_ADDRESSES"));
    let hooked = Hooked::start_with(options, &[]).await;
    let (inside, _) = endpoint(|_, _| (200, json!({ "result": 1 }))).await;
    // The address itself is refused where it is written, a name that leads there when it is called.
    let by_number = json!({
        "app": "hooks-app",
        "point": "check",
        "webhook": { "name": "by-number", "url": inside.url() },
    });
    let problem = hooked.api().post("", &by_number).await;
    let problem = problem.problem(422, "invalid");
    assert!(
        problem["detail"].to_string().contains("public"),
        "{problem}"
    );
    let by_name = inside.url().replace("127.0.0.1", "localhost");
    hooked.add_webhook("check", "by-name", &by_name).await;
    assert_eq!(hooked.ask("/check").await["allowed"], false);
    let hook = hooked.hook("by-name", "check").await;
    let reason = hook["last_failure"]["reason"].to_string();
    assert!(reason.contains("no public address"), "{hook}");
    assert!(inside.messages().is_empty());
}

#[tokio::test]
async fn an_observer_is_told_again_and_its_dead_letter_can_be_replayed() {
    let hooked = Hooked::start_with(with_local_webhooks(), &[]).await;
    // Down at first, gone when it is tried again, and there once more.
    let (erp, key) = endpoint(|_, before| match before {
        0 => (503, Value::Null),
        1 => (410, Value::Null),
        _ => (200, Value::Null),
    })
    .await;
    let secret = hooked.add_webhook("told", "erp", &erp.url()).await;
    key.set(secret).expect("it is set once");
    assert_eq!(hooked.ask("/tell?number=8").await, json!({ "told": 8 }));
    let dead = eventually("the dead letter", async || {
        hooked.deliveries("?state=dead").await.pop()
    })
    .await;
    assert_eq!(
        (&dead["attempts"], &dead["hook_name"]),
        (&json!(2), &json!("erp")),
        "{dead}"
    );
    let acme = hooked.platform.tenant_token("acme").await;
    for kind in ["delivery.dead", "hook.gone"] {
        let event = eventually(kind, async || hooked.events(&acme, kind).await.pop()).await;
        assert_eq!(event["subject"], "acme/main/hooks-app/told/erp", "{event}");
        assert_eq!(event["data"]["count"], 1, "{event}");
        assert_eq!(event["data"]["delivery"], dead["id"], "{event}");
        assert!(
            event["data"]["reason"].to_string().contains("410"),
            "{event}"
        );
    }

    let cli = Cli::of(&hooked.platform);
    let listed = cli
        .run("delivery list acme/main --state dead")
        .await
        .ok()
        .stdout;
    assert!(listed.contains("erp") && listed.contains("410"), "{listed}");
    let id = dead["id"].as_str().unwrap_or_default();
    let _ = cli
        .run(&format!("delivery replay acme/main {id}"))
        .await
        .ok();
    eventually("the letter is delivered", async || {
        hooked.deliveries("?state=delivered").await.pop()
    })
    .await;
    let messages = erp.messages();
    let ids: Vec<_> = messages.iter().map(Message::id).collect();
    assert_eq!(ids, [id; 3], "it is the same message each time");
    let message = messages[2].json();
    assert_eq!(message["data"]["number"], 8, "{message}");
    assert_eq!(message, messages[0].json());
}
