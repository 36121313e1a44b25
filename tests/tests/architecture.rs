//! The map must not lie: dependencies between our crates are the ones listed here and no others, and every
//! source file says what it is for.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use walkdir::WalkDir;

/// Every allowed edge between our crates: who may depend on whom. A new edge is a design change: say
/// why in ARCHITECTURE.md and add it here.
const EDGES: &[(&str, &[&str])] = &[
    ("cloudware-types", &[]),
    ("cloudware-threads", &[]),
    ("cloudware-capability", &["types"]),
    ("cloudware-instance-db", &["threads", "types"]),
    ("cloudware-config", &["types", "capability"]),
    ("cloudware-limits", &["threads", "types", "capability"]),
    ("cloudware-logging", &["types", "capability"]),
    ("cloudware-kv", &["types", "capability", "instance-db"]),
    ("cloudware-sql", &["types", "capability", "instance-db"]),
    ("cloudware-deliveries", &["types", "instance-db"]),
    ("cloudware-engine", &["threads", "types", "capability"]),
    ("cloudware-gateway", &["types", "engine"]),
    ("cloudware-packages", &["types"]),
    ("cloudware-control", &["types", "packages"]),
    ("cloudware-api", &["types", "packages", "control"]),
    // Whatever it measures is a dev-dependency.
    ("cloudware-benches", &[]),
];

/// Libraries that a crate must do without, because of what it must not know.
const WITHOUT: &[(&str, &[&str])] = &[
    ("cloudware-types", &["tokio", "wasmtime", "sqlx", "axum"]),
    ("cloudware-engine", &["sqlx", "rusqlite", "axum"]),
    ("cloudware-deliveries", &["wasmtime", "sqlx", "axum"]),
    ("cloudware-gateway", &["sqlx", "rusqlite", "wasmtime"]),
    ("cloudware-packages", &["tokio", "wasmtime", "sqlx"]),
    (
        "cloudware-control",
        &["wasmtime", "axum", "hyper", "http", "rusqlite"],
    ),
    ("cloudware-api", &["wasmtime", "sqlx", "rusqlite"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this crate lies in the workspace")
        .to_owned()
}

/// The normal dependencies of every crate of the host and of its micro-benches, by crate name.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let apart = ["target", "templates", "guests"];
    let manifests = ["host", "benches"]
        .into_iter()
        .flat_map(|folder| {
            WalkDir::new(root().join(folder))
                .into_iter()
                .filter_entry(|entry| !apart.contains(&&*entry.file_name().to_string_lossy()))
        })
        .map(|entry| entry.expect("the tree can be read"))
        .filter(|entry| entry.file_name() == "Cargo.toml");
    manifests
        .map(|manifest| {
            let text = fs::read_to_string(manifest.path()).expect("a manifest can be read");
            let table: toml::Table = text.parse().expect("a manifest is TOML");
            let name = table["package"]["name"]
                .as_str()
                .expect("a crate has a name");
            let dependencies = table
                .get("dependencies")
                .and_then(|dependencies| dependencies.as_table())
                .map(|dependencies| dependencies.keys().cloned().collect())
                .unwrap_or_default();
            (name.to_owned(), dependencies)
        })
        .collect()
}

#[test]
fn edges_between_crates_are_the_listed_ones() {
    let mut wrong = Vec::new();
    for (name, dependencies) in dependencies() {
        // The binary composes: it may name everything.
        if name == "cloudware" {
            continue;
        }
        let Some((_, allowed)) = EDGES.iter().find(|(listed, _)| *listed == name) else {
            wrong.push(format!("{name} is not in the list of edges"));
            continue;
        };
        let ours = dependencies
            .iter()
            .filter_map(|dependency| dependency.strip_prefix("cloudware-"));
        wrong.extend(
            ours.filter(|dependency| !allowed.contains(dependency))
                .map(|dependency| format!("{name} must not depend on {dependency}")),
        );
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn crates_do_without_what_they_must_not_know() {
    let all = dependencies();
    let mut wrong = Vec::new();
    for (name, forbidden) in WITHOUT {
        let dependencies = &all[*name];
        wrong.extend(
            forbidden
                .iter()
                .filter(|library| dependencies.contains(**library))
                .map(|library| format!("{name} must not depend on {library}")),
        );
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_source_file_says_what_it_is_for() {
    let folders = [
        "host", "sdk", "plugins", "examples", "tests", "benches", "fuzz",
    ];
    let sources = folders
        .iter()
        .map(|folder| root().join(folder))
        .filter(|folder| folder.exists())
        .flat_map(|folder| {
            WalkDir::new(folder).into_iter().filter_entry(|entry| {
                !["target", "node_modules"].contains(&entry.file_name().to_string_lossy().as_ref())
            })
        })
        .map(|entry| entry.expect("the tree can be read").into_path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let silent: Vec<_> = sources
        .filter(|path| {
            let text = fs::read_to_string(path).expect("a source can be read");
            let first = text.lines().find(|line| !line.starts_with("#!["));
            !first.is_some_and(|line| line.starts_with("//!"))
        })
        .collect();
    assert_eq!(
        silent,
        Vec::<PathBuf>::new(),
        "files without a `//!` header"
    );
}

#[test]
fn guests_know_the_public_contract_only() {
    let folders = [
        "sdk",
        "plugins",
        "examples",
        "tests/guests",
        "benches/guests",
    ];
    let manifests = folders
        .iter()
        .flat_map(|folder| {
            WalkDir::new(root().join(folder))
                .into_iter()
                .filter_entry(|entry| {
                    !["target", "node_modules"]
                        .contains(&entry.file_name().to_string_lossy().as_ref())
                })
        })
        .map(|entry| entry.expect("the tree can be read").into_path())
        .filter(|path| path.ends_with("Cargo.toml"));
    for manifest in manifests {
        let text = fs::read_to_string(&manifest).expect("a manifest can be read");
        assert!(
            !text.contains("host/"),
            "{} depends on the host",
            manifest.display()
        );
    }
}

#[test]
fn copies_of_an_apps_interfaces_are_equal_to_them() {
    let mut compared = 0;
    for package in fs::read_dir(root().join("plugins")).expect("the tree can be read") {
        let package = package.expect("the tree can be read").path();
        let Ok(copies) = fs::read_dir(package.join("wit/deps")) else {
            continue;
        };
        for copy in copies {
            let copy = copy.expect("the tree can be read");
            let owner = root().join("plugins").join(copy.file_name()).join("wit");
            assert_eq!(
                interfaces(&copy.path()),
                interfaces(&owner),
                "{} is not as in {}: copy it again",
                copy.path().display(),
                owner.display()
            );
            compared += 1;
        }
    }
    assert!(compared >= 3, "{compared} copies were found");
}

/// The texts in a folder of WIT, by file name.
fn interfaces(folder: &Path) -> BTreeMap<String, String> {
    let files = fs::read_dir(folder).expect("a package has the folder of its interfaces");
    files
        .map(|file| file.expect("the tree can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wit"))
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let text = fs::read_to_string(&path).expect("an interface can be read");
            (name.into_owned(), text)
        })
        .collect()
}
