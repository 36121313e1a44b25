//! Changing, reordering and removing hooks, and new keys for webhooks. A change holds from the next call of the
//! point on; calls that run end on what they began with.

use cloudware_packages::PointShape;
use cloudware_types::{HookMode, OnFailure};
use serde_json::json;

use super::{
    Hook, HookKeyed, SigningKey, Target,
    check::{check_mode, check_payload_version, check_policy, check_url},
    find,
};
use crate::{
    Call, Control, Error, Timestamp,
    composition::Composition,
    instance,
    limits::WEBHOOK_KEYS_MAX,
    store::{self, Connection, StoreError},
};

/// What is to be changed of a hook. An inner `None` goes back to what the point's manifest says.
#[derive(Clone, Debug, Default)]
pub struct HookChange {
    /// Its place among the hooks of the point, from 1.
    pub position: Option<u32>,
    /// Whether it is called.
    pub is_enabled: Option<bool>,
    /// Whether its result is used.
    pub mode: Option<HookMode>,
    /// What happens when it fails.
    pub on_failure: Option<Option<OnFailure>>,
    /// Wall time of one call in milliseconds.
    pub deadline_ms: Option<Option<u64>>,
    /// Fuel of one call, whatever its arguments.
    pub fuel: Option<Option<u64>>,
    /// Further fuel for each element of the lists in the arguments.
    pub fuel_per_item: Option<Option<u64>>,
    /// Memory of one call in bytes.
    pub memory: Option<Option<u64>>,
    /// Where a webhook is called.
    pub url: Option<String>,
    /// Version of the payload that a webhook was written for.
    pub payload_version: Option<u32>,
}

/// What becomes of a webhook's key when it gets a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PreviousKey {
    /// It signs too, until the next new key, so that the endpoint can change over while it is called.
    #[default]
    Kept,
    /// It signs nothing any more: it got into wrong hands.
    Revoked,
}

/// Changes a hook. What is so already stays, and a change that changes nothing is not in the audit trail.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Invalid`] for what is chosen; [`Error::Conflict`] if it is to be enabled and does not
/// fit its point (`point-mismatch`); [`Error::RevisionChanged`].
pub async fn set(
    control: &Control,
    call: &Call,
    place: (&str, &str),
    name: &str,
    change: HookChange,
) -> Result<Hook, Error> {
    let mut db = control.store.write().await?;
    let before = find_to_change(&mut db, call, place, name).await?;
    let composition = Composition::read(&mut db, before.instance_id).await?;
    let point = composition
        .member(before.app_install)
        .and_then(|app| app.shapes.point(&before.point));
    let mut hook = before.clone();
    change.apply(&mut hook)?;
    check(control, &change, &hook, point)?;
    if hook.is_enabled && !before.is_enabled {
        enable(&mut db, &composition, &hook, point).await?;
    }
    if let Some(position) = change.position {
        move_to(&mut db, &mut hook, position).await?;
    }
    // The data plane begins with a clean record in these cases.
    let is_anew = hook.is_enabled && !before.is_enabled || endpoint(&hook) != endpoint(&before);
    if is_anew {
        store::hook_observation::reset(&mut db, hook.id).await?;
    }
    if hook.mode != before.mode {
        store::hook_observation::reset_comparison(&mut db, hook.id).await?;
    }
    let (old, new) = (before.describe(), hook.describe());
    if old != new {
        hook.revision += 1;
        store::hook::update(&mut db, &hook).await?;
        hook.draft(call, "hook.set")
            .before(old)
            .after(new)
            .write(&mut db)
            .await?;
    }
    db.commit().await.map_err(StoreError::from)?;
    // Also where nothing is new: the data plane may have refused the state before.
    control.apply_in_turn(hook.instance_id).await?;
    Ok(hook)
}

/// Where a webhook is called.
fn endpoint(hook: &Hook) -> Option<&str> {
    match &hook.target {
        Target::Webhook(webhook) => Some(&webhook.url),
        Target::Extension(_) => None,
    }
}

/// Removes a hook. Those behind it move up.
///
/// # Errors
/// [`Error::NotFound`], [`Error::RevisionChanged`].
pub async fn remove(
    control: &Control,
    call: &Call,
    place: (&str, &str),
    name: &str,
) -> Result<Hook, Error> {
    let mut db = control.store.write().await?;
    let hook = find_to_change(&mut db, call, place, name).await?;
    store::hook::delete(&mut db, &hook).await?;
    hook.draft(call, "hook.remove")
        .before(hook.describe())
        .write(&mut db)
        .await?;
    db.commit().await.map_err(StoreError::from)?;
    let lock = control.lock(hook.instance_id).await;
    control.apply(&lock).await?;
    // What it is owed would be given up after a month anyway, so a failure here need not be the caller's.
    let forgotten = control.data_plane.forget_hook(&hook).await;
    if let Err(error) = forgotten {
        tracing::warn!(hook = %hook.id, %error, "deliveries of a removed hook can't be given up yet");
    }
    Ok(hook)
}

/// Gives a webhook a new key, which is shown this once and signs from the next call on.
///
/// # Errors
/// [`Error::Conflict`] for a hook that calls an extension; [`Error::NotFound`]; [`Error::RevisionChanged`].
pub async fn rotate_key(
    control: &Control,
    call: &Call,
    place: (&str, &str),
    name: &str,
    previous: PreviousKey,
) -> Result<HookKeyed, Error> {
    let mut db = control.store.write().await?;
    let mut hook = find_to_change(&mut db, call, place, name).await?;
    let path = hook.path();
    let Target::Webhook(webhook) = &mut hook.target else {
        return Err(Error::conflict(
            "no-webhook",
            format!("{path} calls an extension on this platform, for which nothing is signed"),
        ));
    };
    let key = SigningKey::generate(Timestamp::now());
    let secret = key.secret();
    let mut keys = vec![key];
    if previous == PreviousKey::Kept {
        keys.extend(store::hook::keys(&mut db, hook.id).await?);
        keys.truncate(WEBHOOK_KEYS_MAX);
    }
    webhook.keys = keys.iter().map(SigningKey::created_at).collect();
    hook.revision += 1;
    store::hook::set_keys(&mut db, hook.id, &keys).await?;
    store::hook::update(&mut db, &hook).await?;
    hook.draft(call, "hook.rotate-key")
        .after(json!({ "keys": keys.len() }))
        .write(&mut db)
        .await?;
    db.commit().await.map_err(StoreError::from)?;
    control.apply_in_turn(hook.instance_id).await?;
    Ok(HookKeyed {
        hook,
        secret: Some(secret),
    })
}

/// A hook that the caller may change, as it is now.
async fn find_to_change(
    db: &mut Connection,
    call: &Call,
    (tenant, instance): (&str, &str),
    name: &str,
) -> Result<Hook, Error> {
    let (tenant, instance) = instance::find(db, call, tenant, instance).await?;
    call.may_change(&tenant)?;
    let hook = find(db, instance.id, name).await?;
    call.revision_matches(hook.revision)?;
    Ok(hook)
}

impl HookChange {
    /// The hook as it will be; its place on the point is another matter.
    fn apply(&self, hook: &mut Hook) -> Result<(), Error> {
        let fields = &mut hook.fields;
        hook.is_enabled = self.is_enabled.unwrap_or(hook.is_enabled);
        hook.mode = self.mode.unwrap_or(hook.mode);
        fields.on_failure = self.on_failure.unwrap_or(fields.on_failure);
        fields.deadline_ms = self.deadline_ms.unwrap_or(fields.deadline_ms);
        fields.fuel = self.fuel.unwrap_or(fields.fuel);
        fields.fuel_per_item = self.fuel_per_item.unwrap_or(fields.fuel_per_item);
        fields.memory = self.memory.unwrap_or(fields.memory);
        match &mut hook.target {
            Target::Webhook(webhook) => {
                if let Some(url) = &self.url {
                    webhook.url.clone_from(url);
                }
                webhook.payload_version = self.payload_version.unwrap_or(webhook.payload_version);
                Ok(())
            }
            Target::Extension(_) if self.url.is_some() => Err(Error::invalid(
                "url",
                "is for webhooks: this hook calls an extension",
            )),
            Target::Extension(_) if self.payload_version.is_some() => Err(Error::invalid(
                "payload_version",
                "is for webhooks: this hook calls an extension",
            )),
            Target::Extension(_) => Ok(()),
        }
    }
}

/// Refuses what can't be chosen. Where the app is disabled, its point is not known; whether the hook fits is asked
/// again when the app is enabled.
fn check(
    control: &Control,
    change: &HookChange,
    hook: &Hook,
    point: Option<&PointShape>,
) -> Result<(), Error> {
    hook.fields.check()?;
    if let Some(point) = point {
        check_policy(point.kind, hook.fields.on_failure)?;
        check_mode(point.kind, hook.mode)?;
    }
    if let Target::Webhook(_) = hook.target {
        hook.fields.check_webhook()?;
    }
    if let Some(url) = &change.url {
        check_url(control, url)?;
    }
    check_payload_version(change.payload_version)
}

/// Refuses to call what does not fit. Whoever enables a webhook says that its endpoint understands the point as it
/// is now.
async fn enable(
    db: &mut Connection,
    composition: &Composition,
    hook: &Hook,
    point: Option<&PointShape>,
) -> Result<(), Error> {
    if let (Target::Webhook(_), Some(point)) = (&hook.target, point) {
        return Ok(store::hook::set_written_for(db, hook.id, point).await?);
    }
    match composition.unfit(hook) {
        None => Ok(()),
        Some(reason) => Err(Error::conflict(
            "point-mismatch",
            format!("{} does not fit its point: {reason}", hook.path()),
        )),
    }
}

/// Gives a hook another place on its point; those in between make room.
pub(super) async fn move_to(
    db: &mut Connection,
    hook: &mut Hook,
    position: u32,
) -> Result<(), Error> {
    let count = store::hook::count_on(db, hook.app_install, &hook.point).await?;
    if !(1..=count).contains(&position) {
        return Err(Error::invalid(
            "position",
            format!(
                "must be from 1 to {count}, the number of hooks on {}",
                hook.point_path()
            ),
        ));
    }
    let old = std::mem::replace(&mut hook.position, position);
    if position < old {
        store::hook::shift(db, hook, (position, old - 1), 1).await?;
    } else if position > old {
        store::hook::shift(db, hook, (old + 1, position), -1).await?;
    }
    Ok(())
}
