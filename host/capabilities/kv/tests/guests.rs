//! Guests reach key-value data by each of the three interfaces.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cloudware_instance_db::{Config, InstanceDbs};
use cloudware_kv::Kv;
use cloudware_types::{Class, Dimension, StopCause};
use guest::{Guest, install, instance, limits, run};

#[path = "../../guest.rs"]
mod guest;

const OWN: &[&str] = &["../../../wit/types", "../../../wit/kv"];
const DRAFT: &[&str] = &["../../../wit/deps/keyvalue"];
const DRAFT2: &[&str] = &["../../../wit/deps/keyvalue-draft2"];

struct Bench {
    kv: Kv,
    _dir: tempfile::TempDir,
}

fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let databases = InstanceDbs::new(Config {
        dir: dir.path().to_owned(),
        ..Config::default()
    });
    Bench {
        kv: Kv::new(databases.unwrap()),
        _dir: dir,
    }
}

/// What every guest has in its memory. Results are written to 1024: the tag first, then the payload.
const DATA: &str = r#"
    (data (i32.const 0) "default")
    (data (i32.const 16) "key")
    (data (i32.const 32) "41")
"#;

const OWN_CODE: &str = r#"
    (import "cloudware:kv/store@0.1.0" "open" (func $open (param i32 i32 i32)))
    (import "cloudware:kv/store@0.1.0" "[method]bucket.get" (func $get (param i32 i32 i32 i32)))
    (import "cloudware:kv/store@0.1.0" "[method]bucket.set" (func $set (param i32 i32 i32 i32 i32 i32)))
    (import "cloudware:kv/store@0.1.0" "[method]bucket.compare-and-set" (func $cas (param i32 i32 i32 i32 i64 i32 i32 i32)))
    (import "cloudware:kv/store@0.1.0" "[method]bucket.increment" (func $increment (param i32 i32 i32 i64 i32)))
    (import "cloudware:kv/store@0.1.0" "[resource-drop]bucket" (func $drop (param i32)))
    (func (export "run") (result i32) (local $bucket i32) (local $version i64)
        (call $open (i32.const 0) (i32.const 7) (i32.const 1024))
        (if (i32.load8_u (i32.const 1024)) (then (return (i32.const 1))))
        (local.set $bucket (i32.load (i32.const 1032)))
        ;; A bucket's name is checked: `default!` is refused with invalid-name, the first case.
        (i32.store8 (i32.const 7) (i32.const 33))
        (call $open (i32.const 0) (i32.const 8) (i32.const 1024))
        (if (i32.ne (i32.load8_u (i32.const 1024)) (i32.const 1)) (then (return (i32.const 2))))
        (if (i32.load8_u (i32.const 1032)) (then (return (i32.const 3))))
        (call $set (local.get $bucket) (i32.const 16) (i32.const 3) (i32.const 32) (i32.const 2) (i32.const 1024))
        (if (i32.load8_u (i32.const 1024)) (then (return (i32.const 4))))
        (local.set $version (i64.load (i32.const 1032)))
        (call $increment (local.get $bucket) (i32.const 16) (i32.const 3) (i64.const 1) (i32.const 1024))
        (if (i32.load8_u (i32.const 1024)) (then (return (i32.const 5))))
        (if (i64.ne (i64.load (i32.const 1032)) (i64.const 42)) (then (return (i32.const 6))))
        ;; The version that was seen before the increment is stale: conflict, the third case.
        (call $cas (local.get $bucket) (i32.const 16) (i32.const 3) (i32.const 1) (local.get $version) (i32.const 32) (i32.const 2) (i32.const 1024))
        (if (i32.ne (i32.load8_u (i32.const 1024)) (i32.const 1)) (then (return (i32.const 7))))
        (if (i32.ne (i32.load8_u (i32.const 1032)) (i32.const 2)) (then (return (i32.const 8))))
        (call $get (local.get $bucket) (i32.const 16) (i32.const 3) (i32.const 1024))
        (if (i32.load8_u (i32.const 1024)) (then (return (i32.const 9))))
        (if (i32.ne (i32.load8_u (i32.const 1032)) (i32.const 1)) (then (return (i32.const 10))))
        (if (i32.ne (i32.load16_u (i32.load (i32.const 1040))) (i32.const 0x3234)) (then (return (i32.const 11))))
        (call $drop (local.get $bucket))
        (i32.const 0))
"#;

const DRAFT_CODE: &str = r#"
    (import "wasi:keyvalue/store@0.2.0-draft" "open" (func $open (param i32 i32 i32)))
    (import "wasi:keyvalue/store@0.2.0-draft" "[method]bucket.get" (func $get (param i32 i32 i32 i32)))
    (import "wasi:keyvalue/store@0.2.0-draft" "[method]bucket.set" (func $set (param i32 i32 i32 i32 i32 i32)))
    (import "wasi:keyvalue/store@0.2.0-draft" "[method]bucket.list-keys" (func $list (param i32 i32 i64 i32)))
    (import "wasi:keyvalue/atomics@0.2.0-draft" "increment" (func $increment (param i32 i32 i32 i64 i32)))
    (func (export "run") (result i32) (local $bucket i32) (local $same i32)
        (call $open (i32.const 0) (i32.const 7) (i32.const 1024))
        (if (i32.load8_u (i32.const 1024)) (then (return (i32.const 1))))
        (local.set $bucket (i32.load (i32.const 1028)))
        (call $set (local.get $bucket) (i32.const 16) (i32.const 3) (i32.const 32) (i32.const 2) (i32.const 1024))
        (if (i32.load8_u (i32.const 1024)) (then (return (i32.const 2))))
        ;; The bucket without a name is the same one.
        (call $open (i32.const 0) (i32.const 0) (i32.const 1024))
        (if (i32.load8_u (i32.const 1024)) (then (return (i32.const 3))))
        (local.set $same (i32.load (i32.const 1028)))
        (call $increment (local.get $same) (i32.const 16) (i32.const 3) (i64.const 1) (i32.const 1024))
        (if (i32.load8_u (i32.const 1024)) (then (return (i32.const 4))))
        (if (i64.ne (i64.load (i32.const 1032)) (i64.const 42)) (then (return (i32.const 5))))
        ;; A sum that does not fit is refused with other, the third case.
        (call $increment (local.get $same) (i32.const 16) (i32.const 3) (i64.const -1) (i32.const 1024))
        (if (i32.ne (i32.load8_u (i32.const 1024)) (i32.const 1)) (then (return (i32.const 6))))
        (if (i32.ne (i32.load8_u (i32.const 1032)) (i32.const 2)) (then (return (i32.const 7))))
        (call $get (local.get $bucket) (i32.const 16) (i32.const 3) (i32.const 1024))
        (if (i32.ne (i32.load8_u (i32.const 1028)) (i32.const 1)) (then (return (i32.const 8))))
        (if (i32.ne (i32.load16_u (i32.load (i32.const 1032))) (i32.const 0x3234)) (then (return (i32.const 9))))
        ;; One key from the beginning, none after it, and no cursor further.
        (call $list (local.get $bucket) (i32.const 0) (i64.const 0) (i32.const 1024))
        (if (i32.load8_u (i32.const 1024)) (then (return (i32.const 10))))
        (if (i32.ne (i32.load (i32.const 1036)) (i32.const 1)) (then (return (i32.const 11))))
        (if (i32.load8_u (i32.const 1040)) (then (return (i32.const 12))))
        (call $list (local.get $bucket) (i32.const 1) (i64.const 1) (i32.const 1024))
        (if (i32.load (i32.const 1036)) (then (return (i32.const 13))))
        (i32.const 0))
"#;

const DRAFT2_CODE: &str = r#"
    (import "wasi:keyvalue/store@0.2.0-draft2" "open" (func $open (param i32 i32 i32)))
    (import "wasi:keyvalue/store@0.2.0-draft2" "[method]bucket.set" (func $set (param i32 i32 i32 i32 i32 i32)))
    (import "wasi:keyvalue/store@0.2.0-draft2" "[resource-drop]bucket" (func $drop (param i32)))
    (import "wasi:keyvalue/atomics@0.2.0-draft2" "increment" (func $increment (param i32 i32 i32 i64 i32)))
    (import "wasi:keyvalue/atomics@0.2.0-draft2" "[static]cas.new" (func $new (param i32 i32 i32 i32)))
    (import "wasi:keyvalue/atomics@0.2.0-draft2" "[method]cas.current" (func $current (param i32 i32)))
    (import "wasi:keyvalue/atomics@0.2.0-draft2" "swap" (func $swap (param i32 i32 i32 i32)))
    (import "wasi:keyvalue/batch@0.2.0-draft2" "get-many" (func $many (param i32 i32 i32 i32)))
    (func (export "run") (result i32) (local $bucket i32) (local $cas i32)
        (call $open (i32.const 0) (i32.const 7) (i32.const 1024))
        (if (i32.load8_u (i32.const 1024)) (then (return (i32.const 1))))
        (local.set $bucket (i32.load (i32.const 1028)))
        (call $set (local.get $bucket) (i32.const 16) (i32.const 3) (i32.const 32) (i32.const 2) (i32.const 1024))
        (call $new (local.get $bucket) (i32.const 16) (i32.const 3) (i32.const 1024))
        (if (i32.load8_u (i32.const 1024)) (then (return (i32.const 2))))
        (local.set $cas (i32.load (i32.const 1028)))
        (call $increment (local.get $bucket) (i32.const 16) (i32.const 3) (i64.const -2) (i32.const 1024))
        (if (i64.ne (i64.load (i32.const 1032)) (i64.const 39)) (then (return (i32.const 3))))
        ;; The swap comes too late: cas-failed with a fresh handle, which sees 39.
        (call $swap (local.get $cas) (i32.const 32) (i32.const 2) (i32.const 1024))
        (if (i32.ne (i32.load8_u (i32.const 1024)) (i32.const 1)) (then (return (i32.const 4))))
        (if (i32.ne (i32.load8_u (i32.const 1028)) (i32.const 1)) (then (return (i32.const 5))))
        (local.set $cas (i32.load (i32.const 1032)))
        (call $current (local.get $cas) (i32.const 1024))
        (if (i32.load8_u (i32.const 1024)) (then (return (i32.const 6))))
        (if (i32.ne (i32.load16_u (i32.load (i32.const 1032))) (i32.const 0x3933)) (then (return (i32.const 7))))
        ;; The handle of the bucket may go before the swap.
        (call $swap (local.get $cas) (i32.const 32) (i32.const 2) (i32.const 1024))
        (if (i32.load8_u (i32.const 1024)) (then (return (i32.const 8))))
        (i32.store (i32.const 512) (i32.const 16))
        (i32.store (i32.const 516) (i32.const 3))
        (call $many (local.get $bucket) (i32.const 512) (i32.const 1) (i32.const 1024))
        (if (i32.load8_u (i32.const 1024)) (then (return (i32.const 9))))
        (if (i32.ne (i32.load (i32.const 1032)) (i32.const 1)) (then (return (i32.const 10))))
        (if (i32.ne (i32.load16_u (i32.load offset=12 (i32.load (i32.const 1028)))) (i32.const 0x3134)) (then (return (i32.const 11))))
        (call $drop (local.get $bucket))
        (i32.const 0))
"#;

async fn passes(wit: &[&str], imports: &str, text: &str) {
    let bench = bench();
    let code = format!("{text}{DATA}");
    let guest = Guest {
        wit,
        imports,
        code: &code,
    };
    let ended = run(&bench.kv, &instance(), &install(), &guest).await;
    assert_eq!(ended.result, Ok(0), "{ended:?}");
}

#[tokio::test]
async fn a_guest_of_the_platforms_own_interface() {
    passes(OWN, "import cloudware:kv/store@0.1.0;", OWN_CODE).await;
}

#[tokio::test]
async fn a_guest_of_the_first_draft() {
    let imports =
        "import wasi:keyvalue/store@0.2.0-draft; import wasi:keyvalue/atomics@0.2.0-draft;";
    passes(DRAFT, imports, DRAFT_CODE).await;
}

#[tokio::test]
async fn a_guest_of_the_second_draft() {
    let imports =
        "import wasi:keyvalue/store@0.2.0-draft2; import wasi:keyvalue/atomics@0.2.0-draft2;
         import wasi:keyvalue/batch@0.2.0-draft2;";
    passes(DRAFT2, imports, DRAFT2_CODE).await;
}

#[tokio::test]
async fn a_guest_that_makes_too_many_operations_is_stopped() {
    let bench = bench();
    let code = format!("{OWN_CODE}{DATA}");
    let guest = Guest {
        wit: OWN,
        imports: "import cloudware:kv/store@0.1.0;",
        code: &code,
    };
    let mut install = install();
    install.limits = limits(Dimension::KvOperations, 2);
    let ended = run(&bench.kv, &instance(), &install, &guest).await;
    assert!(ended.result.is_err());
    let stop = StopCause::limit(Dimension::KvOperations, Class::Request, 3, 2);
    assert_eq!(ended.stop, Some(stop));
}

/// Reads a value of 60,000 bytes for ever more swaps, none of which is made.
const KEPT_CODE: &str = r#"
    (import "wasi:keyvalue/store@0.2.0-draft2" "open" (func $open (param i32 i32 i32)))
    (import "wasi:keyvalue/store@0.2.0-draft2" "[method]bucket.set" (func $set (param i32 i32 i32 i32 i32 i32)))
    (import "wasi:keyvalue/atomics@0.2.0-draft2" "[static]cas.new" (func $new (param i32 i32 i32 i32)))
    (func (export "run") (result i32) (local $bucket i32)
        (call $open (i32.const 0) (i32.const 7) (i32.const 1024))
        (local.set $bucket (i32.load (i32.const 1028)))
        (call $set (local.get $bucket) (i32.const 16) (i32.const 3) (i32.const 0) (i32.const 60000) (i32.const 1024))
        (if (i32.load8_u (i32.const 1024)) (then (return (i32.const 1))))
        (loop $more
            (call $new (local.get $bucket) (i32.const 16) (i32.const 3) (i32.const 1024))
            (br_if $more (i32.eqz (i32.load8_u (i32.const 1024)))))
        (i32.const 2))
"#;

#[tokio::test]
async fn what_is_held_for_swaps_counts_as_memory() {
    let bench = bench();
    let code = format!("{KEPT_CODE}{DATA}");
    let guest = Guest {
        wit: DRAFT2,
        imports: "import wasi:keyvalue/store@0.2.0-draft2; import wasi:keyvalue/atomics@0.2.0-draft2;",
        code: &code,
    };
    let mut install = install();
    let max = 1 << 20;
    install.limits = limits(Dimension::Memory, max);
    let ended = run(&bench.kv, &instance(), &install, &guest).await;
    assert!(ended.result.is_err(), "{ended:?}");
    let Some(StopCause::Limit { limit, used, .. }) = ended.stop else {
        panic!("no limit: {ended:?}");
    };
    assert_eq!(limit, Dimension::Memory.of(Class::Request));
    assert!((max..max + 100_000).contains(&used), "{used}");
}
