//! The bindings in the source tree are those of the WIT.

use cloudware_sdk_bindgen::generate;

#[test]
fn the_bindings_in_the_tree_are_those_of_the_wit() {
    for binding in generate().unwrap() {
        let path = binding.path;
        let present = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            present == binding.source,
            "{} differs from the WIT: run `cargo run -p cloudware-sdk-bindgen` in sdk/",
            path.display()
        );
    }
}
