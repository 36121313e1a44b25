//! Rows of apps, each with its newest published release.

use cloudware_types::{AppId, ProviderId};
use semver::Version;

use super::{Connection, Result, Row, all, json, parsed, time};
use crate::{App, PageRequest};
use cloudware_packages::Manifest;

/// An app as its first release brings it.
pub(crate) struct AppRow<'a> {
    pub id: AppId,
    pub provider: ProviderId,
    pub product: &'a str,
    pub slug: &'a str,
    pub created_at: crate::Timestamp,
}

pub(crate) async fn insert(db: &mut Connection, app: &AppRow<'_>) -> Result<()> {
    sqlx::query(
        "INSERT INTO apps (id, provider_id, product_id, slug, created_at)
         VALUES ($1, $2, (SELECT id FROM products WHERE slug = $3), $4, $5)",
    )
    .bind(app.id.to_string())
    .bind(app.provider.to_string())
    .bind(app.product)
    .bind(app.slug)
    .bind(app.created_at.millis())
    .execute(db)
    .await?;
    Ok(())
}

/// By id or slug.
pub(crate) async fn find(db: &mut Connection, name: &str) -> Result<Option<App>> {
    let row = sqlx::query(
        "SELECT a.*, v.slug AS provider, p.slug AS product
         FROM apps a JOIN providers v ON v.id = a.provider_id JOIN products p ON p.id = a.product_id
         WHERE a.id = $1 OR a.slug = $1",
    )
    .bind(name)
    .fetch_optional(&mut *db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let mut apps = vec![app(&row)?];
    add_latest(db, &mut apps).await?;
    Ok(apps.pop())
}

/// In order of slugs; only one provider's where `only` says so.
pub(crate) async fn list(
    db: &mut Connection,
    page: &PageRequest,
    only: Option<ProviderId>,
) -> Result<Vec<App>> {
    let rows = sqlx::query(
        "SELECT a.*, v.slug AS provider, p.slug AS product
         FROM apps a JOIN providers v ON v.id = a.provider_id JOIN products p ON p.id = a.product_id
         WHERE a.slug > $1 AND (CAST($2 AS TEXT) IS NULL OR a.provider_id = $2)
         ORDER BY a.slug LIMIT $3",
    )
    .bind(page.after())
    .bind(only.map(|id| id.to_string()))
    .bind(page.rows())
    .fetch_all(&mut *db)
    .await?;
    let mut apps = all(&rows, app)?;
    add_latest(db, &mut apps).await?;
    Ok(apps)
}

/// SQL can't order semantic versions, so the newest is found here, with one query for all apps of
/// the page.
async fn add_latest(db: &mut Connection, apps: &mut [App]) -> Result<()> {
    let (Some(first), Some(last)) = (apps.first(), apps.last()) else {
        return Ok(());
    };
    let rows = sqlx::query(
        "SELECT r.app_id, r.version, r.manifest, r.state
         FROM releases r JOIN apps a ON a.id = r.app_id
         WHERE a.slug >= $1 AND a.slug <= $2",
    )
    .bind(first.slug.as_str())
    .bind(last.slug.as_str())
    .fetch_all(db)
    .await?;
    for row in &rows {
        let app_id: AppId = parsed(row, "app_id")?;
        let Some(app) = apps.iter_mut().find(|app| app.id == app_id) else {
            continue;
        };
        let version: Version = parsed(row, "version")?;
        let state: crate::ReleaseState = parsed(row, "state")?;
        if state != crate::ReleaseState::Published {
            continue;
        }
        if app.latest.as_ref().is_none_or(|latest| *latest < version) {
            let manifest: Manifest = json(row, "manifest")?;
            app.title = manifest.title;
            app.description = manifest.description;
            app.latest = Some(version);
        }
    }
    Ok(())
}

fn app(row: &Row) -> Result<App> {
    let slug: cloudware_types::Slug = parsed(row, "slug")?;
    Ok(App {
        id: parsed(row, "id")?,
        provider_id: parsed(row, "provider_id")?,
        provider: parsed(row, "provider")?,
        product: parsed(row, "product")?,
        title: slug.to_string(),
        description: String::new(),
        latest: None,
        created_at: time(row, "created_at")?,
        slug,
    })
}
