//! The capability `kv`: key-value data in the private database of the instance.
//!
//! Guests reach it by `cloudware:kv/store` or, unmodified, by either draft of `wasi:keyvalue`; all
//! three are thin adapters to one [`KvStore`]. Buckets belong to the app that opens them. A write is durable when
//! the call returns.

mod backends;
mod host;
mod limits;
mod operation;
mod store;
pub mod suite;
mod taped;
mod wasi_draft;
mod wasi_draft2;

use std::{any::Any, sync::Arc};

use cloudware_capability::{BindError, Binding, Capability, CapabilityLinker, Tape};
use cloudware_instance_db::InstanceDbs;
use cloudware_types::{DesiredInstall, DesiredInstance, Dimension};

pub use backends::EmbeddedKv;
pub use limits::{BUCKET_BYTES_MAX, CALL_BYTES_MAX, CALL_KEYS_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};
pub use store::{
    BucketName, Change, Changed, Entry, Exchange, Key, KvError, KvStore, Listing, Page, Place,
    Scope, Start, Value,
};

use operation::Session;
use taped::TapedKv;

/// The name in manifests and grants.
pub const NAME: &str = "kv";

/// The WIT interfaces that it provides.
pub const INTERFACES: &[&str] = &[
    "cloudware:kv/store@0.1.0",
    "wasi:keyvalue/store@0.2.0-draft",
    "wasi:keyvalue/atomics@0.2.0-draft",
    "wasi:keyvalue/batch@0.2.0-draft",
    "wasi:keyvalue/store@0.2.0-draft2",
    "wasi:keyvalue/atomics@0.2.0-draft2",
    "wasi:keyvalue/batch@0.2.0-draft2",
];

/// The capability; one per process.
pub struct Kv {
    store: Arc<dyn KvStore>,
}

impl Kv {
    /// Keeps data in the private databases of this host.
    #[must_use]
    pub fn new(databases: Arc<InstanceDbs>) -> Self {
        Self::with_store(Arc::new(EmbeddedKv::new(databases)))
    }

    /// Keeps data in a backend that passes the [`suite`].
    #[must_use]
    pub fn with_store(store: Arc<dyn KvStore>) -> Self {
        Self { store }
    }
}

impl Capability for Kv {
    fn name(&self) -> &'static str {
        NAME
    }

    fn interfaces(&self) -> &'static [&'static str] {
        INTERFACES
    }

    fn link(&self, linker: &mut CapabilityLinker) -> wasmtime::Result<()> {
        host::link(linker)?;
        wasi_draft::link(linker)?;
        wasi_draft2::link(linker)
    }

    fn bind(
        &self,
        instance: &DesiredInstance,
        install: &DesiredInstall,
    ) -> Result<Arc<dyn Binding>, BindError> {
        Ok(Arc::new(KvBinding {
            store: Arc::clone(&self.store),
            scope: Arc::new(Scope {
                instance: instance.id,
                app: install.app.clone(),
                weight: instance.limits.get(Dimension::CpuWeight),
                storage_bytes_max: instance.limits.get(Dimension::Storage),
            }),
        }))
    }
}

struct KvBinding {
    store: Arc<dyn KvStore>,
    scope: Arc<Scope>,
}

impl Binding for KvBinding {
    fn open(&self) -> Box<dyn Any + Send> {
        Box::new(Session {
            store: Arc::clone(&self.store),
            scope: Arc::clone(&self.scope),
        })
    }

    fn open_taped(&self, tape: &Arc<Tape>) -> Box<dyn Any + Send> {
        let taped = TapedKv {
            store: Arc::clone(&self.store),
            tape: Arc::clone(tape),
        };
        Box::new(Session {
            store: Arc::new(taped),
            scope: Arc::clone(&self.scope),
        })
    }
}
