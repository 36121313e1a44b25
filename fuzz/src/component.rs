//! An uploaded component, up to the point where it would be compiled.

use cloudware_packages::{
    ComponentShape, Consent, HostInterfaces, InterfaceName, InterfaceShape, Manifest, Package,
    ProvidedCapability, Verified, inspect, limits, mismatch, verify,
};
use cloudware_types::Digest;

use crate::manifest;

/// Names that components import and export.
pub const WORDS: &[&str] = &[
    "\0asm\r\0\x01\0",
    "\0asm\x01\0\0\0",
    "wasi:http/types@0.2.0",
    "wasi:http/incoming-handler@0.2.0",
    "wasi:http/handler@0.3.0",
    "cloudware:kv/store@0.1.0",
    "inventory:stock/allocation@1.0.0",
    "demand",
    "handle",
    "cabi_realloc",
    "name",
];

/// A host with capabilities that must be asked for, and one that need not be.
pub(crate) fn host() -> HostInterfaces {
    HostInterfaces::new([
        ProvidedCapability::new("kv", &["cloudware:kv/store@0.1.0"], Consent::Asked),
        ProvidedCapability::new("sql", &["cloudware:sql/database@0.1.0"], Consent::Asked),
        ProvidedCapability::new("config", &["wasi:config/store@0.2.0-rc.1"], Consent::Always),
    ])
}

/// Counts and validates any bytes as a component.
///
/// # Panics
/// Where a component that was taken is above a bound.
pub fn run(data: &[u8]) {
    let Ok(shape) = inspect(data) else {
        return;
    };
    let complexity = shape.complexity;
    assert!(complexity.functions <= limits::FUNCTIONS_MAX);
    assert!(complexity.types <= limits::TYPES_MAX);
    assert!(complexity.imports <= limits::IMPORTS_MAX);
    assert!(complexity.nesting <= limits::NESTING_MAX);
    assert!(complexity.instantiations <= limits::INSTANTIATIONS_MAX);
    assert!(shape.imports.len() as u64 <= complexity.imports);
    assert!(shape.exports.len() as u64 <= complexity.exports);
    share(data, &shape);
}

/// Verifies the component with a manifest that names all interfaces that it could share with other packages.
fn share(data: &[u8], shape: &ComponentShape) {
    let table = |name: &str, interfaces: &mut dyn Iterator<Item = &String>| {
        let names = interfaces.filter(|name| name.parse::<InterfaceName>().is_ok());
        let names =
            names.filter(|name| !name.starts_with("wasi:") && !name.starts_with("cloudware:"));
        let lines = names.take(limits::CALLS_MAX);
        let lines: String = lines.map(|name| format!("\"{name}\" = \"x\"\n")).collect();
        format!("[{name}]\n{lines}")
    };
    let text = format!(
        "[package]\nname = \"x\"\nversion = \"1.0.0\"\nkind = \"app\"\nproduct = \"x\"\ntitle = \"x\"\n{}{}",
        table(
            "calls",
            &mut shape.imports.iter().map(|import| &import.name)
        ),
        table("services", &mut shape.exports.iter()),
    );
    // An interface on both sides is refused.
    let Ok(manifest) = Manifest::parse(&text) else {
        return;
    };
    let package = Package {
        manifest,
        manifest_text: text,
        component: data.to_vec().into(),
        component_digest: Digest::of(data),
        migrations: Vec::new(),
        files: Default::default(),
        digest: Digest::of(data),
    };
    match verify(&package, &host()) {
        Ok(verified) => check_shared(&verified),
        Err(problems) => manifest::check_problems(&problems),
    }
}

/// What holds of everything that a component shares.
pub(crate) fn check_shared(verified: &Verified) {
    let points = verified.points.iter().map(|point| point.as_interface());
    let others = [&verified.implements, &verified.calls, &verified.services];
    let shared: Vec<InterfaceShape> = points
        .chain(others.into_iter().flatten().cloned())
        .collect();
    let mut bytes = 0;
    for interface in &shared {
        assert!((1..=limits::INTERFACE_FUNCTIONS_MAX).contains(&interface.functions.len()));
        assert_eq!(mismatch(interface, interface), None);
        for function in &interface.functions {
            let params = function
                .params
                .iter()
                .map(|(name, ty)| name.len() + ty.len());
            let result = function.result.as_ref().map_or(0, String::len);
            let types = params.sum::<usize>() + result;
            assert!(
                types <= limits::FUNCTION_TYPE_BYTES_MAX,
                "{}",
                function.name
            );
            bytes += types;
        }
    }
    assert!(bytes <= limits::SHAPES_BYTES_MAX);
}
