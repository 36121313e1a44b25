//! The embedded backend does what every backend must.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{path::PathBuf, sync::Arc};

use cloudware_instance_db::{Config, InstanceDbs};
use cloudware_sql::{
    EmbeddedSql, Scope, SqlStore,
    suite::{self, Fixture},
};
use cloudware_types::Migration;

struct Embedded {
    dir: PathBuf,
}

impl Embedded {
    fn databases(&self) -> Arc<InstanceDbs> {
        InstanceDbs::new(Config {
            dir: self.dir.clone(),
            ..Config::default()
        })
        .unwrap()
    }
}

impl Fixture for Embedded {
    fn open(&self) -> Arc<dyn SqlStore> {
        Arc::new(EmbeddedSql::new(self.databases()))
    }

    async fn migrate(&self, scope: &Scope, migration: Migration) {
        self.databases()
            .migrate(
                scope.instance,
                &scope.namespace,
                vec![migration],
                1,
                scope.storage_bytes_max,
            )
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_backend_passes_the_suite() {
    let dir = tempfile::tempdir().unwrap();
    suite::run(Embedded {
        dir: dir.path().to_owned(),
    })
    .await;
}
