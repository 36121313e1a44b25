//! The data plane: compiles and caches components, binds installs, admits requests, runs each in a
//! sandbox under its limits, and meters what it used.
//!
//! A request goes top to bottom through [`Engine`] → [`BoundInstall::serve`]: admit → sandbox → call →
//! meter → answer. The engine knows capabilities only as a list of [`cloudware_capability::Capability`];
//! it names none, speaks no SQL and knows nothing of the control plane. The invariant that everything
//! here serves: an invocation that misbehaves ends with a [`cloudware_types::Stop`], and nothing else
//! changes.

mod admission;
mod behind;
mod bodiless;
mod body;
mod cache;
mod clock;
mod code;
mod compiler;
mod config;
mod engine;
mod events;
mod held;
mod hook;
mod host_work;
mod install;
mod internal;
mod journal;
mod lag;
pub mod limits;
mod log_rate;
mod machine;
mod messages;
mod near;
mod outbound;
mod pace;
mod rate;
mod recording;
mod run;
mod runtime;
mod sandbox;
mod schedule;
mod serve;
mod socket_work;
mod stdio;
mod stop;
mod task;
mod unsent;
mod usage;
mod window;
mod world;

pub use admission::{Admission, Permit, Refusal};
pub use body::GuestBody;
pub use compiler::{Compiler, compile_for_parent};
pub use config::{EngineConfig, SandboxAllocation};
pub use engine::{CodeError, Engine, EngineError};
pub use events::{NobodyObserves, Observer};
pub use hook::{
    Delivery, DeliveryError, DirectAnswer, DirectCall, HookChanged, HookFailed, NothingOutside,
    Observed, Outbox, Peers, Replay, ShadowCompared, ValueError, WebhookCall, WebhookFailed,
    Webhooks,
};
pub use install::BoundInstall;
pub use journal::{Journal, Leftover};
pub use machine::total_memory;
pub use rate::Rate;
pub use runtime::pool;
pub use sandbox::Sandbox;
pub use serve::Serving;
pub use socket_work::count_socket_work;
pub use usage::{UsageBatch, UsageMeter};
pub use world::World;
