//! Hooks that misbehave: the policy decides what the app gets, the culprit is named, and nobody else notices.

use cloudware_tests::{Source, eventually};
use serde_json::{Value, json};

use crate::setup::{Hooked, told_ms};

/// What a hook can do to its caller, and what is said of it.
const MISDEEDS: &[(&str, &str)] = &[
    ("trap", "trapped"),
    ("loop", "fuel"),
    ("grow", "memory"),
    ("wait", "deadline"),
];

#[tokio::test]
async fn a_guard_that_fails_lets_nothing_pass() {
    let hooked = Hooked::start(&["ext"]).await;
    hooked.calm("ext", "check").await;
    for (misdeed, said) in MISDEEDS {
        let answer = hooked.ask(&format!("/check?how={misdeed}")).await;
        assert_eq!(answer["allowed"], false, "{misdeed}: {answer}");
        let message = answer["message"].as_str().unwrap_or_default();
        for word in ["ext", "hooks-app/check", said] {
            assert!(message.contains(word), "{misdeed}: no {word} in {message}");
        }
    }
    assert_eq!(hooked.ask("/check").await, json!({ "allowed": true }));
}

#[tokio::test]
async fn a_guard_that_may_be_skipped_holds_up_nothing() {
    let hooked = Hooked::start(&["ext"]).await;
    hooked
        .set("ext", "check", json!({ "on_failure": "skip" }))
        .await;
    for (misdeed, _) in MISDEEDS {
        let answer = hooked.ask(&format!("/check?how={misdeed}")).await;
        assert_eq!(answer, json!({ "allowed": true }), "{misdeed}");
    }
}

#[tokio::test]
async fn a_decision_that_fails_is_the_apps_own() {
    let hooked = Hooked::start(&["ext-11", "ext-22"]).await;
    for (misdeed, _) in MISDEEDS {
        // `default`: nobody else is asked.
        let answer = hooked.ask(&format!("/price?how={misdeed}@11")).await;
        assert_eq!(answer, json!({ "price": null }), "{misdeed}");
    }
    hooked
        .set("ext-11", "price", json!({ "on_failure": "skip" }))
        .await;
    for (misdeed, _) in MISDEEDS {
        let answer = hooked.ask(&format!("/price?how={misdeed}@11")).await;
        assert_eq!(answer, json!({ "price": 22 }), "{misdeed}");
    }
}

#[tokio::test]
async fn a_transformation_that_fails_refuses_or_is_left_out() {
    let hooked = Hooked::start(&["ext-11", "ext-22"]).await;
    let answer = hooked.ask("/rewrite?text=a&how=trap@11").await;
    let refused = answer["refused"].as_str().unwrap_or_default();
    assert!(
        refused.contains("11") && refused.contains("trapped"),
        "{answer}"
    );
    hooked
        .set("ext-11", "rewrite", json!({ "on_failure": "skip" }))
        .await;
    let answer = hooked.ask("/rewrite?text=a&how=trap@11").await;
    assert_eq!(answer, json!({ "text": "a+22" }));
}

#[tokio::test]
async fn what_stopped_a_hook_is_told_as_the_extensions() {
    let hooked = Hooked::start(&["ext"]).await;
    hooked.calm("ext", "price").await;
    hooked.ask("/price?how=loop").await;
    hooked.ask("/price?how=trap").await;
    let stops = hooked
        .platform
        .api()
        .get("/stops?app=ext")
        .await
        .expect(200)
        .json();
    let stops = stops["items"].as_array().cloned().unwrap_or_default();
    let causes: Vec<&Value> = stops.iter().map(|stop| &stop["cause"]).collect();
    assert!(causes.contains(&&json!("hook-fuel")), "{stops:?}");
    assert!(causes.contains(&&json!("trap")), "{stops:?}");
    assert!(
        stops.iter().all(|stop| stop["class"] == "hook"),
        "{stops:?}"
    );
}

/// A plan with a higher limit helps where the limit was reached, and not where the hook's own was or would be.
#[tokio::test]
async fn no_plan_is_named_where_the_hooks_own_limit_is_as_low() {
    let hooked = Hooked::start(&["ext"]).await;
    let api = hooked.platform.api();
    for (plan, fuel, memory) in [
        ("small", 1_000_000, 8 << 20),
        ("large", 1_000_000_000, 64 << 20),
    ] {
        let _ = api
            .post("/plans", &json!({ "slug": plan }))
            .await
            .expect(201);
        let quota = json!({ "hook-fuel": fuel, "hook-memory": memory });
        let path = format!("/plans/{plan}/quota");
        let _ = api.patch(&path, &quota).await.expect(200);
    }
    hooked.calm("ext", "check").await;
    let stop = async || {
        hooked.ask("/check?how=loop").await;
        let stops = api.get("/stops?cause=hook-fuel").await.expect(200).json();
        stops["items"][0].clone()
    };
    let own = stop().await;
    let is_lower = own["max"].as_u64().is_some_and(|max| max < 100_000_000);
    let names_none = own["fits"].as_array().is_none_or(Vec::is_empty);
    assert!(is_lower && names_none, "{own}");
    let plan = json!({ "plan": "small" });
    let _ = api.put("/tenants/acme/plan", &plan).await.expect(200);
    assert_eq!(stop().await["fits"], json!(["large"]));
    // With a larger plan the hook's own would be the lower one.
    hooked
        .set(
            "ext",
            "check",
            json!({ "fuel": 1_000_000, "fuel_per_item": 0 }),
        )
        .await;
    let same = stop().await;
    let names_none = same["fits"].as_array().is_none_or(Vec::is_empty);
    assert!(same["max"] == 1_000_000 && names_none, "{same}");
    // What the arguments add is more.
    hooked
        .set("ext", "check", json!({ "fuel_per_item": 10_000 }))
        .await;
    assert_eq!(stop().await["fits"], json!(["large"]));
    // Memory that nobody has set for it rises with the plan.
    let fuel = json!({ "hook-fuel": 100_000_000 });
    let _ = api.patch("/plans/small/quota", &fuel).await.expect(200);
    hooked
        .set("ext", "check", json!({ "fuel": 100_000_000 }))
        .await;
    let stop = async || {
        hooked.ask("/check?how=grow").await;
        let stops = api.get("/stops?cause=hook-memory").await.expect(200).json();
        stops["items"][0].clone()
    };
    assert_eq!(stop().await["fits"], json!(["large"]));
    hooked
        .set("ext", "check", json!({ "memory": 8 << 20 }))
        .await;
    let same = stop().await;
    let names_none = same["fits"].as_array().is_none_or(Vec::is_empty);
    assert!(same["max"] == 8 << 20 && names_none, "{same}");
}

/// Limits of hooks, what each is set to, the point, and what the hook is asked that is too much.
const LIMITS: &[(&str, u64, &str, &str)] = &[
    ("hook-fuel", 1_000_000, "check", "/check?how=loop"),
    ("hook-cpu-time", 5, "check", "/check?how=loop"),
    ("hook-memory", 8 << 20, "check", "/check?how=grow"),
    ("hook-stack", 524_288, "check", "/check?how=deep"),
    ("hook-handles", 20, "check", "/check?how=handles"),
    ("hook-outbound-calls", 0, "check", "/check?how=ask"),
    ("hook-host-calls", 2, "check", "/check?how=keep"),
    ("hook-kv-operations", 0, "check", "/check?how=keep"),
    ("hook-request-bytes", 10_000, "check", "/check?lines=1000"),
    ("hook-response-bytes", 8, "rewrite", "/rewrite?text=123456"),
    ("hook-deadline", 100, "check", "/check?how=wait"),
];

#[tokio::test]
async fn each_limit_of_hooks_ends_the_hook_and_names_its_point() {
    let hooked = Hooked::start(&["ext"]).await;
    hooked
        .set(
            "ext",
            "check",
            json!({ "fuel": 50_000_000, "deadline_ms": 2_000 }),
        )
        .await;
    // A busy machine reaches no limit that is not meant.
    let patient = json!({ "hook-deadline": 2_000 });
    hooked.platform.limit("acme", patient.clone()).await;
    for limit in LIMITS {
        assert_hook_ends(&hooked, "ext", limit).await;
    }
    hooked.platform.limit("acme", patient).await;
    hooked.calm("ext", "check").await;
    let answer = hooked.ask("/check?lines=1000").await;
    assert_eq!(answer, json!({ "allowed": true }));
}

/// The same of the database, in which the hook inserts a row and reads one.
const SQL_LIMITS: &[(&str, u64, &str, &str)] = &[
    ("hook-sql-statements", 1, "rewrite", "/rewrite?text=a"),
    ("hook-sql-rows-read", 0, "rewrite", "/rewrite?text=a"),
    ("hook-sql-rows-written", 0, "rewrite", "/rewrite?text=a"),
    ("hook-sql-time", 5, "rewrite", "/rewrite?text=endless"),
];

#[tokio::test]
async fn each_limit_of_the_database_ends_a_hook_that_reaches_it() {
    let hooked = Hooked::start(&[]).await;
    let platform = &hooked.platform;
    platform.publish(Source::HOOKS_READER).await;
    platform.enable("acme", "hooks-reader", json!({})).await;
    hooked.calm("hooks-reader", "rewrite").await;
    // A disk may be slow.
    let patient = json!({ "hook-sql-time": 5_000 });
    platform.limit("acme", patient.clone()).await;
    for limit in SQL_LIMITS {
        assert_hook_ends(&hooked, "hooks-reader", limit).await;
    }
    platform.limit("acme", patient).await;
    let answer = hooked.ask("/rewrite?text=a").await;
    let text = answer["text"].as_str().unwrap_or_default();
    assert!(text.contains("1/0.1"), "nothing of them was kept: {answer}");
}

/// A hook that goes beyond a limit ends, and is told of as a stop of the extension's on the point.
async fn assert_hook_ends(
    hooked: &Hooked,
    extension: &str,
    (limit, max, point, path): &(&str, u64, &str, &str),
) {
    let platform = &hooked.platform;
    platform.limit("acme", json!({ *limit: max })).await;
    let answer = hooked.ask(path).await;
    assert!(answer.to_string().contains(limit), "{limit}: {answer}");
    platform.limit("acme", json!({ *limit: null })).await;
    let path = format!("/stops?app={extension}&cause={limit}");
    let stop = eventually("the stop is told of", async || {
        let stops = platform.api().get(&path).await.expect(200).json();
        stops["items"].get(0).cloned()
    })
    .await;
    let told = ["class", "hook", "max"].map(|member| stop[member].clone());
    let expected = [
        json!("hook"),
        json!(format!("hooks-app/{point}")),
        json!(max),
    ];
    assert_eq!(told, expected, "{stop}");
    let explanation = stop["explanation"].as_str().unwrap_or_default();
    assert!(explanation.contains(&format!("as a hook on hooks-app/{point}")));
}

/// A hook that writes more than it may to the log goes on, and the log says what is missing.
#[tokio::test]
async fn what_a_hook_logs_is_cut_at_its_limit() {
    let hooked = Hooked::start(&["ext"]).await;
    let platform = &hooked.platform;
    platform
        .limit("acme", json!({ "hook-log-bytes": 10 }))
        .await;
    let answer = hooked.ask("/check?how=trap").await;
    assert_eq!(answer["allowed"], false, "{answer}");
    let log = platform.log();
    let cut = "[cut: the limit hook-log-bytes of 10 bytes was reached]";
    assert!(log.contains(cut), "{log}");
}

/// What is counted over the whole request can be asked for in every run of it.
#[tokio::test]
async fn a_hook_sees_how_deep_it_is_and_what_all_hooks_may_take() {
    let hooked = Hooked::start(&[]).await;
    let platform = &hooked.platform;
    platform.publish(Source::HOOKS_READER).await;
    platform.enable("acme", "hooks-reader", json!({})).await;
    hooked.calm("hooks-reader", "rewrite").await;
    platform
        .limit(
            "acme",
            json!({ "hook-recursion": 5, "extension-time": 12_345 }),
        )
        .await;
    let answer = hooked.ask("/rewrite?text=limits").await;
    let text = answer["text"].as_str().unwrap_or_default();
    // The time is what the request has, the hook's own included.
    let told = text.strip_prefix("hook-recursion 1/5 extension-time ");
    let used = told.and_then(|told| told.strip_suffix("/12345"));
    let used = used.and_then(|used| used.parse::<u64>().ok());
    assert!(
        used.is_some_and(|used| (19..12_345).contains(&used)),
        "{answer}"
    );
}

/// Most of what all hooks of a request may take together is told of in its answer.
#[tokio::test]
async fn a_budget_that_is_nearly_used_up_is_told_of() {
    let hooked = Hooked::start(&["ext"]).await;
    hooked
        .set(
            "ext",
            "check",
            json!({ "deadline_ms": 900, "on_failure": "skip" }),
        )
        .await;
    let platform = &hooked.platform;
    platform
        .limit("acme", json!({ "extension-time": 1_000 }))
        .await;
    let answer = hooked.site.get("/check?how=wait").await.expect(200);
    let mut near = answer.headers.get_all("cloudware-near-limit").iter();
    let told = near.find_map(|near| {
        near.to_str()
            .ok()
            .filter(|near| near.starts_with("extension-time;"))
    });
    assert!(
        told.is_some_and(|told| told.ends_with("max=1000")),
        "{:?}",
        answer.headers
    );
}

#[tokio::test]
async fn a_budget_of_the_request_bounds_all_hooks_together() {
    let hooked = Hooked::start(&["ext-11", "ext-22"]).await;
    hooked
        .platform
        .limit(
            "acme",
            json!({ "extension-time": 40, "hook-deadline": 1_000 }),
        )
        .await;
    for extension in ["ext-11", "ext-22"] {
        hooked
            .set(
                extension,
                "check",
                json!({ "deadline_ms": 1_000, "on_failure": "skip" }),
            )
            .await;
        hooked
            .set(extension, "price", json!({ "deadline_ms": 1_000 }))
            .await;
    }
    let answer = hooked.ask("/check?how=wait").await;
    assert_eq!(answer, json!({ "allowed": true }), "skipped hooks pass");
    hooked
        .set("ext-22", "check", json!({ "on_failure": "refuse" }))
        .await;
    let answer = hooked.ask("/check?how=wait@11").await;
    let message = answer["message"].as_str().unwrap_or_default();
    for word in ["budget of 40 ms", "ext-22"] {
        assert!(message.contains(word), "no {word} in {message}");
    }
    assert!(told_ms(message, "ext-11") > 30.0, "{message}");
    // Whoever is ended by it, rather than not asked, is told the same.
    let answer = hooked.ask("/check?how=wait@22").await;
    let message = answer["message"].as_str().unwrap_or_default();
    assert!(message.contains("budget of 40 ms"), "{message}");
    let told = (told_ms(message, "ext-22"), told_ms(message, "ext-11"));
    assert!(told.0 > told.1, "{message}");
    let stops = hooked.platform.api().get("/stops?app=ext-22").await;
    let stops = stops.expect(200).json();
    assert_eq!(stops["items"][0]["cause"], "extension-time", "{stops}");
    assert_eq!(stops["items"][0]["max"], 40, "{stops}");
}

/// An app that waits for others until its own deadline is told of whom.
#[tokio::test]
async fn a_deadline_that_passes_in_a_hook_names_the_hooks() {
    let hooked = Hooked::start(&["ext"]).await;
    hooked
        .set("ext", "check", json!({ "deadline_ms": 60_000 }))
        .await;
    let platform = &hooked.platform;
    let limits = json!({ "deadline": 400, "hook-deadline": 60_000, "extension-time": 60_000 });
    platform.limit("acme", limits).await;
    let answer = hooked.site.get("/check?how=wait").await.expect(504);
    let problem = answer.json();
    assert_eq!(problem["limit"], "deadline", "{problem}");
    let told = problem["detail"].as_str().unwrap_or_default();
    assert!(told.contains("while waiting for its hooks"), "{problem}");
    let path = "/stops?app=hooks-app&cause=deadline";
    let stop = eventually("the stop is told of", async || {
        let stops = platform.api().get(path).await.expect(200).json();
        stops["items"].get(0).cloned()
    })
    .await;
    assert_eq!(stop["host_call"], "hook", "{stop}");
    let advice = stop["advice"].as_str().unwrap_or_default();
    assert!(advice.starts_with("Its hooks took too long"), "{stop}");
}

/// What a hook writes would wait for the app's transaction, which waits for the hook: neither has to find out by
/// waiting until its deadline.
#[tokio::test]
async fn a_hook_that_would_wait_for_its_caller_is_told_so_at_once() {
    let hooked = Hooked::start(&["ext"]).await;
    hooked
        .set("ext", "check", json!({ "deadline_ms": 60_000 }))
        .await;
    let answer = hooked.ask("/check?how=keep&within=1&number=1").await;
    let message = answer["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("ext could not keep it") && message.contains("transaction"),
        "{answer}"
    );
    for path in [
        "/check?how=look&within=1&number=2",
        "/check?how=keep",
        "/check?how=keep",
    ] {
        assert_eq!(hooked.ask(path).await, json!({ "allowed": true }), "{path}");
    }
}

#[tokio::test]
async fn fuel_grows_with_what_a_hook_is_given() {
    let hooked = Hooked::start(&["ext"]).await;
    // Lifting two thousand lines takes fuel that no base should have to cover.
    hooked
        .set(
            "ext",
            "check",
            json!({ "fuel": 100_000, "fuel_per_item": 0 }),
        )
        .await;
    let answer = hooked.ask("/check?lines=2000").await;
    let message = answer["message"].as_str().unwrap_or_default();
    assert!(message.contains("hook-fuel"), "{answer}");
    hooked
        .set("ext", "check", json!({ "fuel_per_item": 10_000 }))
        .await;
    assert_eq!(
        hooked.ask("/check?lines=2000").await,
        json!({ "allowed": true })
    );
    assert_eq!(
        hooked.ask("/check?lines=2").await,
        json!({ "allowed": true })
    );
}

#[tokio::test]
async fn a_hook_that_calls_back_finds_the_way_closed() {
    let hooked = Hooked::start(&["ext"]).await;
    // The guest asserts that it gets 508; the app's own answer is as if nothing had been tried.
    assert_eq!(
        hooked.ask("/check?how=back").await,
        json!({ "allowed": true })
    );
    // How deep a hook may go is its own limit.
    hooked
        .platform
        .limit("acme", json!({ "hook-recursion": 1, "recursion": 8 }))
        .await;
    let answer = hooked.ask("/check?how=back").await;
    assert_eq!(answer, json!({ "allowed": true }));
    let stops = hooked.platform.api();
    let stop = eventually("the stop is told of", async || {
        let found = stops.get("/stops?cause=hook-recursion").await.expect(200);
        found.json()["items"].get(0).cloned()
    })
    .await;
    assert_eq!(
        (&stop["app"], &stop["class"]),
        (&json!("ext"), &json!("hook"))
    );
}

#[tokio::test]
async fn how_deep_apps_and_hooks_may_call_each_other_is_a_limit() {
    let hooked = Hooked::start(&["ext"]).await;
    assert!(hooked.ask("/price").await["price"].is_u64());
    hooked
        .platform
        .limit("acme", json!({ "recursion": 0 }))
        .await;
    let answer = hooked.ask("/check").await;
    let message = answer["message"].as_str().unwrap_or_default();
    assert!(message.contains("limit recursion"), "{answer}");
    assert_eq!(hooked.ask("/price").await, json!({ "price": null }));
    let stops = hooked.platform.api().get("/stops?cause=recursion").await;
    let stops = stops.expect(200).json();
    assert_eq!(
        (&stops["items"][0]["used"], &stops["items"][0]["max"]),
        (&json!(1), &json!(0)),
        "{stops}"
    );
}
