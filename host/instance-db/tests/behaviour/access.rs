//! Filters on the rows of a table hold, however a statement tries to get around them.

use std::{sync::Arc, time::Duration};

use cloudware_instance_db::{
    ACCESS_REFUSED, AccessRules, Error, Mode, Outcome, Request, RowSet, Value,
};
use cloudware_types::{
    Comparison, Condition, FilteredAccess, Operation, ResultColumn, TableAccess,
};

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

#[tokio::test]
async fn a_statement_says_what_it_does_with_tables() {
    let fixture = fixture().await;
    let said = |accesses: Vec<TableAccess>| -> Vec<String> {
        let one = |a: &TableAccess| {
            format!(
                "{} {} r={} w={}",
                a.operation,
                a.table,
                a.read.join(","),
                a.written.join(",")
            )
        };
        accesses.iter().map(one).collect()
    };
    for (statement, expected) in [
        (
            "SELECT amount FROM Stock_Levels WHERE location = ?1",
            vec!["read stock_levels r=amount,location w="],
        ),
        (
            "SELECT count(*) FROM stock_levels",
            vec!["read stock_levels r= w="],
        ),
        (
            "SELECT sku FROM stock_view",
            vec!["read stock_levels r=amount,counted,half,id,location,sku w="],
        ),
        (
            "DELETE FROM stock_replacing",
            vec!["delete stock_replacing r= w="],
        ),
        ("SELECT 1", vec![]),
    ] {
        let accesses = said(examined(&fixture, statement).await.unwrap());
        match statement.contains("stock_view") {
            // Which columns a view is seen to read depends on how it is computed.
            true => assert!(
                accesses.len() == 1 && accesses[0].contains("sku"),
                "{accesses:?}"
            ),
            false => assert_eq!(accesses, expected, "{statement}"),
        }
    }
    let accesses = examined(
        &fixture,
        "UPDATE stock_levels SET amount = amount + 1 WHERE id = 1",
    )
    .await
    .unwrap();
    assert_eq!(
        said(accesses),
        [
            "read stock_levels r=amount,id w=",
            "update stock_levels r= w=amount"
        ]
    );
    let accesses = examined(&fixture, "INSERT INTO stock_notes VALUES (9, 1, 'z')")
        .await
        .unwrap();
    let through_trigger = accesses
        .iter()
        .any(|a| a.operation == Operation::Update && a.written == ["counted"]);
    assert!(through_trigger, "{accesses:?}");
    assert_eq!(
        accesses[0].columns.join(" "),
        "id sku location amount counted half"
    );
}

#[tokio::test]
async fn only_rows_of_the_filter_are_read() {
    let fixture = fixture().await;
    for (statement, expected) in [
        ("SELECT group_concat(sku) FROM stock_levels", "a,b"),
        ("SELECT group_concat(sku) FROM \"STOCK_levels\" AS l", "a,b"),
        (
            "SELECT group_concat(sku) FROM (SELECT * FROM stock_levels)",
            "a,b",
        ),
        ("SELECT CAST(count(*) AS TEXT) FROM stock_levels", "2"),
        ("SELECT CAST(sum(half) AS TEXT) FROM stock_levels", "15"),
        ("SELECT (SELECT group_concat(sku) FROM stock_levels)", "a,b"),
        (
            "SELECT CAST(3 IN (SELECT id FROM stock_levels) AS TEXT)",
            "0",
        ),
        (
            "SELECT CAST(EXISTS (SELECT 1 FROM stock_levels WHERE location = 'SPARE') AS TEXT)",
            "0",
        ),
        (
            "SELECT group_concat(sku) FROM (SELECT sku FROM stock_levels UNION SELECT sku FROM stock_levels)",
            "a,b",
        ),
        (
            "SELECT group_concat(a.sku || b.sku) FROM stock_levels a JOIN stock_levels b USING (id)",
            "aa,bb",
        ),
        (
            "SELECT group_concat(coalesce(l.sku, '-')) FROM stock_places p LEFT JOIN stock_levels l ON l.location = p.code AND p.code = 'SPARE'",
            "-,-",
        ),
        (
            "WITH mine AS (SELECT * FROM stock_levels) SELECT group_concat(sku) FROM mine",
            "a,b",
        ),
        (
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4) SELECT group_concat(sku) FROM n JOIN stock_levels ON id = i",
            "a,b",
        ),
        (
            "SELECT group_concat(sku) FROM (WITH inside AS (SELECT * FROM stock_levels) SELECT * FROM inside)",
            "a,b",
        ),
        (
            "SELECT group_concat(sku) FROM (WITH stock_levels AS (SELECT 'own' AS sku) SELECT * FROM stock_levels)",
            "own",
        ),
        (
            "VALUES ((SELECT group_concat(sku) FROM stock_levels))",
            "a,b",
        ),
        (
            "SELECT group_concat(sku) FROM stock_levels WHERE location IS NULL OR 1",
            "a,b",
        ),
        ("SELECT max(sku) OVER () FROM stock_levels LIMIT 1", "b"),
        (
            "SELECT 'x' FROM stock_places ORDER BY (SELECT count(*) FROM stock_levels) LIMIT 1",
            "x",
        ),
    ] {
        let set = query(&fixture, statement)
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
        assert_eq!(set.rows, [[text(expected)]], "{statement}");
    }
}

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
async fn changes_touch_rows_of_the_filter_alone() {
    let fixture = fixture().await;
    let changed = execute(&fixture, "UPDATE stock_levels SET amount = amount + 1")
        .await
        .unwrap();
    assert_eq!(changed.affected, 2);
    let amounts = |rows: Vec<Vec<Value>>| -> Vec<Value> {
        rows.into_iter().map(|mut row| row.swap_remove(3)).collect()
    };
    assert_eq!(
        amounts(all(&fixture).await),
        [11, 21, 33, 44].map(Value::Integer)
    );

    let set = query(
        &fixture,
        "UPDATE stock_levels SET amount = 0 WHERE amount > 20 RETURNING sku",
    )
    .await
    .unwrap();
    assert_eq!((set.rows, set.affected), (vec![vec![text("b")]], 1));

    let from = "UPDATE stock_levels SET amount = other.amount FROM stock_levels AS other WHERE other.location = 'SPARE'";
    assert_eq!(execute(&fixture, from).await.unwrap().affected, 0);

    let notes = "UPDATE stock_notes SET text = sku FROM stock_levels WHERE stock_levels.id = level";
    assert_eq!(execute(&fixture, notes).await.unwrap().affected, 1);

    let new = "INSERT INTO stock_levels (sku, location, amount) SELECT sku || '2', location, amount FROM stock_levels";
    let inserted = execute(&fixture, new).await.unwrap();
    assert_eq!((inserted.affected, inserted.last_insert_id), (2, 6));

    let upsert = "INSERT INTO stock_levels (sku, location) VALUES ('a', 'MAIN') ON CONFLICT (sku) DO UPDATE SET amount = 5 RETURNING amount";
    assert_eq!(
        query(&fixture, upsert).await.unwrap().rows,
        [[Value::Integer(5)]]
    );

    let set = query(
        &fixture,
        "DELETE FROM stock_levels WHERE id > 1 RETURNING id",
    )
    .await
    .unwrap();
    assert_eq!(set.rows.len(), 3);
    let kept: Vec<_> = all(&fixture)
        .await
        .into_iter()
        .map(|mut row| row.swap_remove(0))
        .collect();
    assert_eq!(kept, [1, 3, 4].map(Value::Integer));
    assert_eq!(
        execute(&fixture, "DELETE FROM stock_levels")
            .await
            .unwrap()
            .affected,
        1
    );
    assert_eq!(all(&fixture).await.len(), 2);
}

#[tokio::test]
async fn a_filter_on_the_number_of_a_row_holds_where_no_other_column_is_read() {
    let fixture = fixture().await;
    let some = |access: &TableAccess| match &*access.table {
        "stock_levels" => vec![Condition {
            column: "id".into(),
            comparison: Comparison::InList,
            values: [1, 2, 7].map(Value::Integer).to_vec(),
        }],
        _ => Vec::new(),
    };
    for (statement, expected) in [
        ("SELECT count(*) FROM stock_levels", vec![2]),
        ("SELECT id FROM stock_levels ORDER BY id", vec![1, 2]),
        ("SELECT max(id) FROM stock_levels", vec![2]),
        ("SELECT 3 IN (SELECT id FROM stock_levels)", vec![0]),
        (
            "SELECT count(*) FROM stock_levels a JOIN stock_levels b",
            vec![4],
        ),
        (
            "SELECT 1 WHERE EXISTS (SELECT 1 FROM stock_levels WHERE id = 3)",
            vec![],
        ),
        (
            "UPDATE stock_notes SET text = 'z' WHERE level IN (SELECT id FROM stock_levels) RETURNING id",
            vec![1],
        ),
    ] {
        let request = decided(&fixture, statement, some).await.unwrap();
        let set = fixture.database().query(&scope("stock"), request).await;
        let rows = set
            .result
            .unwrap_or_else(|error| panic!("{statement}: {error}"))
            .rows;
        let expected: Vec<_> = expected
            .into_iter()
            .map(|n| vec![Value::Integer(n)])
            .collect();
        assert_eq!(rows, expected, "{statement}");
    }
    for statement in [
        "SELECT count(*) FROM stock_ones",
        "UPDATE stock_levels SET amount = (SELECT count(*) FROM stock_ones) RETURNING amount",
    ] {
        let request = decided(&fixture, statement, some).await.unwrap();
        let refused = fixture.database().query(&scope("stock"), request).await;
        assert!(
            matches!(&refused.result, Err(Error::Denied(reason)) if reason.starts_with(ACCESS_REFUSED)),
            "{statement}: {:?}",
            refused.result
        );
    }
}

#[tokio::test]
async fn a_row_can_be_inserted_where_a_declared_table_refers_to_its_table() {
    let fixture = Fixture::new();
    fixture
        .migrate(
            "stock",
            &["CREATE TABLE stock_levels (id INTEGER PRIMARY KEY, location TEXT, sku TEXT UNIQUE);
               CREATE TABLE stock_replacing (level INTEGER REFERENCES stock_levels (id) ON DELETE CASCADE);"],
        )
        .await;
    let decide = |access: &TableAccess| match &*access.table {
        "stock_levels" => only("location", "MAIN"),
        _ => Vec::new(),
    };
    for statement in [
        "INSERT INTO stock_levels (location) VALUES ('MAIN')",
        "INSERT OR IGNORE INTO stock_levels (location) VALUES ('MAIN')",
        "INSERT INTO stock_levels (location, sku) VALUES ('MAIN', 'a') ON CONFLICT (sku) DO UPDATE SET location = 'MAIN'",
    ] {
        let request = decided(&fixture, statement, decide).await.unwrap();
        let asked = &request.access.as_ref().unwrap().accesses;
        assert!(
            asked.iter().all(|one| &*one.access.table == "stock_levels"),
            "{statement}: {asked:?}"
        );
        let outcome = fixture.database().execute(&scope("stock"), request).await;
        let outcome = outcome
            .result
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
        assert_eq!(outcome.affected, 1, "{statement}");
    }
    // What nobody decided about is not read for all that.
    let insert = "INSERT INTO stock_levels (location) VALUES ('MAIN')";
    let mut request = decided(&fixture, insert, decide).await.unwrap();
    request.statement =
        "INSERT INTO stock_levels (location) SELECT 'MAIN' FROM stock_replacing".into();
    let refused = fixture.database().execute(&scope("stock"), request).await;
    assert!(
        matches!(&refused.result, Err(Error::Denied(reason)) if reason.starts_with(ACCESS_REFUSED)),
        "{:?}",
        refused.result
    );
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
async fn values_of_another_kind_than_the_column_are_read_and_changed_by_one_rule() {
    let value = |comparison, value: Value| Condition {
        column: "amount".into(),
        comparison,
        values: vec![value],
    };
    for (condition, seen) in [
        (value(Comparison::Lt, text("15")), 0),
        (value(Comparison::Ge, text("1")), 0),
        (value(Comparison::Eq, text("20")), 0),
        (value(Comparison::Ne, text("20")), 0),
        (value(Comparison::InList, text("20")), 0),
        (value(Comparison::Lt, Value::Real(15.5)), 1),
        (value(Comparison::InList, Value::Integer(20)), 1),
    ] {
        // A database for each, because what may be seen is removed.
        let fixture = fixture().await;
        let scope = scope("stock");
        let decide = |_: &TableAccess| vec![condition.clone()];
        let mut rows = Vec::new();
        for statement in [
            "SELECT id FROM stock_levels ORDER BY id",
            "DELETE FROM stock_levels RETURNING id",
        ] {
            let request = decided(&fixture, statement, decide).await.unwrap();
            let set = fixture.database().query(&scope, request).await.result;
            rows.push(set.unwrap().rows);
        }
        assert_eq!(rows[0].len(), seen, "{condition:?}");
        let changed = 4 - all(&fixture).await.len();
        assert_eq!(changed, seen, "{condition:?}");
    }
}

#[tokio::test]
async fn what_returns_from_a_change_does_not_look_past_the_filter() {
    let fixture = fixture().await;
    for statement in [
        "UPDATE stock_levels SET amount = 1 WHERE id = 1 RETURNING (SELECT group_concat(sku) FROM stock_levels)",
        "INSERT INTO stock_places VALUES ('NEW', NULL) RETURNING (SELECT group_concat(sku) FROM stock_levels)",
        "DELETE FROM stock_levels WHERE id = 1 RETURNING (SELECT group_concat(sku) FROM stock_levels)",
        "UPDATE stock_levels SET sku = (SELECT group_concat(sku) FROM stock_levels) WHERE id = 2 RETURNING sku",
    ] {
        match query(&fixture, statement).await {
            Ok(set) => {
                let seen = format!("{:?}", set.rows);
                assert!(
                    !seen.contains("hidden") && !seen.contains("nowhere"),
                    "{statement}: {seen}"
                );
            }
            Err(Error::Denied(reason)) => {
                assert!(reason.starts_with(ACCESS_REFUSED), "{statement}: {reason}")
            }
            Err(error) => panic!("{statement}: {error}"),
        }
    }
}

#[tokio::test]
async fn filters_of_operations_are_kept_apart() {
    let fixture = fixture().await;
    // Everything may be read, and only some changed.
    let decide = |access: &TableAccess| match access.operation {
        Operation::Update => only("location", "MAIN"),
        _ => Vec::new(),
    };
    let update = "UPDATE stock_levels SET amount = (SELECT max(amount) FROM stock_levels)";
    let update = decided(&fixture, update, decide).await.unwrap();
    let changed = fixture
        .database()
        .execute(&scope("stock"), update)
        .await
        .result
        .unwrap();
    assert_eq!(changed.affected, 2);
    let through_view = decided(&fixture, "SELECT count(*) FROM stock_view", decide)
        .await
        .unwrap();
    let counted = fixture
        .database()
        .query(&scope("stock"), through_view)
        .await
        .result
        .unwrap();
    assert_eq!(counted.rows, [[Value::Integer(4)]]);
    let deleted = decided(&fixture, "DELETE FROM stock_levels WHERE id = 3", decide)
        .await
        .unwrap();
    let deleted = fixture
        .database()
        .execute(&scope("stock"), deleted)
        .await
        .result
        .unwrap();
    assert_eq!(deleted.affected, 1);
}

#[tokio::test]
async fn foreign_keys_do_not_reach_past_a_filter() {
    let fixture = Fixture::new();
    fixture
        .migrate(
            "stock",
            &["
            CREATE TABLE stock_owners (id INTEGER PRIMARY KEY);
            INSERT INTO stock_owners VALUES (1), (2), (3);
            CREATE TABLE stock_levels (id INTEGER PRIMARY KEY, location TEXT, owner INTEGER REFERENCES stock_owners ON DELETE CASCADE);
            INSERT INTO stock_levels VALUES (1, 'MAIN', 1), (2, 'SPARE', 2);
            CREATE TABLE stock_replacing (id INTEGER PRIMARY KEY, location TEXT, owner INTEGER REFERENCES stock_owners ON DELETE SET NULL);
            INSERT INTO stock_replacing VALUES (1, 'SPARE', 3);
            CREATE VIEW stock_places AS SELECT * FROM stock_levels;
        "],
        )
        .await;
    // Children within the filter go with their parent; those outside keep it where it is.
    let gone = execute(&fixture, "DELETE FROM stock_owners WHERE id = 1")
        .await
        .unwrap();
    assert_eq!(gone.affected, 1);
    for owner in [2, 3] {
        let kept = execute(
            &fixture,
            &format!("DELETE FROM stock_owners WHERE id = {owner}"),
        )
        .await;
        assert!(
            matches!(kept, Err(Error::Constraint(_) | Error::Denied(_))),
            "{owner}: {kept:?}"
        );
    }
    let rows = fixture
        .query("SELECT id, owner FROM stock_levels UNION ALL SELECT id, owner FROM stock_replacing")
        .await;
    assert_eq!(
        rows.unwrap().rows,
        [
            [Value::Integer(2), Value::Integer(2)],
            [Value::Integer(1), Value::Integer(3)]
        ]
    );
    // A key can be given where its table is filtered, too.
    let decide = |_: &TableAccess| only("location", "MAIN");
    let insert = decided(
        &fixture,
        "INSERT INTO stock_levels VALUES (5, 'MAIN', 3)",
        decide,
    )
    .await
    .unwrap();
    let inserted = fixture
        .database()
        .execute(&scope("stock"), insert)
        .await
        .result
        .unwrap();
    assert_eq!(inserted.affected, 1);
    // A view that is declared is read by its filter as a table is.
    let select = "SELECT group_concat(id) FROM stock_places";
    let select = decided(&fixture, select, |access| match &*access.table {
        "stock_places" => only("location", "MAIN"),
        _ => Vec::new(),
    });
    let set = fixture
        .database()
        .query(&scope("stock"), select.await.unwrap())
        .await
        .result
        .unwrap();
    assert_eq!(set.rows, [[text("5")]]);
}

#[tokio::test]
async fn every_comparison_holds() {
    let fixture = fixture().await;
    use Comparison::{Eq, Ge, Gt, InList, IsNotNull, IsNull, Le, Lt, Ne};
    let number = Value::Integer;
    for (column, comparison, values, expected) in [
        ("amount", Eq, vec![number(20)], "b"),
        ("amount", Eq, vec![text("20")], ""),
        ("amount", InList, vec![text("10"), number(20)], "b"),
        ("amount", Ne, vec![text("20")], ""),
        ("sku", Gt, vec![number(5)], ""),
        ("amount", Ne, vec![number(20)], "a,hidden,nowhere"),
        ("amount", Lt, vec![number(20)], "a"),
        ("AMOUNT", Le, vec![number(20)], "a,b"),
        ("amount", Gt, vec![Value::Real(32.5)], "hidden,nowhere"),
        ("amount", Ge, vec![number(44)], "nowhere"),
        ("location", IsNull, vec![], "nowhere"),
        ("location", IsNotNull, vec![], "a,b,hidden"),
        (
            "location",
            InList,
            vec![text("MAIN"), text("it's \" ; --")],
            "a,b",
        ),
        ("sku", Eq, vec![text("a' OR 1 --")], ""),
        ("location", InList, vec![], ""),
        ("location", Eq, vec![Value::Null], ""),
        (
            "counted",
            Eq,
            vec![Value::Boolean(false)],
            "a,b,hidden,nowhere",
        ),
        ("sku", Eq, vec![Value::Blob(b"a".to_vec())], ""),
    ] {
        let condition = Condition {
            column: column.into(),
            comparison,
            values,
        };
        let decide = |_: &TableAccess| vec![condition.clone()];
        let statement = "SELECT coalesce(group_concat(sku), '') FROM (SELECT sku FROM stock_levels ORDER BY id)";
        let request = decided(&fixture, statement, decide).await.unwrap();
        let set = fixture
            .database()
            .query(&scope("stock"), request)
            .await
            .result
            .unwrap();
        assert_eq!(set.rows, [[text(expected)]], "{condition:?}");
    }
}

#[tokio::test]
async fn a_condition_on_no_column_lets_nothing_pass() {
    let fixture = fixture().await;
    for (column, statement) in [
        ("secret", "SELECT sku FROM stock_levels"),
        ("1 = 1 OR \"id", "SELECT sku FROM stock_levels"),
        ("secret", "DELETE FROM stock_levels"),
    ] {
        let decide = |_: &TableAccess| only(column, "MAIN");
        let request = decided(&fixture, statement, decide).await.unwrap();
        let database = fixture.database();
        let refused = match statement.starts_with("SELECT") {
            true => database
                .query(&scope("stock"), request)
                .await
                .result
                .map(drop),
            false => database
                .execute(&scope("stock"), request)
                .await
                .result
                .map(drop),
        };
        let error = refused.unwrap_err();
        assert!(
            matches!(
                error,
                Error::Statement(_) | Error::Denied(_) | Error::Unavailable(_)
            ),
            "{error}"
        );
    }
    assert_eq!(all(&fixture).await.len(), 4);
}

#[tokio::test]
async fn parameters_of_the_statement_keep_their_places() {
    let fixture = fixture().await;
    for statement in [
        "SELECT sku FROM stock_levels WHERE amount > ? AND id < ?",
        "SELECT sku FROM stock_levels WHERE amount > $1 AND id < $2",
        "WITH x AS (SELECT * FROM stock_levels WHERE amount > ?1) SELECT sku FROM x WHERE id < ?2",
    ] {
        let mut request = decided(&fixture, statement, main_only).await.unwrap();
        request.parameters = vec![Value::Integer(15), Value::Integer(100)];
        let set = fixture
            .database()
            .query(&scope("stock"), request)
            .await
            .result
            .unwrap();
        assert_eq!(set.rows, [[text("b")]], "{statement}");
    }
}

#[tokio::test]
async fn columns_say_where_they_come_from() {
    let fixture = fixture().await;
    let set = query(
        &fixture,
        "SELECT sku AS name, amount, amount + 1, l.location FROM stock_levels AS l",
    )
    .await
    .unwrap();
    let origin = |name: &str, column: Option<&str>| ResultColumn {
        name: name.into(),
        origin: column.map(|column| ("stock_levels".into(), column.into())),
    };
    assert_eq!(
        set.origins,
        [
            origin("name", Some("sku")),
            origin("amount", Some("amount")),
            origin("amount + 1", None),
            origin("location", Some("location")),
        ]
    );
    let through = query(
        &fixture,
        "SELECT c FROM (SELECT code AS c FROM stock_places)",
    )
    .await
    .unwrap();
    assert_eq!(
        through.origins[0].origin,
        Some(("stock_places".into(), "code".into()))
    );
    let returned = query(
        &fixture,
        "UPDATE stock_levels SET amount = 1 RETURNING counted",
    )
    .await
    .unwrap();
    assert_eq!(returned.rows[0], [Value::Boolean(false)]);
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
