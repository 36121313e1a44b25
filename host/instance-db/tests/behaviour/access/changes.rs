//! What is changed through a filter: rows of the filter alone, also by way of keys and of other tables.

use cloudware_instance_db::{ACCESS_REFUSED, Error, Value};
use cloudware_types::{Comparison, Condition, Operation, TableAccess};

use super::{all, decided, execute, fixture, only, query, text};
use crate::fixture::{Fixture, scope};

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
    assert_eq!((set.rows, set.written), (vec![vec![text("b")]], 1));

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
