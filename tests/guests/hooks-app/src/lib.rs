//! Asks its extension points as the path says, with the query's `how` for the hooks, and answers with what it got.

use cloudware_sdk::{
    http::{Problem, Request, Response, Router},
    params, sql,
};
use serde_json::{Value, json};

wit_bindgen::generate!({ path: "wit", world: "app", generate_all });

use test::points::{
    check, price, rewrite, shapes, told,
    values::{Colour, Everything, Line, Marks, Order, Payment},
};

cloudware_sdk::app!(handle);

struct App;

impl exports::test::points::service::Guest for App {
    fn double(number: u64) -> u64 {
        assert_ne!(number, 0, "zero is not doubled");
        number * 2
    }
}

export!(App);

fn handle(request: Request) -> Response {
    Router::new()
        .get("/check", ask_check)
        .get("/price", ask_price)
        .get("/rewrite", ask_rewrite)
        .get("/tell", tell)
        .get("/shapes", ask_shapes)
        .get("/who", who)
        .get("/late", late)
        .get("/many", many)
        .handle(request)
}

/// Answers after a while.
fn late(request: Request) -> Response {
    std::thread::sleep(std::time::Duration::from_millis(number(&request, "ms", 0)));
    Response::json(&json!("late"))
}

fn how(request: &Request) -> String {
    request.query("how").unwrap_or_default().to_string()
}

fn number(request: &Request, name: &str, default: u64) -> u64 {
    request.query(name).and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn order(request: &Request) -> Order {
    let lines = number(request, "lines", 2);
    let line = |index| Line {
        sku: format!("SKU-{index}"),
        quantity: u32::try_from(index).unwrap_or(0) + 1,
    };
    Order {
        customer: Some("acme".to_owned()),
        lines: (0..lines).map(line).collect(),
    }
}

fn ask_check(request: Request) -> Result<Response, Problem> {
    let checked = || check::check(&how(&request), &order(&request));
    let checked = match request.query("within").is_some() {
        false => checked(),
        true => within_a_transaction(number(&request, "number", 1), checked)?,
    };
    Ok(match checked {
        Ok(()) => Response::json(&json!({ "allowed": true })),
        Err(message) => Response::json(&json!({ "allowed": false, "message": message })),
    })
}

/// What is asked between the first change of a transaction and its commit.
fn within_a_transaction<T>(number: u64, ask: impl FnOnce() -> T) -> Result<T, Problem> {
    let row = i64::try_from(number).unwrap_or(i64::MAX);
    let asked = sql::transaction(|tx| {
        tx.execute("INSERT INTO hooked_numbers (number) VALUES (?)", params![row])?;
        Ok::<_, sql::Error>(ask())
    });
    Ok(asked?)
}

fn ask_price(request: Request) -> Response {
    let price = price::price(&how(&request), &order(&request));
    Response::json(&json!({ "price": price }))
}

fn ask_rewrite(request: Request) -> Response {
    let text = request.query("text").unwrap_or_default().to_string();
    let answer: Value = match rewrite::rewrite(&text, &how(&request)) {
        Ok(text) => json!({ "text": text }),
        Err(message) => json!({ "refused": message }),
    };
    Response::json(&answer)
}

/// Writes a row and tells of it in one transaction, which is committed or, with `abort`, undone.
fn tell(request: Request) -> Result<Response, Problem> {
    let number = number(&request, "number", 1);
    let how = how(&request);
    if request.query("alone").is_some() {
        told::told(&how, number);
        return Ok(Response::json(&json!({ "told": number })));
    }
    let aborted = request.query("abort").is_some();
    let row = i64::try_from(number).unwrap_or(i64::MAX);
    let told = sql::transaction(|tx| {
        tx.execute("INSERT INTO hooked_numbers (number) VALUES (?)", params![row])?;
        told::told(&how, number);
        // What is undone is told nobody.
        if aborted { Err(Undone::Asked) } else { Ok(()) }
    });
    match told {
        Ok(()) => Ok(Response::json(&json!({ "told": number }))),
        Err(Undone::Asked) => Ok(Response::json(&json!({ "told": null }))),
        Err(Undone::Failed(error)) => Err(error.into()),
    }
}

/// Why a transaction was undone.
enum Undone {
    Asked,
    Failed(sql::Error),
}

impl From<sql::Error> for Undone {
    fn from(error: sql::Error) -> Self {
        Self::Failed(error)
    }
}

/// One value of every type, with values at the edges.
fn ask_shapes(_request: Request) -> Response {
    let value = || Everything {
        truth: true,
        small: i8::MIN,
        byte: u8::MAX,
        short: i16::MIN,
        long: u64::MAX,
        single: 0.5,
        double: -1.25e300,
        letter: '中',
        text: "Grüße, 世界".to_owned(),
        payment: Payment::Split(vec![1, 2, 3]),
        colour: Colour::Green,
        marks: Marks::FRAGILE | Marks::COLD,
        nested: Some(None),
        outcome: Err("no".to_owned()),
        pair: (7, "seven".to_owned()),
        lines: vec![
            Line { sku: "A".to_owned(), quantity: 1 },
            Line { sku: String::new(), quantity: u32::MAX },
        ],
    };
    let same = shapes::echo(&value()).map(|echoed| format!("{echoed:?}") == format!("{:?}", value()));
    Response::json(&json!({ "same": same }))
}

/// Who calls, as the host says.
fn who(request: Request) -> Response {
    Response::json(&json!({ "caller": request.header("x-cloudware-caller") }))
}

/// Asks for a price many times, for benches and budgets.
fn many(request: Request) -> Response {
    let (how, order, count) = (how(&request), order(&request), number(&request, "count", 10));
    let answered = (0..count).filter(|_| price::price(&how, &order).is_some()).count();
    Response::json(&json!({ "answered": answered }))
}
