//! Components that are refused: no component at all, imports and exports that don't fit, too complex.

mod support;

use support::{COMPONENT, MANIFEST, assert_codes, problems, with_component, with_manifest};

#[test]
fn a_core_module() {
    let found = problems(&with_component("(module (func (export \"handle\")))"));
    assert_codes(&found, &["core-module"]);
    assert!(found.to_string().contains("wasm32-wasip2"));
}

#[test]
fn bytes_that_are_no_component() {
    let mut files = support::files();
    files.insert("component.wasm".into(), b"hello".to_vec());
    assert_codes(&problems(&files), &["not-a-component"]);
    let mut damaged = support::wasm(COMPONENT);
    let middle = damaged.len() / 2;
    damaged.truncate(middle);
    files.insert("component.wasm".into(), damaged);
    assert_codes(&problems(&files), &["invalid-component"]);
}

#[test]
fn a_component_that_is_well_formed_and_not_valid() {
    let found = problems(&with_component(
        "(component (core module (func (result i32) i64.const 1)))",
    ));
    assert_codes(&found, &["invalid-component"]);
}

#[test]
fn a_missing_export() {
    for export in [
        "wasi:http/handler@0.2.0",
        "wasi:http/handler@0.3.0-rc-2026-03-15",
        "acme:x/incoming-handler@0.2.0",
    ] {
        let component = COMPONENT.replace("wasi:http/incoming-handler@0.2.10", export);
        let found = problems(&with_component(&component));
        assert_codes(&found, &["missing-export"]);
        assert!(found.to_string().contains(export), "{found}");
    }
    assert_codes(
        &problems(&with_component("(component)")),
        &["missing-export"],
    );
}

fn importing(name: &str) -> String {
    COMPONENT.replace("wasi:cli/environment@0.2.9", name)
}

#[test]
fn imports_that_nothing_provides() {
    for name in [
        "acme:pricing/rates@1.0.0",
        "acme:pricing/rates",
        "wasi:nn/graph@0.2.0",
        "wasi:cli/environment@0.4.0",
        "wasi:http/types@0.3.0-rc-2026-03-15",
        "wasi:keyvalue/store@0.2.0-draft2",
        "wasi:io/poll@0.3.0",
        "wasi:http/incoming-handler@0.2.0",
        "cloudware:sql/database@0.2.0",
        "run",
    ] {
        let found = problems(&with_component(&importing(name)));
        assert_codes(&found, &["import-not-provided"]);
        assert!(found.to_string().contains(name), "{found}");
    }
}

#[test]
fn what_the_host_has_instead_is_named() {
    let found = problems(&with_component(&importing(
        "wasi:keyvalue/store@0.2.0-draft9",
    )));
    assert!(
        found
            .to_string()
            .contains("wasi:keyvalue/store@0.2.0-draft instead"),
        "{found}"
    );
    let found = problems(&with_component(&importing("wasi:http/types@0.4.0")));
    assert!(
        found.to_string().contains("wasi:http/types in version 0.2"),
        "{found}"
    );
}

#[test]
fn imports_that_are_always_there() {
    for name in [
        "wasi:io/poll@0.2.0",
        "wasi:http/client@0.3.2",
        "wasi:sockets/tcp@0.2.12",
        "wasi:clocks/system-clock@0.3.0",
    ] {
        let archive = support::archive(&with_component(&importing(name)));
        cloudware_packages::accept(&archive, None, &support::host()).unwrap();
    }
}

#[test]
fn a_capability_that_the_manifest_does_not_ask_for() {
    let found = problems(&with_component(&importing("cloudware:sql/database@0.1.0")));
    assert_codes(&found, &["capability-not-asked"]);
    assert!(found.to_string().contains("`sql`"));
}

#[test]
fn a_capability_that_the_host_does_not_have() {
    let found = problems(&with_manifest(
        &MANIFEST.replace("[http]", "teleport = \"Moves stock.\"\n[http]"),
    ));
    assert_codes(&found, &["unknown-capability"]);
    assert!(found.to_string().contains("kv, sql"), "{found}");
}

#[test]
fn manifest_and_component_are_reported_together() {
    let mut files = with_component(&importing("wasi:nn/graph@0.2.0"));
    files.insert(
        "cloudware.toml".into(),
        MANIFEST.replace("mount =", "mnt =").into_bytes(),
    );
    assert_codes(&problems(&files), &["unknown-key", "import-not-provided"]);
}

#[test]
fn components_inside_each_other() {
    let component = format!("(component {} {})", "(component ".repeat(9), ")".repeat(9));
    let found = problems(&with_component(&component));
    assert_codes(&found, &["component-too-complex"]);
    assert!(found.to_string().contains("levels of nesting"));
}

#[test]
fn components_that_double_each_other() {
    let mut wat = String::from("(component (component $c0)\n");
    for i in 1..40 {
        let before = i - 1;
        wat += &format!(
            "(component $c{i} (alias outer 1 $c{before} (component $x)) (instance (instantiate $x)) (instance (instantiate $x)))\n"
        );
    }
    wat += "(instance (instantiate $c39)))";
    let found = problems(&with_component(&wat));
    assert_codes(&found, &["component-too-complex"]);
    assert!(found.to_string().contains("instantiations"), "{found}");
}

#[test]
fn too_many_functions() {
    let functions = "(func)".repeat(150_001);
    let found = problems(&with_component(&format!(
        "(component (core module {functions}))"
    )));
    assert_codes(&found, &["component-too-complex"]);
    assert!(found.to_string().contains("functions"));
}

#[test]
fn one_function_that_is_too_large() {
    let body = "nop ".repeat(1 << 20);
    let found = problems(&with_component(&format!(
        "(component (core module (func {body})))"
    )));
    assert_codes(&found, &["component-too-complex"]);
    assert!(found.to_string().contains("bytes in one function"));
}
