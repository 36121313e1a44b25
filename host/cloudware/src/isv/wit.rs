//! The public interfaces, carried inside the binary: written into new projects, and lent to projects
//! that have a world and none of these interfaces in their `wit/deps`.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use include_dir::{Dir, DirEntry, include_dir};

static WIT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../wit");

/// The name that a project gives its world.
pub(crate) const WORLD: &str = "app";

/// The package with the points on the data of apps.
const ACCESS: &str = "access";

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
    if carries_ours(&own.join(DEPS)) {
        return Ok(ProjectWit {
            folder: own,
            _lent: None,
        });
    }
    let lent = tempfile::tempdir().context("no temporary folder can be made")?;
    copy_dir(&own, lent.path())?;
    write_deps(&lent.path().join(DEPS))?;
    Ok(ProjectWit {
        folder: lent.path().to_owned(),
        _lent: Some(lent),
    })
}

/// True if a project carries the platform's interfaces itself. It has all of them then: with some of its own
/// and some that are lent, a package could be there twice.
fn carries_ours(deps: &Path) -> bool {
    packages().any(|(name, _)| deps.join(name).is_dir())
}

/// Every package of the platform's interfaces, with the name of its folder.
fn packages() -> impl Iterator<Item = (&'static OsStr, &'static Dir<'static>)> {
    let ours = WIT.dirs().filter(|dir| dir.path() != Path::new(DEPS));
    let theirs = WIT.get_dir(DEPS).expect("wit/deps is in the tree").dirs();
    ours.chain(theirs).map(|dir| {
        let name = dir.path().file_name();
        (name.expect("a package's folder has a name"), dir)
    })
}

/// Writes every package of the platform's interfaces, each in its own folder of `to`.
pub(crate) fn write_deps(to: &Path) -> Result<()> {
    packages().try_for_each(|(name, dir)| write_dir(dir, &to.join(name)))
}

/// Writes the interfaces that an extension may fill of every app.
pub(crate) fn write_access(to: &Path) -> Result<()> {
    let mut packages = packages();
    let found = packages.find(|(name, _)| *name == ACCESS);
    let (name, dir) = found.expect("wit/access is in the tree");
    write_dir(dir, &to.join(name))
}

/// Copies the files of a folder, also of folders in it; what links lead to as well.
fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    for entry in walkdir::WalkDir::new(from).follow_links(true) {
        let entry = entry.with_context(|| format!("{} can't be read", from.display()))?;
        let target = to.join(entry.path().strip_prefix(from)?);
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target)
                .with_context(|| format!("{} can't be made", target.display()))?;
        } else {
            fs::copy(entry.path(), &target)
                .with_context(|| format!("{} can't be copied", entry.path().display()))?;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A project with these folders in `wit/deps`.
    fn project(deps: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let wit = folder.path().join("wit");
        fs::create_dir(&wit).unwrap();
        fs::write(wit.join("world.wit"), "package local:app;").unwrap();
        for name in deps {
            fs::create_dir_all(wit.join(DEPS).join(name)).unwrap();
            fs::write(wit.join(DEPS).join(name).join("own.wit"), *name).unwrap();
        }
        folder
    }

    #[test]
    fn interfaces_are_lent_beside_those_of_other_apps() {
        for deps in [&[][..], &["inventory-stock"]] {
            let project = project(deps);
            let wit = of_project(project.path()).unwrap();
            assert!(wit.folder.join("world.wit").is_file());
            for name in ["kv", "config", "http"] {
                assert!(wit.folder.join(DEPS).join(name).is_dir(), "{name}");
            }
            for name in deps {
                let own = wit.folder.join(DEPS).join(name).join("own.wit");
                assert_eq!(fs::read_to_string(own).unwrap(), *name);
            }
            assert!(!project.path().join("wit/deps/kv").exists());
        }
    }

    #[test]
    fn a_project_with_interfaces_of_its_own_is_left_alone() {
        let project = project(&["inventory-stock", "kv"]);
        let wit = of_project(project.path()).unwrap();
        assert_eq!(wit.folder, project.path().join("wit"));
    }

    #[test]
    fn a_project_without_a_world_is_told_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let error = of_project(folder.path()).err().unwrap().to_string();
        assert!(error.contains("wit is missing"), "{error}");
    }
}
