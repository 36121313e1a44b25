//! Guests that let the host work and burn next to no fuel by themselves: what bounds a guest that computes bounds them.

use cloudware_tests::{Package, Platform, Source};
use serde_json::json;

use crate::{assert_others_are_well, platform_with_adversary, text::copying};

/// What takes the host milliseconds, and the guest some dozens or hundreds of instructions: random bytes, a text that is too long
/// for what it is to be, texts that the engine copies from one component into another, and bytes that it copies through a stream.
const WORKS: [&str; 5] = [
    "/adversary/random?bytes=1048576",
    "/adversary/long-names-again?bytes=8000000",
    "/copying-utf8/",
    "/copying-utf16/",
    "/hello-p3/copy/50000000",
];

async fn platform() -> Platform {
    let platform = platform_with_adversary().await;
    platform.publish(Source::HELLO_P3).await;
    platform.enable("acme", "hello-p3", json!({})).await;
    for encoding in ["utf8", "utf16"] {
        let name = format!("copying-{encoding}");
        let component = cloudware_tests::component(&copying("utf8", encoding));
        platform.push(&Package::around(&name, component)).await;
        platform.enable("acme", &name, json!({})).await;
    }
    platform
}

#[tokio::test]
async fn what_the_host_works_for_a_guest_is_bounded() {
    let platform = platform().await;
    let site = platform.site("acme", "");
    for work in WORKS {
        let limits = json!({ "fuel": "1000G", "deadline": "60s", "cpu-time": "300ms" });
        platform.limit("acme", limits).await;
        let problem = site.get(work).await.problem(503, "limit-reached");
        assert_eq!(problem["limit"], "cpu-time");
        // By fuel alone it would have come to its end after ten seconds, and the slowest of them does a tenth of that at once.
        assert!(
            problem["used"].as_u64().is_some_and(|used| used < 600),
            "{problem}"
        );
        let limits = json!({ "deadline": "500ms", "cpu-time": "60s" });
        platform.limit("acme", limits).await;
        let problem = site.get(work).await.problem(504, "limit-reached");
        assert_eq!(problem["limit"], "deadline");
        assert!(
            problem["used"].as_u64().is_some_and(|used| used < 5_000),
            "{problem}"
        );
    }
    assert_others_are_well(&platform).await;
}

/// As many of them as there could be threads for sockets do not keep anybody else from being answered.
#[tokio::test]
async fn work_of_the_host_is_done_in_turns() {
    let platform = platform().await;
    let site = platform.site("acme", "");
    let limits = json!({ "fuel": "1000G", "deadline": "8s", "cpu-time": "60s" });
    platform.limit("acme", limits).await;
    let many = async {
        let many = WORKS
            .into_iter()
            .cycle()
            .take(32)
            .map(|work| site.get(work));
        for answer in futures_util::future::join_all(many).await {
            let _ = answer.problem(504, "limit-reached");
        }
    };
    let answered = async {
        let mut answered = 0_u32;
        loop {
            assert_others_are_well(&platform).await;
            answered += 1;
            tokio::task::yield_now().await;
            if answered == 20 {
                return;
            }
        }
    };
    let many = std::pin::pin!(many);
    let answered = std::pin::pin!(answered);
    // All are answered before the first of the others has to end.
    match futures_util::future::select(many, answered).await {
        futures_util::future::Either::Left(_) => panic!("the others had to wait"),
        futures_util::future::Either::Right(((), many)) => many.await,
    }
}
