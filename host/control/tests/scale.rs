//! Scale: the state of a hundred thousand instances is read with a handful of queries.

#![allow(clippy::unwrap_used, reason = "a test that fails says so")]

mod support;

use support::{STOCK, World};

#[tokio::test]
async fn a_start_with_many_instances_needs_few_queries() {
    let world = World::new().await;
    let provider = world.provider("northwind").await;
    world.push(&provider, &STOCK).await.unwrap();
    let acme = world.tenant("acme").await;
    world.enable(&acme, "acme", "stock", "1.0.0").await.unwrap();
    world
        .raw_sql(
            "INSERT INTO instances
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
             SELECT 'ins_' || printf('%032x', i), (SELECT id FROM tenants), NULL, 'i' || i, FALSE,
                    'ready', NULL, 0, 1 FROM n",
        )
        .await
        .unwrap();
    world
        .raw_sql(
            "INSERT INTO installs
             SELECT 'inl_' || substr(i.id, 5), i.id, l.app_id, l.release_id, NULL, l.state, l.mount,
                    l.namespace, l.config, l.grants, 0, 1
             FROM instances i CROSS JOIN installs l WHERE i.is_default = FALSE",
        )
        .await
        .unwrap();
    let desired = world.control.desired_all().await.unwrap();
    assert_eq!(desired.len(), 100_001);
    assert!(desired.iter().all(|instance| instance.installs.len() == 1));
    let first = &desired[0].installs[0];
    let last = &desired[100_000].installs[0];
    assert!(
        std::sync::Arc::ptr_eq(&first.limits, &last.limits),
        "equal limits are held once"
    );
    assert!(std::sync::Arc::ptr_eq(&first.config, &last.config));
}
