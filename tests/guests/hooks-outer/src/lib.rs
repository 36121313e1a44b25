//! Fills `test:points/check`, and asks an extension point of its own before it answers.

wit_bindgen::generate!({ path: "wit", world: "extension", generate_all });

use exports::test::points::check::{Guest, Order};
use test::points::inner;

struct Extension;

export!(Extension);

impl Guest for Extension {
    /// Allows everything, whatever the others say. With the word `linger` it waits after it has asked them; with `say`
    /// it refuses, and tells what they said.
    fn check(how: String, _order: Order) -> Result<(), String> {
        let has = |word: &str| how.split(',').any(|one| one == word);
        let said = inner::inner(&how);
        if has("linger") {
            std::thread::sleep(std::time::Duration::from_secs(30));
        }
        match has("say") {
            true => Err(format!("the others said {said:?}")),
            false => Ok(()),
        }
    }
}
