//! Reorder levels, and the items that are below theirs.

use cloudware_sdk::{
    clock,
    http::{Problem, Request, Response, Status},
    params,
    sql::{self, ColumnError, FromRow, Row},
};
use serde::Serialize;

use crate::{fields::Fields, items, paging::Paging, rules};

/// An item of which less is there than its reorder level.
#[derive(Serialize)]
pub struct Alert {
    pub sku: String,
    pub title: String,
    pub unit: String,
    pub quantity: i64,
    pub reorder_level: i64,
    /// How much brings it to its level.
    pub missing: i64,
}

impl FromRow for Alert {
    fn from_row(row: &Row) -> Result<Self, ColumnError> {
        let (quantity, reorder_level): (i64, i64) =
            (row.get("quantity")?, row.get("reorder_level")?);
        Ok(Self {
            sku: row.get("sku")?,
            title: row.get("title")?,
            unit: row.get("unit")?,
            quantity,
            reorder_level,
            missing: reorder_level - quantity,
        })
    }
}

/// `PUT /items/{sku}/reorder-level` `{"quantity"}`; 0 removes the level.
pub fn set_reorder_level(request: Request) -> Result<Response, Problem> {
    let sku = request.param("sku");
    let mut fields = Fields::of_body(&request)?;
    let quantity = fields.number("quantity", rules::count);
    fields.finish()?;
    sql::transaction(|tx| {
        let item = tx.query_one("SELECT 1 FROM stock_items WHERE sku = ?", params![sku])?;
        if item.is_none() {
            return Err(items::missing(sku));
        }
        if quantity == 0 {
            tx.execute(
                "DELETE FROM stock_reorder_levels WHERE sku = ?",
                params![sku],
            )?;
        } else {
            tx.execute(
                "INSERT INTO stock_reorder_levels (sku, quantity, set_at) VALUES (?1, ?2, ?3)
                 ON CONFLICT (sku) DO UPDATE SET quantity = ?2, set_at = ?3",
                params![sku, quantity, clock::now().milliseconds()],
            )?;
        }
        Ok(())
    })?;
    Ok(Response::new(Status::NO_CONTENT))
}

/// The active items below their level, in the order of their SKU.
pub fn select(after: &str, rows_max: i64) -> Result<Vec<Alert>, sql::Error> {
    sql::query(
        "SELECT * FROM (
           SELECT i.sku, i.title, i.unit, r.quantity AS reorder_level,
             (SELECT coalesce(sum(quantity), 0) FROM stock_levels l WHERE l.sku = i.sku) AS quantity
           FROM stock_reorder_levels r JOIN stock_items i ON i.sku = r.sku
           WHERE i.active AND i.sku > ?1)
         WHERE quantity < reorder_level ORDER BY sku LIMIT ?2",
        params![after, rows_max],
    )?
    .read()
}

/// `GET /alerts?limit=&after=`
pub fn list(request: Request) -> Result<Response, Problem> {
    let mut fields = Fields::of_query(&request);
    let after = fields.text_if_any("after", rules::sku);
    let paging = Paging::read(&mut fields);
    fields.finish()?;
    let alerts = select(&after.unwrap_or_default(), paging.rows_asked())?;
    Ok(paging.respond("alerts", alerts, |alert| alert.sku.clone()))
}
