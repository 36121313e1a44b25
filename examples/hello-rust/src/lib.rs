//! Answers every request with one line.

use cloudware_sdk::http::{Request, Response};

fn handle(_request: Request) -> Response {
    Response::text("Hello from Rust\n")
}

cloudware_sdk::app!(handle);
