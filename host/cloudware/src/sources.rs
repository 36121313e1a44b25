//! The sources of the bundled packages, as the build packed them into the binary.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use cloudware_types::Digest;

static SOURCES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/sources.tar"));

/// What every bundled package is built against: the interfaces and the SDK.
const SHARED: &[&str] = &["wit", "sdk/rust"];

/// Names the sources of this binary; another binary with the same name has the same sources.
pub(crate) fn digest() -> Digest {
    Digest::of(SOURCES)
}

/// Writes the sources below `prefix` and what they are built against into the folder `into`, under
/// the paths that they have in the repository.
pub(crate) fn extract(prefix: &str, into: &Path) -> Result<()> {
    let wanted = |path: &Path| {
        path.starts_with(prefix) || SHARED.iter().any(|shared| path.starts_with(shared))
    };
    fs::create_dir_all(into).with_context(|| format!("can't make {}", into.display()))?;
    let mut archive = tar::Archive::new(SOURCES);
    for entry in archive.entries()? {
        let mut entry = entry?;
        if wanted(&entry.path()?) {
            entry
                .unpack_in(into)
                .with_context(|| format!("sources can't be written to {}", into.display()))?;
        }
    }
    Ok(())
}
