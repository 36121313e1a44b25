//! Lists of headers that guests have taken values out of: a map keeps the room that these had, and the limit of a list knows
//! nothing of it. Whatever takes values out makes the list anew.

use cloudware_capability::Invocation;
use wasmtime::{
    StoreContextMut,
    component::{Linker, LinkerInstance, Resource},
};
use wasmtime_wasi_http::{FieldMap, WasiHttpView as _, p2, p3};

use crate::{
    code::Wasi,
    held::{P2_TYPES, P3_TYPES},
    limits::HEADER_BYTES_MAX,
};

type Store<'a> = StoreContextMut<'a, Invocation>;
type Fields = Resource<FieldMap>;
type Values = Vec<Vec<u8>>;

/// Replaces the functions of WASI's header lists that take values out.
pub(crate) fn link(linker: &mut Linker<Invocation>, wasi: Wasi) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    link_p2(&mut linker.instance(P2_TYPES)?)?;
    if wasi == Wasi::P3 {
        link_p3(&mut linker.instance(P3_TYPES)?)?;
    }
    linker.allow_shadowing(false);
    Ok(())
}

/// Changes a list in the manner of one generation of WASI, whose errors differ.
macro_rules! changing {
    ($store:ident, $fields:ident, $change:expr) => {{
        let invocation = $store.data_mut();
        let before = count(invocation, &$fields);
        let same = Resource::new_borrow($fields.rep());
        let changed = $change(&mut invocation.http(), same);
        if count(invocation, &$fields) < before {
            make_anew(invocation, &$fields)?;
        }
        match changed {
            Ok(result) => Ok((Ok(result),)),
            Err(error) => Ok((Err(error.downcast()?),)),
        }
    }};
}

fn link_p2(types: &mut LinkerInstance<'_, Invocation>) -> wasmtime::Result<()> {
    use p2::bindings::http::types::HostFields as _;
    types.func_wrap(
        "[method]fields.set",
        |mut store: Store<'_>, (fields, name, values): (Fields, String, Values)| {
            changing!(store, fields, |http: &mut Http<'_>, same| http
                .set(same, name, values))
        },
    )?;
    types.func_wrap(
        "[method]fields.delete",
        |mut store: Store<'_>, (fields, name): (Fields, String)| {
            changing!(store, fields, |http: &mut Http<'_>, same| http
                .delete(same, name))
        },
    )
}

fn link_p3(types: &mut LinkerInstance<'_, Invocation>) -> wasmtime::Result<()> {
    use p3::bindings::http::types::HostFields as _;
    types.func_wrap(
        "[method]fields.set",
        |mut store: Store<'_>, (fields, name, values): (Fields, String, Values)| {
            changing!(store, fields, |http: &mut Http<'_>, same| http
                .set(same, name, values))
        },
    )?;
    types.func_wrap(
        "[method]fields.delete",
        |mut store: Store<'_>, (fields, name): (Fields, String)| {
            changing!(store, fields, |http: &mut Http<'_>, same| http
                .delete(same, name))
        },
    )?;
    types.func_wrap(
        "[method]fields.get-and-delete",
        |mut store: Store<'_>, (fields, name): (Fields, String)| {
            changing!(store, fields, |http: &mut Http<'_>, same| http
                .get_and_delete(same, name))
        },
    )
}

type Http<'a> = wasmtime_wasi_http::WasiHttpCtxView<'a>;

/// Values in a list; none where there is no such list, which is said when it is changed.
fn count(invocation: &Invocation, fields: &Fields) -> usize {
    invocation.table.get(fields).map_or(0, |list| list.len())
}

/// Puts the values of a list that can be changed into a new one.
fn make_anew(invocation: &mut Invocation, fields: &Fields) -> wasmtime::Result<()> {
    let list = invocation.table.get_mut(fields)?;
    let mut anew = FieldMap::new_mutable(HEADER_BYTES_MAX);
    for (name, value) in list.iter() {
        anew.append_raw(name.clone(), value.clone())?;
    }
    *list = anew;
    Ok(())
}
