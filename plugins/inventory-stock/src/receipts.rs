//! Receipts: goods come in.

use cloudware_sdk::{
    clock::Date,
    http::{Problem, Request, Response},
    sql::Transaction,
};
use serde::Serialize;

use crate::{
    batches,
    fields::Fields,
    items::{self, Need},
    levels::{self, Changed, Place},
    locations, movements,
    operation::{Operation, Stamp},
    rules,
    sequence::Kind,
};

#[derive(Serialize)]
struct Receipt {
    sku: String,
    location: String,
    batch: Option<String>,
    expires_on: Option<String>,
    quantity: i64,
}

#[derive(Serialize)]
struct Answer<'a> {
    sku: &'a str,
    location: &'a str,
    batch: Option<&'a str>,
    expires_on: Option<&'a str>,
    received: i64,
    #[serde(flatten)]
    changed: Changed,
}

/// `POST /receipts` `{"sku", "location", "quantity", "batch"?, "expires_on"?, "actor"?, "note"?}`
pub fn create(request: Request) -> Result<Response, Problem> {
    let mut fields = Fields::of_body(&request)?;
    let operation = Operation::read(Kind::Receive, &request, &mut fields);
    let expires_on: Option<Date> = fields.text_if_any("expires_on", rules::date).flatten();
    let receipt = Receipt {
        sku: fields.text("sku", rules::sku),
        location: fields.text("location", rules::location_code),
        batch: fields.text_if_any("batch", rules::batch_number),
        expires_on: expires_on.map(|date| date.to_string()),
        quantity: fields.number("quantity", rules::quantity),
    };
    if receipt.expires_on.is_some() && receipt.batch.is_none() {
        fields.refuse("batch", "must be named where expires_on is given");
    }
    fields.finish()?;
    operation.run(&receipt, |tx, stamp| {
        let changed = receive(tx, stamp, &receipt, expires_on)?;
        Ok(Answer {
            sku: &receipt.sku,
            location: &receipt.location,
            batch: receipt.batch.as_deref(),
            expires_on: receipt.expires_on.as_deref(),
            received: receipt.quantity,
            changed,
        })
    })
}

fn receive(
    tx: &Transaction,
    stamp: &Stamp,
    receipt: &Receipt,
    expires_on: Option<Date>,
) -> Result<Changed, Problem> {
    items::require(tx, &receipt.sku, Need::Active)?;
    locations::require(tx, &receipt.location, "location")?;
    let batch_id = match &receipt.batch {
        Some(number) => Some(batches::find_or_create(
            tx,
            &receipt.sku,
            number,
            expires_on,
        )?),
        None => None,
    };
    let place = Place {
        sku: &receipt.sku,
        location: &receipt.location,
        batch_id,
    };
    let changed = levels::put(tx, &place, receipt.quantity, stamp.at)?;
    movements::Change {
        sku: &receipt.sku,
        batch_id,
        quantity: receipt.quantity,
        from: None,
        to: Some(&receipt.location),
    }
    .record(tx, stamp)?;
    Ok(changed)
}
