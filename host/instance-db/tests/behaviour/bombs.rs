//! Statements that would take the host's time or memory end within their bounds, and the database goes on.

use std::time::{Duration, Instant};

use cloudware_instance_db::{Error, Mode, Request, Value};

use crate::fixture::{Fixture, refused, request, scope};

/// Enough for a loaded machine, far below what any bomb would take.
const SOON: Duration = Duration::from_secs(15);

fn within(statement: &str, time_max_ms: u64) -> Request {
    Request {
        time_max: Duration::from_millis(time_max_ms),
        ..request(statement)
    }
}

async fn assert_alive(fixture: &Fixture) {
    let count = fixture
        .cell("stock", "SELECT count(*) FROM stock_items")
        .await;
    assert_eq!(count, Value::Integer(3));
}

#[tokio::test]
async fn endless_statements_are_stopped_by_the_clock() {
    let fixture = Fixture::with_apps().await;
    let six =
        "stock_items a, stock_items b, stock_items c, stock_items d, stock_items e, stock_items f";
    let more = six.replace("stock_items ", "stock_items _");
    let wide = format!("{six}, {more}, stock_items x, stock_items y, stock_items z");
    for statement in [
        format!("SELECT sum(a.id * b.id) FROM {wide}"),
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n".into(),
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 0".into(),
        format!("UPDATE stock_items SET amount = (SELECT count(a.id + _a.id) FROM {wide})"),
        format!("DELETE FROM stock_items WHERE id = (SELECT count(a.id + _a.id) FROM {wide})"),
    ] {
        let begun = Instant::now();
        let database = fixture.database();
        let worked = if statement.starts_with("UPDATE") || statement.starts_with("DELETE") {
            let worked = database.execute(&scope("stock"), within(&statement, 200)).await;
            worked.map(|_| ())
        } else {
            database.query(&scope("stock"), within(&statement, 200)).await.map(|_| ())
        };
        assert!(worked.worked >= Duration::from_millis(190), "{statement}");
        assert_eq!(refused(worked), Error::TimeExceeded, "{statement}");
        assert!(begun.elapsed() < SOON, "{statement}");
    }
    assert_alive(&fixture).await;
}

#[tokio::test]
async fn large_values_and_sorts_are_bounded_in_memory() {
    let fixture = Fixture::with_apps().await;
    let endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)";
    for statement in [
        "SELECT zeroblob(1000000000)".to_owned(),
        "SELECT randomblob(1000000000)".into(),
        "SELECT length(zeroblob(9000000))".into(),
        "SELECT hex(zeroblob(8000000))".into(),
        "SELECT printf('%.*c', 100000000, 'x')".into(),
        "SELECT format('%100000000d', 1)".into(),
        "SELECT replace(hex(zeroblob(1000000)), '0', 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx')".into(),
        "SELECT quote(zeroblob(8000000))".into(),
        format!("{endless} SELECT group_concat(hex(randomblob(1000))) FROM n"),
        format!("{endless} SELECT json_group_array(i) FROM n"),
        format!("{endless} SELECT i, randomblob(100000) AS r FROM n ORDER BY r"),
        format!("{endless} SELECT DISTINCT hex(randomblob(10000)) FROM n LIMIT 1000000"),
        format!("{endless} SELECT hex(randomblob(100000)) FROM n"),
        format!("{endless} SELECT count(*) FROM (SELECT hex(randomblob(10000)) AS r FROM n GROUP BY r)"),
        "SELECT * FROM (SELECT zeroblob(7000000)), (SELECT zeroblob(7000000)), (SELECT zeroblob(7000000))".into(),
    ] {
        let begun = Instant::now();
        let stock = scope("stock");
        let asked = within(&statement, 2_000);
        match fixture.database().query(&stock, asked).await.result {
            Err(Error::Statement(_)) => {}
            // Aggregates stop growing at their bound and go on until the clock stops them.
            Err(Error::TimeExceeded) if statement.contains("group_") => {}
            // SQLite's printf() answers null where its text would be too long.
            Ok(set) => assert_eq!(set.rows, [[Value::Null]], "{statement}"),
            Err(other) => panic!("{statement}: {other:?}"),
        }
        assert!(begun.elapsed() < SOON, "{statement}");
    }
    let resident = resident_bytes();
    assert!(resident < 400 << 20, "the process holds {resident} bytes");
    assert_alive(&fixture).await;
}

#[tokio::test]
async fn products_of_two_lengths_take_no_time() {
    let fixture = Fixture::with_apps().await;
    let long = "printf('%.*c', 8000000, 'a')";
    let half = "printf('%.*c', 4000000, 'a')";
    for statement in [
        format!("SELECT instr({long}, {half} || 'b')"),
        "SELECT instr(zeroblob(8000000), CAST(zeroblob(4000000) || 'b' AS BLOB))".to_owned(),
        format!("SELECT length(replace({long}, {half} || 'b', 'x'))"),
        format!("SELECT length(trim({long}, {half}))"),
        format!("SELECT {long} LIKE '%a%a%a%a%a%a%a%a%a%a%a%a%b'"),
        format!("SELECT {long} LIKE printf('%.*c', 1000000, '%')"),
        format!("SELECT {long} GLOB '*a*a*a*a*a*a*a*a*a*a*a*a*b'"),
    ] {
        let begun = Instant::now();
        // Some are refused, some answered; none may take long.
        let _ = fixture.query(&statement).await;
        assert!(
            begun.elapsed() < SOON,
            "{statement} took {:?}",
            begun.elapsed()
        );
    }
    assert_alive(&fixture).await;
}

#[tokio::test]
async fn statements_that_grow_while_they_are_compiled_are_refused() {
    let fixture = Fixture::with_apps().await;
    let mut doubling = "WITH v0 AS (SELECT 1 AS x)".to_owned();
    for level in 1..40 {
        let below = level - 1;
        doubling += &format!(", v{level} AS (SELECT a.x FROM v{below} a, v{below} b)");
    }
    doubling += " SELECT count(*) FROM v39";
    let nested = format!("SELECT {}1{}", "abs(".repeat(5_000), ")".repeat(5_000));
    let sums = format!("SELECT 1{}", " + 1".repeat(5_000));
    let unions = format!("SELECT 1{}", " UNION SELECT 1".repeat(1_000));
    let columns = format!("SELECT 1{}", ", 1".repeat(5_000));
    let arguments = format!("SELECT max(1{})", ", 1".repeat(5_000));
    let joins = format!("SELECT 1 FROM stock_items{}", ", stock_items".repeat(100));
    let long = format!("SELECT '{}'", "x".repeat(200_000));
    let variables = format!("SELECT ?{}", ", ?".repeat(5_000));
    for statement in [
        doubling, nested, sums, unions, columns, arguments, joins, long, variables,
    ] {
        let head: String = statement.chars().take(60).collect();
        let begun = Instant::now();
        let worked = fixture
            .database()
            .query(&scope("stock"), within(&statement, 2_000))
            .await;
        assert!(worked.result.is_err(), "{head}");
        assert!(begun.elapsed() < SOON, "{head} took {:?}", begun.elapsed());
    }
    assert_alive(&fixture).await;
}

#[tokio::test]
async fn a_full_quota_is_told_from_a_bad_statement_and_can_be_mended() {
    let fixture = Fixture::with_apps().await;
    let mut small = scope("stock");
    small.storage_bytes_max = 1 << 20;
    let database = fixture.database();
    let grow = "INSERT INTO stock_items (sku) VALUES (hex(randomblob(200000)))";
    let mut inserted = 0;
    while database.execute(&small, request(grow)).await.result.is_ok() {
        inserted += 1;
        assert!(
            inserted < 10,
            "a quota of 1 MiB took {inserted} rows of 400 kB"
        );
    }
    assert_eq!(
        refused(database.execute(&small, request(grow)).await),
        Error::Full
    );
    let mut open = database.begin(&small, Mode::Write).await.result.unwrap();
    assert_eq!(refused(open.execute(request(grow)).await), Error::Full);
    drop(open);
    let shrink = request("DELETE FROM stock_items WHERE id > 3");
    assert_eq!(
        database
            .execute(&small, shrink)
            .await
            .result
            .unwrap()
            .affected,
        inserted
    );
    database
        .execute(&small, request(grow))
        .await
        .result
        .unwrap();
    // A raised quota takes effect at the next call.
    for _ in 0..10 {
        fixture.execute(grow).await.unwrap();
    }
}

/// Memory of this process that is in use.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib << 10
}
