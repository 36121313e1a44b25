//! Writes the generated bindings of the SDK: `cargo run -p cloudware-sdk-bindgen` in `sdk/`.

use anyhow::Result;
use cloudware_sdk_bindgen::{bindings_dir, generate};

fn main() -> Result<()> {
    let dir = bindings_dir();
    std::fs::create_dir_all(&dir)?;
    for binding in generate()? {
        std::fs::write(dir.join(&binding.file), binding.source)?;
    }
    Ok(())
}
