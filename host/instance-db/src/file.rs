//! The files of a private database and the directories that they are in.

use std::path::{Path, PathBuf};

use crate::{Error, connection::Conn};

/// The write-ahead log beside a database file.
pub(crate) fn wal_path(path: &Path) -> PathBuf {
    beside(path, "-wal")
}

/// A file whose name is that of `path` and a suffix.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Size of a file; 0 where there is none.
pub(crate) fn file_bytes(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Space that is free on the disk of a file.
pub(crate) fn disk_free_bytes(path: &Path) -> Option<u64> {
    let directory = path.parent()?;
    let disk = rustix::fs::statvfs(directory).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Makes a directory if need be, and sees that files can be written there.
pub(crate) fn check_directory(dir: &Path) -> Result<(), String> {
    make_directory(dir).map_err(|error| error.to_string())?;
    let probe = dir.join(format!(".probe-{}", std::process::id()));
    let result = std::fs::write(&probe, b"probe").and_then(|()| std::fs::remove_file(&probe));
    result.map_err(|error| error.to_string())
}

/// Removes a database file and what SQLite keeps beside it.
pub(crate) fn remove_files(path: &Path) -> Result<(), Error> {
    // The log goes first: without its database it means nothing, the other way round it might be lost data.
    for file in [
        beside(path, "-wal"),
        beside(path, "-shm"),
        beside(path, "-journal"),
        path.to_owned(),
    ] {
        match std::fs::remove_file(&file) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(Error::Unavailable(format!(
                    "can't remove {}: {error}",
                    file.display()
                )));
            }
        }
    }
    Ok(())
}

/// Copies a database, which others may be using, to a file that does not exist yet.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    if to.exists() {
        return Err(Error::Unavailable(format!(
            "{} exists already; a snapshot never overwrites",
            to.display()
        )));
    }
    let Some(name) = to.to_str() else {
        return Err(Error::Unavailable("the path is not UTF-8".into()));
    };
    Conn::copy_to(from, name)?;
    let synced = std::fs::File::open(to).and_then(|file| file.sync_all());
    synced.map_err(|error| Error::Unavailable(format!("can't write {name}: {error}")))
}

/// Makes a directory and everything above it, and makes that durable.
pub(crate) fn make_directory(directory: &Path) -> Result<(), Error> {
    if directory.is_dir() {
        return Ok(());
    }
    let failed = |error: std::io::Error| {
        Error::Unavailable(format!("can't make {}: {error}", directory.display()))
    };
    std::fs::create_dir_all(directory).map_err(failed)?;
    match directory.parent() {
        Some(parent) => std::fs::File::open(parent)
            .and_then(|parent| parent.sync_all())
            .map_err(failed),
        None => Ok(()),
    }
}
