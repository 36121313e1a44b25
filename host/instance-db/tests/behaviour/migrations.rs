//! Schemas go up and down as a whole or not at all.

use cloudware_instance_db::{Direction, Error, MigrationError, Value, check_migrations};
use cloudware_types::Migration;

use crate::fixture::{Fixture, STORAGE};

fn step(version: u32, up: &str, down: Option<&str>) -> Migration {
    Migration {
        version,
        name: format!("step-{version}"),
        up: up.to_owned(),
        down: down.map(str::to_owned),
    }
}

fn history() -> Vec<Migration> {
    vec![
        step(
            1,
            "CREATE TABLE stock_items (id INTEGER PRIMARY KEY AUTOINCREMENT, sku TEXT);
             CREATE TABLE stock_moves (id INTEGER PRIMARY KEY, item REFERENCES stock_items (id) ON DELETE CASCADE);
             CREATE INDEX stock_by_sku ON stock_items (lower(sku)) WHERE sku IS NOT NULL;
             INSERT INTO stock_items (sku) VALUES ('a'), ('b');
             INSERT INTO stock_moves (item) VALUES (1), (2);",
            Some("DROP TABLE stock_moves; DROP TABLE stock_items;"),
        ),
        step(
            2,
            "ALTER TABLE stock_items ADD COLUMN amount INTEGER NOT NULL DEFAULT 0 CHECK (amount >= 0);
             ALTER TABLE stock_items RENAME COLUMN sku TO code;
             CREATE VIEW stock_overview AS SELECT code, amount FROM stock_items;
             CREATE TRIGGER stock_moved AFTER INSERT ON stock_moves BEGIN
                 UPDATE stock_items SET amount = amount + 1 WHERE id = new.item;
             END;",
            Some(
                "DROP TRIGGER stock_moved; DROP VIEW stock_overview;
                 ALTER TABLE stock_items RENAME COLUMN code TO sku;
                 ALTER TABLE stock_items DROP COLUMN amount;",
            ),
        ),
        // Rebuilds a table that others refer to, as SQLite's manual says.
        step(
            3,
            "CREATE TABLE stock_new (id INTEGER PRIMARY KEY AUTOINCREMENT, code TEXT NOT NULL, amount INTEGER NOT NULL) STRICT;
             INSERT INTO stock_new SELECT id, code, amount FROM stock_items;
             DROP VIEW stock_overview;
             DROP TRIGGER stock_moved;
             DROP TABLE stock_items;
             ALTER TABLE stock_new RENAME TO stock_items;",
            None,
        ),
    ]
}

async fn migrate(
    fixture: &Fixture,
    steps: Vec<Migration>,
    target: u32,
) -> Result<(), MigrationError> {
    fixture
        .dbs
        .migrate(
            fixture.instance,
            &"stock".parse().unwrap(),
            steps,
            target,
            STORAGE,
        )
        .await
}

async fn version(fixture: &Fixture) -> u32 {
    let namespace = "stock".parse().unwrap();
    fixture
        .dbs
        .schema_version(fixture.instance, &namespace)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_schema_goes_up_down_and_up_again_with_its_data() {
    let fixture = Fixture::new();
    migrate(&fixture, history(), 2).await.unwrap();
    fixture
        .execute("INSERT INTO stock_moves (item) VALUES (1)")
        .await
        .unwrap();
    let amount = "SELECT amount FROM stock_overview WHERE code = 'a'";
    assert_eq!(fixture.cell("stock", amount).await, Value::Integer(1));
    // The older release knows only its own step; the way back is what was recorded.
    migrate(&fixture, history()[..1].to_vec(), 1).await.unwrap();
    assert_eq!(version(&fixture).await, 1);
    assert!(fixture.query("SELECT * FROM stock_overview").await.is_err());
    let skus = fixture
        .cell("stock", "SELECT group_concat(sku) FROM stock_items")
        .await;
    assert_eq!(skus, Value::Text("a,b".into()));
    migrate(&fixture, history(), 3).await.unwrap();
    let moves = "SELECT count(*) FROM stock_moves JOIN stock_items ON stock_items.id = item";
    assert_eq!(fixture.cell("stock", moves).await, Value::Integer(3));
    // References hold again after the rebuild.
    let dangling = fixture
        .execute("INSERT INTO stock_moves (item) VALUES (99)")
        .await;
    assert!(matches!(dangling, Err(Error::Constraint(_))));
    migrate(&fixture, history(), 3).await.unwrap();
    let back = migrate(&fixture, history(), 2).await.unwrap_err();
    assert!(
        matches!(back, MigrationError::NoDown { version: 3, .. }),
        "{back}"
    );
    assert_eq!(version(&fixture).await, 3);
}

#[tokio::test]
async fn nothing_of_a_failed_upgrade_stays() {
    let fixture = Fixture::new();
    migrate(&fixture, history(), 1).await.unwrap();
    let mut steps = history();
    steps[2].up = "INSERT INTO stock_items (code) VALUES ('x'); SELEKT".into();
    let failed = migrate(&fixture, steps, 3).await.unwrap_err();
    let MigrationError::Step {
        version: 3,
        direction: Direction::Up,
        reason,
        ..
    } = &failed
    else {
        panic!("{failed:?}");
    };
    assert!(reason.contains("SELEKT"), "{reason}");
    assert_eq!(version(&fixture).await, 1);
    let skus = fixture
        .cell("stock", "SELECT group_concat(sku) FROM stock_items")
        .await;
    assert_eq!(skus, Value::Text("a,b".into()));
}

#[tokio::test]
async fn a_changed_step_is_refused_and_an_unknown_one_too() {
    let fixture = Fixture::new();
    migrate(&fixture, history(), 2).await.unwrap();
    let mut changed = history();
    changed[0].up += " -- harmless";
    let refusal = migrate(&fixture, changed, 2).await.unwrap_err();
    assert!(
        matches!(refusal, MigrationError::Changed { version: 1, .. }),
        "{refusal}"
    );
    let refusal = migrate(&fixture, history(), 4).await.unwrap_err();
    assert!(matches!(refusal, MigrationError::Numbering(_)), "{refusal}");
    let mut gap = history();
    gap.remove(1);
    let refusal = migrate(&fixture, gap, 2).await.unwrap_err();
    assert!(matches!(refusal, MigrationError::Numbering(_)), "{refusal}");
}

#[tokio::test]
async fn references_must_hold_after_a_migration() {
    let fixture = Fixture::new();
    migrate(&fixture, history(), 1).await.unwrap();
    let mut steps = history()[..1].to_vec();
    steps.push(step(2, "DELETE FROM stock_items WHERE id = 1", None));
    let refusal = migrate(&fixture, steps, 2).await.unwrap_err();
    let MigrationError::Result { version: 2, reason } = &refusal else {
        panic!("{refusal:?}");
    };
    assert!(
        reason.contains("stock_moves") && reason.contains("1 rows"),
        "{reason}"
    );
}

#[test]
fn what_is_declared_for_access_must_be_a_table_after_all_steps() {
    let namespace = "stock".parse().unwrap();
    let schema = "CREATE TABLE stock_items (sku TEXT); CREATE VIEW stock_overview AS SELECT sku FROM stock_items;";
    let steps = [step(1, schema, None)];
    let declared = |table: &str| {
        let checked = check_migrations(&namespace, &steps, &[table.to_owned()]);
        checked.map_err(|error| error.to_string())
    };
    assert_eq!(declared("STOCK_items"), Ok(()));
    let missing = declared("stock_itmes").unwrap_err();
    assert!(
        missing.contains("`stock_itmes` in [access] is no table"),
        "{missing}"
    );
    let view = declared("stock_overview").unwrap_err();
    assert!(view.contains("is a view"), "{view}");
}

#[test]
fn the_check_before_publishing_goes_up_down_and_up() {
    let namespace = "stock".parse().unwrap();
    check_migrations(&namespace, &history(), &[]).unwrap();
    check_migrations(&namespace, &[], &[]).unwrap();
    let mut broken = history();
    broken.pop();
    broken[1].down = Some("DROP VIEW stock_overview".into());
    // The way down leaves a column, which the second way up meets.
    let refusal = check_migrations(&namespace, &broken, &[]).unwrap_err();
    assert!(
        matches!(
            refusal,
            MigrationError::Step { version: 1, .. }
                | MigrationError::Step { version: 2, .. }
                | MigrationError::Result { .. }
        ),
        "{refusal}"
    );
    let leftover = [step(
        1,
        "CREATE TABLE stock_a (x); CREATE TABLE stock_b (x)",
        Some("DROP TABLE stock_a"),
    )];
    let refusal = check_migrations(&namespace, &leftover, &[]).unwrap_err();
    assert!(refusal.to_string().contains("stock_b"), "{refusal}");
    let endless = [step(
        1,
        "CREATE TABLE stock_n (i); INSERT INTO stock_n WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000000) SELECT max(i) FROM n, n AS m",
        None,
    )];
    let begun = std::time::Instant::now();
    assert!(check_migrations(&namespace, &endless, &[]).is_err());
    assert!(begun.elapsed() < std::time::Duration::from_secs(30));
}

#[tokio::test]
async fn a_schema_may_use_what_sqlite_offers_for_tables() {
    let fixture = Fixture::new();
    let schema = "
        CREATE TABLE stock_items (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            sku TEXT NOT NULL COLLATE NOCASE CHECK (length(trim(sku)) > 0),
            amount INTEGER NOT NULL DEFAULT 0,
            added TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d', 'now')),
            doubled INTEGER GENERATED ALWAYS AS (amount * 2) VIRTUAL,
            data TEXT CHECK (json_valid(data)),
            UNIQUE (sku, added)
        );
        CREATE TABLE stock_log (item INTEGER, was INTEGER, PRIMARY KEY (item, was)) STRICT, WITHOUT ROWID;
        CREATE INDEX stock_by_data ON stock_items (json_extract(data, '$.batch')) WHERE data IS NOT NULL;
        CREATE TRIGGER stock_keep BEFORE DELETE ON stock_items WHEN old.amount > 0 BEGIN
            SELECT RAISE(ABORT, 'there is still stock');
        END;
        CREATE TRIGGER stock_note AFTER UPDATE OF amount ON stock_items BEGIN
            INSERT OR IGNORE INTO stock_log VALUES (new.id, old.amount);
        END;
        CREATE VIEW stock_latest AS
            WITH numbered AS (SELECT *, row_number() OVER (PARTITION BY sku ORDER BY id DESC) AS n FROM stock_items)
            SELECT sku, amount FROM numbered WHERE n = 1;
        CREATE TRIGGER stock_latest_set INSTEAD OF UPDATE ON stock_latest BEGIN
            UPDATE stock_items SET amount = new.amount WHERE sku = new.sku;
        END;";
    check_migrations(&"stock".parse().unwrap(), &[step(1, schema, None)], &[]).unwrap();
    migrate(&fixture, vec![step(1, schema, None)], 1)
        .await
        .unwrap();
    let insert =
        "INSERT INTO stock_items (sku, data) VALUES ('a', '{\"batch\": 7}') RETURNING id, doubled";
    let set = fixture.query(insert).await.unwrap();
    assert_eq!(set.rows, [[Value::Integer(1), Value::Integer(0)]]);
    fixture
        .execute("UPDATE stock_latest SET amount = 5 WHERE sku = 'A'")
        .await
        .unwrap();
    let found = "SELECT doubled FROM stock_items WHERE json_extract(data, '$.batch') = 7";
    assert_eq!(fixture.cell("stock", found).await, Value::Integer(10));
    let logged = "SELECT count(*) FROM stock_log";
    assert_eq!(fixture.cell("stock", logged).await, Value::Integer(1));
    let Err(Error::Constraint(violation)) = fixture.execute("DELETE FROM stock_items").await else {
        panic!("the trigger did not object");
    };
    assert_eq!(violation.subject, "there is still stock");
}
