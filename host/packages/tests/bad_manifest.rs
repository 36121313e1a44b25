//! Manifests and migrations that are refused, each mistake with its place, all of them at once.

mod support;

use cloudware_packages::{Manifest, Problems};
use support::{MANIFEST, assert_codes, problems, with_manifest};

fn refused(manifest: &str) -> Problems {
    Manifest::parse(manifest).expect_err("the manifest is bad")
}

#[track_caller]
fn assert_place(manifest: &str, code: &str, place: &str) {
    let problems = refused(manifest);
    assert!(
        problems
            .iter()
            .any(|p| p.code == code && p.at == format!("cloudware.toml: {place}")),
        "{code} at {place} is not among:\n{problems}"
    );
}

#[test]
fn text_that_is_not_toml_has_a_line_and_a_column() {
    assert_place(
        "[package]\nname = = 1",
        "manifest-syntax",
        "line 2, column 8",
    );
}

#[test]
fn unknown_keys_anywhere() {
    let manifest = format!("{MANIFEST}\n[colour]\n")
        .replace("title =", "tilte = \"x\"\ntitle =")
        .replace("mount =", "port = 80\nmount =")
        .replace("language =", "speed = 1\nlanguage =")
        .replace(
            "description = \"The first",
            "choices = []\ndescription = \"The first",
        );
    for place in [
        "colour",
        "package.tilte",
        "http.port",
        "build.speed",
        "config.greeting.choices",
    ] {
        assert_place(&manifest, "unknown-key", place);
    }
    assert_eq!(refused(&manifest).iter().count(), 5);
}

#[test]
fn every_mistake_is_reported_at_once() {
    let manifest = r#"
        [package]
        name = "Bad Name"
        version = "1"
        kind = "gadget"
        title = 7
        [build]
        language = "cobol"
        [capabilities]
        kv = ""
        [http]
        mount = "stock/"
        reuse = 0
        [database]
        namespace = "cw"
        [config.Currency]
        default = "EUR"
        [config.unit]
        description = "x"
        [limits]
        fule = 1
        fuel = "lots"
        deadline = "1h"
        memory = "256MiB"
        concurrency = 1
    "#;
    let problems = refused(manifest);
    let places: Vec<_> = problems
        .iter()
        .map(|p| p.at.trim_start_matches("cloudware.toml: "))
        .collect();
    for place in [
        "package.name",
        "package.version",
        "package.kind",
        "package.product",
        "package.title",
        "build.language",
        "capabilities.kv",
        "http.mount",
        "http.reuse",
        "database.namespace",
        "database.schema",
        "config.Currency",
        "config.unit.default",
        "limits.fule",
        "limits.fuel",
        "limits.deadline",
        "limits.memory",
        "limits.concurrency",
    ] {
        assert!(places.contains(&place), "{place} is not among {places:?}");
    }
    assert_eq!(places.len(), 18, "{problems}");
}

#[test]
fn kinds_that_are_not_taken_yet() {
    for kind in ["connector", "template"] {
        let manifest = MANIFEST.replace("kind = \"app\"", &format!("kind = \"{kind}\""));
        assert_place(&manifest, "kind-not-supported", "package.kind");
    }
}

#[test]
fn mounts_that_are_no_path_prefix() {
    for mount in [
        "",
        "stock",
        "/stock/",
        "//",
        "/a//b",
        "/../x",
        "/a?b",
        "/ä",
        "/%41",
        &format!("/{}", "a".repeat(100)),
    ] {
        let manifest = MANIFEST.replace("\"/hello\"", &format!("\"{mount}\""));
        assert_place(&manifest, "invalid-value", "http.mount");
    }
    for mount in ["/", "/a", "/a/b-c_d.e~f"] {
        let manifest = MANIFEST.replace("\"/hello\"", &format!("\"{mount}\""));
        assert_eq!(
            Manifest::parse(&manifest).unwrap().http.unwrap().mount,
            mount
        );
    }
}

#[test]
fn a_version_with_build_metadata() {
    assert_place(
        &MANIFEST.replace("1.2.3", "1.2.3+7"),
        "invalid-value",
        "package.version",
    );
    assert!(Manifest::parse(&MANIFEST.replace("1.2.3", "1.2.3-rc.1")).is_ok());
}

#[test]
fn a_database_and_its_capability_come_together() {
    let database = MANIFEST.replace(
        "[http]",
        "[database]\nnamespace = \"hello\"\nschema = 0\n[http]",
    );
    assert_place(&database, "missing-key", "capabilities.sql");
    let capability = MANIFEST.replace("[http]", "sql = \"Keeps items.\"\n[http]");
    assert_place(&capability, "missing-key", "database");
}

#[test]
fn namespaces_of_the_platform_and_wrong_ones() {
    for name in ["cw", "sqlite", "x", "1x", "a_b", "Stock", &"n".repeat(31)] {
        let manifest = format!("{MANIFEST}\n[database]\nnamespace = \"{name}\"\nschema = 0");
        assert_place(&manifest, "invalid-value", "database.namespace");
    }
}

#[test]
fn a_manifest_larger_than_the_bound() {
    let manifest = format!("{MANIFEST}# {}", "x".repeat(300_000));
    assert_codes(&refused(&manifest), &["manifest-too-large"]);
}

#[test]
fn a_manifest_that_is_not_text() {
    let mut files = support::files();
    files.insert("cloudware.toml".into(), vec![0xff, 0xfe]);
    assert_codes(&problems(&files), &["manifest-syntax"]);
}

/// Problems of a package with `schema` and these migrations.
fn migrations(schema: u32, names: &[&str]) -> Problems {
    let manifest = MANIFEST.replace(
        "[http]",
        &format!(
            "sql = \"Keeps items.\"\n[database]\nnamespace = \"hello\"\nschema = {schema}\n[http]"
        ),
    );
    let mut files = with_manifest(&manifest);
    for name in names {
        files.insert(format!("migrations/{name}"), b"SELECT 1".to_vec());
    }
    problems(&files)
}

#[test]
fn migrations_with_a_gap_or_a_wrong_number() {
    assert_codes(
        &migrations(2, &["0001_a.up.sql", "0003_b.up.sql"]),
        &["migration-number"],
    );
    assert_codes(&migrations(1, &["0002_a.up.sql"]), &["migration-number"]);
    assert_codes(
        &migrations(1, &["0001_a.up.sql", "0001_b.up.sql"]),
        &["migration-number"],
    );
    assert_codes(&migrations(1, &["0001_a.down.sql"]), &["migration-number"]);
}

#[test]
fn a_schema_beyond_the_migrations() {
    assert_codes(
        &migrations(2, &["0001_a.up.sql"]),
        &["schema-beyond-migrations"],
    );
    assert_codes(&migrations(1, &[]), &["schema-beyond-migrations"]);
}

#[test]
fn migrations_with_a_wrong_name() {
    for name in [
        "1_a.up.sql",
        "0001-a.up.sql",
        "0001_a.sql",
        "0001_A.up.sql",
        "0000_a.up.sql",
        "sub/0001_a.up.sql",
        "+001_a.up.sql",
    ] {
        assert_codes(&migrations(0, &[name]), &["migration-name"]);
    }
}

#[test]
fn a_migration_that_is_not_text() {
    let mut files = support::files();
    files.insert("migrations/0001_a.up.sql".into(), vec![0xff]);
    assert_codes(&problems(&files), &["migration-text"]);
    files.insert("migrations/0001_a.up.sql".into(), vec![b' '; (1 << 20) + 1]);
    assert_codes(&problems(&files), &["migration-too-large"]);
}
