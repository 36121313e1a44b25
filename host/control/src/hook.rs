//! Hooks: what fills the extension points of the apps of an instance, and how each is called. A hook calls an
//! extension that is enabled in the same instance, or a webhook of the tenant's.
//!
//! Enabling an extension registers its hooks ([`crate::composition`] finds where they belong); people change,
//! reorder and remove them, and add webhooks. A hook is called from the next call of its point on.

mod add;
mod change;
mod check;
mod fall_back;
mod fields;
mod key;
mod observed;
mod of_app;
mod register;
mod shown;

pub use add::{HookNew, TargetNew, add};
pub use change::{HookChange, PreviousKey, remove, rotate_key, set};
pub use fall_back::{FallBack, fall_back};
pub use fields::HookFields;
pub use observed::{Difference, HookLog, Observation, Observed, StateChange};
pub use of_app::{AppHook, of_app};
pub use shown::{Effect, HookShown, get, list};

pub(crate) use key::SigningKey;
pub(crate) use register::{register, take_back};
pub(crate) use shown::of_instance;

use std::{fmt, ops::RangeInclusive};

use cloudware_types::{HookId, HookMode, InstallId, InstanceId, Slug, TenantId};
use serde_json::{Value, json};

use crate::{
    Call, Error, Timestamp,
    audit::Draft,
    limits::HOOK_NAME_BYTES_MAX,
    store::{self, Connection},
};

/// Versions of the payload of webhooks that this platform writes. An endpoint is sent the one that it was written
/// for until its owner says otherwise.
pub const PAYLOAD_VERSIONS: RangeInclusive<u32> = 1..=1;

/// A hook.
#[derive(Clone, Debug)]
pub struct Hook {
    /// Its id.
    pub id: HookId,
    /// The instance.
    pub instance_id: InstanceId,
    /// The instance's name.
    pub instance: Slug,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The tenant's name.
    pub tenant: Slug,
    /// The install whose app asks.
    pub app_install: InstallId,
    /// The app that asks.
    pub app: Slug,
    /// Its extension point.
    pub point: Slug,
    /// The hook's name, unique on its point: the extension's app name, or the webhook's own.
    pub name: Slug,
    /// Its place among the hooks of the point, from 1.
    pub position: u32,
    /// What is called.
    pub target: Target,
    /// Whether it is called.
    pub is_enabled: bool,
    /// Whether its result is used.
    pub mode: HookMode,
    /// What was chosen for it.
    pub fields: HookFields,
    /// When it was registered.
    pub created_at: Timestamp,
    /// Counts its changes.
    pub revision: u64,
}

/// What a hook calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An extension that is installed in the same instance.
    Extension(InstallId),
    /// An HTTP endpoint of the tenant's.
    Webhook(Webhook),
}

/// An HTTP endpoint, without the keys that sign what is sent to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Where it is called.
    pub url: String,
    /// Version of the payload that it was written for.
    pub payload_version: u32,
    /// When each valid key was made, the newest first.
    pub keys: Vec<Timestamp>,
}

/// A hook that was given a key, which is shown this once.
#[derive(Clone)]
pub struct HookKeyed {
    /// The hook.
    pub hook: Hook,
    /// The key that signs what the webhook is sent, as Standard Webhooks writes it; `None` for extensions.
    pub secret: Option<String>,
}

impl fmt::Debug for HookKeyed {
    /// Without the key: descriptions end up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookKeyed")
            .field("hook", &self.hook)
            .finish_non_exhaustive()
    }
}

impl Hook {
    /// The point as people write it, `app/point`.
    #[must_use]
    pub fn point_path(&self) -> String {
        format!("{}/{}", self.app, self.point)
    }

    /// The name as people write it, `tenant/instance/app/point/name`.
    #[must_use]
    pub fn path(&self) -> String {
        format!(
            "{}/{}/{}/{}/{}",
            self.tenant, self.instance, self.app, self.point, self.name
        )
    }

    /// The install that is called, if one is.
    pub(crate) fn extension(&self) -> Option<InstallId> {
        match self.target {
            Target::Extension(install) => Some(install),
            Target::Webhook(_) => None,
        }
    }

    /// What the audit trail says about its state.
    fn describe(&self) -> Value {
        let mut description = json!({
            "app": self.app,
            "point": self.point,
            "name": self.name,
            "position": self.position,
            "enabled": self.is_enabled,
            "mode": self.mode,
        });
        if let Target::Webhook(webhook) = &self.target {
            description["url"] = webhook.url.clone().into();
            description["payload_version"] = webhook.payload_version.into();
            description["keys"] = webhook.keys.len().into();
        }
        self.fields.describe(&mut description);
        description
    }

    /// The beginning of an audit entry about it.
    fn draft(&self, call: &Call, action: &str) -> Draft {
        Draft::new(call, action, self.id, self.path()).tenant(self.tenant_id)
    }
}

/// By id or `app.point.name`, within an instance that the caller may see.
pub(crate) async fn find(
    db: &mut Connection,
    instance: InstanceId,
    name: &str,
) -> Result<Hook, Error> {
    let found = match name.len() {
        0..=HOOK_NAME_BYTES_MAX => store::hook::find(db, instance, name).await?,
        _ => None,
    };
    found.ok_or_else(|| Error::not_found("hook", name))
}
