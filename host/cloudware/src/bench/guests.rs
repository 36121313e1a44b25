//! The guests of the benches, built from the sources in this binary into the user's cache.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow};
use cloudware_packages::Package;

use super::work::Work;
use crate::isv::{self, BuildRequest};

/// Where the guests' sources are in the repository.
const SOURCES: &str = "benches/guests";

/// Answers in a fresh sandbox each.
pub(super) const HELLO: Guest = Guest {
    folder: "hello",
    manifest: "cloudware.toml",
};

/// The same component; a sandbox answers a thousand times.
pub(super) const HELLO_WARM: Guest = Guest {
    folder: "hello",
    manifest: "cloudware-warm.toml",
};

/// Calls the host as often as it is asked to.
pub(super) const HOSTCALLS: Guest = Guest {
    folder: "hostcalls",
    manifest: "cloudware.toml",
};

/// Which guest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guest {
    folder: &'static str,
    manifest: &'static str,
}

/// A guest as a package.
pub(super) struct BuiltGuest {
    /// The folder that it was built in, with its migrations.
    pub(super) folder: PathBuf,
    /// The archive, to be pushed.
    pub(super) archive: Vec<u8>,
    /// What is in it.
    pub(super) package: Package,
}

/// Builds a guest. What has not changed is not compiled again.
pub(super) async fn build(guest: Guest, work: &Work, context: &isv::Context) -> Result<BuiltGuest> {
    let (tree, _held) = work.sources(SOURCES)?;
    let folder = tree.join(SOURCES).join(guest.folder);
    let request = BuildRequest {
        folder: &folder,
        manifest: Some(Path::new(guest.manifest)),
        out: None,
    };
    let built = isv::build_package(&request, context)
        .await
        .with_context(|| format!("the bench's guest `{}` can't be built", guest.folder))?;
    let archive = fs::read(&built.archive)
        .with_context(|| format!("{} can't be read", built.archive.display()))?;
    let package = cloudware_packages::read(&archive, None)
        .map_err(|problems| anyhow!("the bench's guest `{}`: {problems}", guest.folder))?;
    Ok(BuiltGuest {
        folder,
        archive,
        package,
    })
}
