//! Changes: a call, what came of attempts, replays, and what is not kept any longer.

use std::time::Duration;

use cloudware_instance_db::Error;
use cloudware_types::{DeliveryId, DeliveryState, HookId};
use rusqlite::{Connection, Row, params};

use super::{changed, parsed, time};
use crate::{
    HookPlace,
    clock::millis,
    limits::{DEAD_KEPT, DEAD_PER_INSTANCE_MAX, ENDED_KEPT, ENDED_PER_INSTANCE_MAX, UNSERVED_KEPT},
};

/// A call as it is written.
pub(crate) struct NewCall {
    pub(crate) app: String,
    pub(crate) point: String,
    pub(crate) interface: String,
    pub(crate) function: String,
    pub(crate) payload: String,
    pub(crate) items: u64,
    pub(crate) request_id: String,
    pub(crate) deliveries: Vec<NewDelivery>,
}

/// What one hook is owed.
pub(crate) struct NewDelivery {
    pub(crate) id: DeliveryId,
    pub(crate) hook: HookId,
    pub(crate) hook_name: String,
}

/// What came of an attempt.
#[derive(Clone, Debug)]
pub(crate) struct Settled {
    pub(crate) id: DeliveryId,
    /// Which attempt it was.
    pub(crate) attempt: u32,
    pub(crate) ending: Ending,
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub(crate) enum Ending {
    Delivered,
    Retry { due_ms: u64, reason: String },
    Dead { reason: String },
    Dropped { reason: String },
}

/// A delivery that was given up.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct GivenUp {
    pub(crate) delivery: DeliveryId,
    pub(crate) hook: HookPlace,
    pub(crate) reason: String,
}

/// Writes a call with a delivery for each of its hooks, all due now.
pub(crate) fn insert(sqlite: &Connection, call: &NewCall, now_ms: u64) -> Result<(), Error> {
    sqlite
        .prepare_cached(
            "INSERT INTO cw_outbox (app, point, interface, function, payload, items, request_id, created_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            call.app,
            call.point,
            call.interface,
            call.function,
            call.payload,
            time(call.items),
            call.request_id,
            time(now_ms),
        ])?;
    let outbox = sqlite.last_insert_rowid();
    let mut statement = sqlite.prepare_cached(
        "INSERT INTO cw_delivery (id, outbox, hook, hook_name, state, attempts, replays, due_ms, changed_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, ?6, ?6)",
    )?;
    for delivery in &call.deliveries {
        statement.execute(params![
            delivery.id.to_string(),
            outbox,
            delivery.hook.to_string(),
            delivery.hook_name,
            DeliveryState::Pending.name(),
            time(now_ms),
        ])?;
    }
    Ok(())
}

/// Notes what came of an attempt. False where the delivery was given up in the meantime.
pub(crate) fn settle(sqlite: &Connection, settled: &Settled, now_ms: u64) -> Result<bool, Error> {
    let (state, due_ms, reason) = match &settled.ending {
        Ending::Delivered => (DeliveryState::Delivered, None, None),
        Ending::Retry { due_ms, reason } => {
            (DeliveryState::Retrying, Some(time(*due_ms)), Some(reason))
        }
        Ending::Dead { reason } => (DeliveryState::Dead, None, Some(reason)),
        Ending::Dropped { reason } => (DeliveryState::Dropped, None, Some(reason)),
    };
    let is_open = changed(
        sqlite,
        "UPDATE cw_delivery SET state = ?2, attempts = ?3, due_ms = ?4, changed_ms = ?5, reason = ?6
         WHERE id = ?1 AND due_ms IS NOT NULL",
        params![
            settled.id.to_string(),
            state.name(),
            settled.attempt,
            due_ms,
            time(now_ms),
            reason,
        ],
    )?;
    if matches!(state, DeliveryState::Delivered | DeliveryState::Dropped) {
        changed(
            sqlite,
            "UPDATE cw_outbox SET payload = NULL
             WHERE id = (SELECT outbox FROM cw_delivery WHERE id = ?1) AND NOT EXISTS (
                SELECT 1 FROM cw_delivery WHERE outbox = cw_outbox.id AND (due_ms IS NOT NULL OR state = 'dead'))",
            [settled.id.to_string()],
        )?;
    }
    Ok(is_open > 0)
}

/// Wants a dead delivery to be tried again. False where it is not dead.
pub(crate) fn replay_one(sqlite: &Connection, id: DeliveryId, now_ms: u64) -> Result<bool, Error> {
    let replayed = changed(
        sqlite,
        "UPDATE cw_delivery
         SET state = 'replayed', attempts = 0, replays = replays + 1, due_ms = ?2, changed_ms = ?2
         WHERE id = ?1 AND state = 'dead'",
        params![id.to_string(), time(now_ms)],
    )?;
    Ok(replayed > 0)
}

/// Wants all dead deliveries, or those of one hook by id or name, to be tried again. Gives how many.
pub(crate) fn replay_all(
    sqlite: &Connection,
    hook: Option<&str>,
    now_ms: u64,
) -> Result<u64, Error> {
    changed(
        sqlite,
        "UPDATE cw_delivery
         SET state = 'replayed', attempts = 0, replays = replays + 1, due_ms = ?2, changed_ms = ?2
         WHERE state = 'dead' AND (?1 IS NULL OR hook = ?1 OR hook_name = ?1)",
        params![hook, time(now_ms)],
    )
}

/// Gives up what a hook has not been told yet. Gives how many deliveries that were.
pub(crate) fn drop_hook(
    sqlite: &Connection,
    hook: HookId,
    reason: &str,
    now_ms: u64,
) -> Result<u64, Error> {
    let dropped = changed(
        sqlite,
        "UPDATE cw_delivery SET state = 'dropped', due_ms = NULL, changed_ms = ?2, reason = ?3
         WHERE hook = ?1 AND due_ms IS NOT NULL",
        params![hook.to_string(), time(now_ms), reason],
    )?;
    if dropped > 0 {
        forget_payloads(sqlite)?;
    }
    Ok(dropped)
}

/// Removes what need not be kept any longer. Gives what was given up by it that hooks were never told.
pub(crate) fn trim(sqlite: &Connection, now_ms: u64) -> Result<Vec<GivenUp>, Error> {
    let before = |kept| time(now_ms.saturating_sub(millis(kept)));
    let mut given_up = Vec::new();
    let mut remove = |which: &str, age, count_max: u64, reason: Option<String>| {
        let mut statement = sqlite.prepare_cached(&format!(
            "DELETE FROM cw_delivery WHERE {which}
             RETURNING id, hook, hook_name, (SELECT app FROM cw_outbox WHERE cw_outbox.id = outbox),
                (SELECT point FROM cw_outbox WHERE cw_outbox.id = outbox)"
        ))?;
        let removed = statement.query_map(params![before(age), time(count_max)], removed)?;
        for removed in removed {
            let (delivery, hook) = removed?;
            given_up.extend(reason.clone().map(|reason| GivenUp {
                delivery,
                hook,
                reason,
            }));
        }
        Ok::<_, Error>(())
    };
    remove(
        "due_ms < ?1 AND ?2 >= 0",
        UNSERVED_KEPT,
        0,
        Some(format!(
            "the hook was not served for {} days",
            days(UNSERVED_KEPT)
        )),
    )?;
    remove(
        "id IN (
            SELECT id FROM cw_delivery WHERE due_ms IS NULL AND state = 'dead' AND changed_ms < ?1
            UNION ALL
            SELECT id FROM (SELECT id FROM cw_delivery WHERE due_ms IS NULL AND state = 'dead'
                ORDER BY changed_ms DESC LIMIT -1 OFFSET ?2))",
        DEAD_KEPT,
        DEAD_PER_INSTANCE_MAX,
        Some(format!(
            "dead letters are kept for {} days, and the newest {DEAD_PER_INSTANCE_MAX} of an instance",
            days(DEAD_KEPT)
        )),
    )?;
    remove(
        "id IN (
            SELECT id FROM cw_delivery
                WHERE due_ms IS NULL AND state IN ('delivered', 'dropped') AND changed_ms < ?1
            UNION ALL
            SELECT id FROM (SELECT id FROM cw_delivery WHERE due_ms IS NULL AND state IN ('delivered', 'dropped')
                ORDER BY changed_ms DESC LIMIT -1 OFFSET ?2))",
        ENDED_KEPT,
        ENDED_PER_INSTANCE_MAX,
        None,
    )?;
    changed(
        sqlite,
        "DELETE FROM cw_outbox WHERE NOT EXISTS (SELECT 1 FROM cw_delivery WHERE outbox = cw_outbox.id)",
        [],
    )?;
    forget_payloads(sqlite)?;
    Ok(given_up)
}

/// Forgets payloads that no delivery can need any more.
fn forget_payloads(sqlite: &Connection) -> Result<(), Error> {
    changed(
        sqlite,
        "UPDATE cw_outbox SET payload = NULL WHERE payload IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM cw_delivery WHERE outbox = cw_outbox.id AND (due_ms IS NOT NULL OR state = 'dead'))",
        [],
    )
    .map(drop)
}

fn days(duration: Duration) -> u64 {
    duration.as_secs() / 86_400
}

fn removed(row: &Row<'_>) -> rusqlite::Result<(DeliveryId, HookPlace)> {
    let hook = HookPlace {
        id: parsed(row, 1)?,
        name: row.get(2)?,
        app: row.get(3)?,
        point: row.get(4)?,
    };
    Ok((parsed(row, 0)?, hook))
}
