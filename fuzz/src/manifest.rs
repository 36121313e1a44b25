//! The text of a manifest.

use cloudware_packages::{InterfaceName, Kind, Manifest, Problems, limits};

/// Words of manifests.
pub const WORDS: &[&str] = &[
    "[package]",
    "[http]",
    "[build]",
    "[capabilities]",
    "[database]",
    "[limits]",
    "[config.x]",
    "[extension-points.x]",
    "[extension]",
    "[extension.implements]",
    "[dependencies]",
    "[calls]",
    "[services]",
    "interface = \"a:b/c@1.0.0\"",
    "\"a:b/c@1.1.0\" = \"x\"",
    "kind = \"extension\"",
    "kind = \"decide\"",
    "on-failure = \"skip\"",
    "deadline-ms = ",
    "fuel-per-item = ",
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
    check_composition(manifest);
}

/// What holds of everything that a manifest says about other packages.
fn check_composition(manifest: &Manifest) {
    let points: Vec<_> = manifest.extension_points.values().collect();
    assert!(points.len() <= limits::POINTS_MAX);
    for point in &points {
        assert!(point.kind.policies().contains(&point.on_failure));
        assert!((1..=u64::from(limits::POINT_DEADLINE_MS_MAX)).contains(&point.deadline_ms));
        assert!(point.fuel > 0);
    }
    let implements = manifest.extension.iter().flat_map(|e| e.implements.keys());
    let implements: Vec<_> = implements.collect();
    assert!(manifest.kind != Kind::Extension || !implements.is_empty());
    let imports = points.iter().map(|point| &point.interface);
    let imports: Vec<_> = imports.chain(manifest.calls.keys()).collect();
    let services: Vec<_> = manifest.services.keys().collect();
    assert!(implements.len() <= limits::IMPLEMENTS_MAX && services.len() <= limits::SERVICES_MAX);
    assert!(imports.len() <= limits::POINTS_MAX + limits::CALLS_MAX);
    for names in [implements, imports, services] {
        let serves = |a: &InterfaceName| names.iter().filter(|b| a.serves(b)).count();
        assert!(names.iter().all(|name| serves(name) == 1), "{names:?}");
    }
    assert!(manifest.dependencies.len() <= limits::DEPENDENCIES_MAX);
    assert!(!manifest.dependencies.contains_key(&manifest.name));
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
