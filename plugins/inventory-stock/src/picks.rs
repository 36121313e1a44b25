//! Picks: goods go out.

use cloudware_sdk::http::{Problem, Request, Response};
use serde::Serialize;

use crate::{
    fields::Fields,
    items::{self, Need},
    levels::{self, Source},
    movements,
    operation::Operation,
    rules,
    sequence::Kind,
};

#[derive(Serialize)]
struct Pick {
    sku: String,
    location: Option<String>,
    batch: Option<String>,
    quantity: i64,
    version: Option<i64>,
}

#[derive(Serialize)]
struct Answer<'a> {
    sku: &'a str,
    quantity: i64,
    picked: Vec<Part>,
}

/// What was picked from one place.
#[derive(Serialize)]
struct Part {
    level: i64,
    location: String,
    batch: Option<String>,
    expires_on: Option<String>,
    quantity: i64,
    /// What is left there.
    left: i64,
    /// The version of the level now.
    version: i64,
}

/// `POST /picks` `{"sku", "quantity", "location"?, "batch"?, "version"?, "actor"?, "note"?}`
pub fn create(request: Request) -> Result<Response, Problem> {
    let mut fields = Fields::of_body(&request)?;
    let operation = Operation::read(Kind::Pick, &request, &mut fields);
    let pick = Pick {
        sku: fields.text("sku", rules::sku),
        location: fields.text_if_any("location", rules::location_code),
        batch: fields.text_if_any("batch", rules::batch_number),
        quantity: fields.number("quantity", rules::quantity),
        version: levels::expected_version(&request, &mut fields),
    };
    fields.finish()?;
    operation.run(&pick, |tx, stamp| {
        items::require(tx, &pick.sku, Need::Exists)?;
        let source = Source {
            sku: &pick.sku,
            location: pick.location.as_deref(),
            batch: pick.batch.as_deref(),
            version: pick.version,
        };
        let mut picked = Vec::new();
        for taken in levels::take(tx, &source, pick.quantity)? {
            movements::Change {
                sku: &pick.sku,
                batch_id: taken.level.batch_id,
                quantity: taken.quantity,
                from: Some(&taken.level.location),
                to: None,
            }
            .record(tx, stamp)?;
            picked.push(Part {
                level: taken.level.id,
                left: taken.level.quantity - taken.quantity,
                version: taken.level.version + 1,
                quantity: taken.quantity,
                location: taken.level.location,
                batch: taken.level.batch,
                expires_on: taken.level.expires_on,
            });
        }
        Ok(Answer {
            sku: &pick.sku,
            quantity: pick.quantity,
            picked,
        })
    })
}
