//! A host that is asked for more than it can do refuses the instances of the least patient plan first, and serves the others.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use cloudware_tests::{Options, Platform, Source, eventually};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const CONNECTIONS: usize = 128;

/// Requests that are on their way on one connection.
const PIPELINED: usize = 32;

/// Asks on one connection for a site that there is not, until it is to stop. That is work for the threads that serve sockets and for
/// no instance, whose share could say who has to wait.
async fn ask_on(address: SocketAddr, stop: Arc<AtomicBool>) {
    let requests = "GET / HTTP/1.1\r\nhost: nobody.localhost\r\n\r\n".repeat(PIPELINED);
    let mut connection = TcpStream::connect(address).await.expect("it is there");
    let mut answers = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let written = connection.write_all(requests.as_bytes()).await;
        written.expect("it goes on");
        answers.clear();
        while answered(&answers) < PIPELINED {
            let read = connection.read_buf(&mut answers).await;
            assert_ne!(read.expect("it goes on"), 0, "each is answered");
        }
    }
}

fn answered(answers: &[u8]) -> usize {
    let status = b"HTTP/1.1 404";
    let starts = answers.windows(status.len());
    starts.filter(|window| window == status).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overloaded_host_refuses_the_least_patient_plan_and_serves_the_others() {
    // However many processors there are, those that ask have more to do than those that answer.
    let threads = ("TOKIO_WORKER_THREADS".to_owned(), "1".to_owned());
    let options = Options {
        variables: vec![threads],
        ..Options::default()
    };
    let platform = Platform::start_with(cloudware_tests::binary!(), options).await;
    platform.publish(Source::HELLO).await;
    platform.tenants(&["acme", "birch"], &["hello"]).await;
    let api = platform.api();
    let hasty = json!({ "slug": "hasty" });
    let _ = api.post("/plans", &hasty).await.expect(201);
    let quota = json!({ "queue-time": 1 });
    let _ = api.patch("/plans/hasty/quota", &quota).await.expect(200);
    let plan = json!({ "plan": "hasty" });
    let _ = api.put("/tenants/acme/plan", &plan).await.expect(200);

    let stop = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..CONNECTIONS)
        .map(|_| tokio::spawn(ask_on(platform.socket(), Arc::clone(&stop))))
        .collect();
    let [acme, birch] = ["acme", "birch"].map(|tenant| platform.site(tenant, "/hello"));
    let refused = eventually("the host is overloaded", async || {
        let _ = birch.get("/").await.expect(200);
        let answer = acme.get("/").await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    let problem = refused.problem(429, "limit-reached");
    assert_eq!(problem["limit"], "queue-time", "{problem}");
    assert_eq!(problem["max"], 1, "{problem}");
    // Less is none.
    assert!(problem["used"].as_u64() >= Some(10), "{problem}");
    assert!(problem["resets_in_ms"].as_u64() >= Some(100), "{problem}");
    let _ = birch.get("/").await.expect(200);
    stop.store(true, Ordering::Relaxed);
    for connection in load {
        connection.await.expect("each request is answered");
    }
    eventually("there is room again", async || {
        (acme.get("/").await.status == 200).then_some(())
    })
    .await;
    let stops = api.get("/stops?cause=queue-time").await.expect(200).json();
    assert_eq!(stops["items"][0]["tenant"], "acme", "{stops}");
}
