//! Follows stock keeping: is told what was booked, asks how much there is of it, and shows both.

use cloudware_sdk::{
    http::{Problem, Request, Response, Router},
    kv,
};
use serde_json::{Value, json};

wit_bindgen::generate!({
    path: ["../../../plugins/inventory-stock/wit", "wit"],
    world: "test:follower/follower",
    generate_all,
});

use exports::inventory::stock::after_stock_moved::{Guest, Kind, Operation};
use inventory::stock::levels;

cloudware_sdk::app!(handle);

struct Follower;

export!(Follower);

/// The bucket of what it was told, by reference.
const TOLD: &str = "told";

fn handle(request: Request) -> Response {
    Router::new()
        .get("/levels", show_levels)
        .get("/told", show_told)
        .handle(request)
}

/// What there is of an item, by location.
fn quantities(sku: &str) -> Value {
    let levels = levels::of_item(sku, None).expect("stock keeping answers");
    let level = |level: &levels::Level| json!([level.location, level.batch, level.quantity]);
    levels.iter().map(level).collect()
}

fn show_levels(request: Request) -> Response {
    let sku = request.query("sku").unwrap_or_default().to_string();
    Response::json(&quantities(&sku))
}

fn show_told(_request: Request) -> Result<Response, Problem> {
    let bucket = kv::Bucket::open(TOLD)?;
    let mut told = Vec::new();
    for key in bucket.list_keys("", None, 100)?.keys {
        told.extend(bucket.get_json::<Value>(&key)?.map(|(value, _)| value));
    }
    Ok(Response::json(&json!(told)))
}

impl Guest for Follower {
    fn stock_moved(operation: Operation) {
        let movement = operation.movements.first().expect("at least one movement");
        let kind = match operation.kind {
            Kind::Receive => "receive",
            Kind::Move => "move",
            Kind::Pick => "pick",
            Kind::Adjust => "adjust",
        };
        let told = json!({
            "reference": operation.reference,
            "kind": kind,
            "sku": movement.sku,
            "quantity": movement.quantity,
            "from": movement.from_location,
            "to": movement.to_location,
            "left": quantities(&movement.sku),
        });
        let bucket = kv::Bucket::open(TOLD).expect("a bucket");
        bucket.set_json(&operation.reference, &told).expect("it is kept");
    }
}
