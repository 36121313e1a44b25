//! Reads the functions of interfaces out of a validated component, and refuses what can't be passed from one
//! sandbox to another.

use wasmparser::{
    component_types::{
        ComponentAnyTypeId, ComponentEntityType, ComponentFuncType, ComponentFuncTypeId,
        ComponentItem,
    },
    types::TypesRef,
};

use super::{
    FunctionShape, InterfaceShape,
    text::{Impassable, Unwritable, Writer},
};
use crate::{
    COMPONENT, Problem, Problems,
    limits::{
        FUNCTION_TYPE_BYTES_MAX, INTERFACE_FUNCTIONS_MAX, SHAPES_BYTES_MAX, TYPE_NESTING_MAX,
    },
};

/// On which side of a component an interface is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Import,
    Export,
}

impl Side {
    fn word(self) -> &'static str {
        match self {
            Self::Import => "import",
            Self::Export => "export",
        }
    }
}

/// Reads one interface after the other; the texts of all of them together are bounded.
pub(crate) struct Reader<'a> {
    types: TypesRef<'a>,
    bytes_left: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(types: TypesRef<'a>) -> Self {
        Self {
            types,
            bytes_left: SHAPES_BYTES_MAX,
        }
    }

    /// The interface that the component has under this name. Functions that can't be passed on are reported
    /// and left out.
    pub(crate) fn interface(
        &mut self,
        name: &str,
        side: Side,
        problems: &mut Problems,
    ) -> InterfaceShape {
        let at = format!("{COMPONENT}: {} {name}", side.word());
        let types = self.types;
        let item = match side {
            Side::Import => types.component_item_for_import(name),
            Side::Export => types.component_item_for_export(name),
        };
        let functions = match item.map(|item| item.ty) {
            Some(ComponentEntityType::Instance(id)) => {
                let items = types[id].exports.iter();
                let items: Vec<_> = items.map(|(name, item)| (name.as_str(), item)).collect();
                self.functions(&items, &at, problems)
            }
            _ => {
                problems.push(Problem::new(
                    "interface-type",
                    at,
                    "This is no interface.",
                    "Put its functions into an interface of the WIT package.",
                ));
                Vec::new()
            }
        };
        InterfaceShape {
            interface: name.to_owned(),
            functions,
        }
    }

    fn functions(
        &mut self,
        items: &[(&str, &ComponentItem)],
        at: &str,
        problems: &mut Problems,
    ) -> Vec<FunctionShape> {
        let has_other = check_items(items, at, problems);
        let functions: Vec<_> = items
            .iter()
            .filter_map(|(name, item)| match item.ty {
                ComponentEntityType::Func(id) => Some((*name, id)),
                _ => None,
            })
            .collect();
        if functions.is_empty() && !has_other {
            problems.push(Problem::new(
                "interface-empty",
                at,
                "The interface has no function.",
                "Add one: it is what is called.",
            ));
        }
        if functions.len() > INTERFACE_FUNCTIONS_MAX {
            problems.push(Problem::new(
                "interface-too-large",
                at,
                format!("The interface has {} functions.", functions.len()),
                format!("Use at most {INTERFACE_FUNCTIONS_MAX}; split the interface."),
            ));
        }
        functions
            .into_iter()
            .take(INTERFACE_FUNCTIONS_MAX)
            // Methods and constructors belong to a resource, which has been reported.
            .filter(|(name, _)| !name.starts_with('['))
            .filter_map(|(name, id)| self.function(name, id, at, problems))
            .collect()
    }

    fn function(
        &mut self,
        name: &str,
        id: ComponentFuncTypeId,
        at: &str,
        problems: &mut Problems,
    ) -> Option<FunctionShape> {
        if self.bytes_left == 0 {
            // Reported when it was used up.
            return None;
        }
        let types = self.types;
        let function = &types[id];
        if function.async_ {
            problems.push(Problem::new(
                "interface-type",
                at,
                format!(
                    "`{name}` is an async function, and between sandboxes a call is waited for."
                ),
                format!("Make it `{name}: func(…)`."),
            ));
            return None;
        }
        let bytes_max = FUNCTION_TYPE_BYTES_MAX.min(self.bytes_left);
        let mut writer = Writer::new(types, bytes_max);
        let written = write(&mut writer, name, function);
        self.bytes_left -= bytes_max - writer.bytes_left();
        written
            .map_err(|(place, why)| problems.push(self.unwritable(name, &place, why, at)))
            .ok()
    }

    fn unwritable(&self, function: &str, place: &str, why: Unwritable, at: &str) -> Problem {
        let (code, message, fix) = match why {
            Unwritable::Impassable(what) => (
                "interface-type",
                format!("{place} of `{function}` has {}.", what.reason()),
                what.fix().to_owned(),
            ),
            Unwritable::TooLong if self.bytes_left == 0 => (
                "interface-too-large",
                format!(
                    "The types of all interfaces that are shared with other packages, written out, have more than {SHAPES_BYTES_MAX} bytes."
                ),
                "Share fewer or simpler interfaces.".to_owned(),
            ),
            Unwritable::TooLong => (
                "interface-too-large",
                format!(
                    "The types of `{function}`, written out, have more than {FUNCTION_TYPE_BYTES_MAX} bytes."
                ),
                "Pass simpler types.".to_owned(),
            ),
            Unwritable::TooDeep => (
                "interface-too-large",
                format!(
                    "{place} of `{function}` is nested more than {TYPE_NESTING_MAX} levels deep."
                ),
                "Pass a flatter type, such as a list whose elements refer to each other by number."
                    .to_owned(),
            ),
        };
        Problem::new(code, at, message, fix)
    }
}

/// Reports what is neither a function nor a type that can be passed on; true if there is something.
fn check_items(items: &[(&str, &ComponentItem)], at: &str, problems: &mut Problems) -> bool {
    let mut found = false;
    for (name, item) in items {
        let (message, fix) = match item.ty {
            ComponentEntityType::Func(_) => continue,
            ComponentEntityType::Type {
                created: ComponentAnyTypeId::Resource(_),
                ..
            } => (
                format!(
                    "The interface has the resource `{name}`, which is of use only in the sandbox that has it."
                ),
                Impassable::Resource.fix(),
            ),
            ComponentEntityType::Type { .. } => continue,
            _ => (
                format!("The interface has `{name}`, which is neither a function nor a type."),
                "Remove it.",
            ),
        };
        found = true;
        problems.push(Problem::new("interface-type", at, message, fix));
    }
    found
}

/// The function with its types, or the place where it can't be written.
fn write(
    writer: &mut Writer<'_>,
    name: &str,
    function: &ComponentFuncType,
) -> Result<FunctionShape, (String, Unwritable)> {
    let name = writer.name(name).map_err(|why| (String::new(), why))?;
    let params = function.params.iter().map(|(name, ty)| {
        let place = |why| (format!("Parameter `{name}`"), why);
        let text = writer.name(name.as_str()).map_err(place)?;
        Ok((text, writer.ty(*ty).map_err(place)?))
    });
    let params = params.collect::<Result<_, _>>()?;
    let result = function.result.map(|ty| writer.ty(ty)).transpose();
    Ok(FunctionShape {
        name,
        params,
        result: result.map_err(|why| ("The result".to_owned(), why))?,
    })
}
