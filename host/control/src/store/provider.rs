//! Rows of providers.

use cloudware_types::ProviderId;

use super::{Connection, Result, Row, all, parsed, time};
use crate::{PageRequest, Provider};

pub(crate) async fn insert(db: &mut Connection, provider: &Provider) -> Result<()> {
    sqlx::query("INSERT INTO providers (id, slug, title, created_at) VALUES ($1, $2, $3, $4)")
        .bind(provider.id.to_string())
        .bind(provider.slug.as_str())
        .bind(&provider.title)
        .bind(provider.created_at.millis())
        .execute(db)
        .await?;
    Ok(())
}

/// By id or slug.
pub(crate) async fn find(db: &mut Connection, name: &str) -> Result<Option<Provider>> {
    let row = sqlx::query("SELECT * FROM providers WHERE id = $1 OR slug = $1")
        .bind(name)
        .fetch_optional(db)
        .await?;
    row.as_ref().map(provider).transpose()
}

/// In order of slugs; only one provider's own row where `only` says so.
pub(crate) async fn list(
    db: &mut Connection,
    page: &PageRequest,
    only: Option<ProviderId>,
) -> Result<Vec<Provider>> {
    let rows = sqlx::query(
        "SELECT * FROM providers
         WHERE slug > $1 AND (CAST($2 AS TEXT) IS NULL OR id = $2)
         ORDER BY slug LIMIT $3",
    )
    .bind(page.after())
    .bind(only.map(|id| id.to_string()))
    .bind(page.rows())
    .fetch_all(db)
    .await?;
    all(&rows, provider)
}

fn provider(row: &Row) -> Result<Provider> {
    use sqlx::Row as _;
    Ok(Provider {
        id: parsed(row, "id")?,
        slug: parsed(row, "slug")?,
        title: row.try_get("title")?,
        created_at: time(row, "created_at")?,
    })
}
