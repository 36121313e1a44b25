//! Observers are told what was committed, later, at least once, and nothing else.

use cloudware_tests::{Flood, eventually};
use serde_json::json;

use crate::setup::Hooked;

#[tokio::test]
async fn what_is_committed_is_told_and_what_is_undone_is_not() {
    let hooked = Hooked::start(&["ext-11", "ext-22"]).await;
    assert_eq!(
        hooked.ask("/tell?number=7&abort=1").await,
        json!({ "told": null })
    );
    assert_eq!(hooked.ask("/tell?number=8").await, json!({ "told": 8 }));
    assert_eq!(
        hooked.ask("/tell?number=9&alone=1").await,
        json!({ "told": 9 })
    );
    eventually("both observers are told of both numbers", async || {
        let delivered = hooked.deliveries("?state=delivered").await;
        (delivered.len() == 4).then_some(())
    })
    .await;
    let all = hooked.deliveries("").await;
    assert_eq!(all.len(), 4, "{all:?}");
    assert!(!json!(all).to_string().contains("\"number\":7"), "{all:?}");
}

#[tokio::test]
async fn an_observer_that_fails_never_touches_the_caller_and_is_told_again() {
    let hooked = Hooked::start(&["ext"]).await;
    assert_eq!(
        hooked.ask("/tell?number=8&how=trap").await,
        json!({ "told": 8 })
    );
    let waiting = eventually("the delivery waits for its next try", async || {
        hooked.deliveries("?state=retrying").await.pop()
    })
    .await;
    assert!(
        waiting["reason"].to_string().contains("trapped"),
        "{waiting}"
    );
    assert_eq!(waiting["attempts"], 1, "{waiting}");
}

/// Fuel that the instance has burned elsewhere is not the observer's fault: it is told when there is some again.
#[tokio::test]
async fn an_observer_waits_while_its_instance_has_no_fuel() {
    let hooked = Hooked::start(&["ext"]).await;
    hooked
        .set(
            "ext",
            "told",
            json!({ "fuel": 2_000_000_000, "deadline_ms": 60_000 }),
        )
        .await;
    let platform = &hooked.platform;
    let limits = json!({ "fuel-per-day": "100M", "hook-fuel": "2G", "hook-cpu-time": "60s", "hook-deadline": "60s" });
    platform.limit("acme", limits).await;
    // The observer burns what is left of the day, and is ended with it.
    hooked.ask("/tell?number=8&how=loop").await;
    let waiting = eventually("the delivery is put off", async || {
        hooked.deliveries("?state=retrying").await.pop()
    })
    .await;
    assert!(
        waiting["reason"].to_string().contains("fuel-per-day"),
        "{waiting}"
    );
    assert_eq!(waiting["attempts"], 0, "{waiting}");
    let usage = platform.usage("acme", "ext").await;
    assert_eq!(
        (&usage["hook-failures"], &usage["stops"]),
        (&json!(0), &json!(1))
    );
    let stops = platform
        .api()
        .get("/stops?app=ext")
        .await
        .expect(200)
        .json();
    let stop = &stops["items"][0];
    let told = ["cause", "class", "hook", "count"].map(|member| stop[member].clone());
    assert_eq!(
        told,
        [
            json!("fuel-per-day"),
            json!("hook"),
            json!("hooks-app/told"),
            json!(1)
        ],
        "{stops}"
    );
}

#[tokio::test]
async fn no_delivery_begins_while_the_fuel_of_the_day_is_burned() {
    let hooked = Hooked::start(&["ext"]).await;
    hooked.ask("/tell?number=7&how=trap").await;
    let failed = eventually("the delivery failed once", async || {
        hooked.deliveries("?state=retrying").await.pop()
    })
    .await;
    let limits = json!({ "fuel-per-day": 0 });
    hooked.platform.limit("acme", limits).await;
    let waiting = eventually("the delivery is put off", async || {
        let waiting = hooked.deliveries("?state=retrying").await.pop()?;
        let reason = waiting["reason"].to_string();
        reason.contains("fuel-per-day").then_some(waiting)
    })
    .await;
    assert_eq!(waiting["id"], failed["id"], "{waiting}");
    // Whatever was tried before trapped; what was put off was not tried.
    let tried = &waiting["attempts"];
    let usage = hooked.platform.usage("acme", "ext").await;
    assert_eq!(
        (&usage["hook-calls"], &usage["stops"]),
        (tried, tried),
        "{usage}"
    );
}

#[tokio::test]
async fn nothing_committed_is_forgotten_by_a_kill() {
    let mut hooked = Hooked::start(&["ext"]).await;
    hooked.set("ext", "told", json!({ "enabled": true })).await;
    for number in 0..20 {
        hooked.ask(&format!("/tell?number={number}")).await;
    }
    hooked.platform.kill9().await;
    hooked.platform.restart().await;
    let instance = hooked.platform.api().under("/tenants/acme/instances/main");
    eventually("all twenty are delivered", async || {
        let path = "/deliveries?state=delivered&limit=200";
        let listed = instance.get(path).await.expect(200).json();
        (listed["items"].as_array()?.len() == 20).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_a_removed_hook_is_not_told_is_an_event() {
    let hooked = Hooked::start(&["ext"]).await;
    for number in 0..3 {
        hooked.ask(&format!("/tell?number={number}&how=trap")).await;
    }
    eventually("all three wait for their next try", async || {
        (hooked.deliveries("?state=retrying").await.len() == 3).then_some(())
    })
    .await;
    let hook = hooked.hook("ext", "told").await;
    let path = format!("/{}", hook["id"].as_str().unwrap_or_default());
    let _ = hooked.api().delete(&path).await.expect(200);
    let acme = hooked.platform.tenant_token("acme").await;
    let dropped = hooked.events(&acme, "delivery.dropped").await;
    let [event] = dropped.as_slice() else {
        panic!("{dropped:?}");
    };
    assert_eq!(event["subject"], "acme/main/hooks-app/told/ext", "{event}");
    assert_eq!(event["subject_id"], hook["id"], "{event}");
    let data = &event["data"];
    assert_eq!(
        (&data["app"], &data["point"], &data["count"]),
        (&json!("hooks-app"), &json!("told"), &json!(3)),
        "{event}"
    );
    assert!(data["reason"].to_string().contains("removed"), "{event}");
}

/// What can wait gives way before requests do, and is told in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overloaded_host_puts_observers_off() {
    let hooked = Hooked::start_with(Flood::victim(), &["ext"]).await;
    let platform = &hooked.platform;
    let flood = Flood::of(platform);
    let waiting = eventually("a delivery is put off", async || {
        // As long as requests may wait, and longer than what can wait does.
        let lag = Some(platform.lag().await).filter(|&lag| lag > 0)?;
        platform.limit("acme", json!({ "queue-time": lag })).await;
        let _ = hooked.site.get("/tell?number=7").await;
        let mut retrying = hooked.deliveries("?state=retrying").await.into_iter();
        // Of others the time may have been over.
        retrying.find(|delivery| {
            let reason = delivery["reason"].to_string();
            delivery["attempts"] == 0 && reason.contains("more to do than it can")
        })
    })
    .await;
    flood.end().await;
    eventually("it is told", async || {
        let delivered = hooked.deliveries("?state=delivered&limit=200").await;
        delivered
            .into_iter()
            .find(|delivery| delivery["id"] == waiting["id"])
    })
    .await;
}
