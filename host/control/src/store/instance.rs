//! Rows of instances.

use cloudware_types::{InstanceId, PlanId, Slug, TenantId};
use sqlx::Row as _;

use super::{Connection, Result, Row, all, integer, natural, parsed, parsed_option, time};
use crate::{Instance, PageRequest};

pub(crate) async fn insert(db: &mut Connection, instance: &Instance) -> Result<()> {
    sqlx::query(
        "INSERT INTO instances
           (id, tenant_id, product_id, slug, is_default, state, created_at, revision)
         VALUES ($1, $2, (SELECT id FROM products WHERE slug = $3), $4, $5, 'ready', $6, $7)",
    )
    .bind(instance.id.to_string())
    .bind(instance.tenant_id.to_string())
    .bind(instance.product.as_ref().map(|slug| slug.as_str()))
    .bind(instance.slug.as_str())
    .bind(instance.is_default)
    .bind(instance.created_at.millis())
    .bind(integer(instance.revision))
    .execute(db)
    .await?;
    Ok(())
}

/// Writes what may change: state and revision.
pub(crate) async fn update(db: &mut Connection, instance: &Instance) -> Result<()> {
    sqlx::query("UPDATE instances SET state = $2, state_reason = $3, revision = $4 WHERE id = $1")
        .bind(instance.id.to_string())
        .bind(instance.state())
        .bind(&instance.suspended)
        .bind(integer(instance.revision))
        .execute(db)
        .await?;
    Ok(())
}

/// By id or slug, within a tenant.
pub(crate) async fn find(
    db: &mut Connection,
    tenant: TenantId,
    name: &str,
) -> Result<Option<Instance>> {
    let row = sqlx::query(
        "SELECT i.*, t.slug AS tenant, p.slug AS product
         FROM instances i JOIN tenants t ON t.id = i.tenant_id
         LEFT JOIN products p ON p.id = i.product_id
         WHERE i.tenant_id = $1 AND (i.id = $2 OR i.slug = $2)",
    )
    .bind(tenant.to_string())
    .bind(name)
    .fetch_optional(db)
    .await?;
    row.as_ref().map(instance).transpose()
}

/// Whose an instance is, and what people call both.
pub(crate) struct Owner {
    pub tenant_id: TenantId,
    pub tenant: Slug,
    pub instance: Slug,
}

/// Whose an instance is.
pub(crate) async fn owner(db: &mut Connection, id: InstanceId) -> Result<Option<Owner>> {
    let row = sqlx::query(
        "SELECT i.tenant_id, t.slug AS tenant, i.slug AS instance
         FROM instances i JOIN tenants t ON t.id = i.tenant_id WHERE i.id = $1",
    )
    .bind(id.to_string())
    .fetch_optional(db)
    .await?;
    let owner = |row: &Row| {
        Ok(Owner {
            tenant_id: parsed(row, "tenant_id")?,
            tenant: parsed(row, "tenant")?,
            instance: parsed(row, "instance")?,
        })
    };
    row.as_ref().map(owner).transpose()
}

/// A tenant's, in order of slugs.
pub(crate) async fn list(
    db: &mut Connection,
    tenant: TenantId,
    page: &PageRequest,
) -> Result<Vec<Instance>> {
    let rows = sqlx::query(
        "SELECT i.*, t.slug AS tenant, p.slug AS product
         FROM instances i JOIN tenants t ON t.id = i.tenant_id
         LEFT JOIN products p ON p.id = i.product_id
         WHERE i.tenant_id = $1 AND i.slug > $2
         ORDER BY i.slug LIMIT $3",
    )
    .bind(tenant.to_string())
    .bind(page.after())
    .bind(page.rows())
    .fetch_all(db)
    .await?;
    all(&rows, instance)
}

/// The ids of all of a tenant's instances.
pub(crate) async fn ids_of_tenant(
    db: &mut Connection,
    tenant: TenantId,
) -> Result<Vec<InstanceId>> {
    let rows = sqlx::query("SELECT id FROM instances WHERE tenant_id = $1")
        .bind(tenant.to_string())
        .fetch_all(db)
        .await?;
    all(&rows, |row| parsed(row, "id"))
}

/// The ids of the instances of all tenants that have a plan.
pub(crate) async fn ids_of_plan(db: &mut Connection, plan: PlanId) -> Result<Vec<InstanceId>> {
    let rows = sqlx::query(
        "SELECT i.id FROM instances i JOIN tenants t ON t.id = i.tenant_id WHERE t.plan_id = $1",
    )
    .bind(plan.to_string())
    .fetch_all(db)
    .await?;
    all(&rows, |row| parsed(row, "id"))
}

/// How many instances a tenant has.
pub(crate) async fn count(db: &mut Connection, tenant: TenantId) -> Result<i64> {
    let row = sqlx::query("SELECT COUNT(*) AS n FROM instances WHERE tenant_id = $1")
        .bind(tenant.to_string())
        .fetch_one(db)
        .await?;
    Ok(row.try_get("n")?)
}

fn instance(row: &Row) -> Result<Instance> {
    let state: &str = row.try_get("state")?;
    let reason: Option<String> = row.try_get("state_reason")?;
    Ok(Instance {
        id: parsed(row, "id")?,
        slug: parsed(row, "slug")?,
        tenant_id: parsed(row, "tenant_id")?,
        tenant: parsed(row, "tenant")?,
        product: parsed_option(row, "product")?,
        is_default: row.try_get("is_default")?,
        suspended: (state == "suspended").then(|| reason.unwrap_or_default()),
        created_at: time(row, "created_at")?,
        revision: natural(row, "revision")?,
    })
}
