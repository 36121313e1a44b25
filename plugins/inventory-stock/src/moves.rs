//! Moves: goods change their place.

use cloudware_sdk::{
    clock::Timestamp,
    http::{Problem, Request, Response},
    sql::Transaction,
};
use serde::Serialize;

use crate::{
    fields::Fields,
    items::{self, Need},
    levels::{self, Place, Source, Taken},
    locations, movements,
    operation::{Operation, Stamp},
    rules,
    sequence::Kind,
};

#[derive(Serialize)]
struct Move {
    sku: String,
    from: String,
    to: String,
    batch: Option<String>,
    quantity: i64,
    version: Option<i64>,
}

#[derive(Serialize)]
struct Answer<'a> {
    sku: &'a str,
    from: &'a str,
    to: &'a str,
    quantity: i64,
    moved: Vec<Part>,
}

/// What was moved of one batch.
#[derive(Serialize)]
struct Part {
    batch: Option<String>,
    expires_on: Option<String>,
    quantity: i64,
    /// The level that it went to.
    level: i64,
    /// What that level holds now.
    holds: i64,
    /// The version of that level now.
    version: i64,
}

/// `POST /moves` `{"sku", "from", "to", "quantity", "batch"?, "version"?, "actor"?, "note"?}`
pub fn create(request: Request) -> Result<Response, Problem> {
    let mut fields = Fields::of_body(&request)?;
    let operation = Operation::read(Kind::Move, &request, &mut fields);
    let input = Move {
        sku: fields.text("sku", rules::sku),
        from: fields.text("from", rules::location_code),
        to: fields.text("to", rules::location_code),
        batch: fields.text_if_any("batch", rules::batch_number),
        quantity: fields.number("quantity", rules::quantity),
        version: levels::expected_version(&request, &mut fields),
    };
    if !input.from.is_empty() && input.from == input.to {
        fields.refuse("to", "must be another location than from");
    }
    fields.finish()?;
    operation.run(&input, |tx, stamp| {
        items::require(tx, &input.sku, Need::Exists)?;
        locations::require(tx, &input.from, "from")?;
        locations::require(tx, &input.to, "to")?;
        let source = Source {
            sku: &input.sku,
            location: Some(&input.from),
            batch: input.batch.as_deref(),
            version: input.version,
        };
        let mut moved = Vec::new();
        for taken in levels::take(tx, &source, input.quantity)? {
            moved.push(put(tx, stamp, &input, taken)?);
        }
        Ok(Answer {
            sku: &input.sku,
            from: &input.from,
            to: &input.to,
            quantity: input.quantity,
            moved,
        })
    })
}

/// Puts what was taken to its new place; it keeps the age of its receipt.
fn put(tx: &Transaction, stamp: &Stamp, input: &Move, taken: Taken) -> Result<Part, Problem> {
    let place = Place {
        sku: &input.sku,
        location: &input.to,
        batch_id: taken.level.batch_id,
    };
    let received = Timestamp::from_milliseconds(taken.level.received_ms);
    let changed = levels::put(tx, &place, taken.quantity, received)?;
    movements::Change {
        sku: &input.sku,
        batch_id: taken.level.batch_id,
        quantity: taken.quantity,
        from: Some(&input.from),
        to: Some(&input.to),
    }
    .record(tx, stamp)?;
    Ok(Part {
        batch: taken.level.batch,
        expires_on: taken.level.expires_on,
        quantity: taken.quantity,
        level: changed.level,
        holds: changed.quantity,
        version: changed.version,
    })
}
