//! The folder that benches work in: sources and builds that are kept from run to run, and data that is
//! removed at the end. On a disk, so that what must be durable is as slow as it is in real life.

use std::{env, fs, path::PathBuf};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::sources;

/// The folder of this binary's benches.
pub(super) struct Work {
    /// What is kept, by the digest of the sources.
    pub(super) kept: PathBuf,
    /// What is removed at the end.
    scratch: TempDir,
}

impl Work {
    /// Below `$CLOUDWARE_CACHE_DIR`, or `cloudware` in the user's cache folder.
    pub(super) fn open() -> Result<Self> {
        let set = |name| {
            env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let cache = set("CLOUDWARE_CACHE_DIR")
            .or_else(|| Some(set("XDG_CACHE_HOME")?.join("cloudware")))
            .or_else(|| Some(set("HOME")?.join(".cache/cloudware")))
            .context("There is no cache folder: set HOME or CLOUDWARE_CACHE_DIR.")?;
        let kept = cache.join("bench").join(sources::digest().hex());
        fs::create_dir_all(&kept).with_context(|| format!("{} can't be made", kept.display()))?;
        let scratch = tempfile::Builder::new()
            .prefix("run-")
            .tempdir_in(&kept)
            .with_context(|| format!("{} can't be written to", kept.display()))?;
        Ok(Self { kept, scratch })
    }

    /// A place of this run for the thing of this name; it does not exist yet.
    pub(super) fn scratch(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }
}
