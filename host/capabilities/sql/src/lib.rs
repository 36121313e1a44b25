//! The capability `sql`: SQL with transactions on the private database of the instance, by
//! `cloudware:sql/database`.
//!
//! Where the app declares tables and hooks decide about their use, each statement passes the `gate`.
//! An app owns the tables of its namespace and can name no others. Transactions live in the
//! invocation: at most [`TRANSACTIONS_MAX`] at a time, undone where the guest drops them, ends or is stopped.

mod backends;
mod gate;
mod host;
mod limits;
mod session;
mod store;
pub mod suite;
mod taped;

use std::{any::Any, sync::Arc};

use cloudware_capability::{BindError, Binding, Capability, CapabilityLinker, Tape};
use cloudware_instance_db::{InstanceDbs, Namespace};
use cloudware_types::{DesiredInstall, DesiredInstance, Dimension, RunChain};

pub use backends::EmbeddedSql;
pub use limits::TRANSACTIONS_MAX;
pub use store::{Scope, SqlError, SqlStore, SqlTransaction};

use session::Session;
use taped::TapedSql;

/// The name in manifests and grants.
pub const NAME: &str = "sql";

/// The WIT interfaces that it provides.
pub const INTERFACES: &[&str] = &["cloudware:sql/database@0.1.0"];

/// The capability; one per process.
pub struct Sql {
    store: Arc<dyn SqlStore>,
}

impl Sql {
    /// Works on the private databases of this host.
    #[must_use]
    pub fn new(databases: Arc<InstanceDbs>) -> Self {
        Self::with_store(Arc::new(EmbeddedSql::new(databases)))
    }

    /// Works on a backend that passes the [`suite`].
    #[must_use]
    pub fn with_store(store: Arc<dyn SqlStore>) -> Self {
        Self { store }
    }
}

impl Capability for Sql {
    fn name(&self) -> &'static str {
        NAME
    }

    fn interfaces(&self) -> &'static [&'static str] {
        INTERFACES
    }

    fn link(&self, linker: &mut CapabilityLinker) -> wasmtime::Result<()> {
        host::link(linker)
    }

    fn bind(
        &self,
        instance: &DesiredInstance,
        install: &DesiredInstall,
    ) -> Result<Arc<dyn Binding>, BindError> {
        let refuse = |reason: String| BindError {
            capability: NAME.to_owned(),
            reason,
        };
        let Some(namespace) = &install.database_namespace else {
            return Err(refuse(
                "the manifest has no [database] section; add one with a namespace".into(),
            ));
        };
        let namespace: Namespace = namespace
            .parse()
            .map_err(|error| refuse(format!("{error}")))?;
        Ok(Arc::new(SqlBinding {
            store: Arc::clone(&self.store),
            scope: Scope {
                instance: instance.id,
                app: install.app.clone(),
                namespace,
                weight: instance.limits.get(Dimension::CpuWeight),
                storage_bytes_max: instance.limits.get(Dimension::Storage),
                invocation: RunChain::NOBODY,
                on_abandoned: None,
            },
        }))
    }
}

struct SqlBinding {
    store: Arc<dyn SqlStore>,
    scope: Scope,
}

impl Binding for SqlBinding {
    fn open(&self) -> Box<dyn Any + Send> {
        Box::new(Session::new(Arc::clone(&self.store), self.scope.clone()))
    }

    fn open_taped(&self, tape: &Arc<Tape>) -> Box<dyn Any + Send> {
        let taped = TapedSql::new(Arc::clone(&self.store), Arc::clone(tape));
        Box::new(Session::new(Arc::new(taped), self.scope.clone()))
    }
}
