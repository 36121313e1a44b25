//! Recordings: calls of an install as they happened, kept so that they can run again elsewhere. A tenant starts one
//! in an instance of its own, or the operator for it, which is its consent to keep them; sharing it is its consent
//! that the provider whose package it is sees and exports it. Without that a provider does not learn that it exists.

mod log;
mod start;

pub use log::RecordingLog;
pub use start::{RecordingNew, start};

use cloudware_types::{
    InstallId, InstanceId, ProviderId, RecordingFile, RecordingId, Slug, TenantId,
};
use serde_json::{Value, json};

use crate::{
    Call, Caller, Control, Error, Page, PageRequest, Timestamp,
    audit::Draft,
    instance,
    limits::{NAME_BYTES_MAX, RECORDING_AGE_MAX},
    store::{self, Connection, StoreError, recording::RecordingFilter},
    tenant,
};

/// A recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// Its id; sorts by time.
    pub id: RecordingId,
    /// The instance.
    pub instance_id: InstanceId,
    /// The instance's name.
    pub instance: Slug,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The tenant's name.
    pub tenant: Slug,
    /// The provider of the app.
    pub provider_id: Option<ProviderId>,
    /// The install whose calls are recorded.
    pub install: InstallId,
    /// Its app.
    pub app: Slug,
    /// How many calls it takes.
    pub calls_max: u32,
    /// How many it has.
    pub calls: u64,
    /// Bytes of all its calls.
    pub bytes: u64,
    /// Calls that could not be recorded faithfully.
    pub skipped: u64,
    /// Why the last of them could not.
    pub skipped_reason: Option<String>,
    /// Names of fields that are redacted.
    pub redact: Vec<String>,
    /// Those of them that stood somewhere in a recorded call.
    pub redact_found: Vec<String>,
    /// Whether the provider of the app may see and export it.
    pub is_shared: bool,
    /// Since when.
    pub started_at: Timestamp,
    /// When it ends by itself.
    pub ends_at: Timestamp,
    /// When and why it ended before.
    pub ended: Option<(Timestamp, String)>,
}

/// Which recordings are wanted.
#[derive(Clone, Debug, Default)]
pub struct RecordingQuery {
    /// Only of this tenant, by id or name.
    pub tenant: Option<String>,
    /// Only of this instance of the tenant, by id or name.
    pub instance: Option<String>,
}

impl Recording {
    /// The name of what is recorded as people write it, `tenant/instance/app`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/{}/{}", self.tenant, self.instance, self.app)
    }

    /// Whether calls are still recorded at this moment.
    #[must_use]
    pub fn is_running(&self, now: Timestamp) -> bool {
        self.ended.is_none() && now < self.ends_at
    }

    /// Why it has ended, for people; `None` while it runs.
    #[must_use]
    pub fn ended_reason(&self, now: Timestamp) -> Option<&str> {
        match &self.ended {
            Some((_, reason)) => Some(reason),
            None if now < self.ends_at => None,
            None => Some("its time is over"),
        }
    }

    /// When it is removed by itself.
    #[must_use]
    pub fn removed_at(&self) -> Timestamp {
        after(self.started_at, RECORDING_AGE_MAX)
    }

    fn describe(&self) -> Value {
        json!({
            "app": self.app,
            "calls_max": self.calls_max,
            "ends_at": self.ends_at.to_string(),
            "redact": self.redact,
            "shared": self.is_shared,
        })
    }

    fn draft(&self, call: &Call, action: &str) -> Draft {
        Draft::new(call, action, self.id, self.path()).tenant(self.tenant_id)
    }
}

fn after(moment: Timestamp, time: std::time::Duration) -> Timestamp {
    let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(moment.millis().saturating_add(millis))
}

/// Recordings that the caller may see, newest first: tenants their own, providers those of their apps that are
/// shared, operators all.
///
/// # Errors
/// [`Error::NotFound`] for a tenant or instance that the caller may not know of; [`Error::Invalid`] for an instance
/// without its tenant, and for a cursor of another list.
pub async fn list(
    control: &Control,
    call: &Call,
    query: RecordingQuery,
    page: &PageRequest,
) -> Result<Page<Recording>, Error> {
    call.authenticated()?;
    let mut filter = RecordingFilter::default();
    match call.caller {
        Caller::Tenant(id) => filter.tenant = Some(id),
        Caller::Provider(id) => filter.provider = Some(id),
        Caller::Operator | Caller::Nobody => {}
    }
    let mut db = control.store.read().await?;
    let names = (query.tenant.as_deref(), query.instance.as_deref());
    (filter.tenant, filter.instance) =
        instance::narrow(&mut db, call, filter.tenant, names).await?;
    drop(db);
    control.data_plane.flush_stops().await;
    let mut db = control.store.read().await?;
    let rows = store::recording::list(&mut db, page.cursor()?, page.rows(), &filter).await?;
    Ok(page.page(rows, |recording: &Recording| recording.id.to_string()))
}

/// One recording, up to a moment ago.
///
/// # Errors
/// [`Error::NotFound`] for one that is not there, not any more, or not for the caller.
pub async fn get(control: &Control, call: &Call, id: &str) -> Result<Recording, Error> {
    call.authenticated()?;
    control.data_plane.flush_stops().await;
    let mut db = control.store.read().await?;
    find(&mut db, call, id).await
}

/// A recording with its calls, to be run elsewhere. That it was exported is in the tenant's audit trail.
///
/// # Errors
/// As [`get`].
pub async fn export(control: &Control, call: &Call, id: &str) -> Result<RecordingFile, Error> {
    call.authenticated()?;
    control.data_plane.flush_stops().await;
    let mut db = control.store.write().await?;
    let recording = find(&mut db, call, id).await?;
    let calls = store::recording::calls(&mut db, recording.id).await?;
    recording
        .draft(call, "recording.export")
        .after(json!({ "calls": calls.len() }))
        .write(&mut db)
        .await?;
    db.commit().await.map_err(StoreError::from)?;
    Ok(RecordingFile {
        format: RecordingFile::FORMAT.to_owned(),
        id: recording.id,
        app: recording.app.to_string(),
        redact: recording.redact,
        calls,
    })
}

/// Ends a recording; what it has stays.
///
/// # Errors
/// [`Error::Conflict`] if it has ended already; [`Error::Forbidden`] for the provider that it is shared with;
/// [`Error::NotFound`].
pub async fn stop(control: &Control, call: &Call, id: &str) -> Result<Recording, Error> {
    call.authenticated()?;
    // What was recorded until now is in it.
    control.data_plane.flush_stops().await;
    let mut db = control.store.write().await?;
    let mut recording = find_to_change(&mut db, call, id).await?;
    let now = Timestamp::now();
    if let Some(reason) = recording.ended_reason(now) {
        return Err(Error::conflict(
            "already-so",
            format!("the recording has ended: {reason}"),
        ));
    }
    recording.ended = Some((now, "it was stopped".to_owned()));
    store::recording::update(&mut db, &recording).await?;
    recording
        .draft(call, "recording.stop")
        .after(json!({ "calls": recording.calls }))
        .write(&mut db)
        .await?;
    db.commit().await.map_err(StoreError::from)?;
    control.apply_in_turn(recording.instance_id).await?;
    Ok(recording)
}

/// Removes a recording with everything that it has.
///
/// # Errors
/// [`Error::Forbidden`] for the provider that it is shared with; [`Error::NotFound`].
pub async fn remove(control: &Control, call: &Call, id: &str) -> Result<Recording, Error> {
    call.authenticated()?;
    let mut db = control.store.write().await?;
    let recording = find_to_change(&mut db, call, id).await?;
    store::recording::delete(&mut db, recording.id).await?;
    recording
        .draft(call, "recording.remove")
        .before(recording.describe())
        .write(&mut db)
        .await?;
    db.commit().await.map_err(StoreError::from)?;
    control.apply_in_turn(recording.instance_id).await?;
    Ok(recording)
}

/// One that the caller may see.
async fn find(db: &mut Connection, call: &Call, id: &str) -> Result<Recording, Error> {
    let found = match id.len() {
        0..=NAME_BYTES_MAX => store::recording::find(db, id).await?,
        _ => None,
    };
    found
        .filter(|recording| match call.caller {
            Caller::Provider(own) => recording.is_shared && recording.provider_id == Some(own),
            _ => call.sees_tenant(recording.tenant_id),
        })
        .ok_or_else(|| Error::not_found("recording", id))
}

/// One that the caller may end and remove.
async fn find_to_change(db: &mut Connection, call: &Call, id: &str) -> Result<Recording, Error> {
    let recording = find(db, call, id).await?;
    if let Caller::Provider(_) = call.caller {
        return Err(Error::Forbidden(
            "only the tenant that shares a recording may end or remove it".to_owned(),
        ));
    }
    let tenant = tenant::find(db, call, &recording.tenant_id.to_string()).await?;
    call.may_change(&tenant)?;
    Ok(recording)
}
