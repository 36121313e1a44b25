//! Fills `test:points/check`, and asks an extension point of its own before it answers.

wit_bindgen::generate!({ path: "wit", world: "extension", generate_all });

use exports::test::points::check::{Guest, Order};
use test::points::inner;

struct Extension;

export!(Extension);

impl Guest for Extension {
    /// Allows everything, whatever the others say; with the word `say` it refuses, and tells what they said.
    fn check(how: String, _order: Order) -> Result<(), String> {
        let said = inner::inner(&how);
        match how.split(',').any(|word| word == "say") {
            true => Err(format!("the others said {said:?}")),
            false => Ok(()),
        }
    }
}
