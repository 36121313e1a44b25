//! Tells what was booked. The platform keeps it together with the booking, and hands it on after the commit.

use cloudware_sdk::{
    params,
    sql::{self, ColumnError, FromRow, Row, Transaction},
};

use crate::{
    bindings::inventory::stock::after_stock_moved::{self as point, Movement},
    operation::Stamp,
    sequence::Kind,
};

/// Tells the movements of an operation, read as they were written; nothing where it made none.
pub fn tell(tx: &Transaction, stamp: &Stamp) -> Result<(), sql::Error> {
    let movements: Vec<Movement> = tx
        .query(
            "SELECT m.id, m.sku, b.number AS batch, b.expires_on, m.quantity, m.from_location, m.to_location
             FROM stock_movements m LEFT JOIN stock_batches b ON b.id = m.batch_id
             WHERE m.reference = ? ORDER BY m.id",
            params![&stamp.reference],
        )?
        .read()?;
    if movements.is_empty() {
        return Ok(());
    }
    point::stock_moved(&point::Operation {
        reference: stamp.reference.clone(),
        kind: stamp.kind.into(),
        at: stamp.at.to_string(),
        actor: stamp.actor.clone(),
        note: stamp.note.clone(),
        supplier: supplier(tx, stamp)?,
        movements,
    });
    Ok(())
}

fn supplier(tx: &Transaction, stamp: &Stamp) -> Result<Option<String>, sql::Error> {
    let row = tx.query_one(
        "SELECT supplier FROM stock_receipts WHERE reference = ?",
        params![&stamp.reference],
    )?;
    Ok(row.map(|row| row.get("supplier")).transpose()?)
}

impl FromRow for Movement {
    fn from_row(row: &Row) -> Result<Self, ColumnError> {
        Ok(Self {
            id: row.get::<i64>("id")?.unsigned_abs(),
            sku: row.get("sku")?,
            batch: row.get("batch")?,
            expires_on: row.get("expires_on")?,
            quantity: row.get::<i64>("quantity")?.unsigned_abs(),
            from_location: row.get("from_location")?,
            to_location: row.get("to_location")?,
        })
    }
}

impl From<Kind> for point::Kind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Receive => Self::Receive,
            Kind::Move => Self::Move,
            Kind::Pick => Self::Pick,
            Kind::Adjust => Self::Adjust,
        }
    }
}
