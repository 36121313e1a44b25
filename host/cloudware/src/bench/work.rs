//! The folder that benches work in: sources and builds that are kept from run to run, and data that is
//! removed at the end. On a disk, so that what must be durable is as slow as it is in real life.

use std::{env, fs, fs::File, path::PathBuf};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::sources;

/// The folder of this binary's benches.
pub(super) struct Work {
    /// What is kept, by the digest of the sources.
    kept: PathBuf,
    /// What is removed at the end.
    scratch: TempDir,
}

/// Keeps other runs from the sources.
pub(super) struct Held {
    _file: File,
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

    /// The tree with the sources below `prefix`, held against other runs until the lock is dropped: a
    /// build must not read what another run is just writing.
    pub(super) fn sources(&self, prefix: &str) -> Result<(PathBuf, Held)> {
        let path = self.kept.join("lock");
        let unusable = || format!("{} can't be locked", path.display());
        let file = File::create(&path).with_context(unusable)?;
        tokio::task::block_in_place(|| file.lock()).with_context(unusable)?;
        let tree = self.kept.join("source");
        let complete = self
            .kept
            .join(format!("complete-{}", prefix.replace('/', "-")));
        if !complete.is_file() {
            sources::extract(prefix, &tree)?;
            File::create(&complete)
                .with_context(|| format!("{} can't be written", complete.display()))?;
        }
        Ok((tree, Held { _file: file }))
    }

    /// A place of this run for the thing of this name; it does not exist yet.
    pub(super) fn scratch(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }
}
