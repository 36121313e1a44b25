//! What is due, and what people look for.

use std::collections::VecDeque;

use cloudware_instance_db::Error;
use cloudware_types::{DeliveryId, DeliveryRecord, HookId};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{number, optional_number, parsed, time};
use crate::DeliveryFilter;

/// A delivery that is due, with what its hook is told.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) id: DeliveryId,
    pub(crate) hook: HookId,
    pub(crate) attempts: u32,
    pub(crate) called_ms: u64,
    pub(crate) app: String,
    pub(crate) point: String,
    pub(crate) interface: String,
    pub(crate) function: String,
    pub(crate) payload: String,
    pub(crate) items: u64,
    pub(crate) request_id: String,
}

/// Deliveries that are still to be tried.
pub(crate) fn open_count(sqlite: &Connection) -> Result<u64, Error> {
    let count = "SELECT count(*) FROM cw_delivery WHERE due_ms IS NOT NULL";
    Ok(sqlite
        .prepare_cached(count)?
        .query_row([], |row| number(row, 0))?)
}

/// What a hook is due and since when, the longest first.
pub(crate) fn due(
    sqlite: &Connection,
    hook: HookId,
    now_ms: u64,
    count_max: usize,
) -> Result<VecDeque<(u64, DeliveryId)>, Error> {
    let mut due = sqlite.prepare_cached(
        "SELECT due_ms, id FROM cw_delivery WHERE hook = ?1 AND due_ms <= ?2 ORDER BY due_ms LIMIT ?3",
    )?;
    let ids = due.query_map(
        params![hook.to_string(), time(now_ms), count_max as i64],
        |row| Ok((number(row, 0)?, parsed(row, 1)?)),
    )?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// When a hook is due something that it is not due yet.
pub(crate) fn next_due_ms(
    sqlite: &Connection,
    hook: HookId,
    now_ms: u64,
) -> Result<Option<u64>, Error> {
    let mut next = sqlite
        .prepare_cached("SELECT min(due_ms) FROM cw_delivery WHERE hook = ?1 AND due_ms > ?2")?;
    let parameters = params![hook.to_string(), time(now_ms)];
    Ok(next.query_row(parameters, |row| optional_number(row, 0))?)
}

/// A delivery with its call; `None` where it or its payload is gone.
pub(crate) fn claimed(sqlite: &Connection, id: DeliveryId) -> Result<Option<Claimed>, Error> {
    let mut statement = sqlite.prepare_cached(
        "SELECT hook, attempts, created_ms, app, point, interface, function, payload, items, request_id
         FROM cw_delivery JOIN cw_outbox ON cw_outbox.id = outbox
         WHERE cw_delivery.id = ?1 AND due_ms IS NOT NULL AND payload IS NOT NULL",
    )?;
    let found = statement.query_row([id.to_string()], |row| {
        Ok(Claimed {
            id,
            hook: parsed(row, 0)?,
            attempts: row.get(1)?,
            called_ms: number(row, 2)?,
            app: row.get(3)?,
            point: row.get(4)?,
            interface: row.get(5)?,
            function: row.get(6)?,
            payload: row.get(7)?,
            items: number(row, 8)?,
            request_id: row.get(9)?,
        })
    });
    Ok(found.optional()?)
}

const RECORD: &str =
    "SELECT cw_delivery.id, state, hook, hook_name, app, point, function, items, request_id,
        created_ms, changed_ms, due_ms, attempts, replays, reason
    FROM cw_delivery JOIN cw_outbox ON cw_outbox.id = outbox";

/// Deliveries that fit, the newest first.
pub(crate) fn list(
    sqlite: &Connection,
    filter: &DeliveryFilter,
) -> Result<Vec<DeliveryRecord>, Error> {
    let mut statement = sqlite.prepare_cached(&format!(
        "{RECORD} WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR hook = ?2 OR hook_name = ?2)
            AND (?3 IS NULL OR cw_delivery.id < ?3)
         ORDER BY cw_delivery.id DESC LIMIT ?4"
    ))?;
    let records = statement.query_map(
        params![
            filter.state.map(|state| state.name()),
            filter.hook,
            filter.before.map(|id| id.to_string()),
            filter.count_max.min(crate::limits::LIST_MAX),
        ],
        record,
    )?;
    Ok(records.collect::<Result<_, _>>()?)
}

/// One delivery, with its payload as long as that is kept.
pub(crate) fn find(
    sqlite: &Connection,
    id: DeliveryId,
) -> Result<Option<(DeliveryRecord, Option<String>)>, Error> {
    let with_payload = RECORD.replacen("reason", "reason, payload", 1);
    let mut statement =
        sqlite.prepare_cached(&format!("{with_payload} WHERE cw_delivery.id = ?1"))?;
    let found = statement.query_row([id.to_string()], |row| Ok((record(row)?, row.get(15)?)));
    Ok(found.optional()?)
}

fn record(row: &Row<'_>) -> rusqlite::Result<DeliveryRecord> {
    Ok(DeliveryRecord {
        id: parsed(row, 0)?,
        state: parsed(row, 1)?,
        hook: parsed(row, 2)?,
        hook_name: row.get(3)?,
        app: row.get(4)?,
        point: row.get(5)?,
        function: row.get(6)?,
        items: number(row, 7)?,
        request_id: row.get(8)?,
        created_ms: number(row, 9)?,
        changed_ms: number(row, 10)?,
        due_ms: optional_number(row, 11)?,
        attempts: row.get(12)?,
        replays: row.get(13)?,
        reason: row.get(14)?,
    })
}
