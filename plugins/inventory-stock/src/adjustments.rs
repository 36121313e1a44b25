//! Adjustments: a count found another quantity than the level says.

use cloudware_sdk::{
    http::{Problem, Request, Response},
    params,
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
struct Adjustment {
    sku: String,
    location: String,
    batch: Option<String>,
    counted: i64,
    version: Option<i64>,
}

#[derive(Serialize)]
struct Answer<'a> {
    sku: &'a str,
    location: &'a str,
    batch: Option<&'a str>,
    /// Counted minus what the level said; 0 makes no movement.
    difference: i64,
    #[serde(flatten)]
    changed: Changed,
}

/// `POST /adjustments` `{"sku", "location", "counted", "batch"?, "version"?, "actor"?, "note"?}`
pub fn create(request: Request) -> Result<Response, Problem> {
    let mut fields = Fields::of_body(&request)?;
    let operation = Operation::read(Kind::Adjust, &request, &mut fields);
    let input = Adjustment {
        sku: fields.text("sku", rules::sku),
        location: fields.text("location", rules::location_code),
        batch: fields.text_if_any("batch", rules::batch_number),
        counted: fields.number("counted", rules::count),
        version: levels::expected_version(&request, &mut fields),
    };
    fields.finish()?;
    operation.run(&input, |tx, stamp| {
        let (difference, changed) = adjust(tx, stamp, &input)?;
        Ok(Answer {
            sku: &input.sku,
            location: &input.location,
            batch: input.batch.as_deref(),
            difference,
            changed,
        })
    })
}

fn adjust(tx: &Transaction, stamp: &Stamp, input: &Adjustment) -> Result<(i64, Changed), Problem> {
    items::require(tx, &input.sku, Need::Exists)?;
    locations::require(tx, &input.location, "location")?;
    let batch_id = match &input.batch {
        Some(number) => Some(batches::find(tx, &input.sku, number)?),
        None => None,
    };
    let place = Place {
        sku: &input.sku,
        location: &input.location,
        batch_id,
    };
    let present = levels::at_place(tx, &place)?;
    if let Some(expected) = input.version {
        levels::require_version(expected, present.map_or(0, |level| level.version))?;
    }
    let difference = input.counted - present.map_or(0, |level| level.quantity);
    let changed = match present {
        Some(level) if difference < 0 => {
            tx.execute(
                "UPDATE stock_levels SET quantity = ?, version = version + 1 WHERE id = ?",
                params![input.counted, level.level],
            )?;
            Changed {
                quantity: input.counted,
                version: level.version + 1,
                ..level
            }
        }
        Some(level) if difference == 0 => level,
        _ => levels::put(tx, &place, difference, stamp.at)?,
    };
    if difference != 0 {
        let location = Some(input.location.as_str());
        movements::Change {
            sku: &input.sku,
            batch_id,
            quantity: difference.abs(),
            from: location.filter(|_| difference < 0),
            to: location.filter(|_| difference > 0),
        }
        .record(tx, stamp)?;
    }
    Ok((difference, changed))
}
