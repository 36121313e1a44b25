//! Traces: how many are kept, in which order, and who sees them.

#![allow(clippy::unwrap_used, reason = "a test that fails says so")]

mod support;

use cloudware_control::{
    Call, Error, Page, PageRequest, TraceEntry, TraceQuery, limits::TRACES_PER_INSTANCE_MAX,
    tenant, trace,
};
use cloudware_types::{InstanceId, Span, TenantId, Trace};
use support::World;

async fn tenant_id(world: &World, name: &str) -> TenantId {
    let found = tenant::get(&world.control, &Call::host(), name).await;
    found.unwrap().id
}

/// A trace of one run, which is told from others by when it began.
fn trace_of(tenant: TenantId, instance: InstanceId, request_id: &str, began_ms: u64) -> Trace {
    Trace {
        request_id: request_id.to_owned(),
        began_ms,
        tenant,
        instance,
        spans: vec![Span {
            parent: None,
            install: None,
            app: "store".to_owned(),
            version: "1.0.0".to_owned(),
            point: None,
            call: "GET /".to_owned(),
            outcome: "ok".to_owned(),
            shadow: false,
            began_us: 0,
            wall_us: 900,
            cpu_us: 500,
            fuel: 7,
            memory_bytes: 65_536,
        }],
        omitted: 0,
    }
}

async fn list(
    world: &World,
    call: &Call,
    query: TraceQuery,
    page: &PageRequest,
) -> Result<Page<TraceEntry>, Error> {
    trace::list(&world.control, call, query, page).await
}

#[tokio::test]
async fn the_newest_of_an_instance_are_kept() {
    let world = World::new().await;
    let acme = world.tenant("acme").await;
    let id = tenant_id(&world, "acme").await;
    let main = world.id_of("acme", "main").await;
    let second = world.instance("acme", "second").await;
    let other = trace_of(id, second, "other", 0);
    world
        .traces
        .record(std::slice::from_ref(&other))
        .await
        .unwrap();
    let many: Vec<_> = (1..=TRACES_PER_INSTANCE_MAX + 10)
        .map(|number| trace_of(id, main, &format!("r-{number}"), number))
        .collect();
    for batch in many.chunks(50) {
        world.traces.record(batch).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = PageRequest::new(Some(90), after).unwrap();
        let query = TraceQuery {
            instance: Some("main".to_owned()),
            ..TraceQuery::default()
        };
        let page = list(&world, &acme, query, &page).await.unwrap();
        seen.extend(page.items.iter().map(|entry| entry.trace.began_ms));
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let expected: Vec<_> = (11..=TRACES_PER_INSTANCE_MAX + 10).rev().collect();
    assert_eq!(seen, expected, "newest first, the oldest are gone");
    let kept = trace::get(&world.control, &acme, "other").await.unwrap();
    assert_eq!((kept.instance.as_str(), kept.trace), ("second", other));
    let gone = trace::get(&world.control, &acme, "r-1").await;
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
}

#[tokio::test]
async fn a_trace_is_shown_to_its_tenant_and_to_operators() {
    let world = World::new().await;
    let (acme, birch) = (world.tenant("acme").await, world.tenant("birch").await);
    let provider = world.provider("northwind").await;
    // The id is chosen by callers, and two may choose the same.
    for (name, began_ms) in [("acme", 1), ("acme", 2), ("birch", 3)] {
        let tenant = tenant_id(&world, name).await;
        let main = world.id_of(name, "main").await;
        let trace = trace_of(tenant, main, "same", began_ms);
        world.traces.record(&[trace]).await.unwrap();
    }
    let operator = world.operator().await;
    for (call, began_ms) in [(&acme, 2), (&birch, 3), (&operator, 3)] {
        let newest = trace::get(&world.control, call, "same").await.unwrap();
        assert_eq!(newest.trace.began_ms, began_ms);
    }
    let page = PageRequest::default();
    let all = |call| list(&world, call, TraceQuery::default(), &page);
    assert_eq!(all(&acme).await.unwrap().items.len(), 2);
    assert_eq!(all(&operator).await.unwrap().items.len(), 3);
    let refused = all(&provider).await;
    assert!(matches!(refused, Err(Error::Forbidden(_))), "{refused:?}");
    let others = TraceQuery {
        tenant: Some("birch".to_owned()),
        ..TraceQuery::default()
    };
    let hidden = list(&world, &acme, others, &page).await;
    assert!(matches!(hidden, Err(Error::NotFound { .. })), "{hidden:?}");
}
