//! Events of deliveries that observers did not get, and of webhooks that say that they are gone: what the data plane
//! reports, in the feed of the tenant whose hook it is.

use cloudware_types::{DeliveryId, HookId, InstanceId};
use serde_json::json;

use super::{EventLog, EventNew};
use crate::{
    Timestamp,
    limits::REASON_CHARS_MAX,
    store::{self, StoreError},
};

/// What became of deliveries of a hook.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DeliveryOutcome {
    /// They failed for good and are dead letters, which people may replay.
    Dead,
    /// They were given up.
    Dropped,
    /// The hook's endpoint answered that it is gone for good. It is called until somebody disables it.
    Gone,
}

impl DeliveryOutcome {
    /// The type of the event that tells of it.
    #[must_use]
    pub fn event(self) -> &'static str {
        match self {
            Self::Dead => "delivery.dead",
            Self::Dropped => "delivery.dropped",
            Self::Gone => "hook.gone",
        }
    }
}

/// The same thing happened to a hook, once or several times. Of one of the times everything is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryReport {
    /// When, the first time.
    pub at: Timestamp,
    /// The instance.
    pub instance: InstanceId,
    /// The hook. It may have been removed since.
    pub hook: HookId,
    /// The app whose calls it is told.
    pub app: String,
    /// The app's extension point.
    pub point: String,
    /// The hook's name.
    pub name: String,
    /// What happened.
    pub outcome: DeliveryOutcome,
    /// How often.
    pub count: u64,
    /// One of the deliveries, where it is known which they are.
    pub delivery: Option<DeliveryId>,
    /// Why, for that one.
    pub reason: String,
}

impl EventLog {
    /// Tells what became of deliveries, all or nothing. Reports of instances that are gone are left out. How often
    /// a hook is reported is for the data plane to bound.
    ///
    /// # Errors
    /// [`StoreError`] if the control database cannot be written; nothing was told then.
    pub async fn deliveries(&self, reports: &[DeliveryReport]) -> Result<(), StoreError> {
        if reports.is_empty() {
            return Ok(());
        }
        let mut db = self.store.write().await?;
        for report in reports {
            let Some(owner) = store::instance::owner(&mut db, report.instance).await? else {
                continue;
            };
            let reason: String = report.reason.chars().take(REASON_CHARS_MAX).collect();
            let event = EventNew {
                at: report.at,
                kind: report.outcome.event().to_owned(),
                subject_id: report.hook.to_string(),
                subject: format!(
                    "{}/{}/{}/{}/{}",
                    owner.tenant, owner.instance, report.app, report.point, report.name
                ),
                tenant_id: Some(owner.tenant_id),
                provider_id: None,
                data: json!({
                    "app": report.app,
                    "point": report.point,
                    "name": report.name,
                    "delivery": report.delivery,
                    "count": report.count,
                    "reason": reason,
                }),
                once: None,
            };
            store::event::insert(&mut db, &event).await?;
        }
        Ok(db.commit().await?)
    }
}
