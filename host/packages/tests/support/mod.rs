//! Packages for tests: a small correct one, and ways to spoil it.

#![allow(dead_code, reason = "each test file uses its own part")]

pub mod manifest;
pub mod wit;

use std::collections::BTreeMap;

use cloudware_packages::{Consent, HostInterfaces, Problems, ProvidedCapability, accept};

/// A manifest that obeys all rules and asks for `kv`.
pub const MANIFEST: &str = r#"
[package]
name = "hello"
version = "1.2.3"
kind = "app"
product = "demo"
title = "Hello"
description = "Says hello."
[build]
language = "rust"
features = ["loud"]
[capabilities]
kv = "Counts visits."
[http]
mount = "/hello"
reuse = 100
[config.greeting]
default = "Hello"
description = "The first word."
[limits]
fuel = "500M"
memory = 1048576
"#;

/// A component that answers HTTP (with functions that do nothing) and imports `kv`.
pub const COMPONENT: &str = r#"
(component
  (import "cloudware:kv/store@0.1.0" (instance (export "open" (func))))
  (import "cloudware:types/failures@0.1.0" (instance
    (type $t (enum "busy")) (export "storage-failure" (type (eq $t)))))
  (import "wasi:cli/environment@0.2.9" (instance (export "x" (func))))
  (core module $m (func (export "handle")))
  (core instance $i (instantiate $m))
  (func $handle (canon lift (core func $i "handle")))
  (instance $out (export "handle" (func $handle)))
  (export "wasi:http/incoming-handler@0.2.10" (instance $out))
)"#;

/// A host with two capabilities to ask for and two that every app has, one of them its operator's own.
pub fn host() -> HostInterfaces {
    let kv = [
        "cloudware:kv/store@0.1.0",
        "wasi:keyvalue/store@0.2.0-draft",
    ];
    HostInterfaces::new([
        ProvidedCapability::new("kv", &kv, Consent::Asked),
        ProvidedCapability::new("sql", &["cloudware:sql/database@0.1.0"], Consent::Asked),
        ProvidedCapability::new("config", &["wasi:config/store@0.2.0-rc.1"], Consent::Always),
        ProvidedCapability::new("erp", &["acme:erp/ledger@1.0.0"], Consent::Always),
    ])
}

pub fn wasm(wat: &str) -> Vec<u8> {
    wat::parse_str(wat).expect("the test's text is right")
}

/// The files of a correct package.
pub fn files() -> BTreeMap<String, Vec<u8>> {
    BTreeMap::from([
        ("cloudware.toml".to_owned(), MANIFEST.as_bytes().to_vec()),
        ("component.wasm".to_owned(), wasm(COMPONENT)),
        ("assets/logo.svg".to_owned(), b"<svg/>".to_vec()),
    ])
}

/// Files with another manifest.
pub fn with_manifest(manifest: &str) -> BTreeMap<String, Vec<u8>> {
    let mut files = files();
    files.insert("cloudware.toml".into(), manifest.as_bytes().to_vec());
    files
}

/// Files with another component.
pub fn with_component(wat: &str) -> BTreeMap<String, Vec<u8>> {
    let mut files = files();
    files.insert("component.wasm".into(), wasm(wat));
    files
}

pub fn archive(files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let entries: Vec<_> = files
        .iter()
        .map(|(path, bytes)| Entry::file(path, bytes))
        .collect();
    archive_of(&entries)
}

/// One entry as an attacker would write it.
pub struct Entry {
    pub path: Vec<u8>,
    pub kind: tar::EntryType,
    pub bytes: Vec<u8>,
}

impl Entry {
    pub fn file(path: &str, bytes: &[u8]) -> Self {
        Self {
            path: path.as_bytes().to_vec(),
            kind: tar::EntryType::Regular,
            bytes: bytes.to_vec(),
        }
    }
}

pub fn tar_of(entries: &[Entry]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..entry.path.len()].copy_from_slice(&entry.path);
        header.set_entry_type(entry.kind);
        header.set_size(entry.bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append(&header, entry.bytes.as_slice())
            .expect("memory takes it");
    }
    tar.into_inner().expect("memory takes it")
}

pub fn archive_of(entries: &[Entry]) -> Vec<u8> {
    zstd::encode_all(tar_of(entries).as_slice(), 3).expect("memory takes it")
}

/// The problems that accepting these files reports.
pub fn problems(files: &BTreeMap<String, Vec<u8>>) -> Problems {
    problems_of(&archive(files))
}

pub fn problems_of(archive: &[u8]) -> Problems {
    accept(archive, None, &host()).expect_err("the package is bad")
}

/// Asserts that exactly these problems are reported, in any order, and that each says what to do.
#[track_caller]
pub fn assert_codes(problems: &Problems, codes: &[&str]) {
    let mut found: Vec<_> = problems.iter().map(|p| p.code).collect();
    found.sort_unstable();
    let mut wanted = codes.to_vec();
    wanted.sort_unstable();
    assert_eq!(found, wanted, "{problems}");
    for problem in problems.iter() {
        assert!(!problem.at.is_empty() && !problem.message.is_empty() && !problem.fix.is_empty());
    }
}
