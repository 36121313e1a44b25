//! Filters on the rows of a table hold, however a statement tries to get around them.

mod changes;
mod reading;
mod ways_past;

use std::{sync::Arc, time::Duration};

use cloudware_instance_db::{AccessRules, Error, Outcome, Request, RowSet, Value};
use cloudware_types::{Comparison, Condition, FilteredAccess, TableAccess};

use crate::fixture::{Fixture, request, scope};

const LEVELS: &str = "
    CREATE TABLE stock_places (code TEXT NOT NULL PRIMARY KEY, country TEXT) WITHOUT ROWID;
    INSERT INTO stock_places VALUES ('MAIN', 'AT'), ('SPARE', 'DE');
    CREATE TABLE stock_levels (
        id INTEGER PRIMARY KEY,
        sku TEXT UNIQUE,
        location TEXT REFERENCES stock_places (code),
        amount INTEGER,
        counted BOOLEAN DEFAULT 0,
        half INTEGER GENERATED ALWAYS AS (amount / 2)
    );
    INSERT INTO stock_levels (id, sku, location, amount)
        VALUES (1, 'a', 'MAIN', 10), (2, 'b', 'MAIN', 20), (3, 'hidden', 'SPARE', 33), (4, 'nowhere', NULL, 44);
    CREATE TABLE stock_notes (id INTEGER PRIMARY KEY, level INTEGER REFERENCES stock_levels (id) ON DELETE CASCADE, text TEXT);
    INSERT INTO stock_notes VALUES (1, 1, 'x'), (2, 3, 'y');
    CREATE TABLE stock_replacing (id INTEGER PRIMARY KEY ON CONFLICT REPLACE, location TEXT);
    INSERT INTO stock_replacing VALUES (1, 'MAIN'), (2, 'SPARE');
    CREATE VIEW stock_view AS SELECT * FROM stock_levels;
    CREATE INDEX stock_by_amount ON stock_levels (amount);
    CREATE VIEW stock_ones AS SELECT 1 AS one FROM mAIN.stock_levels;
    CREATE VIEW stock_deep AS WITH inner_levels AS (SELECT * FROM stock_levels) SELECT * FROM inner_levels;
    CREATE TRIGGER stock_notes_count AFTER INSERT ON stock_notes
    BEGIN
        UPDATE stock_levels SET counted = 1 WHERE id = NEW.level;
    END;
";

const TABLES: [&str; 3] = ["stock_levels", "stock_replacing", "stock_places"];

async fn fixture() -> Fixture {
    let fixture = Fixture::new();
    fixture.migrate("stock", &[LEVELS]).await;
    fixture
}

fn tables() -> Arc<[Arc<str>]> {
    TABLES.map(Arc::from).into()
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn only(column: &str, value: &str) -> Vec<Condition> {
    vec![Condition {
        column: column.into(),
        comparison: Comparison::Eq,
        values: vec![text(value)],
    }]
}

/// What holds for a table and an operation in most tests.
fn main_only(access: &TableAccess) -> Vec<Condition> {
    match &*access.table {
        "stock_places" => Vec::new(),
        _ => only("location", "MAIN"),
    }
}

async fn examined(fixture: &Fixture, statement: &str) -> Result<Vec<TableAccess>, Error> {
    let asked = (statement.into(), tables());
    let worked = fixture
        .database()
        .examine(&scope("stock"), asked, Duration::from_secs(20))
        .await;
    worked.result
}

/// A request with what `decide` says about each access.
async fn decided(
    fixture: &Fixture,
    statement: &str,
    decide: impl Fn(&TableAccess) -> Vec<Condition>,
) -> Result<Request, Error> {
    let accesses = examined(fixture, statement)
        .await?
        .into_iter()
        .map(|access| FilteredAccess {
            conditions: decide(&access),
            access,
        });
    let rules = AccessRules {
        tables: tables(),
        accesses: accesses.collect(),
    };
    Ok(Request {
        access: Some(Arc::new(rules)),
        ..request(statement)
    })
}

async fn query(fixture: &Fixture, statement: &str) -> Result<RowSet, Error> {
    let request = decided(fixture, statement, main_only).await?;
    fixture
        .database()
        .query(&scope("stock"), request)
        .await
        .result
}

async fn execute(fixture: &Fixture, statement: &str) -> Result<Outcome, Error> {
    let request = decided(fixture, statement, main_only).await?;
    fixture
        .database()
        .execute(&scope("stock"), request)
        .await
        .result
}

/// Every level, without a filter.
async fn all(fixture: &Fixture) -> Vec<Vec<Value>> {
    let all = fixture
        .query("SELECT id, sku, location, amount, counted FROM stock_levels ORDER BY id")
        .await;
    all.unwrap().rows
}
