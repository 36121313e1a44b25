//! The code of one component, ready to be instantiated: compiled, linked and type-checked once, shared by
//! every tenant that runs it.

use cloudware_capability::Invocation;
use serde::{Deserialize, Serialize};
use wasmparser::{Parser, Payload};
use wasmtime::{
    Store,
    component::{
        Component, ComponentExportIndex, Instance, InstancePre,
        types::{ComponentFunc, ComponentItem},
    },
};
use wasmtime_wasi_http::handler::ProxyPre;
use wasmtime_wasi_http::{p2, p3};

/// The generation of WASI that a component is written for; they run on engines with different settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Wasi {
    /// WASI 0.2: synchronous calls.
    P2,
    /// WASI 0.3: asynchronous calls of the component model.
    P3,
}

/// A component that can be instantiated.
pub(crate) struct Code {
    /// What it is written for.
    pub(crate) wasi: Wasi,
    /// Whether the engine may have to copy much for it by itself: texts from one memory into another, and what passes
    /// through streams of its own.
    pub(crate) is_copied_for: bool,
    /// How it is instantiated for calls of its functions.
    pre: InstancePre<Invocation>,
    /// What each request is answered with, where it answers HTTP.
    pub(crate) proxy: Option<ProxyPre<Invocation>>,
    /// The functions of the interfaces that it exports to other apps.
    functions: Vec<Exported>,
}

/// The functions of one exported interface.
struct Exported {
    interface: Box<str>,
    functions: Vec<(Box<str>, ComponentExportIndex, ComponentFunc)>,
}

impl Code {
    /// Checks that the HTTP handler has the right type, where the component exports one.
    pub(crate) fn new(wasi: Wasi, pre: InstancePre<Invocation>) -> wasmtime::Result<Self> {
        let component = pre.component();
        let ty = component.component_type();
        let answers_http = ty
            .exports(component.engine())
            .any(|(name, _)| is_handler(name));
        let functions = exported(component);
        let proxy = match wasi {
            _ if !answers_http => None,
            Wasi::P2 => Some(ProxyPre::P2(p2::bindings::ProxyPre::new(pre.clone())?)),
            Wasi::P3 => Some(ProxyPre::P3(p3::bindings::ServicePre::new(pre.clone())?)),
        };
        let memories = component
            .resources_required()
            .map_or(u32::MAX, |required| required.num_memories);
        let is_copied_for = wasi == Wasi::P3 || memories > 1;
        Ok(Self {
            wasi,
            is_copied_for,
            pre,
            proxy,
            functions,
        })
    }

    /// The wasmtime engine that it was compiled by.
    pub(crate) fn engine(&self) -> &wasmtime::Engine {
        self.pre.engine()
    }

    /// Instantiates the component for calls of its functions.
    pub(crate) async fn instantiate(
        &self,
        store: &mut Store<Invocation>,
    ) -> wasmtime::Result<Instance> {
        self.pre.instantiate_async(store).await
    }

    /// A function of an interface that it exports, also in another version of the same track (semver).
    pub(crate) fn function(&self, interface: &str, function: &str) -> Option<ComponentExportIndex> {
        self.find(interface, function).map(|(_, index, _)| *index)
    }

    /// The type of such a function.
    pub(crate) fn function_type(&self, interface: &str, function: &str) -> Option<ComponentFunc> {
        self.find(interface, function).map(|(_, _, ty)| ty.clone())
    }

    fn find(
        &self,
        interface: &str,
        function: &str,
    ) -> Option<&(Box<str>, ComponentExportIndex, ComponentFunc)> {
        let exact = |exported: &&Exported| *exported.interface == *interface;
        let found = self.functions.iter().find(exact);
        let found = found.or_else(|| {
            let serves = |exported: &&Exported| is_same_track(&exported.interface, interface);
            self.functions.iter().find(serves)
        })?;
        found
            .functions
            .iter()
            .find(|(name, _, _)| **name == *function)
    }
}

/// What the component exports that is not of WASI.
fn exported(component: &Component) -> Vec<Exported> {
    let engine = component.engine();
    let mut all = Vec::new();
    for (interface, item) in component.component_type().exports(engine) {
        let ComponentItem::ComponentInstance(instance) = item.ty else {
            continue;
        };
        if interface.starts_with("wasi:") {
            continue;
        }
        let Some((_, outer)) = component.get_export(None, interface) else {
            continue;
        };
        let functions = instance.exports(engine).filter_map(|(name, item)| {
            let ComponentItem::ComponentFunc(ty) = item.ty else {
                return None;
            };
            let (_, index) = component.get_export(Some(&outer), name)?;
            Some((name.into(), index, ty))
        });
        all.push(Exported {
            interface: interface.into(),
            functions: functions.collect(),
        });
    }
    all
}

fn is_handler(export: &str) -> bool {
    export.starts_with("wasi:http/incoming-handler@") || export.starts_with("wasi:http/handler@")
}

/// Whether two interface names are of the same path and versions that promise to be compatible.
fn is_same_track(have: &str, want: &str) -> bool {
    let parse = |name: &str| {
        let (path, version) = name.split_once('@')?;
        Some((path.to_owned(), semver::Version::parse(version).ok()?))
    };
    let (Some((have_path, have)), Some((want_path, want))) = (parse(have), parse(want)) else {
        return false;
    };
    let track = |version: &semver::Version| match (version.major, version.minor) {
        (0, 0) => (0, 0, version.patch),
        (0, minor) => (0, minor, 0),
        (major, _) => (major, 0, 0),
    };
    have_path == want_path
        && have.pre.is_empty()
        && want.pre.is_empty()
        && track(&have) == track(&want)
}

impl Wasi {
    /// The generation that the bytes of a component speak: 0.3 where an import or export of a
    /// `wasi:` interface says so.
    pub(crate) fn of_bytes(component: &[u8]) -> Self {
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(component) {
            let p3 = match payload {
                Ok(Payload::ModuleSection { .. } | Payload::ComponentSection { .. }) => {
                    depth += 1;
                    false
                }
                Ok(Payload::End(_)) => {
                    depth = depth.saturating_sub(1);
                    false
                }
                Ok(Payload::ComponentImportSection(imports)) if depth == 0 => imports
                    .into_iter()
                    .flatten()
                    .any(|import| is_p3(import.name.name)),
                Ok(Payload::ComponentExportSection(exports)) if depth == 0 => exports
                    .into_iter()
                    .flatten()
                    .any(|export| is_p3(export.name.name)),
                Ok(_) => false,
                // Compiling says what is wrong with the bytes.
                Err(_) => return Self::P2,
            };
            if p3 {
                return Self::P3;
            }
        }
        Self::P2
    }

    /// The generation that a compiled component speaks.
    pub(crate) fn of_component(component: &Component) -> Self {
        let ty = component.component_type();
        let engine = component.engine();
        let p3 = ty.imports(engine).any(|(name, _)| is_p3(name))
            || ty.exports(engine).any(|(name, _)| is_p3(name));
        if p3 { Self::P3 } else { Self::P2 }
    }
}

fn is_p3(name: &str) -> bool {
    name.starts_with("wasi:") && name.contains("@0.3.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generation_is_read_from_the_outermost_names() {
        let p3 =
            wat::parse_str(r#"(component (import "wasi:http/types@0.3.0" (instance)))"#).unwrap();
        assert_eq!(Wasi::of_bytes(&p3), Wasi::P3);
        let nested = wat::parse_str(
            r#"(component (component (import "wasi:http/types@0.3.0" (instance))))"#,
        )
        .unwrap();
        assert_eq!(Wasi::of_bytes(&nested), Wasi::P2);
        assert_eq!(Wasi::of_bytes(b"nonsense"), Wasi::P2);
    }
}
