//! Hooks that ask hooks of their own: what those take is theirs, in the request's budget and where somebody is blamed.

use cloudware_tests::Source;
use serde_json::{Value, json};

use crate::setup::{Hooked, told_ms};

/// Calls after which a hook is tripped of which more than half fail, and some more for a busy machine.
const CALLS_MAX: usize = 200;

/// `hooks-outer` is asked whether something is allowed, and asks `ext-22` for a number before it answers.
async fn start() -> Hooked {
    let hooked = Hooked::start(&[]).await;
    let platform = &hooked.platform;
    platform.publish(Source::HOOKS_OUTER).await;
    platform.enable("acme", "hooks-outer", json!({})).await;
    hooked.extend("ext-22").await;
    hooked
        .set("ext-22", "check", json!({ "enabled": false }))
        .await;
    hooked
        .set("ext-22", "inner", json!({ "deadline_ms": 5_000 }))
        .await;
    let outer = json!({ "deadline_ms": 5_000, "on_failure": "refuse" });
    hooked.set("hooks-outer", "check", outer).await;
    hooked
}

/// Lets `ext-22` hang until it is tripped.
async fn trip(hooked: &Hooked, how: &str, mut seen: impl FnMut(Value)) {
    for _ in 0..CALLS_MAX {
        let answer = hooked.ask(&format!("/check?how={how}")).await;
        if hooked.hook("ext-22", "inner").await["state"] == "tripped" {
            return;
        }
        seen(answer);
    }
    panic!("the hook that hangs is not tripped");
}

#[tokio::test]
async fn a_hook_asks_hooks_of_its_own() {
    let hooked = start().await;
    let answer = hooked.ask("/check?how=say").await;
    assert_eq!(answer["message"], "the others said Some(22)", "{answer}");
}

#[tokio::test]
async fn the_time_of_a_hook_is_not_that_of_the_one_that_waits_for_it() {
    let hooked = start().await;
    hooked
        .platform
        .limit("acme", json!({ "extension-time": 100 }))
        .await;
    hooked.extend("ext-11").await;
    hooked
        .set("ext-11", "check", json!({ "on_failure": "refuse" }))
        .await;
    let (mut inner, mut outer) = (0.0, 0.0);
    trip(&hooked, "wait@22", |answer| {
        // Whoever is not asked any more says who had how much. Once it is tripped, which is listed a little later, nobody
        // waits for it.
        let Some(message) = answer["message"].as_str() else {
            return;
        };
        inner += told_ms(message, "ext-22");
        outer += told_ms(message, "hooks-outer");
    })
    .await;
    assert!(outer < inner, "{outer} of {inner} ms");
    let outer = hooked.hook("hooks-outer", "check").await;
    assert_eq!(outer["state"], "active", "{outer}");
    hooked
        .platform
        .limit("acme", json!({ "extension-time": 10_000 }))
        .await;
    assert_eq!(
        hooked.ask("/check?how=wait@22").await,
        json!({ "allowed": true }),
        "nobody waits for it any more"
    );
}

#[tokio::test]
async fn a_hook_ends_with_the_one_that_waits_for_it_and_is_blamed_for_keeping_it() {
    let hooked = start().await;
    hooked
        .set("hooks-outer", "check", json!({ "deadline_ms": 50 }))
        .await;
    // It has no time left to answer, and says whose that was.
    let mut lingered = 0;
    trip(&hooked, "wait@22,linger", |answer| {
        let message = answer["message"].as_str().unwrap_or_default();
        lingered += usize::from(message.contains("had most of that time"));
    })
    .await;
    assert!(lingered > 25, "{lingered}");
    let inner = hooked.hook("ext-22", "inner").await;
    let reason = inner["last_failure"].to_string();
    for word in ["hooks-outer", "which asked it", "hook-deadline", "50 ms"] {
        assert!(reason.contains(word), "no {word} in {reason}");
    }
    let outer = hooked.hook("hooks-outer", "check").await;
    assert_eq!(outer["state"], "active", "{outer}");
    // Now it is its own doing.
    let answer = hooked.ask("/check?how=linger").await;
    let message = answer["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("hook-deadline") && !message.contains("had most"),
        "{message}"
    );
}
