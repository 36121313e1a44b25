//! The text of a manifest.

use cloudware_packages::{Manifest, Problems, limits};

/// Words of manifests.
pub const WORDS: &[&str] = &[
    "[package]",
    "[http]",
    "[build]",
    "[capabilities]",
    "[database]",
    "[limits]",
    "[config.x]",
    "name = ",
    "version = ",
    "kind = \"app\"",
    "mount = \"/x\"",
    "reuse = ",
    "schema = ",
    "namespace = \"x\"",
    "default = \"\"",
    "fuel = \"1G\"",
    "memory = ",
    "hook-fuel = ",
    "\"1.0.0-a\"",
    "\"..\"",
    "'''",
    "\"\"\"",
    "[[",
    "]]",
    "{",
    "}",
    "1e400",
    "-1",
    "9223372036854775808",
    "\\u0000",
    "cloudware.toml",
    "component.wasm",
    "migrations/0001_a.up.sql",
    "assets/../",
    "ustar",
];

/// Parses any bytes as a manifest.
///
/// # Panics
/// Where a manifest that was taken breaks a bound, or a refusal has nothing to say.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match Manifest::parse(&text) {
        Ok(manifest) => check(&manifest),
        Err(problems) => check_problems(&problems),
    }
}

/// What holds of every manifest that was taken.
pub(crate) fn check(manifest: &Manifest) {
    assert!(manifest.title.chars().count() <= limits::TITLE_CHARS_MAX);
    assert!(manifest.description.chars().count() <= limits::TEXT_CHARS_MAX);
    assert!(manifest.config.len() <= limits::CONFIG_KEYS_MAX);
    assert!(manifest.version.build.is_empty());
    for key in manifest.config.values() {
        assert!(key.default.len() <= limits::CONFIG_VALUE_BYTES_MAX);
    }
    if let Some(http) = &manifest.http {
        let mount = &http.mount;
        assert!(
            mount.starts_with('/') && (mount == "/" || !mount.ends_with('/')),
            "{mount}"
        );
        assert!(mount.chars().count() <= limits::MOUNT_CHARS_MAX, "{mount}");
        assert!(!mount.contains("..") && !mount.contains("//"), "{mount}");
    }
    for (limit, value) in &manifest.limits {
        let (min, max) = limit.bounds();
        assert!((min..=max).contains(value), "{limit} = {value}");
    }
}

/// What holds of every refusal.
pub(crate) fn check_problems(problems: &Problems) {
    assert!(!problems.is_empty(), "a refusal says why");
    assert!(problems.iter().count() <= limits::PROBLEMS_MAX);
    for problem in problems.iter() {
        for text in [&problem.at, &problem.message, &problem.fix] {
            assert!(!text.is_empty(), "{problem:?}");
            assert!(text.chars().count() <= 1_001, "{problem:?}");
            assert!(
                !text.contains(|c: char| c.is_control() && c != '\n'),
                "{problem:?}"
            );
        }
    }
}
