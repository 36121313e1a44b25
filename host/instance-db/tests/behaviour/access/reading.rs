//! What is read through a filter, and what a statement says that it reads.

use cloudware_instance_db::{Error, Value};
use cloudware_types::{Comparison, Condition, Operation, ResultColumn, TableAccess};

use super::{all, decided, examined, fixture, main_only, only, query, text};
use crate::fixture::scope;

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
