//! Does to the capabilities what the request says, so that tests can show what the host allows, bounds
//! and refuses. Errors come as JSON with the name of the error: `{"error": {"kind": …, "text": …}}`.
//!
//! | request | does |
//! | --- | --- |
//! | `GET /sql?statement=…` | runs a statement for its rows |
//! | `POST /sql` `{"statement", "parameters", "how": "query" \| "execute" \| "prepared"}` | runs a statement |
//! | `POST /sql/transaction` `{"mode", "statements", "end": "commit" \| "rollback"}` | runs several in one transaction |
//! | `POST /sql/hold?ms=N` | changes a row, keeps the transaction open so long, commits |
//! | `POST /sql/leak?count=N` | begins so many transactions and ends none |
//! | `POST /sql/keep?bytes=N` | prepares ever more statements of so many bytes, and keeps them |
//! | `GET` `PUT` `DELETE /kv/{bucket}/{key}` | one key; `If-Match: N` (0: absent) makes `PUT` a compare-and-set |
//! | `POST /kv/{bucket}/{key}/increment?by=N` | adds to a number |
//! | `GET /kv/{bucket}?prefix=&after=&limit=` | lists keys |
//! | `POST /kv/{bucket}/flood?count=N&bytes=N&at-once=N` | writes so many keys, each so large, one by one or so many at once |
//! | `GET /host-calls?count=N` | looks for a key so many times (without a count: for ever) |
//! | `GET /config`, `GET /config/{key}` | answers the configuration |
//! | `GET /limits`, `GET /limits/{name}` | answers what the run may still use |
//! | `POST /limits/after` | the same after two statements that write 3 rows and read 2, 2 operations on keys, and a log message |
//! | `POST /logs?lines=N` | writes so many log messages, levels in turn |
//! | `POST /log` `{"context", "message"}` | writes one log message |

mod keys;
mod statements;

use cloudware_sdk::{
    config,
    http::{IntoResponse, Problem, Request, Response, Router, Status},
    limits,
    logging::{self, Level},
};
use serde_json::json;

/// The most bytes of a body that is read to be counted.
const BODY_BYTES_MAX: usize = 1 << 20;

cloudware_sdk::app!(handle);

fn handle(request: Request) -> Response {
    Router::new()
        .get("/sql", statements::query)
        .post("/sql", statements::run)
        .post("/sql/transaction", statements::transaction)
        .post("/sql/hold", statements::hold)
        .post("/sql/leak", statements::leak)
        .post("/sql/keep", statements::keep)
        .get("/kv/{bucket}", keys::list)
        .get("/kv/{bucket}/{key}", keys::get)
        .put("/kv/{bucket}/{key}", keys::set)
        .delete("/kv/{bucket}/{key}", keys::delete)
        .post("/kv/{bucket}/{key}/increment", keys::increment)
        .post("/kv/{bucket}/flood", keys::flood)
        .get("/host-calls", keys::host_calls)
        .get("/config", config_all)
        .get("/config/{key}", config_get)
        .get("/limits", limits_all)
        .get("/limits/{name}", limits_get)
        .post("/limits/after", limits_after)
        .post("/logs", logs)
        .post("/log", log)
        .handle(request)
}

/// The value of a query parameter that is a number.
fn number(request: &Request, name: &str) -> Option<u64> {
    request.query(name)?.parse().ok()
}

/// The answer to an operation that a capability refused.
fn refusal(kind: &str, text: String) -> Response {
    Response::json(&json!({"error": {"kind": kind, "text": text}}))
        .with_status(Status::UNPROCESSABLE_CONTENT)
}

fn unreadable(error: config::Error) -> Problem {
    Problem::new(Status::SERVICE_UNAVAILABLE, "config").with_detail(error.to_string())
}

fn config_all(_request: Request) -> Result<Response, Problem> {
    let pairs = config::all().map_err(unreadable)?;
    let map: serde_json::Map<_, _> = pairs.into_iter().map(|(k, v)| (k, v.into())).collect();
    Ok(Response::json(&map))
}

fn config_get(request: Request) -> Result<Response, Problem> {
    match config::get(request.param("key")).map_err(unreadable)? {
        Some(value) => Ok(Response::text(value)),
        None => Ok(Problem::new(Status::NOT_FOUND, "no-such-key").into_response()),
    }
}

fn seen(limit: &limits::Limit) -> serde_json::Value {
    json!({
        "name": limit.name, "unit": limit.unit,
        "used": limit.used, "max": limit.max, "remaining": limit.remaining(),
    })
}

/// Every limit, read twice with work between.
fn limits_all(request: Request) -> Response {
    let all = || limits::all().iter().map(seen).collect::<Vec<_>>();
    let before = all();
    let rounds = number(&request, "rounds").unwrap_or(100_000);
    std::hint::black_box((0..rounds).fold(1_u64, |sum, n| std::hint::black_box(sum ^ n)));
    Response::json(&json!({ "before": before, "after": all() }))
}

/// Every limit before and after a known amount of each.
fn limits_after(request: Request) -> Result<Response, Problem> {
    let all = || limits::all().iter().map(seen).collect::<Vec<_>>();
    let before = all();
    let body = request.body(BODY_BYTES_MAX)?.len();
    statements::write_and_read();
    keys::set_and_get();
    logging::log(Level::Info, "limits", "a message");
    Ok(Response::json(&json!({ "before": before, "after": all(), "body": body })))
}

fn limits_get(request: Request) -> Result<Response, Problem> {
    match limits::get(request.param("name")) {
        Some(limit) => Ok(Response::json(&seen(&limit))),
        None => Ok(Problem::new(Status::NOT_FOUND, "no-such-limit").into_response()),
    }
}

fn logs(request: Request) -> Response {
    const LEVELS: [Level; 6] = [
        Level::Trace,
        Level::Debug,
        Level::Info,
        Level::Warn,
        Level::Error,
        Level::Critical,
    ];
    let lines = number(&request, "lines").unwrap_or(1);
    for (line, level) in (0..lines).zip(LEVELS.iter().cycle()) {
        logging::log(*level, "state", &format!("message {line}"));
    }
    Response::text(format!("logged {lines}"))
}

/// One log message, as the body says.
fn log(request: Request) -> Result<Response, Problem> {
    #[derive(serde::Deserialize)]
    struct Entry {
        context: String,
        message: String,
    }
    let entry: Entry = request.json()?;
    logging::log(Level::Info, &entry.context, &entry.message);
    Ok(Response::text("logged"))
}
