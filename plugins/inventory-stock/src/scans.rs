//! Scans: what a code says, and what is there of it.

use cloudware_sdk::http::{Problem, Request, Response};
use serde::Serialize;

use crate::{
    fields::{Fields, invalid_field},
    items::{self, Item},
    levels::{self, Level},
    points::barcode::{self, Scan},
    rules,
};

/// The most levels that an answer has.
const LEVELS_MAX: i64 = 50;

#[derive(Serialize)]
struct Answer<'a> {
    code: &'a str,
    read_as: ReadAs,
    #[serde(flatten)]
    scan: Scan,
    /// The item of the SKU; null where it is unknown here.
    item: Option<Item>,
    /// Where it is, of the batch if the code names one.
    levels: Vec<Level>,
}

/// What the code was taken for.
#[derive(Serialize, Clone, Copy, PartialEq, Debug)]
#[serde(rename_all = "kebab-case")]
enum ReadAs {
    /// An extension read it.
    Barcode,
    /// It is a SKU.
    Sku,
}

/// `GET /scan?code=`
pub fn show(request: Request) -> Result<Response, Problem> {
    let mut fields = Fields::of_query(&request);
    let code = fields.text("code", rules::scanned_code);
    fields.finish()?;
    let (read_as, scan) = match barcode::read(&code) {
        Some(scan) => (ReadAs::Barcode, scan),
        None => (ReadAs::Sku, as_sku(&code)?),
    };
    let (item, levels) = match &scan.sku {
        Some(sku) => (items::find(sku)?, levels_of(sku, scan.batch.as_deref())?),
        None => (None, Vec::new()),
    };
    Ok(Response::json(&Answer {
        code: &code,
        read_as,
        scan,
        item,
        levels,
    }))
}

/// What holds where no extension read the code.
fn as_sku(code: &str) -> Result<Scan, Problem> {
    let sku = rules::sku(code.trim()).map_err(|_| {
        invalid_field(
            "code",
            "is no SKU, and no extension of this instance reads it",
        )
    })?;
    Ok(Scan {
        sku: Some(sku),
        ..Scan::default()
    })
}

fn levels_of(sku: &str, batch: Option<&str>) -> Result<Vec<Level>, Problem> {
    let filter = levels::Filter {
        sku: Some(sku.to_owned()),
        batch: batch.map(str::to_owned),
        ..levels::Filter::default()
    };
    Ok(levels::select(filter, LEVELS_MAX)?)
}

#[cfg(test)]
mod tests {
    use cloudware_sdk::http::Status;

    use super::*;

    #[test]
    fn a_code_that_nobody_reads_is_a_sku_or_refused() {
        assert_eq!(as_sku("A-1\r\n").unwrap().sku.as_deref(), Some("A-1"));
        for code in ["]C10109501101530003", "a b", "\u{1d}"] {
            let problem = as_sku(code).unwrap_err();
            assert_eq!(problem.status(), Status::UNPROCESSABLE_CONTENT, "{code:?}");
        }
    }
}
