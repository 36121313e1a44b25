//! What the data plane must know of instances and their enabled installs, read with one query each.

use std::sync::Arc;

use cloudware_packages::Manifest;
use cloudware_types::{
    Digest, HookId, HookMode, HookTarget, InstallId, InstanceId, PlanId, RecordingId, ReleaseId,
    Slug, TenantId, Webhook,
};
use semver::Version;
use sqlx::Row as _;

use super::{
    Connection, Result, Row, all, damaged,
    hook::{fields_of, keys_of, payload_version_of},
    json, natural, parsed, parsed_option, time,
};
use crate::{Timestamp, hook::HookFields};

/// One instance with what decides whether it is served.
pub(crate) struct InstanceRow {
    pub id: InstanceId,
    pub slug: Slug,
    pub tenant: TenantId,
    pub tenant_slug: Slug,
    pub plan: Option<PlanId>,
    pub is_default: bool,
    pub tenant_suspended: bool,
    pub instance_suspended: bool,
}

/// One enabled install, also one of a yanked release.
pub(crate) struct InstallRow {
    pub id: InstallId,
    pub instance: InstanceId,
    pub app: Slug,
    pub release: ReleaseId,
    pub mount: Option<String>,
    pub config: std::collections::BTreeMap<String, String>,
    pub grants: Vec<String>,
}

/// What a release adds to its installs.
pub(crate) struct ReleaseRow {
    pub id: ReleaseId,
    pub version: Version,
    pub component: Digest,
    pub manifest: Manifest,
    pub is_yanked: bool,
    pub state_reason: Option<String>,
}

/// A hook that is called: it, its app and its extension are enabled.
pub(crate) struct HookRow {
    pub id: HookId,
    /// The install whose app asks.
    pub app_install: InstallId,
    pub point: Slug,
    pub name: Slug,
    pub target: HookTarget,
    pub mode: HookMode,
    pub fields: HookFields,
}

/// A recording that runs.
pub(crate) struct RecordingRow {
    pub id: RecordingId,
    pub install: InstallId,
    pub calls_left: u32,
    pub ends_at: Timestamp,
    pub redact: Vec<String>,
}

/// A query for all instances and the same for one, as texts of their own: with a condition that may hold for
/// all, the database would read all to find the one, at every change of it.
macro_rules! both {
    ($begin:literal, $one:literal, $end:literal) => {
        [concat!($begin, $end), concat!($begin, $one, $end)]
    };
}

const INSTANCES: [&str; 2] = both!(
    "SELECT i.id, i.slug, i.tenant_id, i.is_default, i.state,
            t.slug AS tenant, t.plan_id, t.state AS tenant_state
     FROM instances i JOIN tenants t ON t.id = i.tenant_id",
    " WHERE i.id = $1",
    ""
);

const INSTALLS: [&str; 2] = both!(
    "SELECT l.id, l.instance_id, l.release_id, l.mount, l.config, l.grants, a.slug AS app
     FROM installs l JOIN apps a ON a.id = l.app_id
     WHERE l.state = 'enabled'",
    " AND l.instance_id = $1",
    " ORDER BY a.slug"
);

const RELEASES: [&str; 2] = both!(
    "SELECT id, version, component_digest, manifest, state, state_reason FROM releases
     WHERE id IN (SELECT release_id FROM installs WHERE state = 'enabled'",
    " AND instance_id = $1",
    ")"
);

const HOOKS: [&str; 2] = both!(
    "SELECT h.* FROM hooks h
     JOIN installs l ON l.id = h.app_install_id
     LEFT JOIN installs e ON e.id = h.extension_install_id
     WHERE h.is_enabled AND l.state = 'enabled' AND COALESCE(e.state, 'enabled') = 'enabled'",
    " AND h.instance_id = $1",
    " ORDER BY h.app_install_id, h.point, h.position"
);

const RECORDINGS: [&str; 2] = both!(
    "SELECT id, install_id, calls_max, calls, skipped, ends_at, redact FROM recordings
     WHERE ended_at IS NULL",
    " AND instance_id = $1",
    " ORDER BY id"
);

/// The rows of one of two queries, by whether one instance is meant.
async fn rows(
    db: &mut Connection,
    [of_all, of_one]: [&'static str; 2],
    only: Option<InstanceId>,
) -> Result<Vec<Row>> {
    let query = match only {
        Some(instance) => sqlx::query(of_one).bind(instance.to_string()),
        None => sqlx::query(of_all),
    };
    Ok(query.fetch_all(db).await?)
}

/// All instances, or one.
pub(crate) async fn instances(
    db: &mut Connection,
    only: Option<InstanceId>,
) -> Result<Vec<InstanceRow>> {
    all(&rows(db, INSTANCES, only).await?, instance)
}

/// The enabled installs of all instances, or of one, those of yanked releases included.
pub(crate) async fn installs(
    db: &mut Connection,
    only: Option<InstanceId>,
) -> Result<Vec<InstallRow>> {
    all(&rows(db, INSTALLS, only).await?, install)
}

/// The releases that are enabled in all instances, or in one.
pub(crate) async fn releases(
    db: &mut Connection,
    only: Option<InstanceId>,
) -> Result<Vec<ReleaseRow>> {
    all(&rows(db, RELEASES, only).await?, |row| {
        Ok(ReleaseRow {
            id: parsed(row, "id")?,
            version: parsed(row, "version")?,
            component: parsed(row, "component_digest")?,
            manifest: json(row, "manifest")?,
            is_yanked: row.try_get::<&str, _>("state")? == "yanked",
            state_reason: row.try_get("state_reason")?,
        })
    })
}

/// The hooks that are called in all instances, or in one, those of yanked releases included; in the order of their
/// positions.
pub(crate) async fn hooks(db: &mut Connection, only: Option<InstanceId>) -> Result<Vec<HookRow>> {
    all(&rows(db, HOOKS, only).await?, hook)
}

/// The recordings that were not ended in all instances, or in one; the time of some may be over.
pub(crate) async fn recordings(
    db: &mut Connection,
    only: Option<InstanceId>,
) -> Result<Vec<RecordingRow>> {
    all(&rows(db, RECORDINGS, only).await?, |row| {
        let had = natural(row, "calls")? + natural(row, "skipped")?;
        let left = natural(row, "calls_max")?.saturating_sub(had);
        Ok(RecordingRow {
            id: parsed(row, "id")?,
            install: parsed(row, "install_id")?,
            calls_left: u32::try_from(left).unwrap_or(u32::MAX),
            ends_at: time(row, "ends_at")?,
            redact: json(row, "redact")?,
        })
    })
}

fn hook(row: &Row) -> Result<HookRow> {
    let extension = parsed_option(row, "extension_install_id")?;
    Ok(HookRow {
        id: parsed(row, "id")?,
        app_install: parsed(row, "app_install_id")?,
        point: parsed(row, "point")?,
        name: parsed(row, "name")?,
        target: match extension {
            Some(install) => HookTarget::Install(install),
            None => HookTarget::Webhook(Arc::new(webhook(row)?)),
        },
        mode: parsed(row, "mode")?,
        fields: fields_of(row)?,
    })
}

fn webhook(row: &Row) -> Result<Webhook> {
    let url: Option<String> = row.try_get("url")?;
    let keys = keys_of(row)?.into_iter().map(|key| {
        key.bytes()
            .ok_or_else(|| damaged("keys", "(not shown)", &"a key is not base64"))
    });
    Ok(Webhook {
        url: url.unwrap_or_default(),
        keys: keys.collect::<Result<_>>()?,
        payload_version: payload_version_of(row)?,
    })
}

fn instance(row: &Row) -> Result<InstanceRow> {
    let suspended = |column| -> Result<bool> { Ok(row.try_get::<&str, _>(column)? == "suspended") };
    Ok(InstanceRow {
        id: parsed(row, "id")?,
        slug: parsed(row, "slug")?,
        tenant: parsed(row, "tenant_id")?,
        tenant_slug: parsed(row, "tenant")?,
        plan: parsed_option(row, "plan_id")?,
        is_default: row.try_get("is_default")?,
        tenant_suspended: suspended("tenant_state")?,
        instance_suspended: suspended("state")?,
    })
}

fn install(row: &Row) -> Result<InstallRow> {
    Ok(InstallRow {
        id: parsed(row, "id")?,
        instance: parsed(row, "instance_id")?,
        app: parsed(row, "app")?,
        release: parsed(row, "release_id")?,
        mount: row.try_get("mount")?,
        config: json(row, "config")?,
        grants: json(row, "grants")?,
    })
}

#[cfg(test)]
mod tests {
    use sqlx::Row as _;

    use super::*;
    use crate::Store;

    #[tokio::test]
    async fn one_instance_is_read_without_reading_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("control.db"))
            .await
            .unwrap();
        let mut db = store.read().await.unwrap();
        for [_, of_one] in [INSTANCES, INSTALLS, RELEASES, RECORDINGS] {
            let explained = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {of_one}"));
            let query = sqlx::query(explained).bind(InstanceId::generate().to_string());
            for row in query.fetch_all(&mut *db).await.unwrap() {
                let step: String = row.try_get("detail").unwrap();
                assert!(!step.starts_with("SCAN"), "{step} in {of_one}");
            }
        }
    }
}
