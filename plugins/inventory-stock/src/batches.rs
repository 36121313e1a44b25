//! Batches: what was made together and expires together.

use cloudware_sdk::{
    clock::Date,
    http::{Problem, Status},
    params,
    sql::Transaction,
};

use crate::fields::invalid_field;

/// The id of a batch of an item, which must exist.
pub fn find(tx: &Transaction, sku: &str, number: &str) -> Result<i64, Problem> {
    let row = tx.query_one(
        "SELECT id FROM stock_batches WHERE sku = ? AND number = ?",
        params![sku, number],
    )?;
    let row = row.ok_or_else(|| {
        invalid_field(
            "batch",
            format!("names no batch: {sku} has no batch {number}"),
        )
    })?;
    Ok(row.get("id")?)
}

/// The id of a batch of an item, which is created if it is new. A batch has one expiry date.
pub fn find_or_create(
    tx: &Transaction,
    sku: &str,
    number: &str,
    expires_on: Option<Date>,
) -> Result<i64, Problem> {
    let expires_on = expires_on.map(|date| date.to_string());
    let row = tx.query_one(
        "SELECT id, expires_on FROM stock_batches WHERE sku = ? AND number = ?",
        params![sku, number],
    )?;
    let Some(row) = row else {
        let inserted = tx.execute(
            "INSERT INTO stock_batches (sku, number, expires_on) VALUES (?, ?, ?)",
            params![sku, number, expires_on],
        )?;
        return Ok(inserted.last_insert_id);
    };
    let known: Option<String> = row.get("expires_on")?;
    match expires_on {
        Some(claimed) if known.as_deref() != Some(claimed.as_str()) => {
            let known = known.as_deref().unwrap_or("never");
            Err(Problem::new(Status::CONFLICT, "batch-expiry-differs").with_detail(format!(
                "the batch {number} of {sku} expires {known}, not {claimed}; use another batch number or leave expires_on out"
            )))
        }
        _ => Ok(row.get("id")?),
    }
}

/// When a batch expires; `None` where it has no date.
#[cfg(feature = "extension-points")]
pub fn expiry(
    tx: &Transaction,
    batch_id: i64,
) -> Result<Option<String>, cloudware_sdk::sql::Error> {
    let row = tx.query_one(
        "SELECT expires_on FROM stock_batches WHERE id = ?",
        params![batch_id],
    )?;
    let expires_on: Option<Option<String>> = row.map(|row| row.get("expires_on")).transpose()?;
    Ok(expires_on.flatten())
}
