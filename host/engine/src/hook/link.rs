//! Imports that neither WASI nor a capability provides: the interfaces that apps define for one another. They are
//! linked by the component's own types; what stands behind one is found at each call, in the peers of the
//! install that runs.

use std::sync::Arc;

use cloudware_capability::Invocation;
use wasmtime::component::{
    Component, Linker,
    types::{ComponentInstance, ComponentItem},
};

use super::dispatch;

/// A function of an interface, as a component imports it.
#[derive(Clone, Debug)]
pub(crate) struct Import {
    pub(crate) interface: Arc<str>,
    pub(crate) function: Arc<str>,
}

/// The linker for a component: the common one, with what the component imports of other apps added.
///
/// `provided` tells whether the host provides an interface.
pub(crate) fn linker_of(
    common: &Linker<Invocation>,
    component: &Component,
    provided: impl Fn(&str) -> bool,
) -> wasmtime::Result<Option<Linker<Invocation>>> {
    let (engine, ty) = (component.engine(), component.component_type());
    let mut linker = None;
    for (name, item) in ty.imports(engine) {
        let ComponentItem::ComponentInstance(instance) = item.ty else {
            continue;
        };
        if !provided(name) {
            let linker = linker.get_or_insert_with(|| common.clone());
            add(linker, name, &instance, component)?;
        }
    }
    Ok(linker)
}

fn add(
    linker: &mut Linker<Invocation>,
    interface: &str,
    instance: &ComponentInstance,
    component: &Component,
) -> wasmtime::Result<()> {
    let interface: Arc<str> = interface.into();
    let mut linked = linker.instance(&interface)?;
    for (name, item) in instance.exports(component.engine()) {
        if !matches!(item.ty, ComponentItem::ComponentFunc(_)) {
            continue;
        }
        let import = Import {
            interface: Arc::clone(&interface),
            function: name.into(),
        };
        linked.func_new_async(name, move |store, ty, arguments, results| {
            let import = import.clone();
            Box::new(async move { dispatch::call(store, &import, ty, arguments, results).await })
        })?;
    }
    Ok(())
}
