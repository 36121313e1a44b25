//! Rows that a statement writes: all of them are counted and bounded, by whatever part of the schema they are written.

use cloudware_instance_db::{Error, Mode, Outcome, Value};

use crate::fixture::{Fixture, refused, request, scope};

/// Each change of an item is noted, an item goes with its moves, and a view takes items in.
const SCHEMA: &str = "
    CREATE TABLE stock_items (id INTEGER PRIMARY KEY, amount INTEGER);
    CREATE TABLE stock_notes (item INTEGER);
    CREATE TABLE stock_moves (item INTEGER REFERENCES stock_items (id) ON DELETE CASCADE);
    CREATE VIEW stock_ids AS SELECT id FROM stock_items;
    CREATE TRIGGER stock_noted AFTER UPDATE ON stock_items BEGIN
        INSERT INTO stock_notes VALUES (new.id), (new.id), (new.id);
    END;
    CREATE TRIGGER stock_taken INSTEAD OF INSERT ON stock_ids BEGIN
        INSERT INTO stock_items (id) VALUES (new.id);
        INSERT INTO stock_moves VALUES (new.id), (new.id);
    END;
";

async fn fixture() -> Fixture {
    let fixture = Fixture::new();
    fixture.migrate("stock", &[SCHEMA]).await;
    fixture
}

fn counts(outcome: Outcome) -> (u64, u64) {
    (outcome.affected, outcome.written)
}

#[tokio::test]
async fn rows_of_triggers_views_and_foreign_keys_are_counted() {
    let fixture = fixture().await;
    for (statement, affected, written) in [
        ("INSERT INTO stock_items (id) VALUES (1), (2)", 2, 2),
        ("UPDATE stock_items SET amount = 1", 2, 8),
        // What is written is the trigger's alone.
        ("INSERT INTO stock_ids VALUES (3)", 0, 3),
        ("DELETE FROM stock_items WHERE id = 3", 1, 3),
        ("DELETE FROM stock_items WHERE id = 3", 0, 0),
        ("DELETE FROM stock_notes", 6, 6),
    ] {
        let outcome = fixture.execute(statement).await.unwrap();
        assert_eq!(counts(outcome), (affected, written), "{statement}");
    }
    let returning = "UPDATE stock_items SET amount = 2 RETURNING id";
    let set = fixture.query(returning).await.unwrap();
    assert_eq!((set.rows.len(), set.written), (2, 8));
    let set = fixture.query("SELECT id FROM stock_items").await.unwrap();
    assert_eq!((set.rows.len(), set.written), (2, 0));
}

#[tokio::test]
async fn rows_are_counted_for_each_statement_of_a_transaction() {
    let fixture = fixture().await;
    let mut open = fixture.begin(Mode::Write).await;
    for (statement, affected, written) in [
        ("INSERT INTO stock_items (id) VALUES (1)", 1, 1),
        ("UPDATE stock_items SET amount = 1", 1, 4),
        ("UPDATE stock_items SET amount = 1 WHERE id = 9", 0, 0),
        ("INSERT INTO stock_items (id) VALUES (2)", 1, 1),
    ] {
        let outcome = open.execute(request(statement)).await.result.unwrap();
        assert_eq!(counts(outcome), (affected, written), "{statement}");
    }
    let set = open.query(request("SELECT id FROM stock_items")).await;
    assert_eq!(set.result.unwrap().written, 0);
}

#[tokio::test]
async fn what_a_trigger_writes_too_much_is_refused_and_undone() {
    let fixture = fixture().await;
    let insert = "INSERT INTO stock_items (id) VALUES (1), (2)";
    fixture.execute(insert).await.unwrap();
    let bounded = |statement: &str, rows_written_max| {
        let mut asked = request(statement);
        asked.rows_written_max = rows_written_max;
        asked
    };
    let update = "UPDATE stock_items SET amount = 1";
    let returning = "UPDATE stock_items SET amount = 1 RETURNING id";
    let (database, scope) = (fixture.database(), scope("stock"));
    let executed = database.execute(&scope, bounded(update, 7)).await;
    assert_eq!(refused(executed), Error::RowsWrittenExceeded);
    let queried = database.query(&scope, bounded(returning, 7)).await;
    assert_eq!(refused(queried), Error::RowsWrittenExceeded);
    let mut open = fixture.begin(Mode::Write).await;
    let executed = open.execute(bounded(update, 7)).await;
    assert_eq!(refused(executed), Error::RowsWrittenExceeded);
    open.commit().await.result.unwrap();
    let count = "SELECT count(amount) + (SELECT count(*) FROM stock_notes) FROM stock_items";
    assert_eq!(fixture.cell("stock", count).await, Value::Integer(0));
    let executed = database.execute(&scope, bounded(update, 8)).await;
    assert_eq!(counts(executed.result.unwrap()), (2, 8));
}
