//! Rows of tenants.

use cloudware_types::TenantId;
use sqlx::Row as _;

use super::{Connection, Result, Row, all, integer, natural, parsed, parsed_option, time};
use crate::{PageRequest, Tenant};

pub(crate) async fn insert(db: &mut Connection, tenant: &Tenant) -> Result<()> {
    sqlx::query(
        "INSERT INTO tenants (id, slug, title, plan_id, state, created_at, revision)
         VALUES ($1, $2, $3, $4, 'active', $5, $6)",
    )
    .bind(tenant.id.to_string())
    .bind(tenant.slug.as_str())
    .bind(&tenant.title)
    .bind(tenant.plan_id.map(|id| id.to_string()))
    .bind(tenant.created_at.millis())
    .bind(integer(tenant.revision))
    .execute(db)
    .await?;
    Ok(())
}

/// Writes what may change: title, plan, state and revision.
pub(crate) async fn update(db: &mut Connection, tenant: &Tenant) -> Result<()> {
    sqlx::query(
        "UPDATE tenants SET title = $2, state = $3, state_reason = $4, revision = $5, plan_id = $6
         WHERE id = $1",
    )
    .bind(tenant.id.to_string())
    .bind(&tenant.title)
    .bind(tenant.state())
    .bind(&tenant.suspended)
    .bind(integer(tenant.revision))
    .bind(tenant.plan_id.map(|id| id.to_string()))
    .execute(db)
    .await?;
    Ok(())
}

/// By id or slug.
pub(crate) async fn find(db: &mut Connection, name: &str) -> Result<Option<Tenant>> {
    let row = sqlx::query(
        "SELECT t.*, p.slug AS plan FROM tenants t LEFT JOIN plans p ON p.id = t.plan_id
         WHERE t.id = $1 OR t.slug = $1",
    )
    .bind(name)
    .fetch_optional(db)
    .await?;
    row.as_ref().map(tenant).transpose()
}

/// In order of slugs; only one tenant's own row where `only` says so.
pub(crate) async fn list(
    db: &mut Connection,
    page: &PageRequest,
    only: Option<TenantId>,
) -> Result<Vec<Tenant>> {
    let rows = sqlx::query(
        "SELECT t.*, p.slug AS plan FROM tenants t LEFT JOIN plans p ON p.id = t.plan_id
         WHERE t.slug > $1 AND (CAST($2 AS TEXT) IS NULL OR t.id = $2)
         ORDER BY t.slug LIMIT $3",
    )
    .bind(page.after())
    .bind(only.map(|id| id.to_string()))
    .bind(page.rows())
    .fetch_all(db)
    .await?;
    all(&rows, tenant)
}

fn tenant(row: &Row) -> Result<Tenant> {
    let state: &str = row.try_get("state")?;
    let reason: Option<String> = row.try_get("state_reason")?;
    Ok(Tenant {
        id: parsed(row, "id")?,
        slug: parsed(row, "slug")?,
        title: row.try_get("title")?,
        plan_id: parsed_option(row, "plan_id")?,
        plan: parsed_option(row, "plan")?,
        suspended: (state == "suspended").then(|| reason.unwrap_or_default()),
        created_at: time(row, "created_at")?,
        revision: natural(row, "revision")?,
    })
}
