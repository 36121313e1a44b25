//! Calls another app of its instance, by its typed interface and by HTTP.

use cloudware_sdk::http::{Request, Response, Router};
use serde_json::json;
use wasip2::http::{
    outgoing_handler,
    types::{Fields, OutgoingRequest, Scheme},
};

wit_bindgen::generate!({ path: "wit", world: "caller" });

use test::points::service;

cloudware_sdk::app!(handle);

fn handle(request: Request) -> Response {
    Router::new()
        .get("/double", double)
        .get("/http", http)
        .get("/fan", fan)
        .handle(request)
}

fn double(request: Request) -> Response {
    let number = request.query("number").and_then(|text| text.parse().ok()).unwrap_or(0);
    Response::json(&json!({ "doubled": service::double(number) }))
}

/// The statuses of `count` requests to hooks-app that are all under way at the same time.
fn fan(request: Request) -> Response {
    let count: usize = request.query("count").and_then(|text| text.parse().ok()).unwrap_or(0);
    let path = request.query("path").unwrap_or_default().to_string();
    let send = |_| {
        let outgoing = OutgoingRequest::new(Fields::new());
        outgoing.set_scheme(Some(&Scheme::Http)).expect("a scheme");
        outgoing.set_authority(Some("hooks-app.internal")).expect("an authority");
        outgoing.set_path_with_query(Some(&path)).expect("a path");
        outgoing_handler::handle(outgoing, None).expect("the request is sent")
    };
    let sent: Vec<_> = (0..count).map(send).collect();
    let status = |sent: outgoing_handler::FutureIncomingResponse| {
        sent.subscribe().block();
        match sent.get().expect("an answer").expect("once") {
            Ok(response) => response.status(),
            Err(_) => 0,
        }
    };
    Response::json(&json!(sent.into_iter().map(status).collect::<Vec<_>>()))
}

/// The status and the beginning of the body of a request to `to`, or the error.
fn http(request: Request) -> Response {
    let to = request.query("to").unwrap_or_default().to_string();
    let path = request.query("path").unwrap_or_default().to_string();
    let headers = Fields::new();
    headers
        .append("x-cloudware-caller", b"somebody-else")
        .expect("a guest may set it");
    let outgoing = OutgoingRequest::new(headers);
    outgoing.set_scheme(Some(&Scheme::Http)).expect("a scheme");
    outgoing.set_authority(Some(&to)).expect("an authority");
    outgoing.set_path_with_query(Some(&path)).expect("a path");
    let sent = match outgoing_handler::handle(outgoing, None) {
        Ok(sent) => sent,
        Err(code) => return Response::json(&json!({ "error": format!("{code:?}") })),
    };
    sent.subscribe().block();
    match sent.get().expect("an answer").expect("once") {
        Err(code) => Response::json(&json!({ "error": format!("{code:?}") })),
        Ok(response) => {
            let status = response.status();
            let body = response.consume().expect("a body");
            let stream = body.stream().expect("a stream");
            let bytes = stream.blocking_read(4_096).unwrap_or_default();
            Response::json(&json!({ "status": status, "body": String::from_utf8_lossy(&bytes) }))
        }
    }
}
