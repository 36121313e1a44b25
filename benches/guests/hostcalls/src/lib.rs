//! `GET /<operation>/<count>` does one operation so many times and answers with what it counted. The
//! time of one call is what a request takes beyond one for `idle`, which counts and calls nothing.

use std::{error::Error, hint::black_box};

use cloudware_sdk::{
    http::{Problem, Request, Response, Status},
    kv::Bucket,
    params, sql,
};

const KEY: &str = "key";
const VALUE: &[u8] = b"a value of thirty-two bytes long";
const POINT_QUERY: &str = "SELECT quantity, note FROM bench_rows WHERE id = ?";
const INSERT: &str = "INSERT INTO bench_rows (quantity, note) VALUES (?, ?)";
const NOTE: &str = "a row that the bench has written";

fn handle(request: Request) -> Result<Response, Problem> {
    let mut segments = request.segments();
    let operation = segments.next().unwrap_or_default();
    let count: u64 = segments
        .next()
        .and_then(|count| count.parse().ok())
        .ok_or_else(|| refuse("the count must be a whole number".to_owned()))?;
    match run(&operation, count) {
        Ok(Some(done)) => Ok(Response::text(done.to_string())),
        Ok(None) => Err(refuse(format!("there is no operation `{operation}`"))),
        Err(error) => {
            Err(Problem::new(Status::INTERNAL_SERVER_ERROR, "failed")
                .with_detail(error.to_string()))
        }
    }
}

fn refuse(detail: String) -> Problem {
    Problem::new(Status::BAD_REQUEST, "bad-request").with_detail(detail)
}

/// Does an operation `count` times; `None` where there is no such operation.
fn run(operation: &str, count: u64) -> Result<Option<u64>, Box<dyn Error>> {
    let done = match operation {
        "idle" => (0..count).filter(|&index| black_box(index) < count).count() as u64,
        "kv-get" => kv_get(count)?,
        "kv-set" => kv_set(count)?,
        "sql-query" => sql_query(count)?,
        "sql-query-prepared" => sql_query_prepared(count)?,
        "sql-insert" => sql_insert(count)?,
        "sql-insert-in-transaction" => sql_insert_in_transaction(count)?,
        _ => return Ok(None),
    };
    Ok(Some(done))
}

fn kv_get(count: u64) -> Result<u64, Box<dyn Error>> {
    let bucket = Bucket::open("bench")?;
    let mut done = 0;
    for _ in 0..count {
        done += u64::from(bucket.get(KEY)?.is_some());
    }
    Ok(done)
}

fn kv_set(count: u64) -> Result<u64, Box<dyn Error>> {
    let bucket = Bucket::open("bench")?;
    for _ in 0..count {
        bucket.set(KEY, VALUE)?;
    }
    Ok(count)
}

fn sql_query(count: u64) -> Result<u64, Box<dyn Error>> {
    let mut done = 0;
    for _ in 0..count {
        done += u64::from(sql::query_one(POINT_QUERY, params![1])?.is_some());
    }
    Ok(done)
}

fn sql_query_prepared(count: u64) -> Result<u64, Box<dyn Error>> {
    let statement = sql::prepare(POINT_QUERY)?;
    let mut done = 0;
    for _ in 0..count {
        done += statement.query(params![1])?.len() as u64;
    }
    Ok(done)
}

fn sql_insert(count: u64) -> Result<u64, Box<dyn Error>> {
    let mut done = 0;
    for _ in 0..count {
        done += sql::execute(INSERT, params![1, NOTE])?.affected;
    }
    Ok(done)
}

fn sql_insert_in_transaction(count: u64) -> Result<u64, Box<dyn Error>> {
    sql::transaction(|transaction| {
        let mut done = 0;
        for _ in 0..count {
            done += transaction.execute(INSERT, params![1, NOTE])?.affected;
        }
        Ok(done)
    })
}

cloudware_sdk::app!(handle);
