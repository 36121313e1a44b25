//! The capability `limits`: what the present run has used of what it may, by `cloudware:limits/limits`, so
//! that an app can do less before the host stops it. Every app has it: it says nothing of others.

use std::{sync::Arc, time::Duration};

use cloudware_capability::{
    BindError, Binding, Capability, CapabilityLinker, Consent, ExtensionTime, Invocation,
    Stateless, Tape,
};
use cloudware_threads::cpu_nanoseconds;
use cloudware_types::{DesiredInstall, DesiredInstance, Dimension, Limit, Meter};
use serde_json::{Value, json};
use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lower},
};

/// The name in grants; every app has it.
pub const NAME: &str = "limits";

/// The WIT interfaces that it provides.
pub const INTERFACES: [&str; 1] = ["cloudware:limits/limits@0.1.0"];

/// The limits of a run that are counted while it goes on, in the order in which people see them.
const COUNTED: &[Dimension] = &[
    Dimension::Fuel,
    Dimension::CpuTime,
    Dimension::Deadline,
    Dimension::Memory,
    Dimension::Handles,
    Dimension::HostCalls,
    Dimension::RequestBytes,
    Dimension::LogBytes,
    Dimension::SqlStatements,
    Dimension::SqlRowsRead,
    Dimension::SqlRowsWritten,
    Dimension::SqlTime,
    Dimension::KvOperations,
    Dimension::OutboundCalls,
    Dimension::ExtensionTime,
    Dimension::Recursion,
];

/// One limit as guests see it; the record of the WIT.
#[derive(ComponentType, Lower)]
#[component(record)]
struct Remaining {
    name: &'static str,
    unit: &'static str,
    used: u64,
    max: u64,
}

impl Remaining {
    fn of(limit: Limit, used: u64, max: u64) -> Self {
        Self {
            name: limit.name(),
            unit: limit.unit().word(),
            used,
            max,
        }
    }
}

/// The capability; one per process.
#[derive(Default)]
pub struct Limits;

impl Limits {
    /// Reads the meters of each invocation.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl Capability for Limits {
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
        let mut interface = linker.instance(INTERFACES[0])?;
        interface.func_wrap("get", |mut store, (name,): (String,)| {
            in_host_call(
                &mut store,
                "limits.get",
                || json!({ "name": name }),
                |store| {
                    // A stranger's text is only compared.
                    let dimension = name.parse().map(Limit::dimension).ok();
                    let found = dimension.and_then(|dimension| remaining(store, dimension));
                    found.filter(|limit| limit.name == name)
                },
            )
        })?;
        interface.func_wrap("all", |mut store, (): ()| {
            in_host_call(
                &mut store,
                "limits.all",
                || json!({}),
                |store| {
                    let counted = COUNTED.iter();
                    counted
                        .filter_map(|&dimension| remaining(store, dimension))
                        .collect::<Vec<_>>()
                },
            )
        })
    }

    fn bind(&self, _: &DesiredInstance, _: &DesiredInstall) -> Result<Arc<dyn Binding>, BindError> {
        Ok(Arc::new(Stateless))
    }
}

/// Runs a host function that gives one result, counted like every other.
fn in_host_call<R: Noted>(
    store: &mut StoreContextMut<'_, Invocation>,
    name: &'static str,
    asked: impl FnOnce() -> Value,
    run: impl FnOnce(&mut StoreContextMut<'_, Invocation>) -> R,
) -> wasmtime::Result<(R,)> {
    store.data_mut().enter(name)?;
    let tape: Option<Arc<Tape>> = store.data().tape().cloned();
    let result = match tape {
        None => run(store),
        // What is left of time differs from run to run.
        Some(tape) => tape.exchange_now(name, asked(), || run(store), R::note, R::read)?,
    };
    store.data_mut().leave();
    Ok((result,))
}

/// An answer as the tape of an invocation has it.
trait Noted: Sized {
    fn note(&self) -> Value;
    fn read(noted: &Value) -> Option<Self>;
}

impl Noted for Remaining {
    fn note(&self) -> Value {
        json!({ "name": self.name, "used": self.used, "max": self.max })
    }

    fn read(noted: &Value) -> Option<Self> {
        let limit: Limit = noted["name"].as_str()?.parse().ok()?;
        let number = |member: &str| noted[member].as_u64();
        Some(Self::of(limit, number("used")?, number("max")?))
    }
}

impl Noted for Option<Remaining> {
    fn note(&self) -> Value {
        self.as_ref().map_or(Value::Null, Noted::note)
    }

    fn read(noted: &Value) -> Option<Self> {
        match noted {
            Value::Null => Some(None),
            noted => Remaining::read(noted).map(Some),
        }
    }
}

impl Noted for Vec<Remaining> {
    fn note(&self) -> Value {
        self.iter().map(Noted::note).collect()
    }

    fn read(noted: &Value) -> Option<Self> {
        noted.as_array()?.iter().map(Remaining::read).collect()
    }
}

/// What the run has used in one dimension; `None` where that is not counted while it goes on.
fn remaining(
    store: &mut StoreContextMut<'_, Invocation>,
    dimension: Dimension,
) -> Option<Remaining> {
    let handles = match dimension {
        Dimension::Handles => store.data_mut().handles(),
        _ => 0,
    };
    let invocation = store.data();
    if dimension == Dimension::ExtensionTime {
        // Hooks have it together with those who wait for them.
        let ExtensionTime { limit, used, max } = invocation.extension_time();
        return Some(Remaining::of(limit, millis(used), millis(max)));
    }
    let max = match dimension {
        // Hooks are given what those have who wait for them.
        Dimension::Fuel => invocation.progress().fuel_given(),
        _ => invocation.limit(dimension),
    };
    let meter = |meter| invocation.meters()[meter];
    let used = match dimension {
        Dimension::Fuel => max.saturating_sub(store.get_fuel().unwrap_or(0)),
        Dimension::CpuTime => invocation.progress().cpu_until(cpu_nanoseconds()) / 1_000_000,
        Dimension::Deadline => millis(invocation.elapsed()),
        Dimension::Memory => invocation.memory.used(),
        Dimension::Handles => handles,
        Dimension::HostCalls => meter(Meter::HostCalls),
        Dimension::RequestBytes => invocation.progress().request_bytes(),
        Dimension::LogBytes => invocation.log().bytes(),
        Dimension::SqlStatements => meter(Meter::SqlStatements),
        Dimension::SqlRowsRead => meter(Meter::SqlRowsRead),
        Dimension::SqlRowsWritten => meter(Meter::SqlRowsWritten),
        Dimension::SqlTime => meter(Meter::SqlNanoseconds) / 1_000_000,
        Dimension::KvOperations => meter(Meter::KvOperations),
        Dimension::OutboundCalls => invocation.progress().outbound_calls(),
        Dimension::Recursion => invocation.depth(),
        _ => return None,
    };
    let limit = dimension.of(invocation.class());
    Some(Remaining::of(limit, used, max))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
