//! The rules for single values of the manifest and for values that depend on each other. A rule
//! returns whether the value may be used, and reports why not.

use semver::Version;

use super::{Kind, Language, Manifest};
use crate::{
    MANIFEST, Problem, Problems,
    limits::{CONFIG_VALUE_BYTES_MAX, MOUNT_CHARS_MAX},
};

/// Prefixes that the platform itself uses in the private database.
const NAMESPACES_RESERVED: &[&str] = &["cw", "json", "pragma", "sqlite"];

fn refuse(
    problems: &mut Problems,
    at: &str,
    message: impl Into<String>,
    fix: impl Into<String>,
) -> bool {
    problems.push(Problem::new("invalid-value", at, message, fix));
    false
}

pub(super) fn kind(text: &str, at: &str, problems: &mut Problems) -> Option<Kind> {
    let kind = match text {
        "app" => Kind::App,
        "extension" => Kind::Extension,
        "connector" => Kind::Connector,
        "template" => Kind::Template,
        _ => {
            refuse(
                problems,
                at,
                format!("`{text}` is not a kind of package."),
                "Write `app` or `extension`.",
            );
            return None;
        }
    };
    if !matches!(kind, Kind::App | Kind::Extension) {
        problems.push(Problem::new(
            "kind-not-supported",
            at,
            format!(
                "This platform does not take packages of kind `{text}`, only of the kinds `app` and `extension`."
            ),
            "Publish it as one of these, or to a platform that takes this kind.",
        ));
    }
    Some(kind)
}

pub(super) fn language(text: &str, at: &str, problems: &mut Problems) -> Option<Language> {
    [Language::Rust, Language::Javascript, Language::Python]
        .into_iter()
        .find(|language| language.name() == text)
        .or_else(|| {
            let message = format!("`{text}` is not a language that can be built.");
            refuse(problems, at, message, "Write rust, javascript or python.");
            None
        })
}

pub(super) fn version(version: &Version, at: &str, problems: &mut Problems) -> bool {
    if !version.build.is_empty() {
        return refuse(
            problems,
            at,
            "Build metadata (`+…`) is not part of a version's identity.",
            "Leave it out.",
        );
    }
    if version.to_string().len() > 64 {
        return refuse(
            problems,
            at,
            "The version is too long.",
            "Use at most 64 characters.",
        );
    }
    true
}

pub(super) fn feature(feature: &str, at: &str, problems: &mut Problems) -> bool {
    let valid = (1..=64).contains(&feature.len())
        && feature.starts_with(|c: char| c.is_ascii_alphanumeric())
        && feature
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_/".contains(c));
    valid
        || refuse(
            problems,
            at,
            format!("`{feature}` is not a feature name."),
            "Use letters, digits, `-` and `_`.",
        )
}

pub(super) fn mount(mount: &str, at: &str, problems: &mut Problems) -> bool {
    let segment = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.~".contains(c))
    };
    let valid = mount.len() <= MOUNT_CHARS_MAX
        && mount
            .strip_prefix('/')
            .is_some_and(|rest| rest.is_empty() || rest.split('/').all(segment));
    valid
        || refuse(
            problems,
            at,
            format!("`{mount}` is not a path prefix."),
            format!(
                "Write `/`, or a path such as `/stock` of letters, digits and `-_.~` that begins with `/` and does not end with it, at most {MOUNT_CHARS_MAX} characters."
            ),
        )
}

pub(super) fn namespace(name: &str, at: &str, problems: &mut Problems) -> bool {
    let valid = (2..=30).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if !valid {
        return refuse(
            problems,
            at,
            format!("`{name}` is not a namespace."),
            "Use 2 to 30 of a-z and 0-9, beginning with a letter.",
        );
    }
    if NAMESPACES_RESERVED.contains(&name) {
        let message = format!("The namespace `{name}` belongs to the platform.");
        return refuse(problems, at, message, "Choose another.");
    }
    true
}

pub(super) fn config_name(name: &str, at: &str, problems: &mut Problems) -> bool {
    let valid = (1..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c));
    valid
        || refuse(
            problems,
            at,
            "This is not a name for a configuration key.",
            "Use 1 to 64 of a-z, 0-9, `-`, `_` and `.`, beginning with a letter.",
        )
}

pub(super) fn config_value(value: &str, at: &str, problems: &mut Problems) -> bool {
    value.len() <= CONFIG_VALUE_BYTES_MAX
        || refuse(
            problems,
            at,
            format!("The value has {} bytes.", value.len()),
            format!("Use at most {CONFIG_VALUE_BYTES_MAX}."),
        )
}

/// Rules between parts.
pub(super) fn check(manifest: &Manifest, problems: &mut Problems) {
    if manifest.database.is_some() && !manifest.capabilities.contains_key("sql") {
        problems.push(Problem::new(
            "missing-key",
            format!("{MANIFEST}: capabilities.sql"),
            "The app has a [database] and does not ask for the capability that it is reached by.",
            "Add `sql = \"…\"` with the reason to [capabilities], or remove [database].",
        ));
    }
    if manifest.database.is_none() && manifest.capabilities.contains_key("sql") {
        problems.push(Problem::new(
            "missing-key",
            format!("{MANIFEST}: database"),
            "The app asks for the capability `sql` and does not say which tables it owns.",
            "Add [database] with `namespace` and `schema`.",
        ));
    }
}
