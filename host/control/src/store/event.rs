//! Rows of the event feed. The database refuses to change or delete them.

use cloudware_types::{ProviderId, TenantId};
use sqlx::Row as _;

use super::{Connection, Result, Row, all, integer, json, natural, time};
use crate::{
    Event, PageRequest,
    event::{EventNew, Sequence},
};

/// Which events a caller wants and may see.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventFilter {
    pub tenant: Option<TenantId>,
    pub provider: Option<ProviderId>,
    pub kind: Option<String>,
    /// The last event that was seen.
    pub after: Sequence,
}

/// Appends an event; one that may be told once only and was told already is left out.
pub(crate) async fn insert(db: &mut Connection, event: &EventNew) -> Result<()> {
    sqlx::query(
        "INSERT INTO events (at, type, subject_id, subject_name, tenant_id, provider_id, data, once)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (once) DO NOTHING",
    )
    .bind(event.at.millis())
    .bind(&event.kind)
    .bind(&event.subject_id)
    .bind(&event.subject)
    .bind(event.tenant_id.map(|id| id.to_string()))
    .bind(event.provider_id.map(|id| id.to_string()))
    .bind(event.data.to_string())
    .bind(&event.once)
    .execute(db)
    .await?;
    Ok(())
}

/// Oldest first.
pub(crate) async fn list(
    db: &mut Connection,
    page: &PageRequest,
    filter: &EventFilter,
) -> Result<Vec<Event>> {
    let rows = sqlx::query(
        "SELECT * FROM events
         WHERE sequence > $1
           AND (CAST($2 AS TEXT) IS NULL OR tenant_id = $2)
           AND (CAST($3 AS TEXT) IS NULL OR provider_id = $3)
           AND (CAST($4 AS TEXT) IS NULL OR type = $4)
         ORDER BY sequence LIMIT $5",
    )
    .bind(integer(filter.after.0))
    .bind(filter.tenant.map(|id| id.to_string()))
    .bind(filter.provider.map(|id| id.to_string()))
    .bind(&filter.kind)
    .bind(page.rows())
    .fetch_all(db)
    .await?;
    all(&rows, event)
}

fn event(row: &Row) -> Result<Event> {
    Ok(Event {
        id: Sequence(natural(row, "sequence")?),
        at: time(row, "at")?,
        kind: row.try_get("type")?,
        subject_id: row.try_get("subject_id")?,
        subject: row.try_get("subject_name")?,
        data: json(row, "data")?,
    })
}
