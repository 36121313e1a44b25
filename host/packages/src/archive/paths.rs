//! Which paths a package may have.

use crate::{COMPONENT, MANIFEST, Problem, limits::PATH_CHARS_MAX};

/// Folders that a package may have.
const FOLDERS: &[&str] = &["assets/", "i18n/", "migrations/"];

/// Checks one path of an archive.
///
/// # Errors
/// A path that leaves the package, that some system could not hold, or that has no meaning.
pub(crate) fn check_path(path: &str) -> Result<(), Problem> {
    let at = if path.is_empty() {
        "an entry without a name"
    } else {
        path
    };
    let refuse = |code, message: &str, fix: &str| Err(Problem::new(code, at, message, fix));
    if path.chars().count() > PATH_CHARS_MAX {
        let message = format!("The path has more than {PATH_CHARS_MAX} characters.");
        return refuse("path-too-long", &message, "Shorten it.");
    }
    let escapes = path.starts_with('/')
        || path.contains('\\')
        || path.contains(':')
        || path
            .split('/')
            .any(|part| part == ".." || part == "." || part.is_empty());
    if escapes {
        return refuse(
            "path-escapes",
            "The path is absolute, or has empty, `.` or `..` parts, `\\` or `:`.",
            "Use paths relative to the package, with `/` between parts.",
        );
    }
    if path.chars().any(char::is_control) {
        return refuse(
            "path-escapes",
            "The path has control characters.",
            "Rename the file.",
        );
    }
    let known = path == MANIFEST
        || path == COMPONENT
        || FOLDERS.iter().any(|folder| path.starts_with(folder));
    if !known {
        return refuse(
            "unexpected-file",
            "A package has no such file.",
            "Keep cloudware.toml, component.wasm, and files under migrations/, assets/ and i18n/.",
        );
    }
    Ok(())
}
