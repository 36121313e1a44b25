//! The types of the functions that the platform itself asks of hooks, out of their WIT: the platform has no component that
//! imports them, so one is made that does nothing else.

use wasmtime::component::{
    Component,
    types::{ComponentFunc, ComponentItem},
};
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{LiftLowerAbi, ManglingAndAbi, Resolve};

use super::FUNCTION;

/// The interfaces.
const WIT: &str = include_str!("../../../../../wit/access/access.wit");

/// What asks.
const ASKS: &str = "package cloudware:asks;
world asks { import cloudware:access/before@0.1.0; import cloudware:access/after@0.1.0; }";

/// The types of the functions of hooks on data.
pub(crate) struct AccessTypes {
    pub(super) before: ComponentFunc,
    pub(super) after: ComponentFunc,
}

impl AccessTypes {
    /// Reads them.
    ///
    /// # Errors
    /// Where the platform's own WIT is wrong.
    pub(crate) fn read(engine: &wasmtime::Engine) -> wasmtime::Result<Self> {
        let bytes = component().map_err(|error| wasmtime::format_err!("{error:#}"))?;
        let component = Component::new(engine, bytes)?;
        let function = |interface: &str| {
            let ty = component.component_type();
            let item = ty
                .imports(engine)
                .find(|(name, _)| *name == interface)
                .map(|(_, item)| item.ty);
            let Some(ComponentItem::ComponentInstance(instance)) = item else {
                wasmtime::bail!("{interface} is missing");
            };
            let found = instance.exports(engine).find(|(name, _)| *name == FUNCTION);
            match found.map(|(_, item)| item.ty) {
                Some(ComponentItem::ComponentFunc(function)) => Ok(function),
                _ => wasmtime::bail!("{interface} has no function {FUNCTION}"),
            }
        };
        Ok(Self {
            before: function("cloudware:access/before@0.1.0")?,
            after: function("cloudware:access/after@0.1.0")?,
        })
    }
}

fn component() -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let mut resolve = Resolve::default();
    resolve.push_str("access.wit", WIT)?;
    let package = resolve.push_str("asks.wit", ASKS)?;
    let world = resolve.select_world(&[package], None)?;
    let mangling = ManglingAndAbi::Legacy(LiftLowerAbi::Sync);
    let mut module = dummy_module(&resolve, world, mangling);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    Ok(ComponentEncoder::default().module(&module)?.encode()?)
}
