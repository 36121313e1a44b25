//! Rows of installs, and the journal of release changes that have begun and not ended.

use cloudware_types::{InstallId, InstanceId, ReleaseId};
use sqlx::Row as _;

use super::{
    Connection, Result, Row, all, integer, json, natural, parsed, parsed_option, time, to_json,
};
use crate::{Install, PageRequest, ReleaseState, Timestamp};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT l.*, i.tenant_id, i.slug AS instance, t.slug AS tenant, a.slug AS app,
                    r.version, r.state AS release_state, q.version AS previous
             FROM installs l
             JOIN instances i ON i.id = l.instance_id
             JOIN tenants t ON t.id = i.tenant_id
             JOIN apps a ON a.id = l.app_id
             JOIN releases r ON r.id = l.release_id
             LEFT JOIN releases q ON q.id = l.previous_release_id ",
            $rest
        )
    };
}

/// A release change that has begun and not ended.
#[derive(Clone, Debug)]
pub(crate) struct ReleaseChange {
    pub install: InstallId,
    pub instance: InstanceId,
    pub from: ReleaseId,
    pub to: ReleaseId,
    pub current: ReleaseId,
}

pub(crate) async fn insert(db: &mut Connection, install: &Install) -> Result<()> {
    sqlx::query(
        "INSERT INTO installs
           (id, instance_id, app_id, release_id, previous_release_id, state, mount, namespace,
            config, grants, created_at, revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(install.id.to_string())
    .bind(install.instance_id.to_string())
    .bind(install.app_id.to_string())
    .bind(install.release_id.to_string())
    .bind(install.previous_release_id.map(|id| id.to_string()))
    .bind(install.state.as_str())
    .bind(&install.mount)
    .bind(&install.namespace)
    .bind(to_json(&install.config))
    .bind(to_json(&install.grants))
    .bind(install.created_at.millis())
    .bind(integer(install.revision))
    .execute(db)
    .await?;
    Ok(())
}

/// Writes everything that may change.
pub(crate) async fn update(db: &mut Connection, install: &Install) -> Result<()> {
    sqlx::query(
        "UPDATE installs SET release_id = $2, previous_release_id = $3, state = $4, mount = $5,
           namespace = $6, config = $7, grants = $8, revision = $9
         WHERE id = $1",
    )
    .bind(install.id.to_string())
    .bind(install.release_id.to_string())
    .bind(install.previous_release_id.map(|id| id.to_string()))
    .bind(install.state.as_str())
    .bind(&install.mount)
    .bind(&install.namespace)
    .bind(to_json(&install.config))
    .bind(to_json(&install.grants))
    .bind(integer(install.revision))
    .execute(db)
    .await?;
    Ok(())
}

/// By id or app name, within an instance.
pub(crate) async fn find(
    db: &mut Connection,
    instance: InstanceId,
    name: &str,
) -> Result<Option<Install>> {
    let row = sqlx::query(select!(
        "WHERE l.instance_id = $1 AND (l.id = $2 OR a.slug = $2)"
    ))
    .bind(instance.to_string())
    .bind(name)
    .fetch_optional(db)
    .await?;
    row.as_ref().map(install).transpose()
}

/// One page of an instance's, in order of app names.
pub(crate) async fn list(
    db: &mut Connection,
    instance: InstanceId,
    page: &PageRequest,
) -> Result<Vec<Install>> {
    let rows = sqlx::query(select!(
        "WHERE l.instance_id = $1 AND a.slug > $2 ORDER BY a.slug LIMIT $3"
    ))
    .bind(instance.to_string())
    .bind(page.after())
    .bind(page.rows())
    .fetch_all(db)
    .await?;
    all(&rows, install)
}

/// All of an instance's, disabled ones included; their number is bounded when they are enabled.
pub(crate) async fn of_instance(db: &mut Connection, instance: InstanceId) -> Result<Vec<Install>> {
    let rows = sqlx::query(select!("WHERE l.instance_id = $1 ORDER BY a.slug"))
        .bind(instance.to_string())
        .fetch_all(db)
        .await?;
    all(&rows, install)
}

/// Notes that a release change begins; a note left from before is replaced.
pub(crate) async fn change_begin(
    db: &mut Connection,
    install: InstallId,
    from: ReleaseId,
    to: ReleaseId,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO release_changes (install_id, from_release_id, to_release_id, begun_at)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (install_id) DO UPDATE SET from_release_id = $2, to_release_id = $3, begun_at = $4",
    )
    .bind(install.to_string())
    .bind(from.to_string())
    .bind(to.to_string())
    .bind(Timestamp::now().millis())
    .execute(db)
    .await?;
    Ok(())
}

/// Notes that a release change has ended, one way or the other.
pub(crate) async fn change_end(db: &mut Connection, install: InstallId) -> Result<()> {
    sqlx::query("DELETE FROM release_changes WHERE install_id = $1")
        .bind(install.to_string())
        .execute(db)
        .await?;
    Ok(())
}

/// The release changes that a crash has interrupted.
pub(crate) async fn changes(db: &mut Connection) -> Result<Vec<ReleaseChange>> {
    let rows = sqlx::query(
        "SELECT c.*, l.instance_id, l.release_id
         FROM release_changes c JOIN installs l ON l.id = c.install_id",
    )
    .fetch_all(db)
    .await?;
    all(&rows, |row| {
        Ok(ReleaseChange {
            install: parsed(row, "install_id")?,
            instance: parsed(row, "instance_id")?,
            from: parsed(row, "from_release_id")?,
            to: parsed(row, "to_release_id")?,
            current: parsed(row, "release_id")?,
        })
    })
}

fn install(row: &Row) -> Result<Install> {
    let release_state: ReleaseState = parsed(row, "release_state")?;
    Ok(Install {
        id: parsed(row, "id")?,
        instance_id: parsed(row, "instance_id")?,
        instance: parsed(row, "instance")?,
        tenant_id: parsed(row, "tenant_id")?,
        tenant: parsed(row, "tenant")?,
        app_id: parsed(row, "app_id")?,
        app: parsed(row, "app")?,
        release_id: parsed(row, "release_id")?,
        version: parsed(row, "version")?,
        release_state,
        previous_release_id: parsed_option(row, "previous_release_id")?,
        previous: parsed_option(row, "previous")?,
        state: parsed(row, "state")?,
        mount: row.try_get("mount")?,
        namespace: row.try_get("namespace")?,
        config: json(row, "config")?,
        grants: json(row, "grants")?,
        created_at: time(row, "created_at")?,
        revision: natural(row, "revision")?,
    })
}
