//! The control plane: who exists (providers, tenants), what is published (apps, releases), what runs
//! where (instances, installs), with which plans and quotas, what it consumed, and who changed what.
//!
//! One file for each noun; each function takes a [`Call`], decides whether the caller may, changes
//! the control database and writes the audit entry in one transaction, and hands the new desired
//! state to the [`DataPlane`] before it returns. This crate knows neither HTTP nor wasmtime; SQL is
//! in [`store`](Store) only.

pub mod app;
pub mod audit;
mod caller;
mod composition;
mod control;
mod data_plane;
pub mod delivery;
mod desired;
mod error;
pub mod event;
pub mod hook;
pub mod host;
pub mod install;
pub mod instance;
pub mod limits;
mod package_store;
mod page;
pub mod plan;
pub mod point;
pub mod product;
pub mod provider;
pub mod quota;
pub mod recording;
pub mod release;
pub mod stop;
mod store;
pub mod tenant;
mod timestamp;
pub mod token;
pub mod trace;
mod turns;
pub mod usage;

pub use app::App;
pub use audit::{AuditEntry, AuditQuery};
pub use caller::{Call, Caller};
pub use control::{Config, Control};
pub use data_plane::{
    ApplyError, DataPlane, InstanceLoad, MigrateError, PrepareError, ReleaseToPrepare,
};
pub use delivery::{DeliveriesError, Delivery, DeliveryQuery, DeliveryReplay};
pub use error::Error;
pub use event::{Event, EventLog, EventQuery, NearLimit, NearLimitKey};
pub use hook::{Hook, HookChange, HookFields, HookLog, HookNew, HookShown};
pub use install::{EnableRequest, Install, InstallChanged, InstallState};
pub use instance::{Instance, InstanceNew};
pub use package_store::{PackageStore, PackageStoreError};
pub use page::{Page, PageRequest};
pub use plan::{Plan, PlanNew};
pub use point::Point;
pub use product::Product;
pub use provider::{Provider, ProviderNew};
pub use quota::{
    EffectiveLimit, QuotaChange, QuotaLevel, QuotaOverride, QuotaOverrides, QuotaSetting,
    QuotaTarget,
};
pub use recording::{Recording, RecordingLog, RecordingNew, RecordingQuery};
pub use release::{Pushed, Release, ReleaseState};
pub use stop::{StopEntry, StopLog, StopQuery};
pub use store::{Store, StoreError};
pub use tenant::{Tenant, TenantNew};
pub use timestamp::{Timestamp, TimestampError};
pub use token::{Token, TokenMinted, TokenNew, TokenOwner};
pub use trace::{TraceEntry, TraceLog, TraceQuery};
pub use usage::{Ledger, UsageBy, UsageHook, UsageQuery, UsageRow, UsageStep};
