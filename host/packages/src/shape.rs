//! What crosses between components: the functions of interfaces that apps and extensions share, with their
//! types written out, so that two sides fit if their texts are equal.

mod differ;
mod read;
pub(crate) mod rules;
mod text;
mod tree;

use cloudware_types::{PointKind, Slug};
use serde::{Deserialize, Serialize};

pub use self::differ::mismatch;
pub(crate) use self::read::{Reader, Side};

/// An interface with its functions, in the order in which the component has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceShape {
    /// The name as the component imports or exports it: `inventory:stock/levels@1.0.0`.
    pub interface: String,
    /// Its functions.
    pub functions: Vec<FunctionShape>,
}

/// One function. Types are structural: a name that stands for a type is replaced by what it stands for, so
/// that it does not matter how either side calls it. They are written as in WIT, with one space where there is
/// one (`record { sku: string, quantity: u64 }`, `result<_, string>`), and names are not escaped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionShape {
    /// Its name.
    pub name: String,
    /// Name and type of each parameter.
    pub params: Vec<(String, String)>,
    /// The type of what it returns, if it returns something.
    pub result: Option<String>,
}

/// The interface of an extension point; its functions obey the rules of its kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointShape {
    /// The point's name in the manifest.
    pub name: Slug,
    /// The interface as the app imports it.
    pub interface: String,
    /// What the point is for.
    pub kind: PointKind,
    /// Its functions.
    pub functions: Vec<FunctionShape>,
}

impl PointShape {
    /// The interface alone, to be compared by [`mismatch`].
    #[must_use]
    pub fn as_interface(&self) -> InterfaceShape {
        InterfaceShape {
            interface: self.interface.clone(),
            functions: self.functions.clone(),
        }
    }
}

impl std::fmt::Display for FunctionShape {
    /// The type of the function, without its name: `func(sku: string) -> u64`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("func(")?;
        for (index, (name, ty)) in self.params.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{name}: {ty}")?;
        }
        f.write_str(")")?;
        match &self.result {
            Some(result) => write!(f, " -> {result}"),
            None => Ok(()),
        }
    }
}

/// The beginning of a text that may be long, marked where it was cut.
fn excerpt(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
