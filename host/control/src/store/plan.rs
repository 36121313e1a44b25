//! Rows of plans. What a plan sets are rows of quotas with the plan as their subject.

use std::collections::BTreeMap;

use cloudware_types::{Limit, PlanId, Slug};
use sqlx::Row as _;

use super::{Connection, Result, Row, all, natural, parsed, parsed_option, time};
use crate::{PageRequest, Plan};

pub(crate) async fn insert(db: &mut Connection, plan: &Plan) -> Result<()> {
    sqlx::query("INSERT INTO plans (id, slug, title, created_at) VALUES ($1, $2, $3, $4)")
        .bind(plan.id.to_string())
        .bind(plan.slug.as_str())
        .bind(&plan.title)
        .bind(plan.created_at.millis())
        .execute(db)
        .await?;
    Ok(())
}

/// Removes a plan that no tenant has, with what it sets.
pub(crate) async fn delete(db: &mut Connection, id: PlanId) -> Result<()> {
    sqlx::query("DELETE FROM quotas WHERE subject_id = $1")
        .bind(id.to_string())
        .execute(&mut *db)
        .await?;
    sqlx::query("DELETE FROM plans WHERE id = $1")
        .bind(id.to_string())
        .execute(db)
        .await?;
    Ok(())
}

/// By id or slug.
pub(crate) async fn find(db: &mut Connection, name: &str) -> Result<Option<Plan>> {
    let row = sqlx::query(
        "SELECT p.*, (SELECT COUNT(*) FROM tenants t WHERE t.plan_id = p.id) AS tenants
         FROM plans p WHERE p.id = $1 OR p.slug = $1",
    )
    .bind(name)
    .fetch_optional(db)
    .await?;
    row.as_ref().map(plan).transpose()
}

/// In order of slugs.
pub(crate) async fn list(db: &mut Connection, page: &PageRequest) -> Result<Vec<Plan>> {
    let rows = sqlx::query(
        "SELECT p.*, (SELECT COUNT(*) FROM tenants t WHERE t.plan_id = p.id) AS tenants
         FROM plans p WHERE p.slug > $1 ORDER BY p.slug LIMIT $2",
    )
    .bind(page.after())
    .bind(page.rows())
    .fetch_all(db)
    .await?;
    all(&rows, plan)
}

/// What every plan sets, by name; the number of plans is bounded when they are created.
pub(crate) async fn settings(db: &mut Connection) -> Result<BTreeMap<Slug, BTreeMap<Limit, u64>>> {
    let rows = sqlx::query(
        "SELECT p.slug, q.dimension, q.value
         FROM plans p LEFT JOIN quotas q ON q.subject_id = p.id",
    )
    .fetch_all(db)
    .await?;
    let mut settings = BTreeMap::<Slug, BTreeMap<Limit, u64>>::new();
    for row in &rows {
        let values = settings.entry(parsed(row, "slug")?).or_default();
        if let Some(limit) = parsed_option(row, "dimension")? {
            values.insert(limit, natural(row, "value")?);
        }
    }
    Ok(settings)
}

/// How many plans there are.
pub(crate) async fn count(db: &mut Connection) -> Result<i64> {
    let row = sqlx::query("SELECT COUNT(*) AS n FROM plans")
        .fetch_one(db)
        .await?;
    Ok(row.try_get("n")?)
}

fn plan(row: &Row) -> Result<Plan> {
    Ok(Plan {
        id: parsed(row, "id")?,
        slug: parsed(row, "slug")?,
        title: row.try_get("title")?,
        tenants: Some(natural(row, "tenants")?),
        created_at: time(row, "created_at")?,
    })
}
