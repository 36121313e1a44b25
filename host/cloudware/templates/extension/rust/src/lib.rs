//! Fills the extension point `example:shop/discount`: a discount on ten and more of an item.

use cloudware_sdk::config;

mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "app", generate_all });
}

use bindings::exports::example::shop::discount::{Guest, Line};

struct Extension;

#[cfg(target_arch = "wasm32")]
bindings::export!(Extension with_types_in bindings);

impl Guest for Extension {
    fn discount(lines: Vec<Line>, _today: String) -> Option<u64> {
        let percent = config::get("percent").ok()??.parse().ok()?;
        discount(&lines, percent)
    }
}

/// The discount in cents; none where there is nothing to give it on.
fn discount(lines: &[Line], percent: u64) -> Option<u64> {
    let many = lines.iter().filter(|line| line.quantity >= 10);
    let cents = many
        .map(|line| line.price_cents.saturating_mul(line.quantity.into()))
        .fold(0, u64::saturating_add);
    let discount = cents.saturating_mul(percent.min(100)) / 100;
    (discount > 0).then_some(discount)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_of_an_item_are_cheaper() {
        let line = |quantity| Line {
            sku: "SHIRT-M".into(),
            quantity,
            price_cents: 2_000,
        };
        assert_eq!(discount(&[line(10), line(9)], 5), Some(1_000));
        assert_eq!(discount(&[line(9), line(9)], 5), None);
    }
}
