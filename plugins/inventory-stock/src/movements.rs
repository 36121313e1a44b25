//! Movements: how stock came to be what it is. Written by every operation, never changed.

use cloudware_sdk::{
    clock::Timestamp,
    http::{Problem, Request, Response},
    params,
    sql::{self, ColumnError, FromRow, Row, Transaction},
};
use serde::Serialize;

use crate::{
    fields::Fields,
    filter::Conditions,
    operation::Stamp,
    paging::{Paging, row_id},
    rules::{self, Checked},
    sequence::Kind,
};

/// One change of stock, to be recorded.
pub struct Change<'a> {
    /// The item.
    pub sku: &'a str,
    /// The batch, if any.
    pub batch_id: Option<i64>,
    /// How much; more than zero.
    pub quantity: i64,
    /// Where it was taken from.
    pub from: Option<&'a str>,
    /// Where it was put to.
    pub to: Option<&'a str>,
}

impl Change<'_> {
    /// Writes the movement.
    pub fn record(&self, tx: &Transaction, stamp: &Stamp) -> Result<(), sql::Error> {
        tx.execute(
            "INSERT INTO stock_movements
               (reference, kind, sku, batch_id, quantity, from_location, to_location, actor, note, at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                &stamp.reference,
                stamp.kind.word(),
                self.sku,
                self.batch_id,
                self.quantity,
                self.from,
                self.to,
                &stamp.actor,
                stamp.note.as_ref(),
                stamp.at.milliseconds(),
            ],
        )?;
        Ok(())
    }
}

/// A movement as people see it.
#[derive(Serialize)]
pub struct Movement {
    id: i64,
    pub reference: String,
    pub kind: String,
    pub sku: String,
    pub batch: Option<String>,
    pub quantity: i64,
    pub from: Option<String>,
    pub to: Option<String>,
    pub actor: String,
    note: Option<String>,
    #[cfg(feature = "extension-points")]
    supplier: Option<String>,
    pub at: String,
}

impl FromRow for Movement {
    fn from_row(row: &Row) -> Result<Self, ColumnError> {
        Ok(Self {
            id: row.get("id")?,
            reference: row.get("reference")?,
            kind: row.get("kind")?,
            sku: row.get("sku")?,
            batch: row.get("batch")?,
            quantity: row.get("quantity")?,
            from: row.get("from_location")?,
            to: row.get("to_location")?,
            actor: row.get("actor")?,
            note: row.get("note")?,
            #[cfg(feature = "extension-points")]
            supplier: row.get("supplier")?,
            at: Timestamp::from_milliseconds(row.get("at")?).to_string(),
        })
    }
}

/// Which movements a list has.
#[derive(Default)]
pub struct Filter {
    /// Of this item.
    pub sku: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// Of this operation.
    pub reference: Option<String>,
    /// From or to this location.
    pub location: Option<String>,
    /// Older than the movement of this id.
    pub after: Option<i64>,
}

#[cfg(not(feature = "extension-points"))]
const SELECT: &str = "SELECT m.id, m.reference, m.kind, m.sku, b.number AS batch, m.quantity,
       m.from_location, m.to_location, m.actor, m.note, m.at
     FROM stock_movements m LEFT JOIN stock_batches b ON b.id = m.batch_id";

#[cfg(feature = "extension-points")]
const SELECT: &str = "SELECT m.id, m.reference, m.kind, m.sku, b.number AS batch, m.quantity,
       m.from_location, m.to_location, m.actor, m.note, m.at, r.supplier
     FROM stock_movements m LEFT JOIN stock_batches b ON b.id = m.batch_id
       LEFT JOIN stock_receipts r ON r.reference = m.reference";

/// The newest movements first.
pub fn select(filter: Filter, rows_max: i64) -> Result<Vec<Movement>, sql::Error> {
    let (statement, parameters) = Conditions::new("true")
        .and("m.sku = ?", filter.sku)
        .and("m.kind = ?", filter.kind)
        .and("m.reference = ?", filter.reference)
        .and(
            "(m.from_location = ? OR m.to_location = ?)",
            filter.location,
        )
        .and("m.id < ?", filter.after)
        .statement(SELECT, "ORDER BY m.id DESC LIMIT ?", rows_max);
    sql::query(&statement, &parameters)?.read()
}

/// `GET /movements?sku=&kind=&reference=&location=&limit=&after=`
pub fn list(request: Request) -> Result<Response, Problem> {
    let mut fields = Fields::of_query(&request);
    let filter = Filter {
        sku: fields.text_if_any("sku", rules::sku),
        kind: fields.text_if_any("kind", kind_word),
        reference: fields.text_if_any("reference", rules::sku),
        location: fields.text_if_any("location", rules::location_code),
        after: fields.number_if_any("after", row_id),
    };
    let paging = Paging::read(&mut fields);
    fields.finish()?;
    let movements = select(filter, paging.rows_asked())?;
    Ok(paging.respond("movements", movements, |movement| movement.id.to_string()))
}

fn kind_word(text: &str) -> Checked<String> {
    Kind::of_word(text)
        .map(|kind| kind.word().to_owned())
        .ok_or("must be receive, move, pick or adjust")
}
