//! An opened package: its manifest, component, migrations and files, read from an archive.

use std::{collections::BTreeMap, fs::File, io::Read, path::Path};

use bytes::Bytes;
use cloudware_types::{Digest, Migration};

use crate::{
    COMPONENT, MANIFEST, Manifest, Problem, Problems, archive, limits::ARCHIVE_BYTES_MAX,
    migrations,
};

/// A package whose archive and manifest obey the rules. [`crate::verify`] checks its component.
#[derive(Clone, Debug)]
pub struct Package {
    /// What it says about itself.
    pub manifest: Manifest,
    /// The manifest as the ISV wrote it.
    pub manifest_text: String,
    /// The component's bytes.
    pub component: Bytes,
    /// Digest of the component; names its compiled form.
    pub component_digest: Digest,
    /// The steps of its schema, as many as the manifest's `schema` says.
    pub migrations: Vec<Migration>,
    /// Files under `assets/` and `i18n/`, by path.
    pub files: BTreeMap<String, Bytes>,
    /// Digest of the archive; names the release.
    pub digest: Digest,
}

/// What could be read of an archive that may have problems.
#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) manifest: Option<Manifest>,
    pub(crate) component: Option<Bytes>,
    pub(crate) package: Option<Package>,
}

/// Reads a package from an archive. Where `expected` is given, the archive must have that digest.
///
/// Needs up to [`crate::limits::UNPACKED_BYTES_MAX`] of memory and CPU time for decompressing: call it
/// where blocking is allowed.
///
/// # Errors
/// Everything that is wrong with the archive, its manifest and its migrations.
pub fn read(archive: &[u8], expected: Option<&Digest>) -> Result<Package, Problems> {
    let mut problems = Problems::new();
    let parts = read_parts(archive, expected, &mut problems);
    problems.into_result(parts.package)
}

/// Reads a package from a file, as [`read`] does.
///
/// # Errors
/// As [`read`]; a file that can't be opened is a problem too.
pub fn read_file(path: &Path, expected: Option<&Digest>) -> Result<Package, Problems> {
    let unreadable = |error: std::io::Error| {
        Problem::new(
            "unreadable-file",
            path.display().to_string(),
            format!("The file can't be read: {error}."),
            "Check the path and its permissions.",
        )
    };
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    // One byte more than allowed is enough to know that there are too many.
    file.take(ARCHIVE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    read(&bytes, expected)
}

pub(crate) fn read_parts(
    archive: &[u8],
    expected: Option<&Digest>,
    problems: &mut Problems,
) -> Parts {
    let Some(contents) = archive::read(archive, expected, problems) else {
        return Parts::default();
    };
    let mut files = contents.files;
    let component = files.remove(COMPONENT);
    if component.is_none() {
        problems.push(Problem::new(
            "missing-component",
            COMPONENT,
            "The package has no component.",
            "Build it with `cloudware build`.",
        ));
    }
    let manifest = read_manifest(files.remove(MANIFEST), problems);
    let schema = manifest
        .as_ref()
        .and_then(|(manifest, _)| manifest.database.as_ref())
        .map(|database| database.schema);
    let migrations = migrations::read(&files, schema.unwrap_or(0), problems);
    files.retain(|path, _| !path.starts_with(migrations::FOLDER));
    let package =
        manifest
            .clone()
            .zip(component.clone())
            .map(|((manifest, manifest_text), component)| Package {
                manifest,
                manifest_text,
                component_digest: Digest::of(&component),
                component,
                migrations,
                files,
                digest: contents.digest,
            });
    Parts {
        manifest: manifest.map(|(manifest, _)| manifest),
        component,
        package,
    }
}

fn read_manifest(bytes: Option<Bytes>, problems: &mut Problems) -> Option<(Manifest, String)> {
    let Some(bytes) = bytes else {
        problems.push(Problem::new(
            "missing-manifest",
            MANIFEST,
            "The package has no manifest.",
            "Add cloudware.toml at the top of the package.",
        ));
        return None;
    };
    let Ok(text) = String::from_utf8(bytes.into()) else {
        problems.push(Problem::new(
            "manifest-syntax",
            MANIFEST,
            "The manifest is not UTF-8 text.",
            "Save it as UTF-8.",
        ));
        return None;
    };
    match Manifest::parse(&text) {
        Ok(manifest) => Some((manifest, text)),
        Err(found) => {
            problems.extend(found);
            None
        }
    }
}
