//! Clients that do not read, that hang up in the middle of what they send, and that want the head of an answer alone:
//! the run ends as its limits say, and what is told of it is told once.

use std::time::Duration;

use cloudware_tests::{Platform, Source, eventually, within};
use http::Method;
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpSocket, TcpStream},
};

use crate::assert_others_are_well;

/// Far less than the half minute after which a client that takes nothing is cut off.
const SOON: Duration = Duration::from_secs(15);

async fn platform() -> Platform {
    let platform = crate::platform().await;
    platform.publish(Source::ADVERSARY).await;
    platform.enable("acme", "adversary", json!({})).await;
    platform
}

/// A client with little room for what it does not read.
async fn ask(platform: &Platform, request: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("there are sockets");
    let small = socket.set_recv_buffer_size(4_096);
    small.expect("a buffer may be small");
    let connected = socket.connect(platform.socket()).await;
    let mut client = connected.expect("the platform listens");
    let written = client.write_all(request.as_bytes()).await;
    written.expect("the request is taken");
    client
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

#[tokio::test]
async fn a_client_that_reads_nothing_keeps_its_place_until_the_deadline() {
    let platform = platform().await;
    let limits = json!({ "deadline": "1500ms", "concurrency": 2 });
    platform.limit("acme", limits).await;
    let site = platform.site("acme", "/adversary");
    let request = "GET /t/acme/main/adversary/big-response?bytes=30000000 HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let deaf = [ask(&platform, request).await, ask(&platform, request).await];
    eventually("both places are taken", async || {
        let refused = site.get("/counter").await;
        (refused.status == 429 && refused.json()["limit"] == "concurrency").then_some(())
    })
    .await;
    within(SOON, "the places are free again", async || {
        (site.get("/counter").await.status == 200).then_some(())
    })
    .await;
    let seen = within(SOON, "both stops are told of", async || {
        let mut stops = stops(&platform).await;
        stops.retain(|(cause, _)| cause == "deadline");
        let count: u64 = stops.iter().map(|(_, count)| count).sum();
        (count > 1).then_some(count)
    })
    .await;
    assert_eq!(seen, 2);
    assert_others_are_well(&platform).await;
    drop(deaf);
    let _ = site.get("/counter").await.expect(200);
    let all: u64 = stops(&platform).await.iter().map(|(_, count)| count).sum();
    eventually(
        "the ledger counts what was told of, and no more",
        async || (counted(&platform).await.1 == all).then_some(()),
    )
    .await;
}

#[tokio::test]
async fn a_head_alone_does_not_end_the_run() {
    let platform = platform().await;
    platform.limit("acme", json!({ "fuel": 20_000_000 })).await;
    let site = platform.site("acme", "/adversary");
    for (round, (method, status)) in [(Method::HEAD, 200), (Method::GET, 204), (Method::GET, 304)]
        .into_iter()
        .enumerate()
    {
        let path = format!("/loop-after-head?status={status}&ms=100");
        let _ = site.send(site.request(method, &path)).await.expect(status);
        let told = round as u64 + 1;
        eventually(
            "what comes after the head is stopped and told of",
            async || {
                let stops = stops(&platform).await;
                let fuel = stops.iter().filter(|(cause, _)| cause == "fuel");
                (fuel.map(|(_, count)| count).sum::<u64>() == told).then_some(())
            },
        )
        .await;
    }
    eventually("it is counted", async || {
        (counted(&platform).await == (3, 3)).then_some(())
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
    let path = "/head-alone?status=200&length=1234";
    let _ = site.get(path).await.problem(502, "no-response");
    eventually("the last one alone is a stop", async || {
        (counted(&platform).await == (3, 1)).then_some(())
    })
    .await;
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
