//! The embedded backend does what every backend must.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use cloudware_instance_db::{Config, InstanceDbs};
use cloudware_kv::{EmbeddedKv, KvStore, suite};

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_backend_passes_the_suite() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        dir: dir.path().to_owned(),
        ..Config::default()
    };
    suite::run(|| {
        let databases = InstanceDbs::new(config.clone()).unwrap();
        Arc::new(EmbeddedKv::new(databases)) as Arc<dyn KvStore>
    })
    .await;
}
