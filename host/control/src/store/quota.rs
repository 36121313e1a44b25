//! Rows of quotas: one value for one limit of one tenant, instance or install.

use cloudware_types::{InstanceId, Limit, TenantId};
use sqlx::Row as _;

use super::{Connection, Result, Row, all, integer, natural, parsed, time};
use crate::{QuotaLevel, Timestamp};

/// One stored value.
#[derive(Clone, Debug)]
pub(crate) struct QuotaRow {
    /// Tenant, instance or install, as an id.
    pub subject: String,
    pub limit: Limit,
    pub value: u64,
    pub reason: Option<String>,
    pub set_by: String,
    pub set_at: Timestamp,
}

/// Sets or replaces a value.
pub(crate) async fn set(db: &mut Connection, quota: &QuotaRow) -> Result<()> {
    sqlx::query(
        "INSERT INTO quotas (subject_id, dimension, value, reason, set_by, set_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (subject_id, dimension)
         DO UPDATE SET value = $3, reason = $4, set_by = $5, set_at = $6",
    )
    .bind(&quota.subject)
    .bind(quota.limit.name())
    .bind(integer(quota.value))
    .bind(&quota.reason)
    .bind(&quota.set_by)
    .bind(quota.set_at.millis())
    .execute(db)
    .await?;
    Ok(())
}

/// Removes a value, if there is one.
pub(crate) async fn unset(db: &mut Connection, subject: &str, limit: Limit) -> Result<()> {
    sqlx::query("DELETE FROM quotas WHERE subject_id = $1 AND dimension = $2")
        .bind(subject)
        .bind(limit.name())
        .execute(db)
        .await?;
    Ok(())
}

/// All values of one subject.
pub(crate) async fn of_subject(db: &mut Connection, subject: &str) -> Result<Vec<QuotaRow>> {
    let rows = sqlx::query("SELECT * FROM quotas WHERE subject_id = $1")
        .bind(subject)
        .fetch_all(db)
        .await?;
    all(&rows, quota)
}

/// A value with the name of the instance or install for which it is set.
pub(crate) type NamedRow = (String, QuotaLevel, QuotaRow);

macro_rules! of_installs {
    ($where:literal) => {
        concat!(
            "SELECT q.*, 'install' AS level, t.slug || '/' || i.slug || '/' || a.slug AS target
             FROM quotas q
             JOIN installs l ON l.id = q.subject_id
             JOIN instances i ON i.id = l.instance_id
             JOIN tenants t ON t.id = i.tenant_id
             JOIN apps a ON a.id = l.app_id
             WHERE ",
            $where
        )
    };
}

/// Of these rows those of some limits, as [`within`] binds them.
macro_rules! of_limits {
    ($($rows:expr),*) => {
        concat!(
            "SELECT * FROM (",
            $($rows),*,
            ") AS within
             WHERE $2 = '' OR $2 LIKE '% ' || dimension || ' %'
             ORDER BY target, dimension LIMIT $3"
        )
    };
}

/// The first `most` values of the installs of an instance, by name; of some limits or, where none is
/// named, of all.
pub(crate) async fn within_instance(
    db: &mut Connection,
    instance: InstanceId,
    limits: &[Limit],
    most: usize,
) -> Result<Vec<NamedRow>> {
    let query = of_limits!(of_installs!("i.id = $1"));
    within(db, query, instance.to_string(), limits, most).await
}

/// The first `most` values of the instances of a tenant and of their installs, by name; of some limits or, where none is
/// named, of all.
pub(crate) async fn within_tenant(
    db: &mut Connection,
    tenant: TenantId,
    limits: &[Limit],
    most: usize,
) -> Result<Vec<NamedRow>> {
    let query = of_limits!(
        "SELECT q.*, 'instance' AS level, t.slug || '/' || i.slug AS target
         FROM quotas q
         JOIN instances i ON i.id = q.subject_id
         JOIN tenants t ON t.id = i.tenant_id
         WHERE i.tenant_id = $1
         UNION ALL ",
        of_installs!("i.tenant_id = $1")
    );
    within(db, query, tenant.to_string(), limits, most).await
}

async fn within(
    db: &mut Connection,
    query: &'static str,
    whole: String,
    limits: &[Limit],
    most: usize,
) -> Result<Vec<NamedRow>> {
    let names = limits.iter().map(|limit| format!(" {limit} "));
    let rows = sqlx::query(query)
        .bind(whole)
        .bind(names.collect::<String>())
        .bind(integer(most as u64))
        .fetch_all(db)
        .await?;
    all(&rows, |row| {
        let level = match row.try_get("level")? {
            "instance" => QuotaLevel::Instance,
            _ => QuotaLevel::Install,
        };
        Ok((row.try_get("target")?, level, quota(row)?))
    })
}

/// All values of all subjects.
pub(crate) async fn list(db: &mut Connection) -> Result<Vec<QuotaRow>> {
    let rows = sqlx::query("SELECT * FROM quotas").fetch_all(db).await?;
    all(&rows, quota)
}

fn quota(row: &Row) -> Result<QuotaRow> {
    Ok(QuotaRow {
        subject: row.try_get("subject_id")?,
        limit: parsed(row, "dimension")?,
        value: natural(row, "value")?,
        reason: row.try_get("reason")?,
        set_by: row.try_get("set_by")?,
        set_at: time(row, "set_at")?,
    })
}
