//! Answers every request with `hello`: the component that benches and simple tests run.

use cloudware_sdk::http::{Request, Response};

fn handle(_request: Request) -> Response {
    Response::text("hello\n")
}

cloudware_sdk::app!(handle);
