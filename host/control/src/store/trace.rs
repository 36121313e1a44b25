//! Rows of traces: one for each composed request of the sample.

use cloudware_types::{InstanceId, TenantId, Trace};

use super::{Connection, Result, Row, all, integer, json, natural, parsed, time, to_json};
use crate::TraceEntry;

/// Which traces a caller wants and may see.
#[derive(Clone, Debug, Default)]
pub(crate) struct TraceFilter {
    pub tenant: Option<TenantId>,
    pub instance: Option<InstanceId>,
}

/// Adds a trace.
pub(crate) async fn add(db: &mut Connection, trace: &Trace) -> Result<()> {
    sqlx::query(
        "INSERT INTO traces (request_id, tenant_id, instance_id, began_at, trace)
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(&trace.request_id)
    .bind(trace.tenant.to_string())
    .bind(trace.instance.to_string())
    .bind(integer(trace.began_ms))
    .bind(to_json(trace))
    .execute(db)
    .await?;
    Ok(())
}

/// Deletes the oldest rows of an instance, so that at most `max` are left.
pub(crate) async fn trim(db: &mut Connection, instance: InstanceId, max: u64) -> Result<()> {
    sqlx::query(
        "DELETE FROM traces WHERE instance_id = $1 AND id <=
           (SELECT id FROM traces WHERE instance_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)",
    )
    .bind(instance.to_string())
    .bind(integer(max))
    .execute(db)
    .await?;
    Ok(())
}

const SELECT: &str = "SELECT r.id, r.began_at, r.trace, t.slug AS tenant, i.slug AS instance
     FROM traces r JOIN tenants t ON t.id = r.tenant_id JOIN instances i ON i.id = r.instance_id
     WHERE (CAST($1 AS TEXT) IS NULL OR r.tenant_id = $1)
       AND (CAST($2 AS TEXT) IS NULL OR r.instance_id = $2)";

/// Newest first.
pub(crate) async fn list(
    db: &mut Connection,
    before: Option<i64>,
    rows_max: i64,
    filter: &TraceFilter,
) -> Result<Vec<TraceEntry>> {
    let sql = format!("{SELECT} AND r.id < $3 ORDER BY r.id DESC LIMIT $4");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(filter.tenant.map(|id| id.to_string()))
        .bind(filter.instance.map(|id| id.to_string()))
        .bind(before.unwrap_or(i64::MAX))
        .bind(rows_max)
        .fetch_all(db)
        .await?;
    all(&rows, row)
}

/// The newest of a request.
pub(crate) async fn find(
    db: &mut Connection,
    request_id: &str,
    filter: &TraceFilter,
) -> Result<Option<TraceEntry>> {
    let sql = format!("{SELECT} AND r.request_id = $3 ORDER BY r.id DESC LIMIT 1");
    let found = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(filter.tenant.map(|id| id.to_string()))
        .bind(filter.instance.map(|id| id.to_string()))
        .bind(request_id)
        .fetch_optional(db)
        .await?;
    found.as_ref().map(row).transpose()
}

fn row(row: &Row) -> Result<TraceEntry> {
    Ok(TraceEntry {
        number: natural(row, "id")?,
        began_at: time(row, "began_at")?,
        tenant: parsed(row, "tenant")?,
        instance: parsed(row, "instance")?,
        trace: json(row, "trace")?,
    })
}
