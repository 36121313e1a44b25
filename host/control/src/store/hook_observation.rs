//! Rows of what the data plane has seen of hooks.

use std::collections::HashMap;

use cloudware_types::{AppId, BreakerState, HookId, InstallId, InstanceId};
use sqlx::Row as _;

use super::{Connection, Result, Row, all, integer, json, natural, parsed, time, time_option};
use crate::{
    PageRequest, Timestamp,
    hook::{AppHook, Difference, Observation, Observed, StateChange},
    limits::DIFFERENCES_PER_HOOK_MAX,
};

/// Adds to what is known of a hook; false if there is no such hook.
pub(crate) async fn add(db: &mut Connection, observation: &Observation) -> Result<bool> {
    let last = observation.last_failure.as_ref();
    let done = sqlx::query(
        "INSERT INTO hook_observations
           (hook_id, state, changed_at, failures_of_last, failures, last_failure_at, last_failure,
            compared, different)
         SELECT id, 'active', created_at, 0, $2, $3, $4, $5, $6 FROM hooks WHERE id = $1
         ON CONFLICT (hook_id) DO UPDATE SET
           failures = hook_observations.failures + excluded.failures,
           last_failure_at = COALESCE(excluded.last_failure_at, hook_observations.last_failure_at),
           last_failure = COALESCE(excluded.last_failure, hook_observations.last_failure),
           compared = hook_observations.compared + excluded.compared,
           different = hook_observations.different + excluded.different",
    )
    .bind(observation.hook.to_string())
    .bind(integer(observation.failures))
    .bind(last.map(|(at, _)| at.millis()))
    .bind(last.map(|(_, reason)| reason))
    .bind(integer(observation.compared))
    .bind(integer(observation.different))
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Adds a difference of a hook that there is.
pub(crate) async fn add_difference(
    db: &mut Connection,
    hook: HookId,
    difference: &Difference,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO hook_differences (hook_id, at, call, arguments, expected, got)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(hook.to_string())
    .bind(difference.at.millis())
    .bind(&difference.call)
    .bind(difference.arguments.to_string())
    .bind(difference.expected.to_string())
    .bind(difference.got.to_string())
    .execute(db)
    .await?;
    Ok(())
}

/// Deletes the oldest differences of a hook, so that not too many are left.
pub(crate) async fn trim(db: &mut Connection, hook: HookId) -> Result<()> {
    sqlx::query(
        "DELETE FROM hook_differences WHERE hook_id = $1 AND sequence <=
           (SELECT sequence FROM hook_differences WHERE hook_id = $1
            ORDER BY sequence DESC LIMIT 1 OFFSET $2)",
    )
    .bind(hook.to_string())
    .bind(integer(DIFFERENCES_PER_HOOK_MAX as u64))
    .execute(db)
    .await?;
    Ok(())
}

/// Notes that a hook's state changed, unless it began anew since.
pub(crate) async fn change(db: &mut Connection, change: &StateChange) -> Result<()> {
    sqlx::query(
        "INSERT INTO hook_observations
           (hook_id, state, changed_at, failures_of_last, failures, compared, different)
         SELECT id, $2, $3, $4, 0, 0, 0 FROM hooks WHERE id = $1
         ON CONFLICT (hook_id) DO UPDATE SET state = $2, changed_at = $3, failures_of_last = $4
         WHERE hook_observations.changed_at <= $3",
    )
    .bind(change.hook.to_string())
    .bind(change.state.name())
    .bind(change.at.millis())
    .bind(integer(change.failures))
    .execute(db)
    .await?;
    Ok(())
}

/// Begins anew with a hook that is enabled again or calls something else.
pub(crate) async fn reset(db: &mut Connection, hook: HookId) -> Result<()> {
    sqlx::query(
        "UPDATE hook_observations SET state = 'active', changed_at = $2, failures_of_last = 0, failures = 0,
           last_failure_at = NULL, last_failure = NULL
         WHERE hook_id = $1",
    )
    .bind(hook.to_string())
    .bind(Timestamp::now().millis())
    .execute(db)
    .await?;
    Ok(())
}

/// Begins anew with the hooks that call an install, whose release or configuration changes. What the data plane tells
/// of the time before does not count any more.
pub(crate) async fn reset_of_extension(db: &mut Connection, install: InstallId) -> Result<()> {
    let install = install.to_string();
    sqlx::query(
        "DELETE FROM hook_differences WHERE hook_id IN
           (SELECT id FROM hooks WHERE extension_install_id = $1)",
    )
    .bind(&install)
    .execute(&mut *db)
    .await?;
    sqlx::query(
        "INSERT INTO hook_observations
           (hook_id, state, changed_at, failures_of_last, failures, compared, different)
         SELECT id, 'active', $2, 0, 0, 0, 0 FROM hooks WHERE extension_install_id = $1
         ON CONFLICT (hook_id) DO UPDATE SET
           state = 'active', changed_at = $2, failures_of_last = 0, failures = 0,
           last_failure_at = NULL, last_failure = NULL, compared = 0, different = 0",
    )
    .bind(install)
    .bind(Timestamp::now().millis())
    .execute(db)
    .await?;
    Ok(())
}

/// Forgets how a hook compared: it practises anew.
pub(crate) async fn reset_comparison(db: &mut Connection, hook: HookId) -> Result<()> {
    let hook = hook.to_string();
    sqlx::query("DELETE FROM hook_differences WHERE hook_id = $1")
        .bind(&hook)
        .execute(&mut *db)
        .await?;
    sqlx::query("UPDATE hook_observations SET compared = 0, different = 0 WHERE hook_id = $1")
        .bind(hook)
        .execute(db)
        .await?;
    Ok(())
}

/// What was seen of the hooks of an instance.
pub(crate) async fn of_instance(
    db: &mut Connection,
    instance: InstanceId,
) -> Result<HashMap<HookId, Observed>> {
    let rows = sqlx::query(
        "SELECT o.* FROM hook_observations o JOIN hooks h ON h.id = o.hook_id
         WHERE h.instance_id = $1",
    )
    .bind(instance.to_string())
    .fetch_all(db)
    .await?;
    let row = |row: &Row| Ok((parsed(row, "hook_id")?, observed(row)?));
    Ok(all(&rows, row)?.into_iter().collect())
}

/// The hooks that call an app, wherever it is installed, with what was seen of them; in order of their ids.
pub(crate) async fn of_app(
    db: &mut Connection,
    app: AppId,
    page: &PageRequest,
) -> Result<Vec<AppHook>> {
    let rows = sqlx::query(
        "SELECT h.id, h.extension_install_id, h.point, h.is_enabled, h.mode, r.version, a.slug AS app, o.*
         FROM hooks h
         JOIN installs e ON e.id = h.extension_install_id
         JOIN releases r ON r.id = e.release_id
         JOIN installs l ON l.id = h.app_install_id
         JOIN apps a ON a.id = l.app_id
         LEFT JOIN hook_observations o ON o.hook_id = h.id
         WHERE e.app_id = $1 AND h.id > $2 ORDER BY h.id LIMIT $3",
    )
    .bind(app.to_string())
    .bind(page.after())
    .bind(page.rows())
    .fetch_all(db)
    .await?;
    all(&rows, |row| {
        let seen: Option<String> = row.try_get("state")?;
        Ok(AppHook {
            id: parsed(row, "id")?,
            install: parsed(row, "extension_install_id")?,
            version: parsed(row, "version")?,
            app: parsed(row, "app")?,
            point: parsed(row, "point")?,
            is_enabled: row.try_get("is_enabled")?,
            mode: parsed(row, "mode")?,
            observed: match seen {
                Some(_) => observed(row)?,
                None => Observed::default(),
            },
        })
    })
}

/// What was seen of a hook.
pub(crate) async fn get(db: &mut Connection, hook: HookId) -> Result<Observed> {
    let row = sqlx::query("SELECT * FROM hook_observations WHERE hook_id = $1")
        .bind(hook.to_string())
        .fetch_optional(db)
        .await?;
    Ok(row.as_ref().map(observed).transpose()?.unwrap_or_default())
}

/// The differences of a hook that are kept, the newest first.
pub(crate) async fn differences(db: &mut Connection, hook: HookId) -> Result<Vec<Difference>> {
    let rows =
        sqlx::query("SELECT * FROM hook_differences WHERE hook_id = $1 ORDER BY sequence DESC")
            .bind(hook.to_string())
            .fetch_all(db)
            .await?;
    all(&rows, |row| {
        Ok(Difference {
            at: time(row, "at")?,
            call: row.try_get("call")?,
            arguments: json(row, "arguments")?,
            expected: json(row, "expected")?,
            got: json(row, "got")?,
        })
    })
}

fn observed(row: &Row) -> Result<Observed> {
    let state: BreakerState = parsed(row, "state")?;
    let failed_at = time_option(row, "last_failure_at")?;
    let reason: Option<String> = row.try_get("last_failure")?;
    Ok(Observed {
        state,
        changed_at: Some(time(row, "changed_at")?),
        failures_of_last: natural(row, "failures_of_last")?,
        failures: natural(row, "failures")?,
        last_failure: failed_at.zip(reason),
        compared: natural(row, "compared")?,
        different: natural(row, "different")?,
    })
}
