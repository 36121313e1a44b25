//! Functions of WASI's interface of messages that the host replaces, because they let it hold more for a guest than is seen:
//! a list of headers keeps the room of values that were taken out of it, so it is made anew; and the method and the authority of
//! a request may be of any length in WASI.

use cloudware_capability::Invocation;
use wasmtime::{
    StoreContextMut,
    component::{Linker, LinkerInstance, Resource},
};
use wasmtime_wasi_http::{FieldMap, WasiHttpCtxView, WasiHttpView as _, p2, p3};

use crate::{
    code::Wasi,
    limits::{AUTHORITY_BYTES_MAX, HEADER_BYTES_MAX, METHOD_BYTES_MAX},
};

/// The interface in the versions that it is linked with.
pub(crate) const P2_TYPES: &str = "wasi:http/types@0.2.12";
const P3_TYPES: &str = "wasi:http/types@0.3.0";

type Store<'a> = StoreContextMut<'a, Invocation>;
type Fields = Resource<FieldMap>;
type Values = Vec<Vec<u8>>;

/// Replaces the functions.
pub(crate) fn link(linker: &mut Linker<Invocation>, wasi: Wasi) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    link_p2(&mut linker.instance(P2_TYPES)?)?;
    if wasi == Wasi::P3 {
        link_p3(&mut linker.instance(P3_TYPES)?)?;
    }
    linker.allow_shadowing(false);
    Ok(())
}

/// Replaces a function that changes a list of headers: the method of this name of the trait that is in scope, with these
/// arguments.
macro_rules! changing {
    ($types:ident, $name:literal, $method:ident($($argument:ident: $type:ty),*)) => {
        $types.func_wrap(
            concat!("[method]fields.", $name),
            |mut store: Store<'_>, (fields, $($argument),*): (Fields, $($type),*)| {
                let invocation = store.data_mut();
                let before = count(invocation, &fields);
                let same = Resource::new_borrow(fields.rep());
                let changed = invocation.http().$method(same, $($argument),*);
                if count(invocation, &fields) < before {
                    make_anew(invocation, &fields)?;
                }
                match changed {
                    Ok(result) => Ok((Ok(result),)),
                    Err(error) => Ok((Err(error.downcast()?),)),
                }
            },
        )?
    };
}

/// Replaces the functions that give a request its method and its authority: methods of the trait that is in scope.
macro_rules! bounding {
    ($types:ident, $request:literal, $method:ident) => {
        $types.func_wrap(
            concat!("[method]", $request, ".set-method"),
            |mut store: Store<'_>, (request, method): (Resource<_>, $method)| {
                // To be asked for in any case, because what is refused has cost the host as much: see `Invocation::reach_function`.
                let mut http: WasiHttpCtxView<'_> = store.data_mut().http();
                match &method {
                    $method::Other(text) if text.len() > METHOD_BYTES_MAX => Ok((Err(()),)),
                    _ => Ok((http.set_method(request, method)?,)),
                }
            },
        )?;
        $types.func_wrap(
            concat!("[method]", $request, ".set-authority"),
            |mut store: Store<'_>, (request, authority): (Resource<_>, Option<String>)| {
                let mut http: WasiHttpCtxView<'_> = store.data_mut().http();
                match authority {
                    Some(text) if text.len() > AUTHORITY_BYTES_MAX => Ok((Err(()),)),
                    authority => Ok((http.set_authority(request, authority)?,)),
                }
            },
        )?
    };
}

fn link_p2(types: &mut LinkerInstance<'_, Invocation>) -> wasmtime::Result<()> {
    use p2::bindings::http::types::{HostFields as _, HostOutgoingRequest as _, Method};
    changing!(types, "set", set(name: String, values: Values));
    changing!(types, "delete", delete(name: String));
    bounding!(types, "outgoing-request", Method);
    Ok(())
}

fn link_p3(types: &mut LinkerInstance<'_, Invocation>) -> wasmtime::Result<()> {
    use p3::bindings::http::types::{HostFields as _, HostRequest as _, Method};
    changing!(types, "set", set(name: String, values: Values));
    changing!(types, "delete", delete(name: String));
    changing!(types, "get-and-delete", get_and_delete(name: String));
    bounding!(types, "request", Method);
    Ok(())
}

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
