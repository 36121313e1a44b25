//! Stock levels: how much of an item there is at a location, per batch. A level's version changes
//! whenever its quantity does; callers use it for optimistic locking.

use cloudware_sdk::{
    clock::Timestamp,
    http::{Problem, Request, Response, Status},
    params,
    sql::{self, ColumnError, FromRow, Row, Transaction},
};
use serde::Serialize;

#[cfg(feature = "extension-points")]
use crate::points;
use crate::{
    allocation::{Candidate, Shortage, Take, allocate},
    fields::{Fields, invalid_field},
    filter::Conditions,
    paging::{Paging, row_id},
    rules,
};

/// The most places that one operation takes from. Each costs three statements, and an invocation has
/// 10,000 at most.
const PLACES_MAX: i64 = 200;

/// A level with what people want to know about it.
#[derive(Serialize)]
pub struct Level {
    pub id: i64,
    pub sku: String,
    pub title: String,
    pub unit: String,
    pub location: String,
    pub batch: Option<String>,
    pub expires_on: Option<String>,
    pub quantity: i64,
    pub version: i64,
    received_at: String,
    #[serde(skip)]
    pub batch_id: Option<i64>,
    #[serde(skip)]
    pub received_ms: i64,
}

impl FromRow for Level {
    fn from_row(row: &Row) -> Result<Self, ColumnError> {
        let received_ms = row.get("received_at")?;
        Ok(Self {
            id: row.get("id")?,
            sku: row.get("sku")?,
            title: row.get("title")?,
            unit: row.get("unit")?,
            location: row.get("location")?,
            batch: row.get("batch")?,
            expires_on: row.get("expires_on")?,
            quantity: row.get("quantity")?,
            version: row.get("version")?,
            received_at: Timestamp::from_milliseconds(received_ms).to_string(),
            batch_id: row.get("batch_id")?,
            received_ms,
        })
    }
}

macro_rules! select_levels {
    ($rest:literal) => {
        concat!(
            "SELECT l.id, l.sku, i.title, i.unit, l.location, l.batch_id, b.number AS batch,
                    b.expires_on, l.quantity, l.version, l.received_at
             FROM stock_levels l
             JOIN stock_items i ON i.sku = l.sku
             LEFT JOIN stock_batches b ON b.id = l.batch_id ",
            $rest
        )
    };
}

/// Which levels a list has.
#[derive(Default)]
pub struct Filter {
    /// Of this item.
    pub sku: Option<String>,
    /// At this location.
    pub location: Option<String>,
    /// Of this batch.
    pub batch: Option<String>,
    /// Whose batch expires before this day.
    pub expiring_before: Option<String>,
    /// After the level of this id.
    pub after: Option<i64>,
}

/// The levels that hold something, in the order of item, location and age.
pub fn select(filter: Filter, rows_max: i64) -> Result<Vec<Level>, sql::Error> {
    let (statement, parameters) = Conditions::new("l.quantity > 0")
        .and("l.sku = ?", filter.sku)
        .and("l.location = ?", filter.location)
        .and("b.number = ?", filter.batch)
        .and("b.expires_on < ?", filter.expiring_before)
        .and(
            "(l.sku, l.location, l.id) > (SELECT sku, location, id FROM stock_levels WHERE id = ?)",
            filter.after,
        )
        .statement(
            select_levels!(""),
            "ORDER BY l.sku, l.location, l.id LIMIT ?",
            rows_max,
        );
    sql::query(&statement, &parameters)?.read()
}

/// `GET /stock?sku=&location=&batch=&expiring_before=&limit=&after=`
pub fn list(request: Request) -> Result<Response, Problem> {
    let mut fields = Fields::of_query(&request);
    let expiring_before = fields.text_if_any("expiring_before", rules::date).flatten();
    let filter = Filter {
        sku: fields.text_if_any("sku", rules::sku),
        location: fields.text_if_any("location", rules::location_code),
        batch: fields.text_if_any("batch", rules::batch_number),
        expiring_before: expiring_before.map(|date| date.to_string()),
        after: fields.number_if_any("after", row_id),
    };
    let paging = Paging::read(&mut fields);
    fields.finish()?;
    let levels = select(filter, paging.rows_asked())?;
    Ok(paging.respond("levels", levels, |level| level.id.to_string()))
}

/// `GET /stock/{level}`; the `ETag` is the version, for `If-Match`.
pub fn show(request: Request) -> Result<Response, Problem> {
    let id = request.param("level");
    let row = match id.parse::<i64>() {
        Ok(id) => sql::query_one(select_levels!("WHERE l.id = ?"), params![id])?,
        Err(_) => None,
    };
    let row = row.ok_or_else(|| {
        let id: String = id.chars().take(20).collect();
        Problem::new(Status::NOT_FOUND, "no-such-level").with_detail(format!(
            "there is no stock level {id}; GET /stock lists them"
        ))
    })?;
    let level: Level = row.read()?;
    let etag = format!("\"{}\"", level.version);
    Ok(Response::json(&level).with_header("etag", etag))
}

/// Reads the version that the caller expects, from the field `version` or the header `If-Match`.
pub fn expected_version(request: &Request, fields: &mut Fields) -> Option<i64> {
    let from_field = fields.number_if_any("version", rules::version);
    let header = request.header("if-match").filter(|value| value != "*");
    let from_header = header.and_then(|value| {
        let version = value
            .trim()
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .and_then(|digits| digits.parse().ok());
        if version.is_none() {
            fields.refuse(
                "If-Match",
                "must be the version in quotation marks, such as \"3\"",
            );
        }
        version
    });
    from_header.or(from_field)
}

/// What an operation takes stock from.
pub struct Source<'a> {
    /// The item.
    pub sku: &'a str,
    /// Only from this location.
    pub location: Option<&'a str>,
    /// Only of this batch.
    pub batch: Option<&'a str>,
    /// Only if the level, which must be the only one, still has this version.
    pub version: Option<i64>,
}

/// What was taken from one level.
pub struct Taken {
    /// The level as it was before.
    pub level: Level,
    /// How much was taken.
    pub quantity: i64,
}

/// Takes a quantity or nothing at all: oldest receipt first, unless an extension decides otherwise.
///
/// # Errors
/// `409` where less is there than asked for; `412` where the version is stale.
pub fn take(tx: &Transaction, source: &Source, asked: i64) -> Result<Vec<Taken>, Problem> {
    let levels: Vec<Level> = tx
        .query(
            select_levels!(
                "WHERE l.sku = ?1 AND l.quantity > 0
                   AND (?2 IS NULL OR l.location = ?2)
                   AND (?3 IS NULL OR b.number = ?3)
                 ORDER BY l.received_at, l.id LIMIT ?4"
            ),
            params![source.sku, source.location, source.batch, PLACES_MAX + 1],
        )?
        .read()?;
    check_version(tx, source, &levels)?;
    let candidates: Vec<Candidate> = levels.iter().map(Level::candidate).collect();
    let within = candidates
        .len()
        .min(usize::try_from(PLACES_MAX).unwrap_or(0));
    let takes = match allocate(&candidates[..within], asked) {
        Ok(takes) => takes,
        Err(_) if within < candidates.len() => {
            return Err(invalid_field(
                "quantity",
                format!("is spread over more than {PLACES_MAX} places; take it in parts"),
            ));
        }
        Err(shortage) => return Err(insufficient(source, asked, shortage, &levels)),
    };
    #[cfg(feature = "extension-points")]
    let takes = points::allocation::decide(source.sku, asked, &levels[..within]).unwrap_or(takes);
    for take in &takes {
        reduce(tx, &candidates[take.candidate], take)?;
    }
    let mut levels: Vec<Option<Level>> = levels.into_iter().map(Some).collect();
    let taken = takes.iter().filter_map(|take| {
        let level = levels[take.candidate].take()?;
        Some(Taken {
            level,
            quantity: take.quantity,
        })
    });
    Ok(taken.collect())
}

fn reduce(tx: &Transaction, candidate: &Candidate, take: &Take) -> Result<(), Problem> {
    tx.execute(
        "UPDATE stock_levels SET quantity = quantity - ?, version = version + 1 WHERE id = ?",
        params![take.quantity, candidate.level],
    )?;
    Ok(())
}

/// A caller who names a version means one level: the only one that holds something, or an empty one
/// that location and batch name exactly.
fn check_version(tx: &Transaction, source: &Source, levels: &[Level]) -> Result<(), Problem> {
    let Some(expected) = source.version else {
        return Ok(());
    };
    let current = match levels {
        [level] => level.version,
        [] => match source.location {
            Some(location) => emptied_version(tx, source, location)?,
            None => return Ok(()),
        },
        _ => {
            return Err(invalid_field(
                "version",
                "is that of one stock level, but several fit; name location and batch",
            ));
        }
    };
    require_version(expected, current)
}

/// The version of the level that had something last; 0 where there was none.
fn emptied_version(tx: &Transaction, source: &Source, location: &str) -> Result<i64, Problem> {
    let row = tx.query_one(
        "SELECT max(l.version) AS version FROM stock_levels l
         LEFT JOIN stock_batches b ON b.id = l.batch_id
         WHERE l.sku = ?1 AND l.location = ?2 AND (?3 IS NULL OR b.number = ?3)",
        params![source.sku, location, source.batch],
    )?;
    let version: Option<Option<i64>> = row.map(|row| row.get("version")).transpose()?;
    Ok(version.flatten().unwrap_or(0))
}

/// Refuses an expectation that is no longer true.
pub fn require_version(expected: i64, current: i64) -> Result<(), Problem> {
    if expected == current {
        return Ok(());
    }
    Err(Problem::new(Status::PRECONDITION_FAILED, "stale-version")
        .with_detail(format!(
            "the stock level has changed: its version is {current}, not {expected}; read it again and decide anew"
        ))
        .with_member("expected", &expected)
        .with_member("current", &current))
}

/// The answer to a request for more than is there: what was asked, and what is there and where.
fn insufficient(source: &Source, asked: i64, shortage: Shortage, levels: &[Level]) -> Problem {
    const PLACES_TOLD: usize = 20;
    let Shortage { available } = shortage;
    let sku = source.sku;
    let place = source
        .location
        .map_or(String::new(), |l| format!(" at {l}"));
    let batch = source
        .batch
        .map_or(String::new(), |b| format!(" in batch {b}"));
    Problem::new(Status::CONFLICT, "insufficient-stock")
        .with_detail(format!(
            "{asked} of {sku} were asked for{place}{batch}, but {available} are there"
        ))
        .with_member("sku", &sku)
        .with_member("asked", &asked)
        .with_member("available", &available)
        .with_member("levels", &&levels[..levels.len().min(PLACES_TOLD)])
}

/// Where stock is put.
pub struct Place<'a> {
    /// The item.
    pub sku: &'a str,
    /// The location, which exists.
    pub location: &'a str,
    /// The batch, if any.
    pub batch_id: Option<i64>,
}

/// Id and version of a level after a change.
#[derive(Clone, Copy, Serialize)]
pub struct Changed {
    /// The level.
    pub level: i64,
    /// What it holds now.
    pub quantity: i64,
    /// Its version now.
    pub version: i64,
}

/// The level of a place, if there is or was one: id, quantity, version.
pub fn at_place(tx: &Transaction, place: &Place) -> Result<Option<Changed>, sql::Error> {
    let row = tx.query_one(
        "SELECT id, quantity, version FROM stock_levels WHERE sku = ? AND location = ? AND batch_id IS ?",
        params![place.sku, place.location, place.batch_id],
    )?;
    row.map(|row| {
        Ok(Changed {
            level: row.get("id")?,
            quantity: row.get("quantity")?,
            version: row.get("version")?,
        })
    })
    .transpose()
}

/// Puts a quantity to a place. Where something is there already the older receipt counts for the whole.
pub fn put(
    tx: &Transaction,
    place: &Place,
    quantity: i64,
    received: Timestamp,
) -> Result<Changed, Problem> {
    let received = received.milliseconds();
    let Some(present) = at_place(tx, place)? else {
        let inserted = tx.execute(
            "INSERT INTO stock_levels (sku, location, batch_id, quantity, received_at) VALUES (?, ?, ?, ?, ?)",
            params![place.sku, place.location, place.batch_id, quantity, received],
        )?;
        return Ok(Changed {
            level: inserted.last_insert_id,
            quantity,
            version: 1,
        });
    };
    let sum = present.quantity + quantity;
    if sum > rules::LEVEL_MAX {
        return Err(invalid_field("quantity", "is more than the place can hold"));
    }
    tx.execute(
        "UPDATE stock_levels SET quantity = ?1, version = version + 1,
           received_at = CASE WHEN quantity = 0 THEN ?2 ELSE min(received_at, ?2) END
         WHERE id = ?3",
        params![sum, received, present.level],
    )?;
    Ok(Changed {
        level: present.level,
        quantity: sum,
        version: present.version + 1,
    })
}

impl Level {
    fn candidate(&self) -> Candidate {
        Candidate {
            level: self.id,
            quantity: self.quantity,
        }
    }
}
