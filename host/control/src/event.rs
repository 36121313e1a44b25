//! Events: what happened on the platform, oldest first, so that others can follow. Every action of the audit
//! trail is one, written in the same transaction; the data plane adds warnings to the [`EventLog`].

mod delivery;

pub use delivery::{DeliveryOutcome, DeliveryReport};

use std::{fmt, str::FromStr};

use cloudware_types::{InstallId, InstanceId, Limit, ProviderId, Scope, Slug, TenantId};
use serde_json::{Value, json};

use crate::{
    AuditEntry, Call, Caller, Control, Error, Page, PageRequest, Store, Timestamp,
    hook::StateChange,
    limits::NAME_BYTES_MAX,
    store::{self, StoreError, event::EventFilter},
    tenant,
};

/// The type of the event that an instance, or a run in it, comes near a limit.
pub const NEAR_LIMIT: &str = "quota.near-limit";

/// An hour in milliseconds.
const HOUR_MS: i64 = 3_600_000;

/// Where an event is in the feed. Written `evt_` and 16 digits, so that texts sort as events do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Sequence(pub(crate) u64);

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "evt_{:016}", self.0)
    }
}

/// Why a text is not the place of an event in the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not the id of an event, such as evt_0000000000000042")]
pub struct SequenceError;

impl FromStr for Sequence {
    type Err = SequenceError;

    fn from_str(text: &str) -> Result<Self, SequenceError> {
        text.strip_prefix("evt_")
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .map(Self)
            .ok_or(SequenceError)
    }
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its place in the feed; the cursor for what comes after it.
    pub id: Sequence,
    /// When.
    pub at: Timestamp,
    /// What, as `noun.verb`.
    pub kind: String,
    /// Id of what it happened to.
    pub subject_id: String,
    /// Name of what it happened to, as people call it (`acme/main`).
    pub subject: String,
    /// More, by type. For actions: `actor`, `actor_kind`, `before`, `after`, `reason`, `request_id`.
    pub data: Value,
}

/// An event that is not in the feed yet.
#[derive(Clone, Debug)]
pub(crate) struct EventNew {
    pub at: Timestamp,
    pub kind: String,
    pub subject_id: String,
    pub subject: String,
    pub tenant_id: Option<TenantId>,
    pub provider_id: Option<ProviderId>,
    pub data: Value,
    /// Of events with the same name here only the first is told.
    pub once: Option<String>,
}

impl EventNew {
    /// The event that tells of an action.
    pub(crate) fn of(entry: AuditEntry) -> Self {
        Self {
            at: entry.at,
            kind: entry.action,
            subject_id: entry.subject_id,
            subject: entry.subject,
            tenant_id: entry.tenant_id,
            provider_id: entry.provider_id,
            data: json!({
                "actor": entry.actor,
                "actor_kind": entry.actor_kind,
                "before": entry.before,
                "after": entry.after,
                "reason": entry.reason,
                "request_id": entry.request_id,
            }),
            once: None,
        }
    }
}

/// An instance, or a run in it, that has used most of what a limit allows.
#[derive(Clone, Debug)]
pub struct NearLimit {
    /// When it was noticed.
    pub at: Timestamp,
    /// The tenant.
    pub tenant: TenantId,
    /// The instance.
    pub instance: InstanceId,
    /// The instance as people call it, `acme/main`.
    pub instance_name: String,
    /// The install that used it last.
    pub install: InstallId,
    /// Its app.
    pub app: Slug,
    /// The limit.
    pub limit: Limit,
    /// How much was used, in the limit's unit.
    pub used: u64,
    /// The limit's value.
    pub max: u64,
}

/// What makes warnings the same, of which one is told: the whole instance or the install that a limit bounds, the limit with its
/// value, and the hour of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NearLimitKey {
    instance: InstanceId,
    /// Where the limit bounds each run of an install.
    install: Option<InstallId>,
    limit: Limit,
    max: u64,
    hour: i64,
}

impl NearLimitKey {
    /// The key of a warning that an install gives at a time: of which limit, and its value.
    #[must_use]
    pub fn new(
        at: Timestamp,
        instance: InstanceId,
        install: InstallId,
        limit: Limit,
        max: u64,
    ) -> Self {
        Self {
            instance,
            install: (limit.scope() == Scope::Invocation).then_some(install),
            limit,
            max,
            hour: hour(at),
        }
    }

    /// Whether the hour has not ended at a time.
    #[must_use]
    pub fn holds_at(&self, at: Timestamp) -> bool {
        self.hour >= hour(at)
    }
}

fn hour(at: Timestamp) -> i64 {
    at.millis().div_euclid(HOUR_MS)
}

impl fmt::Display for NearLimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            instance,
            install,
            limit,
            max,
            hour,
        } = self;
        write!(f, "{NEAR_LIMIT}/")?;
        match install {
            Some(install) => install.fmt(f)?,
            None => instance.fmt(f)?,
        }
        write!(f, "/{limit}/{max}/{hour}")
    }
}

impl NearLimit {
    /// Which other warnings are the same.
    #[must_use]
    pub fn key(&self) -> NearLimitKey {
        NearLimitKey::new(self.at, self.instance, self.install, self.limit, self.max)
    }

    fn event(&self) -> EventNew {
        EventNew {
            at: self.at,
            kind: NEAR_LIMIT.to_owned(),
            subject_id: self.instance.to_string(),
            subject: self.instance_name.clone(),
            tenant_id: Some(self.tenant),
            provider_id: None,
            data: json!({
                "app": self.app,
                "limit": self.limit,
                "used": self.used,
                "max": self.max,
                "unit": self.limit.unit(),
            }),
            once: Some(self.key().to_string()),
        }
    }
}

/// Where the data plane writes events. Cheap to clone.
#[derive(Clone, Debug)]
pub struct EventLog {
    store: Store,
}

impl EventLog {
    /// The feed in a control database.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Tells that hooks were tripped, are tried again or work again, all or none, and keeps their states. Hooks that
    /// are gone are left out.
    ///
    /// # Errors
    /// [`StoreError`] if the control database cannot be written; nothing was told then.
    pub async fn hook_changed(&self, changes: &[StateChange]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut db = self.store.write().await?;
        for change in changes {
            let Some(hook) = store::hook::get(&mut db, change.hook).await? else {
                continue;
            };
            store::hook_observation::change(&mut db, change).await?;
            let event = EventNew {
                at: change.at,
                kind: change.event().to_owned(),
                subject_id: hook.id.to_string(),
                subject: hook.path(),
                tenant_id: Some(hook.tenant_id),
                provider_id: None,
                data: json!({
                    "app": hook.app,
                    "point": hook.point,
                    "name": hook.name,
                    "state": change.state.name(),
                    "failures": change.failures,
                }),
                once: None,
            };
            store::event::insert(&mut db, &event).await?;
        }
        Ok(db.commit().await?)
    }

    /// Appends warnings, all or none; in an hour of the clock at most one of a limit of an install or of a whole instance, as long
    /// as the limit stays the same.
    ///
    /// # Errors
    /// [`StoreError`] if the control database cannot be written; nothing was added then.
    pub async fn near_limit(&self, warnings: &[NearLimit]) -> Result<(), StoreError> {
        if warnings.is_empty() {
            return Ok(());
        }
        let mut db = self.store.write().await?;
        for warning in warnings {
            store::event::insert(&mut db, &warning.event()).await?;
        }
        Ok(db.commit().await?)
    }
}

/// Which events are wanted.
#[derive(Clone, Debug, Default)]
pub struct EventQuery {
    /// Only of this tenant, by id or name.
    pub tenant: Option<String>,
    /// Only of this type, such as `install.enable`.
    pub kind: Option<String>,
}

/// Events that the caller may see, oldest first: operators see all, providers and tenants those about what is
/// theirs. The id of the last one is the `after` of the next call, also at the end of the feed.
///
/// # Errors
/// [`Error::NotFound`] for a tenant that the caller may not know of; [`Error::Invalid`] for a cursor that is no
/// id of an event.
pub async fn list(
    control: &Control,
    call: &Call,
    query: EventQuery,
    page: &PageRequest,
) -> Result<Page<Event>, Error> {
    call.authenticated()?;
    let mut filter = EventFilter {
        kind: query.kind,
        after: page.cursor()?.unwrap_or_default(),
        ..EventFilter::default()
    };
    if filter
        .kind
        .as_ref()
        .is_some_and(|kind| kind.len() > NAME_BYTES_MAX)
    {
        return Err(Error::invalid(
            "type",
            "is too long to be the type of an event",
        ));
    }
    match call.caller {
        Caller::Tenant(id) => filter.tenant = Some(id),
        Caller::Provider(id) => filter.provider = Some(id),
        Caller::Operator | Caller::Nobody => {}
    }
    control.data_plane.flush_stops().await;
    let mut db = control.store.read().await?;
    if let Some(name) = &query.tenant {
        filter.tenant = Some(tenant::find(&mut db, call, name).await?.id);
    }
    let rows = store::event::list(&mut db, page, &filter).await?;
    Ok(page.page(rows, |event| event.id.to_string()))
}
