//! Items: what is stocked.

use cloudware_sdk::{
    clock::{self, Timestamp},
    http::{Problem, Request, Response, Status, encode_segment},
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

/// An item with what is there of it in all.
#[derive(Serialize)]
pub struct Item {
    sku: String,
    title: String,
    unit: String,
    active: bool,
    quantity: i64,
    #[cfg(feature = "reorder-levels")]
    reorder_level: Option<i64>,
    created_at: String,
}

impl FromRow for Item {
    fn from_row(row: &Row) -> Result<Self, ColumnError> {
        Ok(Self {
            sku: row.get("sku")?,
            title: row.get("title")?,
            unit: row.get("unit")?,
            active: row.get("active")?,
            quantity: row.get("quantity")?,
            #[cfg(feature = "reorder-levels")]
            reorder_level: row.get("reorder_level")?,
            created_at: Timestamp::from_milliseconds(row.get("created_at")?).to_string(),
        })
    }
}

#[cfg(not(feature = "reorder-levels"))]
macro_rules! select_items {
    ($rest:literal) => {
        concat!(
            "SELECT i.sku, i.title, i.unit, i.active, i.created_at,
               (SELECT coalesce(sum(quantity), 0) FROM stock_levels l WHERE l.sku = i.sku) AS quantity
             FROM stock_items i ",
            $rest
        )
    };
}

#[cfg(feature = "reorder-levels")]
macro_rules! select_items {
    ($rest:literal) => {
        concat!(
            "SELECT i.sku, i.title, i.unit, i.active, i.created_at, r.quantity AS reorder_level,
               (SELECT coalesce(sum(quantity), 0) FROM stock_levels l WHERE l.sku = i.sku) AS quantity
             FROM stock_items i LEFT JOIN stock_reorder_levels r ON r.sku = i.sku ",
            $rest
        )
    };
}

/// `GET /items?active=&limit=&after=`
pub fn list(request: Request) -> Result<Response, Problem> {
    let mut fields = Fields::of_query(&request);
    let active = fields.flag_if_any("active");
    let after = fields.text_if_any("after", rules::sku);
    let paging = Paging::read(&mut fields);
    fields.finish()?;
    let (statement, parameters) = Conditions::new("true")
        .and("i.sku > ?", after)
        .and("i.active = ?", active)
        .statement(
            select_items!(""),
            "ORDER BY i.sku LIMIT ?",
            paging.rows_asked(),
        );
    let items: Vec<Item> = sql::query(&statement, &parameters)?.read()?;
    Ok(paging.respond("items", items, |item| item.sku.clone()))
}

/// `GET /items/{sku}`
pub fn show(request: Request) -> Result<Response, Problem> {
    Ok(Response::json(&require_item(request.param("sku"))?))
}

/// The item of a SKU, if there is one.
pub fn find(sku: &str) -> Result<Option<Item>, sql::Error> {
    let row = sql::query_one(select_items!("WHERE i.sku = ?"), params![sku])?;
    row.map(|row| row.read()).transpose()
}

fn require_item(sku: &str) -> Result<Item, Problem> {
    find(sku)?.ok_or_else(|| missing(sku))
}

/// The answer where a path names no item.
pub fn missing(sku: &str) -> Problem {
    let sku: String = sku.chars().take(40).collect();
    Problem::new(Status::NOT_FOUND, "no-such-item").with_detail(format!("there is no item {sku}"))
}

/// `POST /items`
pub fn create(request: Request) -> Result<Response, Problem> {
    let mut fields = Fields::of_body(&request)?;
    let sku = fields.text("sku", rules::sku);
    let title = fields.text("title", rules::title);
    let unit = fields
        .text_if_any("unit", rules::unit)
        .unwrap_or_else(|| "pcs".into());
    let active = fields.flag_if_any("active").unwrap_or(true);
    fields.finish()?;
    let inserted = sql::execute(
        "INSERT INTO stock_items (sku, title, unit, active, created_at) VALUES (?, ?, ?, ?, ?)",
        params![&sku, title, unit, active, clock::now().milliseconds()],
    );
    match inserted {
        Ok(_) => created(&request, &sku),
        Err(error) if error.violates(ConstraintKind::Unique) => {
            Err(
                Problem::new(Status::CONFLICT, "item-exists").with_detail(format!(
                    "the item {sku} exists already; change it with PUT /items/{sku}"
                )),
            )
        }
        Err(error) => Err(error.into()),
    }
}

fn created(request: &Request, sku: &str) -> Result<Response, Problem> {
    let prefix = request.prefix();
    if is_from_page(request) {
        return Ok(Response::see_other(&format!("{prefix}/")));
    }
    Ok(Response::json(&require_item(sku)?)
        .with_status(Status::CREATED)
        .with_header(
            "location",
            format!("{prefix}/items/{}", encode_segment(sku)),
        ))
}

/// `PUT /items/{sku}`
pub fn update(request: Request) -> Result<Response, Problem> {
    let sku = request.param("sku");
    let mut fields = Fields::of_body(&request)?;
    let title = fields.text("title", rules::title);
    let unit = fields.text("unit", rules::unit);
    let active = fields.flag_if_any("active").unwrap_or(true);
    fields.finish()?;
    sql::execute(
        "UPDATE stock_items SET title = ?, unit = ?, active = ? WHERE sku = ?",
        params![title, unit, active, sku],
    )?;
    Ok(Response::json(&require_item(sku)?))
}

/// What an operation needs of an item.
pub enum Need {
    /// It exists; what is there can be moved, picked and counted.
    Exists,
    /// It is active too: more of it may come in.
    Active,
}

/// Refuses an operation on an item that is not as needed.
pub fn require(tx: &Transaction, sku: &str, need: Need) -> Result<(), Problem> {
    let row = tx.query_one("SELECT active FROM stock_items WHERE sku = ?", params![sku])?;
    let row = row.ok_or_else(|| {
        invalid_field(
            "sku",
            format!("names no item: there is no {sku}; create it with POST /items"),
        )
    })?;
    match need {
        Need::Active if !row.get::<bool>("active")? => {
            Err(
                Problem::new(Status::CONFLICT, "item-inactive").with_detail(format!(
                    "the item {sku} is not active; nothing more is received of it"
                )),
            )
        }
        _ => Ok(()),
    }
}
