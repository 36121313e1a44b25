//! An uploaded component, up to the point where it would be compiled.

use cloudware_packages::{Consent, HostInterfaces, ProvidedCapability, inspect, limits};

/// Names that components import and export.
pub const WORDS: &[&str] = &[
    "\0asm\r\0\x01\0",
    "\0asm\x01\0\0\0",
    "wasi:http/types@0.2.0",
    "wasi:http/incoming-handler@0.2.0",
    "wasi:http/handler@0.3.0",
    "cloudware:kv/store@0.1.0",
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
}
