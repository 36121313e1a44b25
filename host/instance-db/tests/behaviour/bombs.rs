//! Statements that would take the host's time or memory end within their bounds, and the database goes on.

use std::time::{Duration, Instant};

use cloudware_instance_db::{Error, Mode, Request, Value};
use cloudware_types::InstanceId;

use crate::fixture::{Fixture, STOCK, STORAGE, refused, request, scope, steps};

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
        // Aggregates stop growing at their bound and go on until the clock stops them; the others have time to fail.
        let has_groups = statement.contains("group_");
        let asked = within(&statement, if has_groups { 2_000 } else { 12_000 });
        match fixture.database().query(&stock, asked).await.result {
            Err(Error::Statement(_)) => {}
            Err(Error::TimeExceeded) if has_groups => {}
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

/// Bombs of one instance, several at a time, on two threads, and another instance that asks meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn another_instance_works_on_while_bombs_go_off() {
    let fixture = Fixture::with(|config| config.workers_max = 2);
    fixture.migrate("stock", &[STOCK]).await;
    let bombed = fixture.database();
    let endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)";
    let items = "stock_items a, stock_items b, stock_items c, stock_items d, stock_items e, stock_items f, \
                 stock_items g, stock_items h, stock_items i, stock_items j, stock_items k, stock_items l";
    let mut bombs = tokio::task::JoinSet::new();
    for statement in [
        format!(
            "SELECT count(a.id + o.id) FROM {items}, stock_items m, stock_items n, stock_items o"
        ),
        format!("SELECT a.sku FROM {items} ORDER BY a.sku, l.sku, f.id"),
        format!("{endless} SELECT max(i) FROM n"),
        format!("{endless} SELECT count(*) FROM n a JOIN n b ON a.i < b.i"),
        format!("{endless} SELECT i, randomblob(100000) AS r FROM n ORDER BY r"),
        format!("{endless} SELECT group_concat(hex(randomblob(1000))) FROM n"),
        format!(
            "{endless} SELECT count(*) FROM n WHERE printf('%.*c', 100000, 'a') || i LIKE '%a%a%a%a%b'"
        ),
        format!(
            "{endless} SELECT count(*) FROM n WHERE printf('%.*c', 100000, 'a') || i GLOB '*a*a*a*a*b'"
        ),
        format!("{endless} SELECT sum(length(hex(zeroblob(3000000)))) FROM n"),
        "SELECT sku REGEXP 'a*a*a*b' FROM stock_items".into(),
    ] {
        let bombed = std::sync::Arc::clone(&bombed);
        bombs.spawn(async move {
            let asked = within(&statement, 500);
            let result = bombed.query(&scope("stock"), asked).await.result;
            let refused = matches!(
                result,
                Err(Error::TimeExceeded | Error::Statement(_) | Error::RowsReadExceeded)
            );
            assert!(refused, "{statement}: {result:?}");
        });
    }
    let other = InstanceId::generate();
    let namespace = "stock".parse().unwrap();
    let migrated = fixture
        .dbs
        .migrate(other, &namespace, steps(&[STOCK]), 1, STORAGE);
    migrated.await.unwrap();
    let neighbour = fixture.dbs.get(other).unwrap();
    let mut meanwhile = 0;
    while !bombs.is_empty() {
        let update = request("UPDATE stock_items SET amount = amount + 1 WHERE id = 1");
        let updated = neighbour.execute(&scope("stock"), update).await;
        assert_eq!(updated.result.unwrap().affected, 1);
        meanwhile += 1;
        while let Some(ended) = bombs.try_join_next() {
            ended.unwrap();
        }
    }
    // Nine bombs of half a second on one thread: the neighbour, who has the other, works at least as
    // often as there are bombs, or it has waited for each of them.
    assert!(
        meanwhile > 20,
        "{meanwhile} updates while the bombs went off"
    );
    assert_alive(&fixture).await;
}

#[tokio::test]
async fn triggers_that_multiply_are_stopped() {
    // Each row of a table becomes ten of the next.
    let mut schema = "CREATE TABLE stock_items (id INTEGER PRIMARY KEY, amount INTEGER); \
                      INSERT INTO stock_items (amount) VALUES (1), (2), (3);"
        .to_owned();
    for table in 0..12 {
        schema += &format!("CREATE TABLE stock_t{table} (n INTEGER);");
    }
    for table in 0..11 {
        let next = table + 1;
        let rows = ["(new.n)"; 10].join(", ");
        schema += &format!(
            "CREATE TRIGGER stock_g{table} AFTER INSERT ON stock_t{table} BEGIN INSERT INTO stock_t{next} VALUES {rows}; END;"
        );
    }
    // And two that fire each other.
    schema += "CREATE TABLE stock_ping (n INTEGER); CREATE TABLE stock_pong (n INTEGER);
        CREATE TRIGGER stock_there AFTER INSERT ON stock_ping BEGIN INSERT INTO stock_pong VALUES (new.n + 1); END;
        CREATE TRIGGER stock_back AFTER INSERT ON stock_pong BEGIN INSERT INTO stock_ping VALUES (new.n + 1); END;";
    let fixture = Fixture::new();
    fixture.migrate("stock", &[&schema]).await;
    let database = fixture.database();
    let stock = scope("stock");
    let multiply = within("INSERT INTO stock_t0 VALUES (1)", 500);
    let stopped = refused(database.execute(&stock, multiply).await);
    assert!(
        matches!(
            stopped,
            Error::TimeExceeded | Error::Full | Error::Statement(_)
        ),
        "{stopped:?}"
    );
    for table in 0..12 {
        let count = format!("SELECT count(*) FROM stock_t{table}");
        assert_eq!(
            fixture.cell("stock", &count).await,
            Value::Integer(0),
            "{table}"
        );
    }
    // SQLite fires a trigger once for each change that caused it, however they are connected.
    let ping = request("INSERT INTO stock_ping VALUES (1)");
    let _ = database.execute(&stock, ping).await;
    let rows = "SELECT (SELECT count(*) FROM stock_ping) + (SELECT count(*) FROM stock_pong)";
    let Value::Integer(rows) = fixture.cell("stock", rows).await else {
        panic!("a count is a number");
    };
    assert!(rows <= 32, "{rows} rows came of one");
    assert_alive(&fixture).await;
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
