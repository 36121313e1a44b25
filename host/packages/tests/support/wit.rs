//! Packages whose components are made from WIT, as toolchains make them; their functions do nothing.

use cloudware_packages::{Problems, Verified, accept};

use super::{archive, host};

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
