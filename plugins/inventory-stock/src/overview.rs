//! The overview page: what is there, what expires, what happened last, and forms that work without
//! JavaScript. Everything shown is bounded, so that the page stays below 30 kB.

use std::fmt::Write as _;

use cloudware_sdk::{
    clock::{self, Date},
    http::{Problem, Request, Response},
    params, random, sql,
};

#[cfg(feature = "reorder-levels")]
use crate::alerts;
use crate::{
    VERSION,
    html::{Escaped, grouped, shortened},
    levels::{self, Level},
    movements::{self, Movement},
    paging::row_id,
};

/// Rows of the stock table on one page.
const LEVELS_SHOWN: usize = 30;

/// Rows of the table of movements.
const MOVEMENTS_SHOWN: i64 = 8;

/// Rows of the table of alerts.
#[cfg(feature = "reorder-levels")]
const ALERTS_SHOWN: i64 = 8;

/// Characters of a title or unit that the page shows.
const TITLE_CHARS_SHOWN: usize = 36;

/// Within how many days an expiry is worth a warning.
const EXPIRING_SOON_DAYS: i32 = 30;

/// What the page is made of.
struct Page {
    prefix: String,
    notice: Option<String>,
    items: i64,
    places: i64,
    expiring: i64,
    levels: Vec<Level>,
    next: Option<i64>,
    movements: Vec<Movement>,
    #[cfg(feature = "reorder-levels")]
    alerts: Vec<alerts::Alert>,
    today: Date,
    /// One key per form: a form that is sent twice is done once.
    keys: [u64; 2],
}

/// `GET /?after=`
pub fn show(request: Request) -> Result<Response, Problem> {
    let after = request.query("after").and_then(|id| id.parse().ok());
    let page = Page::read(
        request.prefix(),
        after.filter(|id| row_id(*id).is_ok()),
        None,
    )?;
    Ok(page.respond())
}

/// The page again, for a form that was refused; with the reason and the status of the refusal.
pub fn refusal(prefix: String, refused: Response) -> Response {
    let status = refused.status();
    let problem: Option<serde_json::Value> = refused
        .into_body()
        .ok()
        .and_then(|body| serde_json::from_slice(&body).ok());
    let reason = problem
        .as_ref()
        .and_then(|problem| problem["detail"].as_str())
        .unwrap_or("The request was refused.");
    match Page::read(prefix, None, Some(shortened(reason, 400))) {
        Ok(page) => page.respond().with_status(status),
        Err(_) => Response::text(reason.to_owned()).with_status(status),
    }
}

impl Page {
    fn read(prefix: String, after: Option<i64>, notice: Option<String>) -> Result<Self, Problem> {
        let today = clock::now().date();
        let soon = today.plus_days(EXPIRING_SOON_DAYS).to_string();
        let filter = levels::Filter {
            after,
            ..levels::Filter::default()
        };
        let mut levels = levels::select(filter, LEVELS_SHOWN as i64 + 1)?;
        let more = levels.len() > LEVELS_SHOWN;
        levels.truncate(LEVELS_SHOWN);
        let totals = sql::query_one(
            "SELECT (SELECT count(*) FROM stock_items WHERE active) AS items,
                    (SELECT count(*) FROM stock_levels WHERE quantity > 0) AS places,
                    (SELECT count(*) FROM stock_levels l JOIN stock_batches b ON b.id = l.batch_id
                     WHERE l.quantity > 0 AND b.expires_on < ?) AS expiring",
            params![soon],
        )?;
        let total = |column| totals.as_ref().map_or(Ok(0), |row| row.get(column));
        Ok(Self {
            prefix,
            notice,
            items: total("items")?,
            places: total("places")?,
            expiring: total("expiring")?,
            next: levels.last().filter(|_| more).map(|level| level.id),
            levels,
            movements: movements::select(movements::Filter::default(), MOVEMENTS_SHOWN)?,
            #[cfg(feature = "reorder-levels")]
            alerts: alerts::select("", ALERTS_SHOWN)?,
            today,
            keys: [random::u64(), random::u64()],
        })
    }

    fn respond(&self) -> Response {
        let mut html = String::with_capacity(16_384);
        // Writing to a string can't fail.
        let _ = self.write(&mut html);
        Response::html(html)
            .with_header("cache-control", "no-store")
            .with_header("x-content-type-options", "nosniff")
            .with_header(
                "content-security-policy",
                "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'",
            )
    }

    fn write(&self, html: &mut String) -> std::fmt::Result {
        write!(
            html,
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Stock</title>\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
             <style>{}</style></head><body><main>\
             <header><h1>Stock</h1><span>{}</span></header>",
            include_str!("overview.css"),
            self.today,
        )?;
        if let Some(notice) = &self.notice {
            write!(
                html,
                "<p class=\"notice\" role=\"alert\">{}</p>",
                Escaped(notice)
            )?;
        }
        self.write_tiles(html)?;
        #[cfg(feature = "reorder-levels")]
        self.write_alerts(html)?;
        self.write_levels(html)?;
        self.write_forms(html)?;
        self.write_movements(html)?;
        write!(
            html,
            "<footer>inventory-stock {VERSION}</footer></main></body></html>"
        )
    }

    fn write_tiles(&self, html: &mut String) -> std::fmt::Result {
        let tiles = [
            (self.items, "active items"),
            (self.places, "places with stock"),
            (self.expiring, "expire within 30 days"),
        ];
        html.push_str("<section class=\"tiles\">");
        for (number, label) in tiles {
            let number = grouped(number);
            write!(
                html,
                "<div class=\"tile\"><b>{number}</b><small>{label}</small></div>"
            )?;
        }
        html.push_str("</section>");
        Ok(())
    }

    #[cfg(feature = "reorder-levels")]
    fn write_alerts(&self, html: &mut String) -> std::fmt::Result {
        if self.alerts.is_empty() {
            return Ok(());
        }
        html.push_str(
            "<h2>Order again</h2><div class=\"card\"><table><thead><tr><th>Item</th><th>Title</th>\
             <th class=\"n\">There</th><th class=\"n\">Level</th><th class=\"n\">Missing</th></tr></thead><tbody>",
        );
        for alert in &self.alerts {
            write!(
                html,
                "<tr><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
                 <td class=\"n\"><span class=\"soon\">{} {}</span></td></tr>",
                Escaped(&alert.sku),
                Escaped(shortened(&alert.title, TITLE_CHARS_SHOWN)),
                grouped(alert.quantity),
                grouped(alert.reorder_level),
                grouped(alert.missing),
                Escaped(&alert.unit),
            )?;
        }
        html.push_str("</tbody></table></div>");
        Ok(())
    }

    fn write_levels(&self, html: &mut String) -> std::fmt::Result {
        html.push_str("<h2>Current stock</h2>");
        if self.levels.is_empty() {
            html.push_str(
                "<p class=\"none\">Nothing is in stock. Create items and locations, then receive goods.</p>",
            );
            return Ok(());
        }
        html.push_str(
            "<div class=\"card\"><table><thead><tr><th>Item</th><th>Title</th><th>Location</th><th>Batch</th>\
             <th>Expires</th><th class=\"n\">Quantity</th></tr></thead><tbody>",
        );
        for level in &self.levels {
            write!(
                html,
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>",
                Escaped(&level.sku),
                Escaped(shortened(&level.title, TITLE_CHARS_SHOWN)),
                Escaped(&level.location),
                Escaped(level.batch.as_deref().unwrap_or("–")),
            )?;
            self.write_expiry(html, level.expires_on.as_deref())?;
            let (quantity, unit) = (grouped(level.quantity), Escaped(&level.unit));
            write!(html, "</td><td class=\"n\">{quantity} {unit}</td></tr>")?;
        }
        html.push_str("</tbody></table></div>");
        if let Some(next) = self.next {
            let prefix = Escaped(&self.prefix);
            write!(
                html,
                "<p><a href=\"{prefix}/?after={next}\">More stock</a></p>"
            )?;
        }
        Ok(())
    }

    fn write_expiry(&self, html: &mut String, expires_on: Option<&str>) -> std::fmt::Result {
        let Some(date) = expires_on.and_then(|text| text.parse::<Date>().ok()) else {
            html.push('–');
            return Ok(());
        };
        if date < self.today {
            write!(html, "<span class=\"late\">{date} expired</span>")
        } else if date < self.today.plus_days(EXPIRING_SOON_DAYS) {
            write!(html, "<span class=\"soon\">{date} soon</span>")
        } else {
            write!(html, "{date}")
        }
    }

    fn write_forms(&self, html: &mut String) -> std::fmt::Result {
        const QUANTITY: (&str, &str, &str) =
            ("quantity", "Quantity", "type=\"number\" min=\"1\" required");
        const SKU: (&str, &str, &str) = ("sku", "Item (SKU)", "required maxlength=\"40\"");
        const ACTOR: (&str, &str, &str) = ("actor", "Your name", "maxlength=\"60\"");
        html.push_str("<div class=\"forms\">");
        self.write_form(
            html,
            ("receipts", "Receive", Some(self.keys[0])),
            &[
                SKU,
                ("location", "Location", "required placeholder=\"MAIN-A-01\""),
                QUANTITY,
                ("batch", "Batch (optional)", "maxlength=\"40\""),
                ("expires_on", "Expires on (optional)", "type=\"date\""),
                #[cfg(feature = "extension-points")]
                ("supplier", "Supplier (optional)", "maxlength=\"120\""),
                ACTOR,
            ],
        )?;
        self.write_form(
            html,
            ("picks", "Pick", Some(self.keys[1])),
            &[
                SKU,
                QUANTITY,
                (
                    "location",
                    "Location (optional)",
                    "placeholder=\"oldest first\"",
                ),
                ("batch", "Batch (optional)", "maxlength=\"40\""),
                ACTOR,
            ],
        )?;
        self.write_form(
            html,
            ("items", "New item", None),
            &[
                SKU,
                ("title", "Title", "required maxlength=\"120\""),
                ("unit", "Unit", "maxlength=\"12\" placeholder=\"pcs\""),
            ],
        )?;
        self.write_form(
            html,
            ("locations", "New location", None),
            &[
                (
                    "warehouse",
                    "Warehouse",
                    "required maxlength=\"12\" placeholder=\"MAIN\"",
                ),
                (
                    "zone",
                    "Zone",
                    "required maxlength=\"12\" placeholder=\"A\"",
                ),
                ("bin", "Bin", "required maxlength=\"12\" placeholder=\"01\""),
            ],
        )?;
        html.push_str("</div>");
        Ok(())
    }

    fn write_form(
        &self,
        html: &mut String,
        (action, title, key): (&str, &str, Option<u64>),
        inputs: &[(&str, &str, &str)],
    ) -> std::fmt::Result {
        let prefix = Escaped(&self.prefix);
        write!(
            html,
            "<form class=\"card\" method=\"post\" action=\"{prefix}/{action}\"><h2>{title}</h2>"
        )?;
        if let Some(key) = key {
            write!(
                html,
                "<input type=\"hidden\" name=\"idempotency_key\" value=\"page-{key:x}\">"
            )?;
        }
        for (name, label, attributes) in inputs {
            write!(
                html,
                "<label>{label}<input name=\"{name}\" {attributes}></label>"
            )?;
        }
        write!(html, "<button>{title}</button></form>")
    }

    fn write_movements(&self, html: &mut String) -> std::fmt::Result {
        if self.movements.is_empty() {
            return Ok(());
        }
        html.push_str(
            "<h2>Last movements</h2><div class=\"card\"><table><thead><tr><th>Reference</th><th>Item</th>\
             <th>Batch</th><th>From</th><th>To</th><th class=\"n\">Quantity</th><th>By</th><th>At (UTC)</th>\
             </tr></thead><tbody>",
        );
        for movement in &self.movements {
            write!(
                html,
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"n\">{}</td>\
                 <td>{}</td><td>{}</td></tr>",
                Escaped(&movement.reference),
                Escaped(&movement.sku),
                Escaped(movement.batch.as_deref().unwrap_or("–")),
                Escaped(movement.from.as_deref().unwrap_or("–")),
                Escaped(movement.to.as_deref().unwrap_or("–")),
                grouped(movement.quantity),
                Escaped(shortened(&movement.actor, TITLE_CHARS_SHOWN)),
                Escaped(
                    movement
                        .at
                        .get(..16)
                        .unwrap_or(&movement.at)
                        .replace('T', " ")
                ),
            )?;
        }
        html.push_str("</tbody></table></div>");
        Ok(())
    }
}
