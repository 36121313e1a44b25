//! Rows of the audit trail. The database refuses to change or delete them.

use cloudware_types::{AuditId, ProviderId, TenantId};
use sqlx::Row as _;

use super::{
    Connection, Result, Row, StoreError, all, damaged, id_before, parsed, parsed_option, time,
};
use crate::AuditEntry;

/// Which entries a caller wants and may see.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuditFilter {
    pub tenant: Option<TenantId>,
    pub provider: Option<ProviderId>,
    /// Id of what was changed.
    pub subject: Option<String>,
    pub action: Option<String>,
}

pub(crate) async fn insert(db: &mut Connection, entry: &AuditEntry) -> Result<()> {
    sqlx::query(
        "INSERT INTO audit
           (id, at, actor_kind, actor_token, actor_name, action, subject_id, subject_name,
            tenant_id, provider_id, before, after, reason, request_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(entry.id.to_string())
    .bind(entry.at.millis())
    .bind(&entry.actor_kind)
    .bind(entry.actor_token.map(|id| id.to_string()))
    .bind(&entry.actor)
    .bind(&entry.action)
    .bind(&entry.subject_id)
    .bind(&entry.subject)
    .bind(entry.tenant_id.map(|id| id.to_string()))
    .bind(entry.provider_id.map(|id| id.to_string()))
    .bind(entry.before.as_ref().map(ToString::to_string))
    .bind(entry.after.as_ref().map(ToString::to_string))
    .bind(&entry.reason)
    .bind(&entry.request_id)
    .execute(db)
    .await?;
    Ok(())
}

/// Newest first.
pub(crate) async fn list(
    db: &mut Connection,
    before: Option<AuditId>,
    rows_max: i64,
    filter: &AuditFilter,
) -> Result<Vec<AuditEntry>> {
    let rows = sqlx::query(
        "SELECT * FROM audit
         WHERE id < $1
           AND (CAST($2 AS TEXT) IS NULL OR tenant_id = $2)
           AND (CAST($3 AS TEXT) IS NULL OR provider_id = $3)
           AND (CAST($4 AS TEXT) IS NULL OR subject_id = $4 OR subject_name = $4)
           AND (CAST($5 AS TEXT) IS NULL OR action = $5)
         ORDER BY id DESC LIMIT $6",
    )
    .bind(id_before(before))
    .bind(filter.tenant.map(|id| id.to_string()))
    .bind(filter.provider.map(|id| id.to_string()))
    .bind(&filter.subject)
    .bind(&filter.action)
    .bind(rows_max)
    .fetch_all(db)
    .await?;
    all(&rows, entry)
}

fn entry(row: &Row) -> Result<AuditEntry> {
    Ok(AuditEntry {
        id: parsed(row, "id")?,
        at: time(row, "at")?,
        actor_kind: row.try_get("actor_kind")?,
        actor_token: parsed_option(row, "actor_token")?,
        actor: row.try_get("actor_name")?,
        action: row.try_get("action")?,
        subject_id: row.try_get("subject_id")?,
        subject: row.try_get("subject_name")?,
        tenant_id: parsed_option(row, "tenant_id")?,
        provider_id: parsed_option(row, "provider_id")?,
        before: value(row, "before")?,
        after: value(row, "after")?,
        reason: row.try_get("reason")?,
        request_id: row.try_get("request_id")?,
    })
}

fn value(row: &Row, column: &str) -> Result<Option<serde_json::Value>> {
    let text: Option<&str> = row.try_get(column)?;
    text.map(|text| {
        serde_json::from_str(text)
            .map_err(|reason| -> StoreError { damaged(column, text, &reason) })
    })
    .transpose()
}
