//! Rows of stops: one for each kind of stop of an install in a minute.

use cloudware_types::{InstanceId, ProviderId, Slug, StopId, StopRecord, TenantId};
use sqlx::Row as _;

use super::{
    Connection, Result, Row, all, id_before, integer, json, natural, parsed, time, to_json,
};
use crate::{StopEntry, Timestamp, limits::FUNCTION_CHARS_MAX};

/// Which stops a caller wants and may see.
#[derive(Clone, Debug, Default)]
pub(crate) struct StopFilter {
    pub tenant: Option<TenantId>,
    pub provider: Option<ProviderId>,
    pub instance: Option<InstanceId>,
    pub app: Option<String>,
    pub cause: Option<String>,
    /// That went on at this time or later.
    pub since: Option<Timestamp>,
}

/// Adds stops to the row of their kind and minute.
pub(crate) async fn add(db: &mut Connection, record: &StopRecord) -> Result<()> {
    let stop = &record.stop;
    let place: String = stop.place().chars().take(FUNCTION_CHARS_MAX).collect();
    sqlx::query(
        "INSERT INTO stops
           (id, tenant_id, provider_id, instance_id, install_id, app, version, cause, place, minute,
            first_at, last_at, count, request_id, stop)
         VALUES ($1, $2, (SELECT provider_id FROM apps WHERE slug = $5), $3, $4, $5, $6, $7, $8, $9,
            $10, $11, $12, $13, $14)
         ON CONFLICT (install_id, minute, cause, place, version) DO UPDATE SET
            count = stops.count + excluded.count,
            last_at = MAX(stops.last_at, excluded.last_at),
            request_id = CASE WHEN excluded.last_at >= stops.last_at THEN excluded.request_id ELSE stops.request_id END,
            stop = CASE WHEN excluded.last_at >= stops.last_at THEN excluded.stop ELSE stops.stop END",
    )
    .bind(StopId::generate().to_string())
    .bind(record.tenant.to_string())
    .bind(record.instance.to_string())
    .bind(record.install.to_string())
    .bind(&stop.app)
    .bind(&stop.version)
    .bind(stop.cause_name())
    .bind(place)
    .bind(integer(record.first_ms / 60_000))
    .bind(integer(record.first_ms))
    .bind(integer(record.last_ms))
    .bind(integer(record.count))
    .bind(&record.request_id)
    .bind(to_json(stop))
    .execute(db)
    .await?;
    Ok(())
}

/// Deletes the oldest rows of an instance, so that at most `max` are left.
pub(crate) async fn trim(db: &mut Connection, instance: InstanceId, max: u64) -> Result<()> {
    sqlx::query(
        "DELETE FROM stops WHERE instance_id = $1 AND id <=
           (SELECT id FROM stops WHERE instance_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)",
    )
    .bind(instance.to_string())
    .bind(integer(max))
    .execute(db)
    .await?;
    Ok(())
}

const SELECT: &str = "SELECT s.*, t.slug AS tenant, i.slug AS instance
     FROM stops s JOIN tenants t ON t.id = s.tenant_id JOIN instances i ON i.id = s.instance_id";

/// Newest first.
pub(crate) async fn list(
    db: &mut Connection,
    before: Option<StopId>,
    rows_max: i64,
    filter: &StopFilter,
) -> Result<Vec<StopRow>> {
    let sql = format!(
        "{SELECT} WHERE s.id < $1
           AND (CAST($2 AS TEXT) IS NULL OR s.tenant_id = $2)
           AND (CAST($3 AS TEXT) IS NULL OR s.provider_id = $3)
           AND (CAST($4 AS TEXT) IS NULL OR s.instance_id = $4)
           AND (CAST($5 AS TEXT) IS NULL OR s.app = $5)
           AND (CAST($6 AS TEXT) IS NULL OR s.cause = $6)
           AND s.last_at >= $7
         ORDER BY s.id DESC LIMIT $8"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(id_before(before))
        .bind(filter.tenant.map(|id| id.to_string()))
        .bind(filter.provider.map(|id| id.to_string()))
        .bind(filter.instance.map(|id| id.to_string()))
        .bind(&filter.app)
        .bind(&filter.cause)
        .bind(filter.since.map_or(i64::MIN, Timestamp::millis))
        .bind(rows_max)
        .fetch_all(db)
        .await?;
    all(&rows, row)
}

/// By id.
pub(crate) async fn find(db: &mut Connection, id: &str) -> Result<Option<StopRow>> {
    let sql = format!("{SELECT} WHERE s.id = $1");
    let found = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(id)
        .fetch_optional(db)
        .await?;
    found.as_ref().map(row).transpose()
}

/// A row with who may see it.
#[derive(Clone, Debug)]
pub(crate) struct StopRow {
    pub tenant: TenantId,
    pub provider: Option<ProviderId>,
    pub entry: StopEntry,
}

fn row(row: &Row) -> Result<StopRow> {
    let tenant: Slug = parsed(row, "tenant")?;
    let instance: Slug = parsed(row, "instance")?;
    Ok(StopRow {
        tenant: parsed(row, "tenant_id")?,
        provider: super::parsed_option(row, "provider_id")?,
        entry: StopEntry {
            id: parsed(row, "id")?,
            first_at: time(row, "first_at")?,
            last_at: time(row, "last_at")?,
            count: natural(row, "count")?,
            place: Some((tenant, instance)),
            install: parsed(row, "install_id")?,
            request_id: row.try_get("request_id")?,
            says_amounts: true,
            stop: json(row, "stop")?,
        },
    })
}
