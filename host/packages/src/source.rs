//! Packing: from a source folder and a built component to an archive.

use std::{collections::BTreeMap, fs, path::Path};

use walkdir::WalkDir;

use crate::{
    COMPONENT, MANIFEST, Manifest, Problem, Problems, archive,
    limits::{FILES_MAX, UNPACKED_BYTES_MAX},
};

/// What an archive is made from.
#[derive(Debug)]
pub struct Source<'a> {
    /// The folder with `migrations/`, `assets/` and `i18n/`, each optional. Files whose names begin
    /// with a dot are left out.
    pub folder: &'a Path,
    /// The manifest's text; it becomes `cloudware.toml` whatever its file is called.
    pub manifest: &'a str,
    /// The component's bytes.
    pub component: Vec<u8>,
}

/// Packs an archive and reads it back, so that what was packed can be read by a host. The same
/// content gives the same bytes.
///
/// # Errors
/// Everything that [`crate::read`] would say about the result, and files that can't be packed.
pub fn pack(source: Source<'_>) -> Result<Vec<u8>, Problems> {
    Manifest::parse(source.manifest)?;
    let mut problems = Problems::new();
    let mut files = BTreeMap::new();
    files.insert(MANIFEST.to_owned(), source.manifest.as_bytes().to_vec());
    files.insert(COMPONENT.to_owned(), source.component);
    for folder in ["assets", "i18n", "migrations"] {
        let path = source.folder.join(folder);
        if path.is_dir() {
            collect(source.folder, &path, &mut files, &mut problems);
        }
    }
    let archive = archive::write(&files).map_err(|error| {
        Problem::new(
            "archive-not-written",
            source.folder.display().to_string(),
            format!("The archive can't be written: {error}."),
            "Shorten the path that it names.",
        )
    });
    let archive = problems.into_result(Some(archive))??;
    crate::read(&archive, None)?;
    Ok(archive)
}

fn collect(
    base: &Path,
    folder: &Path,
    files: &mut BTreeMap<String, Vec<u8>>,
    problems: &mut Problems,
) {
    let visible = |entry: &walkdir::DirEntry| !entry.file_name().to_string_lossy().starts_with('.');
    let mut bytes_total = 0;
    for entry in WalkDir::new(folder).into_iter().filter_entry(visible) {
        let read = entry.map_err(|error| error.to_string()).and_then(|entry| {
            if entry.file_type().is_dir() {
                return Ok(None);
            }
            read_entry(base, &entry).map(Some)
        });
        match read {
            Ok(None) => {}
            Ok(Some((path, bytes))) => {
                bytes_total += bytes.len() as u64;
                files.insert(path, bytes);
            }
            Err(reason) => problems.push(Problem::new(
                "file-not-packed",
                folder.display().to_string(),
                format!("A file can't be packed: {reason}."),
                "A package has plain files only, with names in UTF-8.",
            )),
        }
        if files.len() > FILES_MAX || bytes_total > UNPACKED_BYTES_MAX {
            problems.push(Problem::new(
                "unpacked-too-large",
                folder.display().to_string(),
                "The folder has too many or too large files.",
                format!("Use at most {FILES_MAX} files and {UNPACKED_BYTES_MAX} bytes."),
            ));
            return;
        }
    }
}

fn read_entry(base: &Path, entry: &walkdir::DirEntry) -> Result<(String, Vec<u8>), String> {
    let shown = entry.path().display();
    if !entry.file_type().is_file() {
        return Err(format!("{shown} is a link or a special file"));
    }
    let relative = entry
        .path()
        .strip_prefix(base)
        .map_err(|error| error.to_string())?;
    let parts: Option<Vec<_>> = relative.iter().map(|part| part.to_str()).collect();
    let path = parts
        .ok_or_else(|| format!("{shown} has a name that is not UTF-8"))?
        .join("/");
    archive::check_path(&path).map_err(|problem| problem.to_string())?;
    let bytes = fs::read(entry.path()).map_err(|error| format!("{shown}: {error}"))?;
    Ok((path, bytes))
}
