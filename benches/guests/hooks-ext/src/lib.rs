//! Takes a tenth off from ten pieces on.

wit_bindgen::generate!({ path: "wit", world: "extension" });

use exports::bench::hooks::price::{Guest, Order};

struct Extension;

export!(Extension);

impl Guest for Extension {
    fn price(order: Order) -> Option<u64> {
        let price = order.list_price.checked_mul(u64::from(order.quantity))?;
        Some(if order.quantity < 10 { price } else { price * 9 / 10 })
    }
}
