//! The capability `config`: the configuration values of an install, read by `wasi:config/store`.
//!
//! Three drafts of the interface are in use; their shape is the same, so that one implementation is linked
//! under each name. Values are those that the tenant set, or the defaults of the manifest; they do not
//! change while a sandbox runs.

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cloudware_capability::{
    BindError, Binding, Capability, CapabilityLinker, Consent, Invocation, Tape,
};
use cloudware_types::{DesiredInstall, DesiredInstance};
use serde_json::{Value, json};
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
                    let value = read(store.data_mut(), "config.get", |session| session.get(&key))?;
                    Ok((Ok::<_, ConfigError>(value),))
                },
            )?;
            functions.func_wrap(
                "get-all",
                |mut store: StoreContextMut<'_, Invocation>, (): ()| {
                    let all = read(store.data_mut(), "config.get-all", Session::all)?;
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
        let recording = install.recording.as_ref();
        Ok(Arc::new(ConfigBinding {
            values: Arc::clone(&install.config),
            private: recording.map(|recording| Arc::clone(&recording.private_config)),
        }))
    }
}

struct ConfigBinding {
    values: Values,
    /// The keys whose values nobody else may see, where calls are recorded.
    private: Option<Arc<BTreeSet<String>>>,
}

impl Binding for ConfigBinding {
    fn open(&self) -> Box<dyn Any + Send> {
        Box::new(Session {
            values: Arc::clone(&self.values),
            tape: None,
            private: None,
        })
    }

    fn open_taped(&self, tape: &Arc<Tape>) -> Box<dyn Any + Send> {
        Box::new(Session {
            values: Arc::clone(&self.values),
            tape: Some(Arc::clone(tape)),
            private: self.private.clone(),
        })
    }
}

/// What an invocation has of the capability.
struct Session {
    values: Values,
    tape: Option<Arc<Tape>>,
    private: Option<Arc<BTreeSet<String>>>,
}

impl Session {
    fn get(&self, key: &str) -> wasmtime::Result<Option<String>> {
        let live = || self.values.get(key).cloned();
        let Some(tape) = &self.tape else {
            return Ok(live());
        };
        let write = |value: &Option<String>| match value {
            None => Value::Null,
            Some(value) => self.noted(key, value),
        };
        let read = |noted: &Value| match noted {
            Value::Null => Some(None),
            noted => Some(Some(pair(noted)?.1)),
        };
        let asked = json!({ "key": key });
        Ok(tape.exchange_now("config.get", asked, live, write, read)?)
    }

    fn all(&self) -> wasmtime::Result<Vec<(String, String)>> {
        let live = || {
            let pairs = self.values.iter().map(|(k, v)| (k.clone(), v.clone()));
            pairs.collect::<Vec<_>>()
        };
        let Some(tape) = &self.tape else {
            return Ok(live());
        };
        let write = |pairs: &Vec<(String, String)>| {
            let noted = pairs.iter().map(|(key, value)| self.noted(key, value));
            noted.collect()
        };
        let read = |noted: &Value| noted.as_array()?.iter().map(pair).collect();
        Ok(tape.exchange_now("config.get-all", json!({}), live, write, read)?)
    }

    /// A value as it is noted: whoever keeps it redacts what is marked as private.
    fn noted(&self, key: &str, value: &str) -> Value {
        let is_private = self.private.as_ref().is_none_or(|keys| keys.contains(key));
        json!({ "key": key, "value": value, "private": is_private })
    }
}

/// What [`Session::noted`] noted.
fn pair(noted: &Value) -> Option<(String, String)> {
    let part = |name: &str| noted[name].as_str().map(ToOwned::to_owned);
    Some((part("key")?, part("value")?))
}

fn read<R>(
    invocation: &mut Invocation,
    call: &'static str,
    look: impl FnOnce(&Session) -> wasmtime::Result<R>,
) -> wasmtime::Result<R> {
    invocation.enter(call)?;
    let session = invocation
        .state::<Session>(NAME)
        .ok_or_else(|| wasmtime::Error::msg("the capability config is not bound"))?;
    let found = look(session)?;
    invocation.leave();
    Ok(found)
}
