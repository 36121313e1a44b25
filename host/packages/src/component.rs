//! What a component imports and exports, and how complex it is. Counting comes before validating and
//! validating before anybody compiles, because each costs more than the one before.

mod complexity;

use wasmparser::{
    Encoding, FuncValidatorAllocations, Parser, Payload, ValidPayload, Validator, WasmFeatures,
    component_types::ComponentEntityType, types::Types,
};

pub use self::complexity::Complexity;
use crate::{COMPONENT, Problem};

/// What a component needs and offers.
#[derive(Clone, Debug)]
pub struct ComponentShape {
    /// Its imports, in order.
    pub imports: Vec<Import>,
    /// The names of its exports, in order.
    pub exports: Vec<String>,
    /// How much of everything it has.
    pub complexity: Complexity,
}

/// One import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The name, usually of an interface: `wasi:io/poll@0.2.0`.
    pub name: String,
    /// True if somebody must provide it: it has functions or resources. An interface of mere types
    /// needs no provider.
    pub needs_provider: bool,
}

/// A component as far as it can be known without compiling it.
pub(crate) struct Inspected {
    pub(crate) shape: ComponentShape,
    /// The types of everything that it imports and exports.
    pub(crate) types: Types,
}

/// Counts, validates and describes a component.
///
/// Takes up to 50 ms for each megabyte: call it where blocking is allowed.
///
/// # Errors
/// A core module, bytes that are no valid component, or a component above a bound of
/// [`crate::limits`].
pub fn inspect(bytes: &[u8]) -> Result<ComponentShape, Problem> {
    inspect_with_types(bytes).map(|inspected| inspected.shape)
}

/// As [`inspect`], for who reads types too.
pub(crate) fn inspect_with_types(bytes: &[u8]) -> Result<Inspected, Problem> {
    check_encoding(bytes)?;
    let complexity = complexity::count(bytes)?;
    let mut names = Names::default();
    let types = validate(bytes, &mut names).map_err(|error| {
        Problem::new(
            "invalid-component",
            COMPONENT,
            format!(
                "The component is not valid: {} (at byte {}).",
                error.message(),
                error.offset()
            ),
            "Build it for a target without exceptions and garbage collection of WebAssembly, which are not offered; where it has \
             neither, report it to the maker of the toolchain.",
        )
    })?;
    let imports = names
        .imports
        .into_iter()
        .map(|name| Import {
            needs_provider: needs_provider(types.as_ref(), &name),
            name,
        })
        .collect();
    Ok(Inspected {
        shape: ComponentShape {
            imports,
            exports: names.exports,
            complexity,
        },
        types,
    })
}

fn check_encoding(bytes: &[u8]) -> Result<(), Problem> {
    if Parser::is_component(bytes) {
        return Ok(());
    }
    if Parser::is_core_wasm(bytes) {
        return Err(Problem::new(
            "core-module",
            COMPONENT,
            "This is a core WebAssembly module, not a component.",
            "Build for the target wasm32-wasip2, or wrap the module with `wasm-tools component new`.",
        ));
    }
    Err(Problem::new(
        "not-a-component",
        COMPONENT,
        "This is not WebAssembly.",
        "Build it with `cloudware build`.",
    ))
}

#[derive(Default)]
struct Names {
    depth: usize,
    imports: Vec<String>,
    exports: Vec<String>,
}

/// What the engine does not offer of what validators take by default: it is built without.
const NOT_OFFERED: WasmFeatures = WasmFeatures::EXCEPTIONS
    .union(WasmFeatures::GC)
    .union(WasmFeatures::GC_TYPES);

fn validate(bytes: &[u8], names: &mut Names) -> wasmparser::Result<Types> {
    let mut validator =
        Validator::new_with_features(WasmFeatures::default().difference(NOT_OFFERED));
    let mut allocations = FuncValidatorAllocations::default();
    let mut last = None;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload?;
        names.note(&payload)?;
        match validator.payload(&payload)? {
            ValidPayload::Func(function, body) => {
                let mut function = function.into_validator(allocations);
                function.validate(&body)?;
                allocations = function.into_allocations();
            }
            ValidPayload::End(types) => last = Some(types),
            ValidPayload::Ok | ValidPayload::Parser(_) => {}
        }
    }
    Ok(last.expect("a parse without error ends with the end of the outermost component"))
}

impl Names {
    /// Notes the names of the outermost component.
    fn note(&mut self, payload: &Payload<'_>) -> wasmparser::Result<()> {
        match payload {
            Payload::Version {
                encoding: Encoding::Module | Encoding::Component,
                ..
            } => {
                self.depth += 1;
            }
            Payload::End(_) => self.depth -= 1,
            Payload::ComponentImportSection(section) if self.depth == 1 => {
                for import in section.clone() {
                    self.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if self.depth == 1 => {
                for export in section.clone() {
                    self.exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn needs_provider(types: wasmparser::types::TypesRef<'_>, name: &str) -> bool {
    let Some(item) = types.component_item_for_import(name) else {
        return true;
    };
    match item.ty {
        ComponentEntityType::Type { .. } => false,
        ComponentEntityType::Instance(id) => types[id].exports.values().any(|item| match item.ty {
            ComponentEntityType::Type { created, .. } => {
                matches!(
                    created,
                    wasmparser::component_types::ComponentAnyTypeId::Resource(_)
                )
            }
            _ => true,
        }),
        _ => true,
    }
}
