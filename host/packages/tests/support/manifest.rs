//! Manifests that are read or refused on their own, without a package.

use cloudware_packages::{Manifest, Problems};

use super::wit::manifest;

/// An extension point.
pub const POINT: &str = r#"
    [extension-points.allocation]
    interface = "inventory:stock/allocation@1.0.0"
    kind = "decide"
    description = "Which batches a pick takes from."
"#;

/// The manifest of an app with these tables.
pub fn app(rest: &str) -> String {
    manifest("app", rest)
}

#[track_caller]
pub fn read(manifest: &str) -> Manifest {
    Manifest::parse(manifest).unwrap_or_else(|problems| panic!("{problems}"))
}

pub fn refused(manifest: &str) -> Problems {
    Manifest::parse(manifest).expect_err("the manifest is bad")
}

/// Asserts that the manifest has this one problem, whose text says `part`.
#[track_caller]
pub fn assert_refused(manifest: &str, place: &str, part: &str) {
    let problems = refused(manifest);
    let [problem] = problems.iter().collect::<Vec<_>>()[..] else {
        panic!("not one problem: {problems}");
    };
    assert_eq!(problem.at, format!("cloudware.toml: {place}"), "{problem}");
    assert!(problem.to_string().contains(part), "{problem}");
}
