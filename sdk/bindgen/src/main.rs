//! Writes the generated bindings: `cargo run -p cloudware-sdk-bindgen` in `sdk/`.

use anyhow::{Context, Result};
use cloudware_sdk_bindgen::generate;

fn main() -> Result<()> {
    for binding in generate()? {
        let folder = binding.path.parent().context("a file lies in a folder")?;
        std::fs::create_dir_all(folder)?;
        std::fs::write(&binding.path, binding.source)?;
    }
    Ok(())
}
