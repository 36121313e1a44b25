//! The capability `config`: the configuration values of an install, read by `wasi:config/store`.
//!
//! Three drafts of the interface are in use; their shape is the same, so that one implementation is linked
//! under each name. Values are those that the tenant set, or the defaults of the manifest; they do not
//! change while a sandbox runs.

use std::{any::Any, collections::BTreeMap, sync::Arc};

use cloudware_capability::{BindError, Binding, Capability, CapabilityLinker, Consent, Invocation};
use cloudware_types::{DesiredInstall, DesiredInstance};
use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lower},
};

/// The name in grants; every app has it.
pub const NAME: &str = "config";

/// The WIT interfaces that it provides.
pub const INTERFACES: [&str; 3] = [
    "wasi:config/store@0.2.0-draft",
    "wasi:config/store@0.2.0-draft-2024-09-27",
    "wasi:config/store@0.2.0-rc.1",
];

/// The capability; one per process.
#[derive(Default)]
pub struct Config;

impl Config {
    /// Reads the values that come with each install.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

/// `variant error` of the interface. Values are at hand, so that it never occurs.
#[derive(ComponentType, Lower)]
#[component(variant)]
#[allow(
    dead_code,
    reason = "the interface names failures that this host does not have"
)]
enum ConfigError {
    #[component(name = "upstream")]
    Upstream(String),
    #[component(name = "io")]
    Io(String),
}

type Values = Arc<BTreeMap<String, String>>;

impl Capability for Config {
    fn name(&self) -> &'static str {
        NAME
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &INTERFACES
    }

    fn consent(&self) -> Consent {
        Consent::Always
    }

    fn link(&self, linker: &mut CapabilityLinker) -> wasmtime::Result<()> {
        for interface in INTERFACES {
            let mut functions = linker.instance(interface)?;
            functions.func_wrap(
                "get",
                |mut store: StoreContextMut<'_, Invocation>, (key,): (String,)| {
                    let value = read(store.data_mut(), "config.get", |v| v.get(&key).cloned())?;
                    Ok((Ok::<_, ConfigError>(value),))
                },
            )?;
            functions.func_wrap(
                "get-all",
                |mut store: StoreContextMut<'_, Invocation>, (): ()| {
                    let all = read(store.data_mut(), "config.get-all", |values| {
                        let pairs = values.iter().map(|(k, v)| (k.clone(), v.clone()));
                        pairs.collect::<Vec<_>>()
                    })?;
                    Ok((Ok::<_, ConfigError>(all),))
                },
            )?;
        }
        Ok(())
    }

    fn bind(
        &self,
        _: &DesiredInstance,
        install: &DesiredInstall,
    ) -> Result<Arc<dyn Binding>, BindError> {
        Ok(Arc::new(ConfigBinding(Arc::clone(&install.config))))
    }
}

struct ConfigBinding(Values);

impl Binding for ConfigBinding {
    fn open(&self) -> Box<dyn Any + Send> {
        Box::new(Arc::clone(&self.0))
    }
}

fn read<R>(
    invocation: &mut Invocation,
    call: &'static str,
    look: impl FnOnce(&BTreeMap<String, String>) -> R,
) -> wasmtime::Result<R> {
    invocation.enter(call)?;
    let values = invocation
        .state::<Values>(NAME)
        .ok_or_else(|| wasmtime::Error::msg("the capability config is not bound"))?;
    let found = look(values);
    invocation.leave();
    Ok(found)
}
