//! The code of one component, ready to be instantiated: compiled, linked and type-checked once, shared by
//! every tenant that runs it.

use cloudware_capability::Invocation;
use serde::{Deserialize, Serialize};
use wasmparser::{Parser, Payload};
use wasmtime::component::{Component, InstancePre};
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
    /// What each request is answered with.
    pub(crate) proxy: ProxyPre<Invocation>,
}

impl Code {
    /// Checks that the component exports an HTTP handler of the right type.
    pub(crate) fn new(wasi: Wasi, pre: InstancePre<Invocation>) -> wasmtime::Result<Self> {
        let proxy = match wasi {
            Wasi::P2 => ProxyPre::P2(p2::bindings::ProxyPre::new(pre)?),
            Wasi::P3 => ProxyPre::P3(p3::bindings::ServicePre::new(pre)?),
        };
        Ok(Self { proxy })
    }
}

impl Code {
    /// The wasmtime engine that it was compiled by.
    pub(crate) fn engine(&self) -> &wasmtime::Engine {
        match &self.proxy {
            ProxyPre::P2(pre) => pre.engine(),
            ProxyPre::P3(pre) => pre.engine(),
        }
    }
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
