//! Ways around a filter, which are refused, and how far a filter reaches in time.

use std::time::Duration;

use cloudware_instance_db::{ACCESS_REFUSED, Error, Mode, Request, RowSet, Value};

use super::{all, decided, execute, fixture, main_only, query, tables, text};
use crate::fixture::{request, scope};

/// Ways past a filter that are refused. None of them changes anything.
const WAYS_PAST: &[&str] = &[
    "SELECT * FROM main.stock_levels",
    "UPDATE stock_levels SET amount = (SELECT sum(amount) FROM \u{feff}main.stock_levels)",
    "WITH replace(x) AS (SELECT 1) SELECT * FROM \u{feff}main.stock_levels",
    "UPDATE OR \u{feff}REPLACE stock_levels SET id = 1",
    "SELECT * FROM \"Main\" . stock_levels",
    "SELECT (SELECT count(*) FROM [main].[stock_levels]) FROM stock_levels",
    "SELECT * FROM (WITH stock_levels AS (SELECT * FROM main/**/.stock_levels) SELECT * FROM stock_levels)",
    "SELECT * FROM stock_view",
    "SELECT count(*) FROM stock_view",
    "SELECT count(*) FROM stock_ones",
    "SELECT one FROM stock_ones",
    "SELECT count(*) FROM stock_ones, stock_levels",
    "UPDATE stock_levels SET amount = (SELECT count(*) FROM stock_ones)",
    "DELETE FROM stock_levels WHERE 4 = (SELECT count(*) FROM stock_ones)",
    "INSERT INTO stock_places SELECT 'NEW', count(*) FROM stock_ones RETURNING country",
    "UPDATE stock_levels SET amount = (SELECT sum(amount) FROM mAIN.stock_levels)",
    "SELECT count(*) FROM mAIN.stock_levels",
    "SELECT * FROM stock_deep",
    "SELECT count(*) FROM stock_deep",
    "SELECT 1 FROM stock_places WHERE EXISTS (SELECT 1 FROM stock_view WHERE location = 'SPARE')",
    "UPDATE stock_levels SET amount = (SELECT sum(amount) FROM main.stock_levels)",
    "UPDATE stock_levels SET amount = (SELECT sum(amount) FROM stock_view)",
    "UPDATE main.stock_levels SET amount = 0",
    "DELETE FROM main.stock_levels",
    "INSERT INTO stock_notes (level, text) SELECT id, sku FROM stock_view",
    // A trigger of the app writes to levels, whichever they are.
    "INSERT INTO stock_notes (level, text) VALUES (3, 'z')",
    "REPLACE INTO stock_levels (id, sku, location) VALUES (3, 'taken', 'MAIN')",
    "INSERT OR REPLACE INTO stock_levels (id, sku, location) VALUES (3, 'taken', 'MAIN')",
    "UPDATE OR REPLACE stock_levels SET id = 3 WHERE id = 1",
    "INSERT INTO stock_replacing VALUES (2, 'MAIN')",
    "UPDATE stock_replacing SET id = 2 WHERE id = 1",
    "SELECT cw_access_value(0) FROM stock_levels",
    // Rows that would lie outside.
    "INSERT INTO stock_levels (sku, location) VALUES ('new', 'SPARE')",
    "INSERT INTO stock_levels (sku) VALUES ('new')",
    "INSERT OR IGNORE INTO stock_levels (sku, location) VALUES ('new', 'SPARE')",
    "INSERT INTO stock_levels (sku, location) SELECT sku || '2', 'SPARE' FROM stock_levels",
    "UPDATE stock_levels SET location = 'SPARE' WHERE id = 1",
    "UPDATE OR IGNORE stock_levels SET location = NULL WHERE id = 1",
    // A row that is hidden is in the way.
    "INSERT INTO stock_levels (id, location) VALUES (3, 'MAIN') ON CONFLICT DO UPDATE SET amount = 0",
    "INSERT INTO stock_levels (sku, location) VALUES ('hidden', 'MAIN') ON CONFLICT (sku) DO UPDATE SET location = 'MAIN' RETURNING *",
];

#[tokio::test]
async fn ways_past_a_filter_are_refused_and_change_nothing() {
    let fixture = fixture().await;
    let before = all(&fixture).await;
    for &statement in WAYS_PAST {
        let error = match query(&fixture, statement).await {
            Err(Error::Statement(text)) if text.contains("run it with execute") => {
                execute(&fixture, statement)
                    .await
                    .map(|_| RowSet::default())
            }
            other => other,
        };
        let error = error.expect_err(statement);
        let Error::Denied(reason) = &error else {
            panic!("{statement}: {error}");
        };
        let of_filter = reason.starts_with(ACCESS_REFUSED) || reason.contains("cw_access_value");
        let names = reason.replace("cw_access_value", "").contains("cw_access");
        assert!(of_filter && !names, "{statement}: {reason}");
        assert_eq!(all(&fixture).await, before, "{statement}");
    }
    let replaced = fixture
        .query("SELECT location FROM stock_replacing ORDER BY id")
        .await
        .unwrap();
    assert_eq!(replaced.rows, [[text("MAIN")], [text("SPARE")]]);
}

#[tokio::test]
async fn what_a_filter_takes_from_a_table_is_said() {
    let fixture = fixture().await;
    for (statement, lost) in [
        ("SELECT rowid FROM stock_levels", "rowid"),
        ("SELECT l._rowid_ FROM stock_levels l", "rowid"),
        (
            "SELECT sku FROM stock_levels INDEXED BY stock_by_amount",
            "INDEXED BY",
        ),
    ] {
        let error = query(&fixture, statement).await.unwrap_err().to_string();
        assert!(
            error.contains("a filter holds for `stock_levels`") && error.contains(lost),
            "{statement}: {error}"
        );
    }
    let other = query(&fixture, "SELECT colour FROM stock_levels").await;
    let other = other.unwrap_err().to_string();
    assert!(!other.contains("a filter holds"), "{other}");
}

#[tokio::test]
async fn transactions_are_kept_to_filters_too() {
    let fixture = fixture().await;
    let update = decided(&fixture, "UPDATE stock_levels SET amount = 0", main_only)
        .await
        .unwrap();
    let outside = decided(
        &fixture,
        "UPDATE stock_levels SET location = 'SPARE'",
        main_only,
    )
    .await
    .unwrap();
    let select = decided(&fixture, "SELECT count(*) FROM stock_levels", main_only)
        .await
        .unwrap();
    let mut transaction = fixture.begin(Mode::Write).await;
    assert_eq!(
        transaction.execute(update).await.result.unwrap().affected,
        2
    );
    let error = transaction.execute(outside).await.result.unwrap_err();
    assert!(
        matches!(&error, Error::Denied(reason) if reason.contains("stock_levels")),
        "{error}"
    );
    // What was refused is undone alone, and the transaction goes on without its triggers.
    assert_eq!(
        transaction.query(select).await.result.unwrap().rows,
        [[Value::Integer(2)]]
    );
    let free = transaction
        .execute(request("UPDATE stock_levels SET amount = 7 WHERE id = 3"))
        .await;
    assert_eq!(free.result.unwrap().affected, 1);
    let asked = ("SELECT sku FROM stock_levels".into(), tables());
    let accesses = transaction
        .examine(asked, Duration::from_secs(20))
        .await
        .result
        .unwrap();
    assert_eq!(accesses.len(), 1);
    transaction.commit().await.result.unwrap();
    let amounts: Vec<_> = all(&fixture)
        .await
        .into_iter()
        .map(|mut row| row.swap_remove(3))
        .collect();
    assert_eq!(amounts, [0, 0, 7, 44].map(Value::Integer));
}

#[tokio::test]
async fn a_filter_ends_with_its_statement() {
    let fixture = fixture().await;
    let _ = execute(&fixture, "UPDATE stock_levels SET amount = 0")
        .await
        .unwrap();
    let _ = execute(&fixture, "UPDATE stock_levels SET location = 'SPARE'")
        .await
        .unwrap_err();
    // One that is out of time, too.
    let endless = "UPDATE stock_levels SET amount = (WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n)";
    let request = Request {
        time_max: Duration::from_millis(50),
        ..decided(&fixture, endless, main_only).await.unwrap()
    };
    let stopped = fixture
        .database()
        .execute(&scope("stock"), request)
        .await
        .result;
    assert_eq!(stopped, Err(Error::TimeExceeded));
    let free = fixture
        .execute("UPDATE stock_levels SET location = 'SPARE', amount = 9")
        .await
        .unwrap();
    assert_eq!(free.affected, 4);
    assert_eq!(
        fixture
            .query("SELECT * FROM stock_levels")
            .await
            .unwrap()
            .rows
            .len(),
        4
    );
}

#[tokio::test]
async fn what_was_not_decided_is_refused() {
    let fixture = fixture().await;
    let mut request = decided(&fixture, "SELECT 1", main_only).await.unwrap();
    for statement in [
        "SELECT sku FROM stock_levels",
        "SELECT count(*) FROM stock_levels",
        "SELECT 1 FROM stock_view",
    ] {
        request.statement = statement.into();
        let error = fixture
            .database()
            .query(&scope("stock"), request.clone())
            .await
            .result
            .unwrap_err();
        assert!(
            matches!(&error, Error::Denied(reason) if reason.starts_with(ACCESS_REFUSED)),
            "{statement}: {error}"
        );
    }
}
