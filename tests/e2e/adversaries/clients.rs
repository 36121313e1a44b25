//! Clients that do not read, that hang up in the middle of what they send, and that want the head of an answer alone:
//! the run ends as its limits say, and what is told of it is told once.

use std::time::Duration;

use cloudware_tests::{InFlight, Platform, Source, eventually, exchange, send_unread, within};
use http::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::{assert_others_are_well, platform_with_adversary as platform};

/// Far less than the half minute after which a client that takes nothing is cut off.
const SOON: Duration = Duration::from_secs(15);

/// A client with little room for what it does not read.
async fn ask(platform: &Platform, request: &str) -> TcpStream {
    send_unread(platform.socket(), request).await
}

/// Requests and stops in the ledger.
async fn counted(platform: &Platform) -> (u64, u64) {
    let usage = platform.usage("acme", "adversary").await;
    let meter = |name: &str| usage[name].as_u64().unwrap_or_default();
    (meter("requests"), meter("stops"))
}

/// What stopped the app, and how often.
async fn stops(platform: &Platform) -> Vec<(String, u64)> {
    let found = platform.api().get("/stops?app=adversary").await;
    let found = found.expect(200).json();
    let items = found["items"].as_array().cloned().unwrap_or_default();
    let of = |stop: &Value| {
        let cause = stop["cause"].as_str().unwrap_or_default();
        (cause.to_owned(), stop["count"].as_u64().unwrap_or_default())
    };
    items.iter().map(of).collect()
}

/// How many stops for one cause were told of.
async fn told(platform: &Platform, cause: &str) -> u64 {
    let stops = stops(platform).await;
    let of = stops.iter().filter(|(stopped_by, _)| stopped_by == cause);
    of.map(|(_, count)| count).sum()
}

#[tokio::test]
async fn a_client_that_reads_nothing_keeps_its_place_until_the_deadline() {
    let platform = platform().await;
    let limits = json!({ "deadline": "1500ms", "concurrency": 2 });
    platform.limit("acme", limits).await;
    let site = platform.site("acme", "/adversary");
    let request = "GET /t/acme/main/adversary/big-response?bytes=30000000 HTTP/1.1\r\nhost: localhost\r\n\r\n";
    // What is told of the first ones late would be seen with the second.
    for round in 1..=2 {
        let deaf = [ask(&platform, request).await, ask(&platform, request).await];
        within(SOON, "both stops are told of", async || {
            (told(&platform, "deadline").await == 2 * round).then_some(())
        })
        .await;
        let both = [site.get("/sleep?ms=50"), site.get("/sleep?ms=50")];
        for answer in futures_util::future::join_all(both).await {
            let _ = answer.expect(200);
        }
        assert_others_are_well(&platform).await;
        drop(deaf);
    }
    let _ = site.get("/counter").await.expect(200);
    let all: u64 = stops(&platform).await.iter().map(|(_, count)| count).sum();
    assert_eq!(counted(&platform).await.1, all);
}

/// What the instance's own rate has held back, and may leave now, does not keep a place that nobody takes anything from.
#[tokio::test]
async fn a_slow_answer_that_nobody_reads_keeps_its_place_until_the_deadline() {
    let platform = platform().await;
    let limits = json!({ "deadline": "8s", "concurrency": 1, "egress-rate": "100kB/s" });
    platform.limit("acme", limits).await;
    let request =
        "GET /t/acme/main/adversary/big-response?bytes=300000 HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let deaf = ask(&platform, request).await;
    // It has the place, and no request of those below.
    let mut begin = [0; 12];
    let _ = deaf.peek(&mut begin).await.expect("the answer begins");
    assert_eq!(begin, *b"HTTP/1.1 200");
    let site = platform.site("acme", "/adversary");
    assert_eq!(site.get("/counter").await.status, 429);
    within(SOON, "the place is free again", async || {
        (site.get("/counter").await.status == 200).then_some(())
    })
    .await;
    assert_others_are_well(&platform).await;
    drop(deaf);
}

/// Whoever sees first that the time is over, the compute thread or the timer, tells of it once.
#[tokio::test]
async fn a_run_that_computes_at_its_deadline_is_told_of_once() {
    let platform = platform().await;
    let limits = json!({ "deadline": "300ms", "fuel": "1000G", "cpu-time": "60s" });
    platform.limit("acme", limits).await;
    let site = platform.site("acme", "/adversary");
    let path = "/loop-after-head?status=200&ms=0";
    for round in 1..=10_u64 {
        let both = [(); 2].map(|()| site.try_send(site.request(Method::GET, path)));
        for answer in futures_util::future::join_all(both).await {
            match answer {
                // Cut off: no client takes it for whole.
                Err(_) => {}
                // It had not begun.
                Ok(answer) => assert_eq!(answer.status, 504, "{}", answer.text()),
            }
        }
        eventually("both stops are told of", async || {
            (told(&platform, "deadline").await == 2 * round).then_some(())
        })
        .await;
    }
    // The last run may be in the middle of its last turn.
    eventually("both are counted", async || {
        (counted(&platform).await == (20, 20)).then_some(())
    })
    .await;
    assert_others_are_well(&platform).await;
}

#[tokio::test]
async fn a_head_alone_does_not_end_the_run() {
    let platform = platform().await;
    platform.limit("acme", json!({ "fuel": 20_000_000 })).await;
    let site = platform.site("acme", "/adversary");
    for (round, method, status) in [
        (1, Method::HEAD, 200),
        (2, Method::GET, 204),
        (3, Method::GET, 304),
        (4, Method::GET, 200),
    ] {
        let path = match round {
            // Whoever sends it asks for no more than the length that the head tells.
            4 => "/loop-after-response?length=4".to_owned(),
            _ => format!("/loop-after-head?status={status}&ms=100"),
        };
        let _ = site.send(site.request(method, &path)).await.expect(status);
        eventually(
            "what comes after the head is stopped and told of",
            async || (told(&platform, "fuel").await == round).then_some(()),
        )
        .await;
    }
    eventually("it is counted", async || {
        (counted(&platform).await == (4, 4)).then_some(())
    })
    .await;
    assert_others_are_well(&platform).await;
}

#[tokio::test]
async fn a_head_alone_may_tell_the_length_of_what_is_not_sent() {
    let platform = platform().await;
    let site = platform.site("acme", "/adversary");
    for (method, status) in [(Method::HEAD, 200), (Method::GET, 304)] {
        let path = format!("/head-alone?status={status}&length=1234");
        let answer = site.send(site.request(method, &path)).await.expect(status);
        assert_eq!(answer.header("content-length"), "1234");
        assert!(answer.body.is_empty());
    }
    // It has no body that a length could be told of.
    let empty = site.get("/head-alone?status=204&length=1234").await;
    assert_eq!(empty.expect(204).header("content-length"), "");
    let path = "/head-alone?status=200&length=1234";
    let _ = site.get(path).await.problem(502, "no-response");
    eventually("the last one alone is a stop", async || {
        (counted(&platform).await == (4, 1)).then_some(())
    })
    .await;
}

/// A client would take what is too much for the answer to its next request.
#[tokio::test]
async fn a_length_is_that_of_the_body_however_the_body_was_made() {
    let platform = platform().await;
    let site = platform.site("acme", "/adversary");
    for length in [0, 3, 1_000] {
        let path = format!("/late-status?length={length}&pieces=1");
        let _ = site.get(&path).await.problem(502, "no-response");
    }
    let whole = site
        .get("/late-status?length=100&pieces=1")
        .await
        .expect(200);
    assert_eq!(whole.body.len(), 100);
    let head = site.request(Method::HEAD, "/late-status?length=1000&pieces=1");
    let head = site.send(head).await.expect(200);
    assert_eq!(head.header("content-length"), "1000");
    // What has left is metered, and not the piece that is too much.
    let sent = async || platform.usage("acme", "adversary").await["response-bytes"].as_u64();
    assert_eq!(sent().await, Some(100));
    let longer = site.request(Method::GET, "/late-status?length=150&pieces=2");
    assert!(site.try_send(longer).await.is_err(), "it is cut off");
    assert_eq!(sent().await, Some(200));
}

/// An endless answer is closed when its head alone is wanted, and nobody is to blame for that.
#[tokio::test]
async fn an_endless_body_behind_a_head_alone_ends() {
    let platform = platform().await;
    let limits = json!({ "deadline": "60s", "fuel": "1000G", "cpu-time": "60s", "concurrency": 1 });
    platform.limit("acme", limits).await;
    let site = platform.site("acme", "/adversary");
    let head = site.request(Method::HEAD, "/endless-response");
    let _ = site.send(head).await.expect(200);
    within(SOON, "its place is free", async || {
        (site.get("/counter").await.status == 200).then_some(())
    })
    .await;
    assert_eq!(told(&platform, "deadline").await, 0);
}

#[tokio::test]
async fn who_hangs_up_while_it_sends_is_not_held_against_the_app() {
    let platform = platform().await;
    let request = "POST /t/acme/main/adversary/echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\nhalf";
    for round in 1..=5 {
        drop(ask(&platform, request).await);
        eventually("the run has ended", async || {
            (counted(&platform).await.0 == round).then_some(())
        })
        .await;
    }
    assert_eq!(stops(&platform).await, []);
    assert_eq!(counted(&platform).await, (5, 0));
    assert_others_are_well(&platform).await;
}

/// Who sends or takes slowly is named, and no app is told to do less for that.
#[tokio::test]
async fn a_stop_says_who_kept_the_run_waiting() {
    let platform = platform().await;
    let site = platform.site("acme", "/adversary");
    let last = async |waited_in: &str, waited_for: &str, advice: &str| {
        let stop = eventually(waited_in, async || {
            let stops = platform.api().get("/stops?app=adversary").await;
            let stop = stops.expect(200).json()["items"][0].clone();
            (stop["host_call"] == waited_in).then_some(stop)
        })
        .await;
        assert_eq!(stop["cause"], "deadline", "{stop}");
        let told = stop["explanation"].as_str().unwrap_or_default();
        assert!(told.contains(waited_for), "{stop}");
        let told = stop["advice"].as_str().unwrap_or_default();
        assert!(told.starts_with(advice), "{stop}");
    };
    platform.limit("acme", json!({ "deadline": "500ms" })).await;
    InFlight::begin(&site).await.cut_off().await;
    last(
        "http.request-body",
        "waiting for the body",
        "The body of the request came too slowly",
    )
    .await;
    let request = "GET /t/acme/main/adversary/big-response?bytes=30000000 HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let deaf = ask(&platform, request).await;
    last(
        "http.response-body",
        "waiting for its answer",
        "The answer was taken too slowly",
    )
    .await;
    drop(deaf);
    platform
        .limit("acme", json!({ "egress-rate": "100kB/s" }))
        .await;
    let request = site.request(Method::GET, "/big-response?bytes=3000000");
    let ended = site.open(request).await.try_finish().await;
    assert!(ended.is_err(), "the answer is broken off");
    last(
        "egress-rate",
        "held back by egress-rate",
        "The instance may not send more",
    )
    .await;
    // Who computes or sleeps does not wait for what comes slowly.
    let limits = json!({ "egress-rate": null, "fuel": "1000G", "cpu-time": "60s" });
    platform.limit("acme", limits).await;
    for own in ["loop-after-chunk", "sleep-after-chunk"] {
        let request = format!(
            "POST /t/acme/main/adversary/{own} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\nconnection: close\r\n\r\nhalf"
        );
        let answer = exchange(platform.socket(), request).await;
        assert_eq!(answer.status, Some(504), "{answer:?}");
        assert!(answer.body().contains("limit-reached"), "{answer:?}");
        assert!(!answer.body().contains("host_call"), "{answer:?}");
    }
}

/// A guest of WASI 0.3 reads in a task of its own, which is not looked at whenever the run is.
#[tokio::test]
async fn a_stop_of_wasi_0_3_says_that_the_request_was_slow() {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    platform.publish(Source::HELLO_P3).await;
    platform.tenants(&["acme"], &["hello-p3"]).await;
    platform.limit("acme", json!({ "deadline": "500ms" })).await;
    for begun in ["", "half"] {
        let request = format!(
            "POST /t/acme/main/hello-p3/upload HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\nconnection: close\r\n\r\n{begun}"
        );
        let answer = exchange(platform.socket(), request).await;
        assert_eq!(answer.status, Some(504), "{answer:?}");
        let told = "waiting for the body of its request";
        assert!(answer.body().contains(told), "{begun:?}: {answer:?}");
    }
    let whole = "POST /t/acme/main/hello-p3/upload HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\nconnection: close\r\n\r\nhalf";
    assert_eq!(exchange(platform.socket(), whole).await.status, Some(200));
}
