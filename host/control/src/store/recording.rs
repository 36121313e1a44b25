//! Rows of recordings and of the calls in them.

use cloudware_types::{InstallId, InstanceId, ProviderId, RecordedCall, RecordingId, TenantId};
use sqlx::Row as _;

use super::{
    Connection, Result, Row, all, id_before, integer, json, natural, parsed, parsed_option, time,
    time_option, to_json,
};
use crate::{Recording, Timestamp};

/// Which recordings a caller wants and may see.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecordingFilter {
    pub tenant: Option<TenantId>,
    pub instance: Option<InstanceId>,
    /// Only those that are shared with this provider, whose app it is.
    pub provider: Option<ProviderId>,
}

const SELECT: &str = "SELECT r.*, i.tenant_id, i.slug AS instance, t.slug AS tenant, a.slug AS app,
        a.provider_id
     FROM recordings r
     JOIN instances i ON i.id = r.instance_id
     JOIN tenants t ON t.id = i.tenant_id
     JOIN installs l ON l.id = r.install_id
     JOIN apps a ON a.id = l.app_id";

/// Adds a recording.
pub(crate) async fn insert(db: &mut Connection, recording: &Recording) -> Result<()> {
    sqlx::query(
        "INSERT INTO recordings
           (id, instance_id, install_id, calls_max, calls, bytes, skipped, redact, is_shared, started_at, ends_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(recording.id.to_string())
    .bind(recording.instance_id.to_string())
    .bind(recording.install.to_string())
    .bind(i64::from(recording.calls_max))
    .bind(integer(recording.calls))
    .bind(integer(recording.bytes))
    .bind(integer(recording.skipped))
    .bind(to_json(&recording.redact))
    .bind(recording.is_shared)
    .bind(recording.started_at.millis())
    .bind(recording.ends_at.millis())
    .execute(db)
    .await?;
    Ok(())
}

/// Writes what may change.
pub(crate) async fn update(db: &mut Connection, recording: &Recording) -> Result<()> {
    let ended = recording.ended.as_ref();
    sqlx::query(
        "UPDATE recordings SET calls = $2, bytes = $3, skipped = $4, skipped_reason = $5, ended_at = $6,
           ended_reason = $7, redact_found = $8
         WHERE id = $1",
    )
    .bind(recording.id.to_string())
    .bind(integer(recording.calls))
    .bind(integer(recording.bytes))
    .bind(integer(recording.skipped))
    .bind(&recording.skipped_reason)
    .bind(ended.map(|(at, _)| at.millis()))
    .bind(ended.map(|(_, reason)| reason))
    .bind(to_json(&recording.redact_found))
    .execute(db)
    .await?;
    Ok(())
}

/// Removes a recording with its calls.
pub(crate) async fn delete(db: &mut Connection, id: RecordingId) -> Result<()> {
    sqlx::query("DELETE FROM recordings WHERE id = $1")
        .bind(id.to_string())
        .execute(db)
        .await?;
    Ok(())
}

/// Removes those that were started before a moment. Gives how many.
pub(crate) async fn delete_before(db: &mut Connection, moment: Timestamp) -> Result<u64> {
    let deleted = sqlx::query("DELETE FROM recordings WHERE started_at < $1")
        .bind(moment.millis())
        .execute(db)
        .await?;
    Ok(deleted.rows_affected())
}

/// Whether one was started before a moment.
pub(crate) async fn any_before(db: &mut Connection, moment: Timestamp) -> Result<bool> {
    let found = sqlx::query("SELECT 1 FROM recordings WHERE started_at < $1 LIMIT 1")
        .bind(moment.millis())
        .fetch_optional(db)
        .await?;
    Ok(found.is_some())
}

/// Adds a call at the end of a recording.
pub(crate) async fn add_call(
    db: &mut Connection,
    id: RecordingId,
    number: u64,
    call: &str,
) -> Result<()> {
    sqlx::query("INSERT INTO recorded_calls (recording_id, number, call) VALUES ($1, $2, $3)")
        .bind(id.to_string())
        .bind(integer(number))
        .bind(call)
        .execute(db)
        .await?;
    Ok(())
}

/// The calls of a recording, in order; their number and bytes are bounded when they are added.
pub(crate) async fn calls(db: &mut Connection, id: RecordingId) -> Result<Vec<RecordedCall>> {
    let rows =
        sqlx::query("SELECT call FROM recorded_calls WHERE recording_id = $1 ORDER BY number")
            .bind(id.to_string())
            .fetch_all(db)
            .await?;
    all(&rows, |row| json(row, "call"))
}

/// How many recordings an instance has, and the bytes of all.
pub(crate) async fn sum(db: &mut Connection, instance: InstanceId) -> Result<(u64, u64)> {
    let row = sqlx::query(
        "SELECT COUNT(*) AS n, COALESCE(SUM(bytes), 0) AS bytes FROM recordings WHERE instance_id = $1",
    )
    .bind(instance.to_string())
    .fetch_one(db)
    .await?;
    Ok((natural(&row, "n")?, natural(&row, "bytes")?))
}

/// The recording of an install that runs at a moment.
pub(crate) async fn running(
    db: &mut Connection,
    install: InstallId,
    now: Timestamp,
) -> Result<Option<RecordingId>> {
    let row = sqlx::query(
        "SELECT id FROM recordings WHERE install_id = $1 AND ended_at IS NULL AND ends_at > $2",
    )
    .bind(install.to_string())
    .bind(now.millis())
    .fetch_optional(db)
    .await?;
    row.as_ref().map(|row| parsed(row, "id")).transpose()
}

/// Newest first.
pub(crate) async fn list(
    db: &mut Connection,
    before: Option<RecordingId>,
    rows_max: i64,
    filter: &RecordingFilter,
) -> Result<Vec<Recording>> {
    let sql = format!(
        "{SELECT} WHERE r.id < $1
           AND (CAST($2 AS TEXT) IS NULL OR i.tenant_id = $2)
           AND (CAST($3 AS TEXT) IS NULL OR r.instance_id = $3)
           AND (CAST($4 AS TEXT) IS NULL OR (r.is_shared AND a.provider_id = $4))
         ORDER BY r.id DESC LIMIT $5"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(id_before(before))
        .bind(filter.tenant.map(|id| id.to_string()))
        .bind(filter.instance.map(|id| id.to_string()))
        .bind(filter.provider.map(|id| id.to_string()))
        .bind(rows_max)
        .fetch_all(db)
        .await?;
    all(&rows, recording)
}

/// By id.
pub(crate) async fn find(db: &mut Connection, id: &str) -> Result<Option<Recording>> {
    let sql = format!("{SELECT} WHERE r.id = $1");
    let found = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(id)
        .fetch_optional(db)
        .await?;
    found.as_ref().map(recording).transpose()
}

fn recording(row: &Row) -> Result<Recording> {
    let reason: Option<String> = row.try_get("ended_reason")?;
    Ok(Recording {
        id: parsed(row, "id")?,
        instance_id: parsed(row, "instance_id")?,
        instance: parsed(row, "instance")?,
        tenant_id: parsed(row, "tenant_id")?,
        tenant: parsed(row, "tenant")?,
        provider_id: parsed_option(row, "provider_id")?,
        install: parsed(row, "install_id")?,
        app: parsed(row, "app")?,
        calls_max: u32::try_from(natural(row, "calls_max")?).unwrap_or(u32::MAX),
        calls: natural(row, "calls")?,
        bytes: natural(row, "bytes")?,
        skipped: natural(row, "skipped")?,
        skipped_reason: row.try_get("skipped_reason")?,
        redact: json(row, "redact")?,
        redact_found: json(row, "redact_found")?,
        is_shared: row.try_get("is_shared")?,
        started_at: time(row, "started_at")?,
        ends_at: time(row, "ends_at")?,
        ended: time_option(row, "ended_at")?.zip(reason),
    })
}
