//! Starting a recording: what the tenant chooses, within bounds that are told where they are reached.

use std::time::Duration;

use cloudware_types::{RecordingId, Slug};

use super::{Recording, after};
use crate::{
    Call, Control, Error, InstallState, Timestamp,
    install::find_in,
    instance,
    limits::{
        RECORDING_CALLS_DEFAULT, RECORDING_CALLS_MAX, RECORDING_FIELD_BYTES_MAX,
        RECORDING_FIELDS_MAX, RECORDING_TIME_DEFAULT, RECORDING_TIME_MAX,
        RECORDINGS_BYTES_PER_INSTANCE_MAX, RECORDINGS_PER_INSTANCE_MAX,
    },
    store::{self, StoreError},
};

/// What a new recording is made from.
#[derive(Clone, Debug)]
pub struct RecordingNew {
    /// The app whose calls are recorded, by name.
    pub app: Slug,
    /// How many calls it takes; [`RECORDING_CALLS_DEFAULT`] if absent.
    pub calls: Option<u32>,
    /// How long it runs; [`RECORDING_TIME_DEFAULT`] if absent.
    pub time: Option<Duration>,
    /// Names of fields that are redacted, beside those that always are.
    pub redact: Vec<String>,
    /// Whether the provider of the app may see and export it.
    pub is_shared: bool,
}

/// Starts to record the calls of an install. Calls that have begun before are not recorded.
///
/// # Errors
/// [`Error::NotFound`] for instance or install; [`Error::Invalid`] for what is chosen; [`Error::Conflict`] if the app
/// is not enabled, exports no function that could be called, is being recorded already, or the instance has as many recordings as it may.
pub async fn start(
    control: &Control,
    call: &Call,
    (tenant, name): (&str, &str),
    new: RecordingNew,
) -> Result<Recording, Error> {
    let (calls_max, time) = check(&new)?;
    // What others have recorded until now counts.
    control.data_plane.flush_stops().await;
    let mut db = control.store.write().await?;
    let (tenant, instance) = instance::find(&mut db, call, tenant, name).await?;
    call.may_change(&tenant)?;
    let install = find_in(&mut db, instance.id, new.app.as_str()).await?;
    if install.state != InstallState::Enabled {
        return Err(Error::conflict(
            "not-enabled",
            format!("{} is disabled: enable it first", install.path()),
        ));
    }
    let shapes = store::release::shapes(&mut db, install.release_id).await?;
    if shapes.implements.is_empty() && shapes.services.is_empty() {
        return Err(Error::conflict(
            "nothing-to-record",
            format!(
                "{} answers HTTP requests only: calls of functions are recorded, and it exports none, neither for \
                 extension points nor for other apps",
                install.path()
            ),
        ));
    }
    let now = Timestamp::now();
    if let Some(id) = store::recording::running(&mut db, install.id, now).await? {
        return Err(Error::conflict(
            "already-so",
            format!(
                "{} is being recorded already: stop {id} first",
                install.path()
            ),
        ));
    }
    let (count, bytes) = store::recording::sum(&mut db, instance.id).await?;
    if count >= RECORDINGS_PER_INSTANCE_MAX || bytes >= RECORDINGS_BYTES_PER_INSTANCE_MAX {
        return Err(Error::conflict(
            "too-many",
            format!(
                "{} has {count} recordings with {bytes} bytes, and an instance may have \
                 {RECORDINGS_PER_INSTANCE_MAX} with {RECORDINGS_BYTES_PER_INSTANCE_MAX}: remove one",
                instance.path()
            ),
        ));
    }
    let recording = Recording {
        id: RecordingId::generate(),
        instance_id: instance.id,
        instance: instance.slug,
        tenant_id: tenant.id,
        tenant: tenant.slug,
        provider_id: None,
        install: install.id,
        app: install.app,
        calls_max,
        calls: 0,
        bytes: 0,
        skipped: 0,
        skipped_reason: None,
        redact: new.redact,
        redact_found: Vec::new(),
        is_shared: new.is_shared,
        started_at: now,
        ends_at: after(now, time),
        ended: None,
    };
    store::recording::insert(&mut db, &recording).await?;
    recording
        .draft(call, "recording.start")
        .after(recording.describe())
        .write(&mut db)
        .await?;
    db.commit().await.map_err(StoreError::from)?;
    control.apply_in_turn(recording.instance_id).await?;
    Ok(recording)
}

fn check(new: &RecordingNew) -> Result<(u32, Duration), Error> {
    let calls = new.calls.unwrap_or(RECORDING_CALLS_DEFAULT);
    if !(1..=RECORDING_CALLS_MAX).contains(&calls) {
        return Err(Error::invalid(
            "calls",
            format!("must be from 1 to {RECORDING_CALLS_MAX}"),
        ));
    }
    let time = new.time.unwrap_or(RECORDING_TIME_DEFAULT);
    if time.is_zero() || time > RECORDING_TIME_MAX {
        return Err(Error::invalid(
            "seconds",
            format!("must be from 1 to {}", RECORDING_TIME_MAX.as_secs()),
        ));
    }
    if new.redact.len() > RECORDING_FIELDS_MAX {
        return Err(Error::invalid(
            "redact",
            format!("must have at most {RECORDING_FIELDS_MAX} names"),
        ));
    }
    for name in &new.redact {
        let is_name = (1..=RECORDING_FIELD_BYTES_MAX).contains(&name.len())
            && !name.chars().any(char::is_control)
            && name.trim() == name;
        if !is_name {
            return Err(Error::invalid(
                "redact",
                format!("must be names of fields of 1 to {RECORDING_FIELD_BYTES_MAX} bytes"),
            ));
        }
    }
    Ok((calls, time))
}
