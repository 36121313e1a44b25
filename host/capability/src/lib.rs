//! The contract that every capability fulfils, and the store data that its host functions see.
//!
//! A capability has one life: it is *linked* once per engine, *bound* once per install (where
//! configuration may fail), and *opened* at the first call of an invocation. The engine holds a
//! list of capabilities and knows none of them by name.

mod access;
mod binding;
mod invocation;
mod limits;
mod lines;
mod log;
mod memory;
mod progress;
mod tape;
mod usage;

pub use access::DataAccess;
pub use binding::{BindError, Binding, Capability, CapabilityLinker, Consent, Stateless};
pub use invocation::{
    ExtensionTime, FindAccess, Identity, Invocation, InvocationParts, LimitReached, Renewal,
    RunContext,
};
pub use limits::OVERLOAD_RETRY_SECONDS;
pub use log::{GuestLog, LogLevel, LogRecord, LogSink, StandardStream};
pub use memory::{HostMemory, InstanceMemory, MemoryMeter};
pub use progress::{Progress, ThreadMoment};
pub use tape::{Diverged, Tape, bytes_from_json, bytes_to_json};
pub use usage::UsageSink;
