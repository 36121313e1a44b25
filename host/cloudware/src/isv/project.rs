//! A package's source folder and its manifest.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use cloudware_packages::{EXTENSION, MANIFEST, Manifest};

use super::context::refused;

/// Where archives are put, below the source folder.
const ARCHIVES: &str = "dist";

/// A source folder with a manifest that obeys the rules.
pub(crate) struct Project {
    /// The source folder.
    pub(crate) folder: PathBuf,
    /// The manifest's text.
    pub(crate) text: String,
    /// The manifest.
    pub(crate) manifest: Manifest,
}

impl Project {
    /// Opens the source folder; `manifest` is relative to it, `cloudware.toml` by default.
    pub(crate) fn open(folder: &Path, manifest: Option<&Path>) -> Result<Self> {
        let path = folder.join(manifest.unwrap_or(Path::new(MANIFEST)));
        if !path.is_file() {
            bail!(
                "There is no {} here. Name the folder of a package, or make one with `cloudware new`.",
                path.display()
            );
        }
        let text = fs::read_to_string(&path)
            .with_context(|| format!("{} can't be read", path.display()))?;
        let manifest = Manifest::parse(&text)
            .map_err(|problems| refused(&path.display().to_string(), &problems))?;
        let folder = folder
            .canonicalize()
            .with_context(|| format!("{} can't be opened", folder.display()))?;
        Ok(Self {
            folder,
            text,
            manifest,
        })
    }

    /// Where `build` puts the archive unless told otherwise.
    pub(crate) fn archive(&self) -> PathBuf {
        self.folder.join(ARCHIVES).join(self.archive_name())
    }

    /// `<name>-<version>.cwp`.
    pub(crate) fn archive_name(&self) -> String {
        format!(
            "{}-{}.{EXTENSION}",
            self.manifest.name, self.manifest.version
        )
    }
}
