//! Receipts: goods come in.

use cloudware_sdk::{
    clock::Date,
    http::{Problem, Request, Response},
    sql::Transaction,
};
use serde::Serialize;

#[cfg(feature = "extension-points")]
use crate::points;
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
    /// Left out where there is none, so that a retry of a request that an older release answered is
    /// still known.
    #[cfg(feature = "extension-points")]
    #[serde(skip_serializing_if = "Option::is_none")]
    supplier: Option<String>,
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

/// `POST /receipts` `{"sku", "location", "quantity", "batch"?, "expires_on"?, "actor"?, "note"?}`, and
/// `"supplier"?` with extension points.
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
        #[cfg(feature = "extension-points")]
        supplier: fields.text_if_any("supplier", rules::supplier),
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
    #[cfg(feature = "extension-points")]
    {
        ask(tx, stamp, receipt, batch_id)?;
        keep_supplier(tx, stamp, receipt)?;
    }
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

/// Asks whether the goods may come in.
#[cfg(feature = "extension-points")]
fn ask(
    tx: &Transaction,
    stamp: &Stamp,
    receipt: &Receipt,
    batch_id: Option<i64>,
) -> Result<(), Problem> {
    let expires_on = match batch_id {
        Some(id) => batches::expiry(tx, id)?,
        None => None,
    };
    let line = points::before_receive::Line {
        sku: receipt.sku.clone(),
        location: receipt.location.clone(),
        batch: receipt.batch.clone(),
        expires_on,
        quantity: receipt.quantity.unsigned_abs(),
    };
    points::before_receive::check(stamp, receipt.supplier.as_deref(), vec![line])
}

#[cfg(feature = "extension-points")]
fn keep_supplier(tx: &Transaction, stamp: &Stamp, receipt: &Receipt) -> Result<(), Problem> {
    if let Some(supplier) = &receipt.supplier {
        tx.execute(
            "INSERT INTO stock_receipts (reference, supplier) VALUES (?, ?)",
            cloudware_sdk::params![&stamp.reference, supplier],
        )?;
    }
    Ok(())
}
