//! Fills `test:points/price` with another type than the app asks for.

wit_bindgen::generate!({ path: "wit", world: "extension" });

use exports::test::points::price::{Guest, Order};

struct Extension;

export!(Extension);

impl Guest for Extension {
    fn price(_how: String, order: Order) -> Option<String> {
        Some(format!("{} lines", order.lines.len()))
    }
}
