//! Guests of every draft read the values of their install.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, sync::Arc};

use cloudware_capability::Capability;
use cloudware_config::Config;
use guest::{Guest, install, instance, run};

#[path = "../../guest.rs"]
mod guest;

const RELEASED: &str = "0.2.0-rc.1";

/// The interface under another version, in a directory of its own.
fn wit(version: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir("../../../wit/deps/config").unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replace(RELEASED, version);
        std::fs::write(dir.path().join(path.file_name().unwrap()), text).unwrap();
    }
    dir
}

#[tokio::test]
async fn each_draft_reads_the_same_values() {
    let config = Config::new();
    assert_eq!(config.interfaces().len(), 3);
    for interface in config.interfaces() {
        let (_, version) = interface.split_once('@').unwrap();
        let dir = wit(version);
        let code = format!(
            r#"
            (import "{interface}" "get" (func $get (param i32 i32 i32)))
            (import "{interface}" "get-all" (func $all (param i32)))
            (data (i32.const 0) "currency")
            (func (export "run") (result i32)
                (call $get (i32.const 0) (i32.const 8) (i32.const 1024))
                (if (i32.load8_u (i32.const 1024)) (then (return (i32.const 1))))
                (if (i32.ne (i32.load8_u (i32.const 1028)) (i32.const 1)) (then (return (i32.const 2))))
                (if (i32.ne (i32.load (i32.const 1036)) (i32.const 3)) (then (return (i32.const 3))))
                (if (i32.ne (i32.load16_u (i32.load (i32.const 1032))) (i32.const 0x5545)) (then (return (i32.const 4))))
                ;; A key that nobody has set is not there, which is no failure.
                (call $get (i32.const 0) (i32.const 4) (i32.const 1024))
                (if (i32.load8_u (i32.const 1024)) (then (return (i32.const 5))))
                (if (i32.load8_u (i32.const 1028)) (then (return (i32.const 6))))
                (call $all (i32.const 1024))
                (if (i32.load8_u (i32.const 1024)) (then (return (i32.const 7))))
                (if (i32.ne (i32.load (i32.const 1032)) (i32.const 2)) (then (return (i32.const 8))))
                (i32.const 0))"#
        );
        let guest = Guest {
            wit: &[dir.path().to_str().unwrap()],
            imports: &format!("import {interface};"),
            code: &code,
        };
        let mut install = install();
        let values = [("currency", "EUR"), ("lists", "short")];
        let values = values.map(|(key, value)| (key.to_owned(), value.to_owned()));
        install.config = Arc::new(BTreeMap::from(values));
        let ended = run(&config, &instance(), &install, &guest).await;
        assert_eq!(ended.result, Ok(0), "{interface}: {ended:?}");
    }
}
