//! Where the data plane writes calls that were recorded.

use cloudware_types::{RecordedCall, RecordedOne};

use super::Recording;
use crate::{
    Store, Timestamp,
    limits::{RECORDING_AGE_MAX, RECORDING_BYTES_MAX, RECORDINGS_BYTES_PER_INSTANCE_MAX},
    store::{self, Connection, StoreError},
};

/// The log of recorded calls. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RecordingLog {
    store: Store,
}

impl RecordingLog {
    /// The log in a control database.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Adds calls to their recordings, all or none. What belongs to a recording that was removed or stopped meanwhile
    /// is not kept; one that has become as large as it may ends, and says why.
    ///
    /// # Errors
    /// [`StoreError`] if the control database cannot be written; nothing was added then.
    pub async fn record(&self, recorded: &[RecordedOne]) -> Result<(), StoreError> {
        if recorded.is_empty() {
            return Ok(());
        }
        let mut db = self.store.write().await?;
        let now = Timestamp::now();
        for one in recorded {
            let found = store::recording::find(&mut db, &one.recording.to_string()).await?;
            let Some(mut recording) = found.filter(|recording| recording.ended.is_none()) else {
                continue;
            };
            match &one.outcome {
                Ok(call) => add(&mut db, &mut recording, call, now).await?,
                Err(reason) => {
                    recording.skipped += 1;
                    recording.skipped_reason = Some(reason.clone());
                }
            }
            if recording.ended.is_none()
                && recording.calls + recording.skipped >= u64::from(recording.calls_max)
            {
                recording.ended = Some((
                    now,
                    "as many calls were recorded or skipped as it was to have".to_owned(),
                ));
            }
            store::recording::update(&mut db, &recording).await?;
        }
        Ok(db.commit().await?)
    }

    /// Removes recordings that are older than [`RECORDING_AGE_MAX`]. Gives how many.
    ///
    /// # Errors
    /// [`StoreError`] if the control database cannot be written; nothing was removed then.
    pub async fn forget_old(&self) -> Result<u64, StoreError> {
        let age = i64::try_from(RECORDING_AGE_MAX.as_millis()).unwrap_or(i64::MAX);
        let moment = Timestamp::from_millis(Timestamp::now().millis() - age);
        let mut reading = self.store.read().await?;
        if !store::recording::any_before(&mut reading, moment).await? {
            return Ok(0);
        }
        drop(reading);
        let mut db = self.store.write().await?;
        let removed = store::recording::delete_before(&mut db, moment).await?;
        db.commit().await?;
        Ok(removed)
    }
}

async fn add(
    db: &mut Connection,
    recording: &mut Recording,
    call: &RecordedCall,
    now: Timestamp,
) -> Result<(), StoreError> {
    let text = store::to_json(call);
    let bytes = text.len() as u64;
    let (_, of_instance) = store::recording::sum(db, recording.instance_id).await?;
    let full = if recording.bytes + bytes > RECORDING_BYTES_MAX {
        Some(format!("a recording may have {RECORDING_BYTES_MAX} bytes"))
    } else if of_instance + bytes > RECORDINGS_BYTES_PER_INSTANCE_MAX {
        Some(format!(
            "all recordings of an instance together may have {RECORDINGS_BYTES_PER_INSTANCE_MAX} bytes"
        ))
    } else {
        None
    };
    if let Some(reason) = full {
        recording.ended = Some((now, reason));
        return Ok(());
    }
    recording.calls += 1;
    recording.bytes += bytes;
    for name in &call.redacted_names {
        if recording.redact.contains(name) && !recording.redact_found.contains(name) {
            recording.redact_found.push(name.clone());
        }
    }
    store::recording::add_call(db, recording.id, recording.calls, &text).await
}
