//! A composed request is told apart: whose code took what.

use cloudware_tests::{Cli, eventually};

use serde_json::Value;

use crate::setup::Hooked;

/// Asks the app under a request id, and gives the trace of it.
async fn traced(hooked: &Hooked, path: &str, id: &str) -> Value {
    let request = hooked.site.request(http::Method::GET, path);
    let request = request.header("x-request-id", id);
    let _ = hooked.site.send(request).await.expect(200);
    eventually("the trace", async || {
        let answer = hooked.platform.api().get(&format!("/traces/{id}")).await;
        (answer.status == 200).then(|| answer.json())
    })
    .await
}

#[tokio::test]
async fn a_trace_tells_what_each_took() {
    let hooked = Hooked::start(&["ext-11", "ext-22"]).await;
    let trace = traced(&hooked, "/rewrite?text=a&how=trap@22", "traced-1").await;
    let spans = trace["spans"].as_array().cloned().unwrap_or_default();
    assert_eq!(spans.len(), 3, "{trace}");
    let told: Vec<_> = spans
        .iter()
        .map(|span| {
            (
                span["app"].clone(),
                span["outcome"].clone(),
                span["parent"].clone(),
            )
        })
        .collect();
    assert_eq!(told[0], ("hooks-app".into(), "ok".into(), Value::Null));
    assert_eq!(told[1], ("ext-11".into(), "ok".into(), 0.into()));
    assert_eq!(told[2], ("ext-22".into(), "trap".into(), 0.into()));
    for span in &spans {
        assert!(span["fuel"].as_u64() > Some(0), "{span}");
        assert!(span["memory_bytes"].as_u64() > Some(0), "{span}");
    }
    assert_eq!(spans[1]["point"], "hooks-app/rewrite");
    let cli = Cli::of(&hooked.platform);
    let shown = cli.run("trace show traced-1").await.ok().stdout;
    for word in ["hooks-app", "11", "22", "rewrite", "trap", "%"] {
        assert!(shown.contains(word), "no {word} in:\n{shown}");
    }
}

#[tokio::test]
async fn a_refusal_is_seen_where_it_came_from() {
    let hooked = Hooked::start(&["ext-11", "ext-22"]).await;
    let trace = traced(&hooked, "/check?how=refuse@22", "refused-1").await;
    let outcomes: Vec<_> = (0..3).map(|at| &trace["spans"][at]["outcome"]).collect();
    assert_eq!(outcomes, ["ok", "ok", "refused"], "{trace}");
}

#[tokio::test]
async fn what_hooks_use_is_theirs_in_the_ledger() {
    let hooked = Hooked::start(&["ext-11"]).await;
    for _ in 0..10 {
        hooked.ask("/check?lines=100").await;
    }
    let usage = |app: &'static str| hooked.platform.usage("acme", app);
    let (app, extension) = (usage("hooks-app").await, usage("ext-11").await);
    assert_eq!(app["requests"], 10, "{app}");
    assert_eq!(extension["hook-calls"], 10, "{extension}");
    assert_eq!(
        extension["requests"].as_u64().unwrap_or(0),
        0,
        "{extension}"
    );
    assert!(extension["fuel"].as_u64() > Some(0), "{extension}");
}
