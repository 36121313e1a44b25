//! The words of the platform as types: ids, names, digests, limits, usage, stops, and the two
//! messages that cross between the planes (desired state down, observed state up).
//!
//! This crate depends on nothing of ours, does no I/O, and every other crate may depend on it.

mod access;
mod advice;
mod delivery;
mod desired;
mod digest;
mod dimension;
mod hook;
mod host_load;
mod id;
mod limits;
mod plan;
mod quantity;
mod recording;
mod run;
mod slug;
mod standing;
mod stop;
mod trace;
mod usage;

pub use access::{
    AFTER_ACCESS, BEFORE_ACCESS, Comparison, Condition, FilteredAccess, Operation, ResultColumn,
    SqlValue, TableAccess,
};
pub use delivery::{DeliveryRecord, DeliveryState};
pub use desired::{DesiredInstall, DesiredInstance, HttpRoute, Migration, Reuse, YankedInstall};
pub use digest::{Digest, DigestError};
pub use dimension::{Class, Dimension, Limit, Scope, Unit};
pub use hook::{
    BreakerState, DesiredCall, DesiredHook, DesiredPoint, HookMode, HookOutcome, HookTarget,
    OnFailure, PointKind, UnknownWord, Webhook,
};
pub use host_load::HostLoad;
pub use id::{
    AppId, AuditId, DeliveryId, HookId, Id, IdError, IdKind, InstallId, InstanceId, PlanId,
    ProductId, ProviderId, RecordingId, ReleaseId, StopId, TenantId, TokenId,
};
pub use limits::{Limits, LimitsError};
pub use plan::{OtherPlans, Plans};
pub use quantity::{format_exact, format_quantity, parse_quantity};
pub use recording::{
    DesiredRecording, HostExchange, RecordedCall, RecordedOne, RecordedOutcome, RecordingFile,
};
pub use run::{RunChain, Waiting};
pub use slug::{Slug, SlugError};
pub use standing::{SOFT_PERCENT, Standing, percent, soft};
pub use stop::{Consumer, Stop, StopCause, StopRecord};
pub use trace::{Span, Trace};
pub use usage::{Meter, Meters, UsageRecord};
