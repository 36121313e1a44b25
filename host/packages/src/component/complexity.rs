//! Counts what a component has without validating it, and refuses what would cost too much to
//! validate or compile.

use serde::Serialize;
use wasmparser::{ComponentInstance, Parser, Payload};

use crate::{
    COMPONENT, Problem,
    limits::{
        DEFINITIONS_MAX, EXPORTS_MAX, FUNCTION_BYTES_MAX, FUNCTIONS_MAX, IMPORTS_MAX,
        INSTANTIATIONS_MAX, MODULES_MAX, NESTING_MAX, TYPES_MAX,
    },
};

/// How much of everything a component has, nested modules and components included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Complexity {
    /// Core modules.
    pub modules: u64,
    /// Functions with code.
    pub functions: u64,
    /// Core and component types.
    pub types: u64,
    /// Imports.
    pub imports: u64,
    /// Exports.
    pub exports: u64,
    /// Globals, tables, memories, tags, segments, core instances and aliases.
    pub definitions: u64,
    /// Bytes of the largest function.
    pub function_bytes: u64,
    /// Levels of nesting.
    pub nesting: usize,
    /// At most how many component instances there are when nested instantiations are expanded.
    pub instantiations: u64,
}

/// Counts, and stops at the first bound that is exceeded.
pub(super) fn count(bytes: &[u8]) -> Result<Complexity, Problem> {
    let mut counter = Counter::default();
    for payload in Parser::new(0).parse_all(bytes) {
        let noted = payload.and_then(|payload| counter.note(&payload));
        noted.map_err(|error| {
            Problem::new(
                "invalid-component",
                COMPONENT,
                format!(
                    "The component is damaged: {} (at byte {}).",
                    error.message(),
                    error.offset()
                ),
                "Build it again.",
            )
        })?;
        check(&counter.total)?;
    }
    Ok(counter.total)
}

#[derive(Default)]
struct Counter {
    total: Complexity,
    /// Instantiations in each component that is being read, innermost last.
    open: Vec<u64>,
}

impl Counter {
    fn note(&mut self, payload: &Payload<'_>) -> wasmparser::Result<()> {
        let total = &mut self.total;
        match payload {
            Payload::Version { .. } => {
                self.open.push(0);
                total.nesting = total.nesting.max(self.open.len());
            }
            Payload::End(_) => self.close(),
            Payload::ModuleSection { .. } => total.modules += 1,
            Payload::TypeSection(s) => total.types += u64::from(s.count()),
            Payload::CoreTypeSection(s) => total.types += u64::from(s.count()),
            Payload::ComponentTypeSection(s) => total.types += u64::from(s.count()),
            Payload::ImportSection(s) => total.imports += u64::from(s.count()),
            Payload::ComponentImportSection(s) => total.imports += u64::from(s.count()),
            Payload::ExportSection(s) => total.exports += u64::from(s.count()),
            Payload::ComponentExportSection(s) => total.exports += u64::from(s.count()),
            Payload::FunctionSection(s) => total.functions += u64::from(s.count()),
            Payload::ComponentCanonicalSection(s) => total.functions += u64::from(s.count()),
            Payload::CodeSectionEntry(body) => {
                let range = body.range();
                total.function_bytes = total.function_bytes.max((range.end - range.start) as u64);
            }
            Payload::TableSection(s) => total.definitions += u64::from(s.count()),
            Payload::MemorySection(s) => total.definitions += u64::from(s.count()),
            Payload::TagSection(s) => total.definitions += u64::from(s.count()),
            Payload::GlobalSection(s) => total.definitions += u64::from(s.count()),
            Payload::ElementSection(s) => total.definitions += u64::from(s.count()),
            Payload::DataSection(s) => total.definitions += u64::from(s.count()),
            Payload::InstanceSection(s) => total.definitions += u64::from(s.count()),
            Payload::ComponentAliasSection(s) => total.definitions += u64::from(s.count()),
            Payload::ComponentInstanceSection(section) => {
                for instance in section.clone() {
                    if matches!(instance?, ComponentInstance::Instantiate { .. })
                        && let Some(open) = self.open.last_mut()
                    {
                        *open += 1;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Multiplies: a component may be instantiated by any other, each of whose instantiations may
    /// expand to all of this one's. It is an upper bound that needs no look at which one is meant.
    fn close(&mut self) {
        let own = self.open.pop().unwrap_or(0);
        let so_far = self.total.instantiations.max(1);
        self.total.instantiations = so_far.saturating_mul(own + 1);
    }
}

fn check(total: &Complexity) -> Result<(), Problem> {
    let bounds = [
        ("core modules", total.modules, MODULES_MAX),
        ("functions", total.functions, FUNCTIONS_MAX),
        ("types", total.types, TYPES_MAX),
        ("imports", total.imports, IMPORTS_MAX),
        ("exports", total.exports, EXPORTS_MAX),
        ("definitions", total.definitions, DEFINITIONS_MAX),
        (
            "bytes in one function",
            total.function_bytes,
            FUNCTION_BYTES_MAX,
        ),
        (
            "levels of nesting",
            total.nesting as u64,
            NESTING_MAX as u64,
        ),
        (
            "expanded instantiations",
            total.instantiations,
            INSTANTIATIONS_MAX,
        ),
    ];
    for (what, count, max) in bounds {
        if count > max {
            return Err(Problem::new(
                "component-too-complex",
                COMPONENT,
                format!("The component has {count} {what} or more."),
                format!("The most that is compiled is {max}; split the app, or leave code out."),
            ));
        }
    }
    Ok(())
}
