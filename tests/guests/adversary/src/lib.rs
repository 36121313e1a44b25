//! Misbehaves as the path of the request says, so that tests can show that the host stops it. Uses WASI
//! alone; the guest `state` abuses the capabilities.
//!
//! | path | does |
//! | --- | --- |
//! | `/loop` | computes for ever |
//! | `/spin?iterations=N` | computes for N rounds of a few instructions |
//! | `/grow` | takes memory until there is no more |
//! | `/touch?bytes=N&ms=N` | takes N bytes, writes to every page, and keeps them for N milliseconds |
//! | `/deep-recursion` | calls itself for ever |
//! | `/trap`, `/panic?iterations=N`, `/exit` | ends by an unreachable instruction, a panic (after N rounds), `exit(3)` |
//! | `/sleep?ms=N` | waits on the monotonic clock |
//! | `/handles?count=N` | keeps N resources open (without a count: ever more) |
//! | `/kept-fields`, `/kept-requests` | keeps ever more resources open behind which the host holds much |
//! | `/filled-fields?count=N` | keeps N small resources open, then lets the host hold much behind each |
//! | `/emptied-fields` | keeps ever more resources open behind which the host held much for a moment |
//! | `/long-names?bytes=N` | makes a request with a method and an authority so long, and answers what was refused |
//! | `/long-names-again?bytes=N` | the same, for ever |
//! | `/host-calls?count=N` | asks the clock N times (without a count: for ever) |
//! | `/random?bytes=N` | asks for N random bytes, for ever |
//! | `/counter` | counts in guest memory and answers the number: 1 in a fresh sandbox |
//! | `/logs?bytes=N` | writes N bytes to standard output and N to standard error |
//! | `/unended-line?bytes=N` | the same without the end of a line |
//! | `/big-response?bytes=N`, `/endless-response` | streams a body |
//! | `/no-response`, `/error-response`, `/long-error?bytes=N` | sets none, an error, or one that says so much |
//! | `/short-body`, `/long-body` | declares 10 bytes and sends 5, or 15 |
//! | `/bad-header`, `/bad-status` | tries what HTTP does not allow, and answers what was refused |
//! | `/write-after-finish`, `/write-unasked`, `/unfinished` | breaks the rules of bodies and their streams |
//! | `/loop-after-response?length=4`, `/trap-after-response` | answers in full (and declares the length), then misbehaves |
//! | `/loop-after-head?status=N&ms=N` | sends a head of status N and the beginning of a body, waits, computes for ever |
//! | `/head-alone?status=N&length=N` | declares N bytes and sends none |
//! | `/late-status?length=N&pieces=N` | declares N bytes, makes the body as if there were none, and sends N times 100 |
//! | `/header-flood` | sets ever more headers |
//! | `/loop-after-chunk` | reads the request's body until nothing more is there, then computes for ever |
//! | `/sleep-after-chunk` | reads the beginning of it, and sleeps for ever |
//! | `/echo` | streams the request body back |
//! | `/headers` | answers method, target and headers as JSON |
//! | `/env` | tries files, environment, sockets and outbound HTTP, and answers what it got |

mod compute;
mod host;
mod output;
mod protocol;
mod reach;

use std::sync::atomic::{AtomicU64, Ordering};

use cloudware_sdk::http::{Request, Response, Router, serve};
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

struct Adversary;

wasip2::http::proxy::export!(Adversary);

impl wasip2::exports::http::incoming_handler::Guest for Adversary {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        match target.split('?').next().unwrap_or_default() {
            "/no-response" => {}
            "/error-response" => output::error_response(out),
            "/long-error" => output::long_error(&target, out),
            "/short-body" => output::wrong_length(out, b"12345"),
            "/long-body" => output::wrong_length(out, b"123451234512345"),
            "/write-after-finish" => protocol::write_after_finish(out),
            "/write-unasked" => protocol::write_unasked(out),
            "/unfinished" => protocol::unfinished(out),
            "/loop-after-chunk" => protocol::loop_after_chunk(&request),
            "/sleep-after-chunk" => protocol::sleep_after_chunk(&request),
            "/loop-after-response" => protocol::loop_after_response(&target, out),
            "/trap-after-response" => protocol::trap_after_response(out),
            "/loop-after-head" => protocol::loop_after_head(&target, out),
            "/late-status" => protocol::late_status(&target, out),
            "/head-alone" => protocol::head_alone(&target, out),
            "/header-flood" => protocol::header_flood(out),
            _ => serve(request, out, |request| router().handle(request)),
        }
    }
}

fn router() -> Router {
    Router::new()
        .get("/loop", compute::endless)
        .get("/spin", compute::spin)
        .get("/grow", compute::grow)
        .get("/touch", compute::touch)
        .get("/deep-recursion", compute::deep_recursion)
        .get("/trap", compute::trap)
        .get("/panic", compute::panic)
        .get("/exit", compute::exit)
        .get("/sleep", host::sleep)
        .get("/handles", host::handles)
        .get("/kept-fields", host::kept_fields)
        .get("/kept-requests", host::kept_requests)
        .get("/filled-fields", host::filled_fields)
        .get("/emptied-fields", host::emptied_fields)
        .get("/long-names", host::long_names)
        .get("/long-names-again", host::long_names_again)
        .get("/host-calls", host::calls)
        .get("/random", host::random)
        .get("/counter", counter)
        .get("/logs", output::logs)
        .get("/unended-line", output::unended_line)
        .get("/big-response", output::big_response)
        .get("/endless-response", output::endless_response)
        .get("/bad-header", output::bad_header)
        .get("/bad-status", output::bad_status)
        .post("/drain", output::drain)
        .post("/echo", output::echo)
        .get("/headers", output::headers)
        .post("/headers", output::headers)
        .get("/env", reach::report)
}

/// The value of a query parameter that is a number.
fn number(request: &Request, name: &str) -> Option<u64> {
    request.query(name)?.parse().ok()
}

fn counter(_request: Request) -> Response {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    Response::text((COUNT.fetch_add(1, Ordering::Relaxed) + 1).to_string())
}
