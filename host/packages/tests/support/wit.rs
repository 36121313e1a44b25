//! Packages whose components are made from WIT, as toolchains make them; their functions do nothing.

use cloudware_packages::{InterfaceShape, Problems, Verified, accept};

use super::{archive, host};

/// A WIT package with an interface for a point, one for a service, and types.
pub const STOCK: &str = "
    package inventory:stock@1.0.0 {
        interface types {
            record demand { sku: string, quantity: u64 }
        }
        interface allocation {
            use types.{demand};
            type batch-number = string;
            record taken { batch: batch-number, quantity: u64 }
            pick: func(demand: demand) -> option<list<taken>>;
        }
        interface levels {
            level: func(sku: string) -> u64;
        }
    }";

pub const ALLOCATION: &str = "inventory:stock/allocation@1.0.0";
pub const LEVELS: &str = "inventory:stock/levels@1.0.0";

/// A component for a world with these imports and exports, whose interfaces are in these WIT packages.
pub fn component(world: &str, packages: &str) -> Vec<u8> {
    let mut resolve = wit_parser::Resolve::default();
    let text = format!("package test:component; world component {{ {world} }} {packages}");
    let package = resolve
        .push_str("component.wit", &text)
        .expect("the test's WIT is right");
    let world = resolve
        .select_world(&[package], None)
        .expect("there is one world");
    let mangling = wit_parser::ManglingAndAbi::Legacy(wit_parser::LiftLowerAbi::Sync);
    let mut module = wit_component::dummy_module(&resolve, world, mangling);
    let encoding = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, encoding)
        .expect("the world can be embedded");
    wit_component::ComponentEncoder::default()
        .module(&module)
        .and_then(|mut encoder| encoder.encode())
        .expect("the module fits its world")
}

/// The head of a manifest of this kind; it mounts nothing and asks for nothing.
pub fn manifest(kind: &str, rest: &str) -> String {
    format!(
        r#"
        [package]
        name = "inventory-stock"
        version = "1.0.0"
        kind = "{kind}"
        product = "inventory"
        title = "Stock"
        {rest}"#
    )
}

/// Accepts a package with this manifest and component.
pub fn accepted(manifest: &str, component: Vec<u8>) -> Result<Verified, Problems> {
    let files = [
        ("cloudware.toml".to_owned(), manifest.as_bytes().to_vec()),
        ("component.wasm".to_owned(), component),
    ];
    accept(&archive(&files.into()), None, &host()).map(|(_, verified)| verified)
}

/// The manifest of an app with one point of this kind on this interface.
pub fn point(interface: &str, kind: &str) -> String {
    manifest(
        "app",
        &format!(
            "[extension-points.allocation]\ninterface = \"{interface}\"\nkind = \"{kind}\"\ndescription = \"Which batches.\""
        ),
    )
}

/// A manifest that names one interface in a table.
pub fn naming(table: &str, interface: &str) -> String {
    manifest("app", &format!("[{table}]\n\"{interface}\" = \"Why.\""))
}

/// Accepts a package without problems.
#[track_caller]
pub fn good(manifest: &str, component: Vec<u8>) -> Verified {
    accepted(manifest, component).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The problems of a package.
#[track_caller]
pub fn bad(manifest: &str, component: Vec<u8>) -> Problems {
    accepted(manifest, component).expect_err("the package is bad")
}

/// The problems of an app with a point of this kind, whose interface has these items.
#[track_caller]
pub fn bad_point(kind: &str, items: &str) -> Problems {
    let package = format!("package inventory:stock@1.0.0 {{ interface allocation {{ {items} }} }}");
    let component = component(&format!("import {ALLOCATION};"), &package);
    bad(&point(ALLOCATION, kind), component)
}

/// The shape of an interface with these types and functions.
pub fn shape(items: &str) -> InterfaceShape {
    let package = format!("package a:b@1.0.0 {{ interface c {{ {items} }} }}");
    let component = component("import a:b/c@1.0.0;", &package);
    let mut calls = good(&naming("calls", "a:b/c@1.0.0"), component).calls;
    calls.remove(0)
}
