//! Rows of releases. The database refuses to change or delete them, their state excepted.

use cloudware_types::{AppId, InstanceId, Migration, ReleaseId};
use semver::Version;
use sqlx::Row as _;

use super::{
    Connection, Result, Row, all, id_before, integer, json, natural, parsed, time, to_json,
};
use crate::{Release, ReleaseState, release::Shapes};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT r.id, r.app_id, r.version, r.digest, r.component_digest, r.size_bytes,
                    r.manifest, r.capabilities, r.state, r.state_reason, r.created_at,
                    a.slug AS app, a.provider_id, v.slug AS provider
             FROM releases r JOIN apps a ON a.id = r.app_id
             JOIN providers v ON v.id = a.provider_id ",
            $rest
        )
    };
}

pub(crate) async fn insert(
    db: &mut Connection,
    release: &Release,
    migrations: &[Migration],
    shapes: &Shapes,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO releases
           (id, app_id, version, digest, component_digest, size_bytes, manifest, capabilities,
            migrations, shapes, state, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(release.id.to_string())
    .bind(release.app_id.to_string())
    .bind(release.version.to_string())
    .bind(release.digest.to_string())
    .bind(release.component.to_string())
    .bind(integer(release.size_bytes))
    .bind(to_json(&release.manifest))
    .bind(to_json(&release.capabilities))
    .bind(to_json(&migrations))
    .bind(to_json(shapes))
    .bind(release.state.as_str())
    .bind(release.created_at.millis())
    .execute(db)
    .await?;
    Ok(())
}

/// Writes the state.
pub(crate) async fn update_state(
    db: &mut Connection,
    id: ReleaseId,
    state: ReleaseState,
    reason: Option<&str>,
) -> Result<()> {
    sqlx::query("UPDATE releases SET state = $2, state_reason = $3 WHERE id = $1")
        .bind(id.to_string())
        .bind(state.as_str())
        .bind(reason)
        .execute(db)
        .await?;
    Ok(())
}

/// By app and version.
pub(crate) async fn find(
    db: &mut Connection,
    app: AppId,
    version: &Version,
) -> Result<Option<Release>> {
    let row = sqlx::query(select!("WHERE r.app_id = $1 AND r.version = $2"))
        .bind(app.to_string())
        .bind(version.to_string())
        .fetch_optional(db)
        .await?;
    row.as_ref().map(release).transpose()
}

/// By id.
pub(crate) async fn get(db: &mut Connection, id: ReleaseId) -> Result<Option<Release>> {
    let row = sqlx::query(select!("WHERE r.id = $1"))
        .bind(id.to_string())
        .fetch_optional(db)
        .await?;
    row.as_ref().map(release).transpose()
}

/// An app's, newest push first.
pub(crate) async fn list(
    db: &mut Connection,
    app: AppId,
    before: Option<ReleaseId>,
    rows_max: i64,
) -> Result<Vec<Release>> {
    let rows = sqlx::query(select!(
        "WHERE r.app_id = $1 AND r.id < $2 ORDER BY r.id DESC LIMIT $3"
    ))
    .bind(app.to_string())
    .bind(id_before(before))
    .bind(rows_max)
    .fetch_all(db)
    .await?;
    all(&rows, release)
}

/// The migrations that a release carries.
pub(crate) async fn migrations(db: &mut Connection, id: ReleaseId) -> Result<Vec<Migration>> {
    let row = sqlx::query("SELECT migrations FROM releases WHERE id = $1")
        .bind(id.to_string())
        .fetch_one(db)
        .await?;
    json(&row, "migrations")
}

/// What a release offers and needs, with types.
pub(crate) async fn shapes(db: &mut Connection, id: ReleaseId) -> Result<Shapes> {
    let row = sqlx::query("SELECT shapes FROM releases WHERE id = $1")
        .bind(id.to_string())
        .fetch_one(db)
        .await?;
    shapes_of(&row)
}

/// The shapes in a row; releases from before there were any have none.
pub(super) fn shapes_of(row: &Row) -> Result<Shapes> {
    let text: Option<&str> = row.try_get("shapes")?;
    text.map_or_else(|| Ok(Shapes::default()), |_| json(row, "shapes"))
}

/// The instances in which a release is enabled.
pub(crate) async fn instances(db: &mut Connection, id: ReleaseId) -> Result<Vec<InstanceId>> {
    let rows =
        sqlx::query("SELECT instance_id FROM installs WHERE release_id = $1 AND state = 'enabled'")
            .bind(id.to_string())
            .fetch_all(db)
            .await?;
    all(&rows, |row| parsed(row, "instance_id"))
}

fn release(row: &Row) -> Result<Release> {
    Ok(Release {
        id: parsed(row, "id")?,
        app_id: parsed(row, "app_id")?,
        app: parsed(row, "app")?,
        provider_id: parsed(row, "provider_id")?,
        provider: parsed(row, "provider")?,
        version: parsed(row, "version")?,
        digest: parsed(row, "digest")?,
        component: parsed(row, "component_digest")?,
        size_bytes: natural(row, "size_bytes")?,
        manifest: json(row, "manifest")?,
        capabilities: json(row, "capabilities")?,
        state: parsed(row, "state")?,
        state_reason: row.try_get("state_reason")?,
        created_at: time(row, "created_at")?,
    })
}
