//! Rows of hooks. Positions on a point count from 1 without gaps, which the functions here keep.

use std::collections::HashMap;

use cloudware_packages::PointShape;
use cloudware_types::{HookId, InstallId, InstanceId, Slug};
use sqlx::Row as _;

use super::{
    Connection, Result, Row, StoreError, all, damaged, integer, json, natural, natural_option,
    parsed, parsed_option, time, to_json,
};
use crate::{
    Hook,
    hook::{HookFields, SigningKey, Target, Webhook},
};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT h.*, i.slug AS instance, i.tenant_id, t.slug AS tenant, a.slug AS app
             FROM hooks h
             JOIN instances i ON i.id = h.instance_id
             JOIN tenants t ON t.id = i.tenant_id
             JOIN installs l ON l.id = h.app_install_id
             JOIN apps a ON a.id = l.app_id ",
            $rest
        )
    };
}

/// What is kept of a webhook and shown to nobody.
pub(crate) struct WebhookParts<'a> {
    /// The newest first.
    pub keys: &'a [SigningKey],
    /// What its endpoint understands.
    pub written_for: &'a PointShape,
}

/// Adds a hook at its position, which must be the end of its point's. A webhook has further parts.
pub(crate) async fn insert(
    db: &mut Connection,
    hook: &Hook,
    parts: Option<WebhookParts<'_>>,
) -> Result<()> {
    let webhook = match &hook.target {
        Target::Webhook(webhook) => Some(webhook),
        Target::Extension(_) => None,
    };
    sqlx::query(
        "INSERT INTO hooks
           (id, instance_id, app_install_id, point, name, position, extension_install_id, url,
            payload_version, keys, written_for, is_enabled, mode, on_failure, deadline_ms, fuel,
            fuel_per_item, memory, created_at, revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
            $20)",
    )
    .bind(hook.id.to_string())
    .bind(hook.instance_id.to_string())
    .bind(hook.app_install.to_string())
    .bind(hook.point.as_str())
    .bind(hook.name.as_str())
    .bind(i64::from(hook.position))
    .bind(hook.extension().map(|id| id.to_string()))
    .bind(webhook.map(|webhook| &webhook.url))
    .bind(webhook.map(|webhook| i64::from(webhook.payload_version)))
    .bind(parts.as_ref().map(|parts| to_json(&parts.keys)))
    .bind(parts.as_ref().map(|parts| to_json(parts.written_for)))
    .bind(hook.is_enabled)
    .bind(hook.mode.name())
    .bind(hook.fields.on_failure.map(|policy| policy.name()))
    .bind(hook.fields.deadline_ms.map(integer))
    .bind(hook.fields.fuel.map(integer))
    .bind(hook.fields.fuel_per_item.map(integer))
    .bind(hook.fields.memory.map(integer))
    .bind(hook.created_at.millis())
    .bind(integer(hook.revision))
    .execute(db)
    .await?;
    Ok(())
}

/// Writes everything that may change but the keys. Others on the point make room for a new position before
/// ([`shift`]).
pub(crate) async fn update(db: &mut Connection, hook: &Hook) -> Result<()> {
    let webhook = match &hook.target {
        Target::Webhook(webhook) => Some(webhook),
        Target::Extension(_) => None,
    };
    sqlx::query(
        "UPDATE hooks SET position = $2, url = $3, payload_version = $4, is_enabled = $5, mode = $6,
           on_failure = $7, deadline_ms = $8, fuel = $9, fuel_per_item = $10, memory = $11, revision = $12
         WHERE id = $1",
    )
    .bind(hook.id.to_string())
    .bind(i64::from(hook.position))
    .bind(webhook.map(|webhook| &webhook.url))
    .bind(webhook.map(|webhook| i64::from(webhook.payload_version)))
    .bind(hook.is_enabled)
    .bind(hook.mode.name())
    .bind(hook.fields.on_failure.map(|policy| policy.name()))
    .bind(hook.fields.deadline_ms.map(integer))
    .bind(hook.fields.fuel.map(integer))
    .bind(hook.fields.fuel_per_item.map(integer))
    .bind(hook.fields.memory.map(integer))
    .bind(integer(hook.revision))
    .execute(db)
    .await?;
    Ok(())
}

/// Removes a hook; those behind it on its point move up.
pub(crate) async fn delete(db: &mut Connection, hook: &Hook) -> Result<()> {
    sqlx::query("DELETE FROM hooks WHERE id = $1")
        .bind(hook.id.to_string())
        .execute(&mut *db)
        .await?;
    shift(db, hook, (hook.position + 1, u32::MAX), -1).await
}

/// Moves the hooks of a point that are at some positions, both ends included. What they answer changes, and so
/// does their revision.
pub(crate) async fn shift(
    db: &mut Connection,
    hook: &Hook,
    (first, last): (u32, u32),
    by: i64,
) -> Result<()> {
    sqlx::query(
        "UPDATE hooks SET position = position + $5, revision = revision + 1
         WHERE app_install_id = $1 AND point = $2 AND position >= $3 AND position <= $4",
    )
    .bind(hook.app_install.to_string())
    .bind(hook.point.as_str())
    .bind(i64::from(first))
    .bind(i64::from(last))
    .bind(by)
    .execute(db)
    .await?;
    Ok(())
}

/// Replaces the keys of a webhook.
pub(crate) async fn set_keys(db: &mut Connection, id: HookId, keys: &[SigningKey]) -> Result<()> {
    sqlx::query("UPDATE hooks SET keys = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(to_json(&keys))
        .execute(db)
        .await?;
    Ok(())
}

/// Notes that the endpoint of a webhook understands the point as it is now.
pub(crate) async fn set_written_for(
    db: &mut Connection,
    id: HookId,
    point: &PointShape,
) -> Result<()> {
    sqlx::query("UPDATE hooks SET written_for = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(to_json(point))
        .execute(db)
        .await?;
    Ok(())
}

/// What the endpoints of an instance's webhooks understand.
pub(crate) async fn written_for(
    db: &mut Connection,
    instance: InstanceId,
) -> Result<HashMap<HookId, PointShape>> {
    let rows = sqlx::query(
        "SELECT id, written_for FROM hooks WHERE instance_id = $1 AND written_for IS NOT NULL",
    )
    .bind(instance.to_string())
    .fetch_all(db)
    .await?;
    let row = |row: &Row| Ok((parsed(row, "id")?, json(row, "written_for")?));
    Ok(all(&rows, row)?.into_iter().collect())
}

/// The keys of a webhook, the newest first; none for an extension.
pub(crate) async fn keys(db: &mut Connection, id: HookId) -> Result<Vec<SigningKey>> {
    let row = sqlx::query("SELECT keys FROM hooks WHERE id = $1")
        .bind(id.to_string())
        .fetch_one(db)
        .await?;
    keys_of(&row)
}

/// By id or `app.point.name`, within an instance.
pub(crate) async fn find(
    db: &mut Connection,
    instance: InstanceId,
    name: &str,
) -> Result<Option<Hook>> {
    let row = sqlx::query(select!(
        "WHERE h.instance_id = $1
           AND (h.id = $2 OR a.slug || '.' || h.point || '.' || h.name = $2)"
    ))
    .bind(instance.to_string())
    .bind(name)
    .fetch_optional(db)
    .await?;
    row.as_ref().map(hook).transpose()
}

/// By id, wherever it is.
pub(crate) async fn get(db: &mut Connection, id: HookId) -> Result<Option<Hook>> {
    let row = sqlx::query(select!("WHERE h.id = $1"))
        .bind(id.to_string())
        .fetch_optional(db)
        .await?;
    row.as_ref().map(hook).transpose()
}

/// All of an instance's, in order of apps, points and positions; their number is bounded when they are added.
pub(crate) async fn of_instance(db: &mut Connection, instance: InstanceId) -> Result<Vec<Hook>> {
    let rows = sqlx::query(select!(
        "WHERE h.instance_id = $1 ORDER BY a.slug, h.point, h.position"
    ))
    .bind(instance.to_string())
    .fetch_all(db)
    .await?;
    all(&rows, hook)
}

/// How many hooks are on a point.
pub(crate) async fn count_on(db: &mut Connection, app: InstallId, point: &Slug) -> Result<u32> {
    let row =
        sqlx::query("SELECT COUNT(*) AS n FROM hooks WHERE app_install_id = $1 AND point = $2")
            .bind(app.to_string())
            .bind(point.as_str())
            .fetch_one(db)
            .await?;
    Ok(u32::try_from(natural(&row, "n")?).unwrap_or(u32::MAX))
}

/// How many hooks an instance has.
pub(crate) async fn count(db: &mut Connection, instance: InstanceId) -> Result<u64> {
    let row = sqlx::query("SELECT COUNT(*) AS n FROM hooks WHERE instance_id = $1")
        .bind(instance.to_string())
        .fetch_one(db)
        .await?;
    natural(&row, "n")
}

/// The keys in a row. What is damaged is not quoted: it is a part of a secret.
pub(super) fn keys_of(row: &Row) -> Result<Vec<SigningKey>> {
    let text: Option<&str> = row.try_get("keys")?;
    let text = text.unwrap_or("[]");
    serde_json::from_str(text).map_err(|_| -> StoreError {
        damaged("keys", "(not shown)", &"these are no keys of a webhook")
    })
}

/// What was chosen for the hook of a row.
pub(super) fn fields_of(row: &Row) -> Result<HookFields> {
    Ok(HookFields {
        on_failure: parsed_option(row, "on_failure")?,
        deadline_ms: natural_option(row, "deadline_ms")?,
        fuel: natural_option(row, "fuel")?,
        fuel_per_item: natural_option(row, "fuel_per_item")?,
        memory: natural_option(row, "memory")?,
    })
}

/// Version of the payload in a row of a webhook.
pub(super) fn payload_version_of(row: &Row) -> Result<u32> {
    let version = natural_option(row, "payload_version")?.unwrap_or_default();
    Ok(u32::try_from(version).unwrap_or(u32::MAX))
}

fn hook(row: &Row) -> Result<Hook> {
    let url: Option<String> = row.try_get("url")?;
    let extension: Option<InstallId> = parsed_option(row, "extension_install_id")?;
    let target = match (extension, url) {
        (Some(install), _) => Target::Extension(install),
        (None, url) => Target::Webhook(Webhook {
            url: url.unwrap_or_default(),
            payload_version: payload_version_of(row)?,
            keys: keys_of(row)?.iter().map(SigningKey::created_at).collect(),
        }),
    };
    Ok(Hook {
        id: parsed(row, "id")?,
        instance_id: parsed(row, "instance_id")?,
        instance: parsed(row, "instance")?,
        tenant_id: parsed(row, "tenant_id")?,
        tenant: parsed(row, "tenant")?,
        app_install: parsed(row, "app_install_id")?,
        app: parsed(row, "app")?,
        point: parsed(row, "point")?,
        name: parsed(row, "name")?,
        position: u32::try_from(natural(row, "position")?).unwrap_or(u32::MAX),
        target,
        is_enabled: row.try_get("is_enabled")?,
        mode: parsed(row, "mode")?,
        fields: fields_of(row)?,
        created_at: time(row, "created_at")?,
        revision: natural(row, "revision")?,
    })
}
