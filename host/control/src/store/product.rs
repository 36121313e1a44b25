//! Rows of products.

use cloudware_types::ProviderId;

use super::{Connection, Result, Row, all, parsed, time};
use crate::{PageRequest, Product};

pub(crate) async fn insert(db: &mut Connection, product: &Product) -> Result<()> {
    sqlx::query("INSERT INTO products (id, provider_id, slug, created_at) VALUES ($1, $2, $3, $4)")
        .bind(product.id.to_string())
        .bind(product.provider_id.to_string())
        .bind(product.slug.as_str())
        .bind(product.created_at.millis())
        .execute(db)
        .await?;
    Ok(())
}

/// By id or slug.
pub(crate) async fn find(db: &mut Connection, name: &str) -> Result<Option<Product>> {
    let row = sqlx::query(
        "SELECT p.*, v.slug AS provider FROM products p JOIN providers v ON v.id = p.provider_id
         WHERE p.id = $1 OR p.slug = $1",
    )
    .bind(name)
    .fetch_optional(db)
    .await?;
    row.as_ref().map(product).transpose()
}

/// In order of slugs; only one provider's where `only` says so.
pub(crate) async fn list(
    db: &mut Connection,
    page: &PageRequest,
    only: Option<ProviderId>,
) -> Result<Vec<Product>> {
    let rows = sqlx::query(
        "SELECT p.*, v.slug AS provider FROM products p JOIN providers v ON v.id = p.provider_id
         WHERE p.slug > $1 AND (CAST($2 AS TEXT) IS NULL OR p.provider_id = $2)
         ORDER BY p.slug LIMIT $3",
    )
    .bind(page.after())
    .bind(only.map(|id| id.to_string()))
    .bind(page.rows())
    .fetch_all(db)
    .await?;
    all(&rows, product)
}

fn product(row: &Row) -> Result<Product> {
    Ok(Product {
        id: parsed(row, "id")?,
        provider_id: parsed(row, "provider_id")?,
        provider: parsed(row, "provider")?,
        slug: parsed(row, "slug")?,
        created_at: time(row, "created_at")?,
    })
}
