//! The guests of the benches, built from the sources in this binary into the user's cache.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use cloudware_packages::{Package, Source, pack};

use super::work::Work;
use crate::isv::{self, BuildRequest};

/// Answers in a fresh sandbox each.
pub(super) const HELLO: Guest = Guest {
    folder: "benches/guests/hello",
    manifest: "cloudware.toml",
};

/// The same component; a sandbox answers a thousand times.
pub(super) const HELLO_WARM: Guest = Guest {
    folder: "benches/guests/hello",
    manifest: "cloudware-warm.toml",
};

/// Calls the host as often as it is asked to.
pub(super) const HOSTCALLS: Guest = Guest {
    folder: "benches/guests/hostcalls",
    manifest: "cloudware.toml",
};

/// Asks an extension point as often as it is asked to.
pub(super) const HOOKS_APP: Guest = Guest {
    folder: "benches/guests/hooks-app",
    manifest: "cloudware.toml",
};

/// Fills that extension point.
pub(super) const HOOKS_EXT: Guest = Guest {
    folder: "benches/guests/hooks-ext",
    manifest: "cloudware.toml",
};

/// The component that an ISV writes: the SDK, with the standard library.
pub(super) const HELLO_SDK: Guest = Guest {
    folder: "examples/hello-rust",
    manifest: "cloudware.toml",
};

/// Modest or greedy, as the request says.
pub(super) const NOISY: Guest = Guest {
    folder: "benches/guests/noisy",
    manifest: "cloudware.toml",
};

/// Computes as applications do.
pub(super) const COMPUTE: Guest = Guest {
    folder: "benches/guests/compute",
    manifest: "cloudware.toml",
};

/// A whole application with its database.
pub(super) const STOCK: Guest = Guest {
    folder: "plugins/inventory-stock",
    manifest: "cloudware.toml",
};

/// Which guest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guest {
    /// In the repository.
    folder: &'static str,
    /// In the folder.
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
    let (tree, _held) = work.sources(guest.folder)?;
    let folder = tree.join(guest.folder);
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

impl BuiltGuest {
    /// The app's name.
    pub(super) fn app(&self) -> &str {
        self.package.manifest.name.as_str()
    }

    /// The guest with other words in its manifest, each of which must be there, and with a mark in its
    /// component, so that it is another one that does the same.
    ///
    /// # Errors
    /// A word that is not there; what is wrong with the package that comes out.
    pub(super) fn variant(&self, words: &[(&str, &str)], mark: Option<&str>) -> Result<Self> {
        let mut manifest = self.package.manifest_text.clone();
        for (from, to) in words {
            ensure!(
                manifest.contains(from),
                "the manifest of `{}` does not say `{from}`",
                self.app()
            );
            manifest = manifest.replace(from, to);
        }
        let mut component = self.package.component.to_vec();
        if let Some(mark) = mark {
            component.extend(custom_section(mark)?);
        }
        let source = Source {
            folder: &self.folder,
            manifest: &manifest,
            component,
        };
        let refused = |problems| anyhow!("a variant of `{}`: {problems}", self.app());
        let archive = pack(source).map_err(refused)?;
        let package = cloudware_packages::read(&archive, None).map_err(refused)?;
        Ok(Self {
            folder: self.folder.clone(),
            archive,
            package,
        })
    }
}

/// A custom section of a component: id 0, then the lengths of everything and of the name in one byte each.
fn custom_section(name: &str) -> Result<Vec<u8>> {
    let length = u8::try_from(name.len())?;
    ensure!(length < 127, "a length of more than one byte needs LEB128");
    let mut section = vec![0, length + 1, length];
    section.extend(name.as_bytes());
    Ok(section)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_custom_section_is_one_that_parsers_know() {
        // The head of an empty component.
        let mut component = b"\0asm\x0d\0\x01\0".to_vec();
        component.extend(custom_section("round 7").unwrap());
        let shape = cloudware_packages::inspect(&component);
        assert!(
            shape.is_ok(),
            "{:?}",
            shape.err().map(|problems| problems.to_string())
        );
        assert!(custom_section(&"x".repeat(200)).is_err());
    }
}
