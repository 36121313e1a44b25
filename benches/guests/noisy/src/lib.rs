//! A tenant's app that is modest or greedy, as the request says. Amounts are in the request and not in time,
//! so that a request is the same work however long it has to wait for a processor.

use std::{hint::black_box, io::Write as _};

use cloudware_sdk::{
    http::{Problem, Request, Response, Router, Status},
    params, sql,
};
use wasip2::clocks::monotonic_clock;

const PAGE_BYTES: usize = 4_096;

/// A query that the database works on for a while: 8,000 combinations of rows.
const QUERY: &str = "SELECT SUM(a.quantity * b.quantity + c.quantity) \
                     FROM noisy_rows a, noisy_rows b, noisy_rows c";

/// One statement of ten writes, and with that waits for the disk.
const WRITES_EVERY: u64 = 10;

fn handle(request: Request) -> Response {
    Router::new()
        .get("/hello", |_| Response::text("hello"))
        .get("/spin", spin)
        .get("/sql", statements)
        .get("/memory", memory)
        .get("/slow", write)
        .post("/slow", read)
        .get("/wait", wait)
        .handle(request)
}

/// `GET /spin?rounds=N`: computes.
fn spin(request: Request) -> Result<Response, Problem> {
    let rounds = number(&request, "rounds")?;
    let state = (0..rounds).fold(1_u64, |state, _| {
        black_box(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1))
    });
    black_box(state);
    Ok(Response::text("spun"))
}

/// `GET /sql?statements=N`: queries, and every tenth time a write.
fn statements(request: Request) -> Result<Response, Problem> {
    for index in 0..number(&request, "statements")? {
        let done = if index % WRITES_EVERY == 0 {
            sql::execute("UPDATE noisy_rows SET quantity = quantity + 1 WHERE id = ?", params![1])
                .map(drop)
        } else {
            sql::query(QUERY, params![]).map(drop)
        };
        done.map_err(|error| failed(error.to_string()))?;
    }
    Ok(Response::text("queried"))
}

/// `GET /memory?bytes=N`: takes memory and writes to every page of it.
fn memory(request: Request) -> Result<Response, Problem> {
    let bytes = usize::try_from(number(&request, "bytes")?).unwrap_or(usize::MAX);
    let mut taken = vec![0_u8; bytes];
    for page in taken.chunks_mut(PAGE_BYTES) {
        page[0] = 1;
    }
    black_box(taken);
    Ok(Response::text("touched"))
}

/// `GET /slow?bytes=N`: writes an answer that a slow client reads little by little.
fn write(request: Request) -> Result<Response, Problem> {
    let mut left = usize::try_from(number(&request, "bytes")?).unwrap_or(usize::MAX);
    Ok(Response::stream("application/octet-stream", move |body| {
        let page = [b'.'; PAGE_BYTES];
        while left > 0 {
            let part = left.min(PAGE_BYTES);
            body.write_all(&page[..part])?;
            left -= part;
        }
        Ok(())
    }))
}

/// `POST /slow`: reads a body that a slow client sends little by little.
fn read(request: Request) -> Result<Response, Problem> {
    let refused = |error: &dyn std::fmt::Display| failed(error.to_string());
    let mut body = request.body_reader().map_err(|error| refused(&error))?;
    let mut bytes = 0;
    while let Some(chunk) = body.next_chunk().map_err(|error| refused(&error))? {
        bytes += chunk.len();
    }
    Ok(Response::text(bytes.to_string()))
}

/// `GET /wait?ms=N`: waits, as an app does for something outside.
fn wait(request: Request) -> Result<Response, Problem> {
    let milliseconds = number(&request, "ms")?;
    monotonic_clock::subscribe_duration(milliseconds.saturating_mul(1_000_000)).block();
    Ok(Response::text("waited"))
}

fn number(request: &Request, name: &str) -> Result<u64, Problem> {
    let value = request.query(name).and_then(|value| value.parse().ok());
    value.ok_or_else(|| {
        Problem::new(Status::BAD_REQUEST, "bad-request")
            .with_detail(format!("`{name}` must be given as a whole number"))
    })
}

fn failed(detail: String) -> Problem {
    Problem::new(Status::INTERNAL_SERVER_ERROR, "failed").with_detail(detail)
}

cloudware_sdk::app!(handle);
