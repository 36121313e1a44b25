//! `GET /ask/<count>` asks the extension point so many times and answers with how often it was given a price.
//! `GET /idle/<count>` makes the same orders and asks nobody: what a request for prices takes beyond it is what
//! the calls cost.

use std::hint::black_box;

use cloudware_sdk::http::{Problem, Request, Response, Status};

wit_bindgen::generate!({ path: "wit", world: "app" });

use bench::hooks::price::{Order, price};

cloudware_sdk::app!(handle);

fn handle(request: Request) -> Result<Response, Problem> {
    let mut segments = request.segments();
    let operation = segments.next().unwrap_or_default();
    let count: u32 = segments
        .next()
        .and_then(|count| count.parse().ok())
        .ok_or_else(|| refuse("the count must be a whole number"))?;
    let orders = (0..count).map(order);
    let done = match &*operation {
        "ask" => orders.filter(|order| price(order).is_some()).count(),
        "idle" => orders.filter(|order| black_box(order).quantity > 0).count(),
        _ => return Err(refuse("there is no such operation")),
    };
    Ok(Response::text(done.to_string()))
}

fn order(number: u32) -> Order {
    Order {
        sku: "MILK-1L".to_owned(),
        customer: Some("birch".to_owned()),
        quantity: number + 1,
        list_price: 129,
    }
}

fn refuse(detail: &str) -> Problem {
    Problem::new(Status::BAD_REQUEST, "bad-request").with_detail(detail)
}
