//! A host that is asked for more than it can do refuses the instances of the least patient plan first, and serves the others.

use cloudware_tests::{Flood, Platform, Source, eventually};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overloaded_host_refuses_the_least_patient_plan_and_serves_the_others() {
    let platform = Platform::start_with(cloudware_tests::binary!(), Flood::victim()).await;
    platform.publish(Source::HELLO).await;
    platform.tenants(&["acme", "birch"], &["hello"]).await;
    let api = platform.api();
    let hasty = json!({ "slug": "hasty" });
    let _ = api.post("/plans", &hasty).await.expect(201);
    let quota = json!({ "queue-time": 1 });
    let _ = api.patch("/plans/hasty/quota", &quota).await.expect(200);
    let plan = json!({ "plan": "hasty" });
    let _ = api.put("/tenants/acme/plan", &plan).await.expect(200);

    let flood = Flood::of(&platform);
    let [acme, birch] = ["acme", "birch"].map(|tenant| platform.site(tenant, "/hello"));
    let (mut served, mut refused) = (0, 0);
    let problem = eventually("the host is overloaded", async || {
        let _ = birch.get("/").await.expect(200);
        let answer = acme.get("/").await;
        if answer.status == 200 {
            served += 1;
            return None;
        }
        refused += 1;
        Some(answer.problem(429, "limit-reached"))
    })
    .await;
    assert_eq!(problem["limit"], "queue-time", "{problem}");
    assert_eq!(problem["is_of_host"], true, "{problem}");
    assert_eq!(problem["max"], 1, "{problem}");
    // Less is none.
    assert!(problem["used"].as_u64() >= Some(10), "{problem}");
    assert!(problem["resets_in_ms"].as_u64() >= Some(100), "{problem}");
    let _ = birch.get("/").await.expect(200);
    flood.end().await;
    eventually("there is room again", async || {
        let is_served = acme.get("/").await.status == 200;
        *(if is_served { &mut served } else { &mut refused }) += 1;
        is_served.then_some(())
    })
    .await;
    let stops = api.get("/stops?cause=queue-time").await.expect(200).json();
    assert_eq!(stops["items"][0]["tenant"], "acme", "{stops}");
    // Nobody pays for what the host had no room for.
    let usage = platform.usage("acme", "hello").await;
    assert_eq!(
        (&usage["requests"], &usage["stops"]),
        (&json!(served), &json!(refused))
    );
}
