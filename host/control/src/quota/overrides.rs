//! What is set for something within a target, and holds there instead of what is set for the whole.

use cloudware_types::Limit;

use super::{Owner, QuotaLevel, QuotaSetting, QuotaTarget, find};
use crate::{Call, Control, Error, limits::QUOTA_OVERRIDES_MAX, store};

/// A value that operators have set for something within a target. What the manifest of an app lowers is not among them.
#[derive(Clone, Debug)]
pub struct QuotaOverride {
    /// The limit.
    pub limit: Limit,
    /// The instance (`acme/main`) or install (`acme/main/stock`), which may be disabled at present.
    pub target: String,
    /// The value.
    pub setting: QuotaSetting,
}

/// Values that are set within a target.
#[derive(Clone, Debug, Default)]
pub struct QuotaOverrides {
    /// The first [`QUOTA_OVERRIDES_MAX`] of them, by the name of what they are set for.
    pub first: Vec<QuotaOverride>,
    /// Whether there are more.
    pub is_cut: bool,
}

/// What is set for instances and installs of a tenant, or for installs of an instance; of some limits or, where none is named,
/// of all. Nothing for an install, and for a plan, whose tenants may be very many.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn overrides(
    control: &Control,
    call: &Call,
    target: &QuotaTarget,
    limits: &[Limit],
) -> Result<QuotaOverrides, Error> {
    let mut db = control.store.read().await?;
    let subject = find(&mut db, call, target).await?;
    let mut rows = match (subject.level, subject.owner) {
        (QuotaLevel::Tenant, Owner::Tenant(tenant)) => {
            store::quota::within_tenant(&mut db, tenant, limits, QUOTA_OVERRIDES_MAX + 1).await?
        }
        (QuotaLevel::Instance, Owner::Instance(_, instance)) => {
            store::quota::within_instance(&mut db, instance, limits, QUOTA_OVERRIDES_MAX + 1)
                .await?
        }
        _ => Vec::new(),
    };
    let is_cut = rows.len() > QUOTA_OVERRIDES_MAX;
    rows.truncate(QUOTA_OVERRIDES_MAX);
    let first = rows.into_iter().map(|(target, level, row)| QuotaOverride {
        limit: row.limit,
        target,
        setting: QuotaSetting::new(level, row),
    });
    Ok(QuotaOverrides {
        first: first.collect(),
        is_cut,
    })
}
