//! Correct packages: what is read is what was packed, and the same content has the same digest.

mod support;

use std::{fs, path::Path};

use cloudware_packages::{HttpHandler, Kind, Source, accept, pack, read, read_file};
use cloudware_types::{Digest, Dimension, Reuse};
use support::{COMPONENT, MANIFEST, archive, files, host, wasm};

fn source(folder: &Path) -> Source<'_> {
    Source {
        folder,
        manifest: MANIFEST,
        component: wasm(COMPONENT),
    }
}

#[test]
fn a_packed_folder_reads_back_whole() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("assets/deep")).unwrap();
    fs::write(folder.path().join("assets/deep/a.txt"), "a").unwrap();
    fs::write(folder.path().join("assets/.hidden"), "no").unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    fs::write(folder.path().join("src/lib.rs"), "no").unwrap();
    let bytes = pack(source(folder.path())).unwrap();
    let (package, verified) = accept(&bytes, Some(&Digest::of(&bytes)), &host()).unwrap();

    let manifest = &package.manifest;
    assert_eq!(manifest.name.as_str(), "hello");
    assert_eq!(manifest.version.to_string(), "1.2.3");
    assert_eq!(manifest.kind, Kind::App);
    let http = manifest.http.as_ref().unwrap();
    assert_eq!(
        (http.mount.as_str(), http.reuse),
        ("/hello", Reuse::Warm { requests_max: 100 })
    );
    assert_eq!(manifest.config["greeting"].default, "Hello");
    assert_eq!(manifest.limits[&Dimension::Fuel.into()], 500_000_000);
    assert_eq!(manifest.limits[&Dimension::Memory.into()], 1 << 20);
    assert_eq!(package.manifest_text, MANIFEST);
    assert_eq!(package.component, wasm(COMPONENT));
    assert_eq!(package.component_digest, Digest::of(&package.component));
    assert_eq!(package.digest, Digest::of(&bytes));
    assert_eq!(
        package.files.keys().collect::<Vec<_>>(),
        ["assets/deep/a.txt"]
    );
    assert_eq!(verified.capabilities, ["kv"]);
    assert_eq!(verified.http, Some(HttpHandler::Wasi02));
    assert!(verified.warnings.is_empty());
}

#[test]
fn the_same_content_has_the_same_digest_wherever_and_whenever_it_is_packed() {
    let pack_once = || {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("assets")).unwrap();
        for name in ["b", "a", "c"] {
            fs::write(folder.path().join("assets").join(name), name).unwrap();
        }
        pack(source(folder.path())).unwrap()
    };
    assert_eq!(pack_once(), pack_once());
}

#[test]
fn a_file_is_read_like_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hello-1.2.3.cwp");
    fs::write(&path, archive(&files())).unwrap();
    assert_eq!(
        read_file(&path, None).unwrap().manifest.name.as_str(),
        "hello"
    );
    let absent = read_file(&folder.path().join("absent.cwp"), None).unwrap_err();
    assert!(absent.has("unreadable-file"), "{absent}");
}

#[test]
fn a_manifest_survives_being_stored() {
    let package = read(&archive(&files()), None).unwrap();
    let table = toml::Table::try_from(&package.manifest).unwrap();
    assert_eq!(
        table.try_into::<cloudware_packages::Manifest>().unwrap(),
        package.manifest
    );
}

#[test]
fn migrations_up_to_the_schema_are_taken() {
    let manifest = MANIFEST.replace(
        "[http]",
        "sql = \"Keeps items.\"\n[database]\nnamespace = \"stock\"\nschema = 1\n[http]",
    );
    let mut files = support::with_manifest(&manifest);
    files.insert(
        "migrations/0001_items.up.sql".into(),
        b"CREATE TABLE stock_items (id)".to_vec(),
    );
    files.insert(
        "migrations/0001_items.down.sql".into(),
        b"DROP TABLE stock_items".to_vec(),
    );
    files.insert(
        "migrations/0002_more.up.sql".into(),
        b"CREATE TABLE stock_more (id)".to_vec(),
    );
    let (package, verified) = accept(&archive(&files), None, &host()).unwrap();
    let [step] = package.migrations.as_slice() else {
        panic!("{:?}", package.migrations);
    };
    assert_eq!((step.version, step.name.as_str()), (1, "items"));
    assert_eq!(step.up, "CREATE TABLE stock_items (id)");
    assert_eq!(step.down.as_deref(), Some("DROP TABLE stock_items"));
    assert_eq!(
        package.files.keys().collect::<Vec<_>>(),
        ["assets/logo.svg"]
    );
    // Asked for and not imported: allowed, and pointed out.
    assert_eq!(verified.capabilities, ["kv", "sql"]);
    assert_eq!(verified.warnings[0].code, "capability-not-used");
}

#[test]
fn capabilities_that_every_app_has_need_not_be_asked_for() {
    let component = COMPONENT.replace(
        "(import \"wasi:cli",
        "(import \"wasi:config/store@0.2.0-rc.1\" (instance (export \"get\" (func))))\n(import \"wasi:cli",
    );
    let (_, verified) = accept(
        &archive(&support::with_component(&component)),
        None,
        &host(),
    )
    .unwrap();
    assert_eq!(verified.capabilities, ["config", "kv"]);
}

#[test]
fn a_handler_of_wasi_0_3_is_found() {
    let component = COMPONENT.replace(
        "wasi:http/incoming-handler@0.2.10",
        "wasi:http/handler@0.3.0",
    );
    let (_, verified) = accept(
        &archive(&support::with_component(&component)),
        None,
        &host(),
    )
    .unwrap();
    assert_eq!(verified.http, Some(HttpHandler::Wasi03));
}

#[test]
fn a_mount_is_the_name_where_none_is_given() {
    let files = support::with_manifest(&MANIFEST.replace("mount = \"/hello\"\nreuse = 100", ""));
    let package = read(&archive(&files), None).unwrap();
    let http = package.manifest.http.unwrap();
    assert_eq!((http.mount.as_str(), http.reuse), ("/hello", Reuse::Fresh));
}
