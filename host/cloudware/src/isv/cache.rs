//! The user's cache folder: tools that were set up, and components by the digest of what they were
//! built from. All of it can be deleted at any time.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use cloudware_types::Digest;

/// The cache folder of this user.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
}

/// Holds a folder of the cache against other processes until it is dropped.
pub(crate) struct Lock {
    _file: File,
}

impl Cache {
    /// `$CLOUDWARE_CACHE_DIR`, or `cloudware` in the user's cache folder as the XDG base directory
    /// specification names it.
    pub(crate) fn open() -> Result<Self> {
        let set = |name| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let folder = set("CLOUDWARE_CACHE_DIR")
            .or_else(|| Some(set("XDG_CACHE_HOME")?.join("cloudware")))
            .or_else(|| Some(set("HOME")?.join(".cache/cloudware")))
            .context("There is no cache folder: set HOME or CLOUDWARE_CACHE_DIR.")?;
        fs::create_dir_all(&folder)
            .with_context(|| format!("the cache folder {} can't be made", folder.display()))?;
        Ok(Self { folder })
    }

    /// The folder of a tool; the name has its version, so that versions live beside each other.
    pub(crate) fn tool(&self, name: &str) -> PathBuf {
        self.folder.join("tools").join(name)
    }

    /// A component that was built from inputs of this digest.
    pub(crate) fn component(&self, inputs: &Digest) -> Option<Vec<u8>> {
        fs::read(self.component_path(inputs)).ok()
    }

    /// Keeps a component.
    pub(crate) fn keep_component(&self, inputs: &Digest, component: &[u8]) -> Result<()> {
        write_whole(&self.component_path(inputs), component)
    }

    /// Waits until no other process sets up or builds the thing of this name.
    pub(crate) async fn lock(&self, name: &str) -> Result<Lock> {
        let path = self.folder.join("locks").join(name);
        let lock = tokio::task::spawn_blocking(move || {
            fs::create_dir_all(path.parent().expect("a lock lies in a folder"))?;
            let file = File::create(&path)?;
            file.lock()?;
            Ok::<_, std::io::Error>(Lock { _file: file })
        });
        lock.await?
            .with_context(|| format!("the cache can't be locked for {name}"))
    }

    fn component_path(&self, inputs: &Digest) -> PathBuf {
        self.folder
            .join("components")
            .join(format!("{}.wasm", inputs.hex()))
    }
}

/// Writes a file so that a reader sees all of it or nothing.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().context("a file needs a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("{} can't be made", folder.display()))?;
    let mut file = tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(0o644))
        .tempfile_in(folder)
        .with_context(|| format!("{} can't be written to", folder.display()))?;
    std::io::Write::write_all(&mut file, bytes)?;
    file.persist(path)
        .with_context(|| format!("{} can't be written", path.display()))?;
    Ok(())
}

/// The digest of what something is built from: named pieces in order.
#[derive(Default)]
pub(crate) struct Inputs(Vec<u8>);

impl Inputs {
    /// Adds a piece. Lengths are part of it, so that no two lists of pieces look alike.
    pub(crate) fn add(&mut self, name: &str, bytes: &[u8]) {
        self.0.extend((name.len() as u64).to_le_bytes());
        self.0.extend(name.as_bytes());
        self.0.extend(Digest::of(bytes).as_bytes());
    }

    /// Adds all files below a folder, by their relative paths.
    pub(crate) fn add_folder(&mut self, folder: &Path) -> Result<()> {
        for entry in walkdir::WalkDir::new(folder).sort_by_file_name() {
            let entry = entry?;
            if entry.file_type().is_file() {
                let name = entry.path().strip_prefix(folder)?.to_string_lossy();
                let bytes = fs::read(entry.path())
                    .with_context(|| format!("{} can't be read", entry.path().display()))?;
                self.add(&name, &bytes);
            }
        }
        Ok(())
    }

    /// The digest of all pieces.
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}
