//! Locations: where stock is, as warehouse, zone and bin.

use cloudware_sdk::{
    clock::{self, Timestamp},
    http::{Problem, Request, Response, Status},
    params,
    sql::{self, ColumnError, ConstraintKind, FromRow, Row, Transaction},
};
use serde::Serialize;

use crate::{
    fields::{Fields, invalid_field, is_from_page},
    filter::Conditions,
    paging::Paging,
    rules,
};

#[derive(Serialize)]
struct Location {
    code: String,
    warehouse: String,
    zone: String,
    bin: String,
    created_at: String,
}

impl FromRow for Location {
    fn from_row(row: &Row) -> Result<Self, ColumnError> {
        Ok(Self {
            code: row.get("code")?,
            warehouse: row.get("warehouse")?,
            zone: row.get("zone")?,
            bin: row.get("bin")?,
            created_at: Timestamp::from_milliseconds(row.get("created_at")?).to_string(),
        })
    }
}

/// `GET /locations?warehouse=&limit=&after=`
pub fn list(request: Request) -> Result<Response, Problem> {
    let mut fields = Fields::of_query(&request);
    let warehouse = fields.text_if_any("warehouse", rules::location_part);
    let after = fields.text_if_any("after", rules::location_code);
    let paging = Paging::read(&mut fields);
    fields.finish()?;
    let (statement, parameters) = Conditions::new("true")
        .and("code > ?", after)
        .and("warehouse = ?", warehouse)
        .statement(
            "SELECT code, warehouse, zone, bin, created_at FROM stock_locations",
            "ORDER BY code LIMIT ?",
            paging.rows_asked(),
        );
    let locations: Vec<Location> = sql::query(&statement, &parameters)?.read()?;
    Ok(paging.respond("locations", locations, |location| location.code.clone()))
}

/// `POST /locations`
pub fn create(request: Request) -> Result<Response, Problem> {
    let mut fields = Fields::of_body(&request)?;
    let warehouse = fields.text("warehouse", rules::location_part);
    let zone = fields.text("zone", rules::location_part);
    let bin = fields.text("bin", rules::location_part);
    fields.finish()?;
    let code = format!("{warehouse}-{zone}-{bin}");
    let now = clock::now();
    let inserted = sql::execute(
        "INSERT INTO stock_locations (code, warehouse, zone, bin, created_at) VALUES (?, ?, ?, ?, ?)",
        params![&code, &warehouse, &zone, &bin, now.milliseconds()],
    );
    match inserted {
        Ok(_) if is_from_page(&request) => {
            Ok(Response::see_other(&format!("{}/", request.prefix())))
        }
        Ok(_) => Ok(Response::json(&Location {
            code,
            warehouse,
            zone,
            bin,
            created_at: now.to_string(),
        })
        .with_status(Status::CREATED)),
        Err(error) if error.violates(ConstraintKind::Unique) => {
            Err(Problem::new(Status::CONFLICT, "location-exists")
                .with_detail(format!("the location {code} exists already")))
        }
        Err(error) => Err(error.into()),
    }
}

/// Refuses an operation at a location that does not exist; `field` is where the caller named it.
pub fn require(tx: &Transaction, code: &str, field: &str) -> Result<(), Problem> {
    let row = tx.query_one(
        "SELECT 1 FROM stock_locations WHERE code = ?",
        params![code],
    )?;
    if row.is_none() {
        return Err(invalid_field(
            field,
            format!("names no location: there is no {code}; create it with POST /locations"),
        ));
    }
    Ok(())
}
