//! The public interfaces, carried inside the binary: written into new projects, and lent to projects
//! that have a world and no `wit/deps`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use include_dir::{Dir, DirEntry, include_dir};

static WIT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../wit");

/// The name that a project gives its world.
pub(crate) const WORLD: &str = "app";

/// The folder of third-party packages inside the interfaces.
const DEPS: &str = "deps";

/// The WIT of a project, ready for a compiler. A lent folder lives as long as this.
pub(crate) struct ProjectWit {
    /// The folder with the world, and `deps/` in it.
    pub(crate) folder: PathBuf,
    _lent: Option<tempfile::TempDir>,
}

/// The WIT of the project in `folder`.
pub(crate) fn of_project(folder: &Path) -> Result<ProjectWit> {
    let own = folder.join("wit");
    if !own.is_dir() {
        bail!(
            "{} is missing. Its world says what the component imports and exports; see a project that `cloudware new` makes.",
            own.display()
        );
    }
    if own.join(DEPS).is_dir() {
        return Ok(ProjectWit {
            folder: own,
            _lent: None,
        });
    }
    let lent = tempfile::tempdir().context("no temporary folder can be made")?;
    for entry in fs::read_dir(&own).with_context(|| format!("{} can't be read", own.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), lent.path().join(entry.file_name()))?;
        }
    }
    write_deps(&lent.path().join(DEPS))?;
    Ok(ProjectWit {
        folder: lent.path().to_owned(),
        _lent: Some(lent),
    })
}

/// Writes every package of the platform's interfaces, each in its own folder of `to`.
pub(crate) fn write_deps(to: &Path) -> Result<()> {
    let ours = WIT.dirs().filter(|dir| dir.path() != Path::new(DEPS));
    let theirs = WIT.get_dir(DEPS).expect("wit/deps is in the tree").dirs();
    for dir in ours.chain(theirs) {
        let name = dir
            .path()
            .file_name()
            .expect("a package's folder has a name");
        write_dir(dir, &to.join(name))?;
    }
    Ok(())
}

/// Writes an embedded folder's content to `to`.
pub(crate) fn write_dir(dir: &Dir<'_>, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("{} can't be made", to.display()))?;
    for entry in dir.entries() {
        let name = entry.path().file_name().expect("an entry has a name");
        match entry {
            DirEntry::Dir(dir) => write_dir(dir, &to.join(name))?,
            DirEntry::File(file) => fs::write(to.join(name), file.contents())
                .with_context(|| format!("{} can't be written", to.join(name).display()))?,
        }
    }
    Ok(())
}
