//! The tables `cw_outbox` and `cw_delivery` of a private database. Every statement on them is here.

mod change;
mod find;

pub(crate) use change::{
    Ending, GivenUp, NewCall, NewDelivery, Settled, drop_hook, insert, replay_all, replay_one,
    settle, trim,
};
pub(crate) use find::{Claimed, claimed, due, find, list, next_due_ms, open_count};

use cloudware_instance_db::Error;
use rusqlite::types::Type;

/// A time as the tables keep it.
fn time(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// A number of a column that is never negative.
fn number(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

/// As [`number`], where there may be none.
fn optional_number(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    let number: Option<i64> = row.get(column)?;
    Ok(number.map(|number| u64::try_from(number).unwrap_or(0)))
}

/// A text of a column that must be one of ours.
fn parsed<T: std::str::FromStr>(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|_| {
        let unknown = format!("`{text}` is not what the platform writes there");
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, unknown.into())
    })
}

/// Runs a statement and gives how many rows it changed.
fn changed(
    sqlite: &rusqlite::Connection,
    statement: &str,
    parameters: impl rusqlite::Params,
) -> Result<u64, Error> {
    Ok(sqlite.prepare_cached(statement)?.execute(parameters)? as u64)
}
