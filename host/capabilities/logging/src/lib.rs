//! The capability `logging`: log text of guests by `wasi:logging/logging`. The host adds who wrote it, and
//! bounds it by the limit `log-bytes`; what is beyond is cut and marked.

use std::sync::Arc;

use cloudware_capability::{
    BindError, Binding, Capability, CapabilityLinker, Consent, Invocation, LogLevel, Stateless,
};
use cloudware_types::{DesiredInstall, DesiredInstance};
use wasmtime::component::HasData;

mod bindings {
    wasmtime::component::bindgen!({
        path: "../../../wit/deps/logging",
        world: "wasi:logging/imports",
        imports: { default: trappable },
    });
}

use bindings::wasi::logging::logging::{self, Level};

/// Bytes of the guest's word for where a text comes from. It is a label and not the text.
const CONTEXT_BYTES_MAX: usize = 256;

/// The name in grants; every app has it.
pub const NAME: &str = "logging";

/// The WIT interfaces that it provides.
pub const INTERFACES: [&str; 1] = ["wasi:logging/logging@0.1.0-draft"];

/// The capability; one per process.
#[derive(Default)]
pub struct Logging;

impl Logging {
    /// Writes to the log of each invocation.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl Capability for Logging {
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
        logging::add_to_linker::<_, InvocationData>(linker, |invocation| invocation)
    }

    fn bind(&self, _: &DesiredInstance, _: &DesiredInstall) -> Result<Arc<dyn Binding>, BindError> {
        Ok(Arc::new(Stateless))
    }
}

struct InvocationData;

impl HasData for InvocationData {
    type Data<'a> = &'a mut Invocation;
}

impl logging::Host for Invocation {
    fn log(&mut self, level: Level, context: String, message: String) -> wasmtime::Result<()> {
        self.enter("logging.log")?;
        let level = match level {
            Level::Trace => LogLevel::Trace,
            Level::Debug => LogLevel::Debug,
            Level::Info => LogLevel::Info,
            Level::Warn => LogLevel::Warn,
            Level::Error => LogLevel::Error,
            Level::Critical => LogLevel::Critical,
        };
        // The context comes from the guest: its length is bounded here, that of the message by the log.
        let end = context.floor_char_boundary(CONTEXT_BYTES_MAX);
        Invocation::log(self).write(level, &context[..end], &message);
        self.leave();
        Ok(())
    }
}
