//! Whether what one component offers fits what another expects, and where it does not.

use super::{FunctionShape, InterfaceShape};
use crate::InterfaceName;

/// Why `other` (what a hook or another app exports) can't stand behind `app` (what the app imports), as a text
/// that names both sides' types; `None` if it can. Functions that only `other` has do no harm.
#[must_use]
pub fn mismatch(app: &InterfaceShape, other: &InterfaceShape) -> Option<String> {
    let names = (
        app.interface.parse::<InterfaceName>(),
        other.interface.parse::<InterfaceName>(),
    );
    if !matches!(&names, (Ok(want), Ok(have)) if have.serves(want)) {
        return Some(format!(
            "The app imports {}, and the other side exports {}: they have different interfaces or versions that don't go together.",
            app.interface, other.interface
        ));
    }
    app.functions
        .iter()
        .find_map(|function| function_mismatch(function, other))
}

fn function_mismatch(function: &FunctionShape, other: &InterfaceShape) -> Option<String> {
    let name = &function.name;
    let Some(found) = other.functions.iter().find(|f| f.name == *name) else {
        return Some(format!(
            "The app calls `{name}` as {function}, and {} on the other side has no function of this name.",
            other.interface
        ));
    };
    (found != function).then(|| {
        format!("The app calls `{name}` as {function}, and the other side has it as {found}.")
    })
}
