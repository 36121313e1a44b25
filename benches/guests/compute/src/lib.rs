//! `GET /<workload>/<rounds>` computes for so many rounds and answers with a sum of what came out, so that
//! two hosts can be seen to have done the same. Written on the plain interface of WASI, so that any host of
//! `wasi:http` runs the same component.

mod workloads;

use wasip2::{
    exports::http::incoming_handler::Guest,
    http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam},
};

struct Compute;

impl Guest for Compute {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let (status, text) = match run(&path) {
            Some(sum) => (200, sum.to_string()),
            None => (404, format!("there is nothing at `{path}`; ask for /<workload>/<rounds>")),
        };
        answer(out, status, text.as_bytes());
    }
}

fn run(path: &str) -> Option<u64> {
    let (workload, rounds) = path.strip_prefix('/')?.split_once('/')?;
    let rounds = rounds.parse().ok()?;
    let work = match workload {
        "loop" => workloads::tight_loop,
        "branches" => workloads::sieve,
        "map" => workloads::hash_map,
        "json" => workloads::json,
        "regex" => workloads::regular_expressions,
        _ => return None,
    };
    Some(work(rounds))
}

fn answer(out: ResponseOutparam, status: u16, text: &[u8]) {
    let response = OutgoingResponse::new(Fields::new());
    response.set_status_code(status).expect("the status is one");
    let body = response.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("the stream is taken once");
    // A client that has gone away needs no answer.
    let written = stream.blocking_write_and_flush(text);
    drop(stream);
    if written.is_ok() {
        let _ = OutgoingBody::finish(body, None);
    }
}

wasip2::http::proxy::export!(Compute);
