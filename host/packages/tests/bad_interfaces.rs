//! Interfaces that packages can't share: those that are not there, that their kind does not allow, that can't
//! be called from another sandbox, or that are too large.

mod support;

use cloudware_packages::limits;
use support::{
    assert_codes,
    wit::{
        ALLOCATION, LEVELS, STOCK, bad, bad_point, component, good, manifest, naming, point, shape,
    },
};

#[test]
fn functions_that_a_kind_does_not_allow() {
    for (kind, function, part) in [
        (
            "guard",
            "f: func(sku: string) -> bool;",
            "returns `result<_, string>`",
        ),
        (
            "decide",
            "f: func(sku: string) -> u64;",
            "returns `option<T>`",
        ),
        (
            "transform",
            "f: func(sku: string) -> string;",
            "returns `result<T, string>`",
        ),
        ("observe", "f: func(sku: string) -> u64;", "returns nothing"),
    ] {
        let found = bad_point(kind, &format!("{function} g: func(sku: string) -> char;"));
        assert_codes(&found, &["point-signature", "point-signature"]);
        let first = found.iter().next().unwrap().to_string();
        let is =
            "component.wasm: import inventory:stock/allocation@1.0.0: `f` is func(sku: string) -> ";
        assert!(first.starts_with(is), "{first}");
        assert!(first.contains(part), "{first}");
    }
}

#[test]
fn what_cannot_pass_between_sandboxes() {
    for (function, part) in [
        (
            "f: func(x: stream<u8>);",
            "Parameter `x` of `f` has a stream",
        ),
        (
            "f: func(x: u8, y: list<future<u8>>);",
            "Parameter `y` of `f` has a future",
        ),
        ("f: async func(x: u8);", "`f` is an async function"),
    ] {
        let found = bad_point("observe", function);
        assert_codes(&found, &["interface-type"]);
        assert!(found.to_string().contains(part), "{found}");
    }
    let found = bad_point("guard", "f: func() -> result<option<stream<u8>>, string>;");
    assert_codes(&found, &["interface-type"]);
    assert!(
        found.to_string().contains("The result of `f` has a stream"),
        "{found}"
    );
}

#[test]
fn resources_are_named() {
    let resource = "resource cart { add: func(sku: string); } f: func(cart: borrow<cart>);";
    let found = bad_point("observe", resource);
    assert_codes(&found, &["interface-type", "interface-type"]);
    let text = found.to_string();
    assert!(text.contains("the resource `cart`"), "{text}");
    assert!(
        text.contains("Parameter `cart` of `f` has a handle to a resource"),
        "{text}"
    );

    let package = "package a:b@1.0.0 {
        interface carts { resource cart; }
        interface c { use carts.{cart}; f: func() -> cart; }
    }";
    for (table, item) in [("extension.implements", "export"), ("services", "export")] {
        let found = bad(
            &naming(table, "a:b/c@1.0.0"),
            component(
                &format!("{item} a:b/carts@1.0.0; {item} a:b/c@1.0.0;"),
                package,
            ),
        );
        assert_codes(&found, &["interface-type", "interface-type"]);
        assert!(
            found
                .to_string()
                .contains("component.wasm: export a:b/c@1.0.0"),
            "{found}"
        );
    }
}

#[test]
fn an_interface_has_between_one_and_a_hundred_functions() {
    let levels = component(&format!("import {LEVELS};"), STOCK);
    good(&naming("calls", LEVELS), levels);
    let found = bad(
        &naming("calls", "inventory:stock/types@1.0.0"),
        component(
            "import inventory:stock/types@1.0.0; use inventory:stock/types@1.0.0.{demand}; export f: func(x: demand);",
            STOCK,
        ),
    );
    assert_codes(&found, &["interface-empty"]);

    let functions = |count: usize| {
        (0..count)
            .map(|i| format!("call{i}: func();"))
            .collect::<String>()
    };
    assert_eq!(
        shape(&functions(limits::INTERFACE_FUNCTIONS_MAX))
            .functions
            .len(),
        100
    );
    let found = bad_point("observe", &functions(limits::INTERFACE_FUNCTIONS_MAX + 1));
    assert_codes(&found, &["interface-too-large"]);
    assert!(found.to_string().contains("101 functions"), "{found}");
}

#[test]
fn types_that_would_be_huge_when_written_out() {
    // Each type has the one before twice, which makes 2^16 of the first.
    let doubled = |levels: usize| {
        let types = (1..=levels).map(|i| format!("type t{i} = tuple<t{0}, t{0}>;", i - 1));
        format!(
            "type t0 = u8; {} f: func(x: t{levels});",
            types.collect::<String>()
        )
    };
    assert!(shape(&doubled(10)).functions[0].params[0].1.len() > 4_000);
    let found = bad_point("observe", &doubled(16));
    assert_codes(&found, &["interface-too-large"]);
    assert!(found.to_string().contains("The types of `f`"), "{found}");
}

#[test]
fn all_interfaces_together_are_bounded() {
    let fields = (0..1_500).map(|i| format!("the-long-name-of-field-{i}: u8,"));
    let record = format!("record r {{ {} }}", fields.collect::<String>());
    let functions = |count: usize| {
        (0..count)
            .map(|i| format!("call{i}: func(x: r);"))
            .collect::<String>()
    };
    assert_eq!(
        shape(&format!("{record} {}", functions(20)))
            .functions
            .len(),
        20
    );
    let found = bad_point("observe", &format!("{record} {}", functions(30)));
    assert_codes(&found, &["interface-too-large"]);
    assert!(found.to_string().contains("all interfaces"), "{found}");
}

#[test]
fn types_that_are_nested_too_deep() {
    let nested = |levels: usize| {
        format!(
            "f: func(x: {}u8{});",
            "list<".repeat(levels),
            ">".repeat(levels)
        )
    };
    shape(&nested(limits::TYPE_NESTING_MAX));
    let found = bad_point("observe", &nested(limits::TYPE_NESTING_MAX + 1));
    assert_codes(&found, &["interface-too-large"]);
    assert!(found.to_string().contains("more than 32 levels"), "{found}");
}

#[test]
fn interfaces_that_the_component_does_not_have() {
    let exporting = || component(&format!("export {LEVELS};"), STOCK);
    for manifest in [point(ALLOCATION, "decide"), naming("calls", ALLOCATION)] {
        let found = bad(&manifest, exporting());
        assert_codes(&found, &["missing-import"]);
        assert!(found.to_string().contains("it imports: nothing"), "{found}");
    }
    for table in ["extension.implements", "services"] {
        let found = bad(&naming(table, ALLOCATION), exporting());
        assert_codes(&found, &["missing-export"]);
        let text = found.to_string();
        assert!(
            text.starts_with(&format!("cloudware.toml: {table}.{ALLOCATION}")),
            "{text}"
        );
        assert!(text.contains(&format!("It exports: {LEVELS}.")), "{text}");
    }
    let found = bad(
        &point(&ALLOCATION.replace("@1.0.0", "@2.0.0"), "decide"),
        component(&format!("import {ALLOCATION};"), STOCK),
    );
    assert_codes(&found, &["missing-import", "import-not-provided"]);
    assert!(
        found
            .to_string()
            .contains("it imports: inventory:stock/types@1.0.0, inventory:stock/allocation@1.0.0."),
        "{found}"
    );
}

#[test]
fn an_import_that_the_manifest_does_not_name() {
    let importing = || component(&format!("import {ALLOCATION};"), STOCK);
    let found = bad(&manifest("app", ""), importing());
    assert_codes(&found, &["import-not-provided"]);
    let text = found.to_string();
    assert!(
        text.contains("[extension-points]") && text.contains("[calls]"),
        "{text}"
    );
    // Where the manifest can't be read, nobody knows whether it names the import.
    assert_codes(
        &bad(&manifest("gadget", ""), importing()),
        &["invalid-value"],
    );
}

#[test]
fn one_version_of_two_is_named_and_the_other_is_not_provided() {
    let newer = ALLOCATION.replace("@1.0.0", "@1.1.0");
    let import = |name: &str| format!("(import \"{name}\" (instance (export \"f\" (func))))");
    let importing = format!("(component {} {})", import(ALLOCATION), import(&newer));
    good(
        &point(&newer, "observe"),
        support::wasm(&format!("(component {})", import(&newer))),
    );
    let found = bad(&point(&newer, "observe"), support::wasm(&importing));
    assert_codes(&found, &["import-not-provided"]);
    assert!(
        found.to_string().contains(&format!("import {ALLOCATION}:")),
        "{found}"
    );
}

#[test]
fn interfaces_that_the_platform_provides_are_no_points() {
    let wit = "package acme:erp@1.0.0 { interface ledger { post: func(); } }";
    let found = bad(
        &point("acme:erp/ledger@1.0.0", "observe"),
        component("import acme:erp/ledger@1.0.0;", wit),
    );
    assert_codes(&found, &["interface-of-platform"]);
}

#[test]
fn an_import_that_is_no_interface() {
    let wat = format!("(component (import \"{ALLOCATION}\" (func)))");
    let found = bad(&point(ALLOCATION, "observe"), support::wasm(&wat));
    assert_codes(&found, &["interface-type"]);
}

#[test]
fn what_is_in_an_interface_beside_functions_and_types() {
    let wat = format!(
        "(component (import \"{ALLOCATION}\" (instance (export \"f\" (func)) (export \"inner\" (instance)))))"
    );
    let found = bad(&point(ALLOCATION, "observe"), support::wasm(&wat));
    assert_codes(&found, &["interface-type"]);
    assert!(found.to_string().contains("`inner`"), "{found}");
}
