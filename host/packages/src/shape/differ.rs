//! Whether what one component offers fits what another expects, and where it does not.

use super::{
    FunctionShape, InterfaceShape, excerpt,
    tree::{self, Part, Type},
};
use crate::InterfaceName;

/// What of a whole function is shown, and of the two types at the first place where functions differ.
const FUNCTION_CHARS_SHOWN: usize = 300;
const PLACE_CHARS_SHOWN: usize = 200;

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
            "The app imports {}, and the other side exports {}, which can't stand for it: the names must be the same and the versions compatible.",
            app.interface, other.interface
        ));
    }
    app.functions
        .iter()
        .find_map(|function| function_mismatch(function, other))
}

fn function_mismatch(function: &FunctionShape, other: &InterfaceShape) -> Option<String> {
    let name = &function.name;
    let shown = |f: &FunctionShape| excerpt(&f.to_string(), FUNCTION_CHARS_SHOWN);
    let Some(found) = other.functions.iter().find(|f| f.name == *name) else {
        let names: Vec<_> = other.functions.iter().map(|f| f.name.as_str()).collect();
        return Some(format!(
            "The app calls `{name}`, which is {}, and {} on the other side has no function of this name. It has: {}.",
            shown(function),
            other.interface,
            excerpt(&names.join(", "), FUNCTION_CHARS_SHOWN)
        ));
    };
    let difference = first_difference(function, found)?;
    Some(format!(
        "`{name}` of {} is {} for the app, and {} on the other side. They first differ in {}: {} for the app, {} on the other side.",
        other.interface,
        shown(function),
        shown(found),
        difference.place.join(", "),
        excerpt(&difference.app, PLACE_CHARS_SHOWN),
        excerpt(&difference.other, PLACE_CHARS_SHOWN),
    ))
}

/// Where two functions first differ, from the outside to the inside, and what either has there.
struct Difference {
    place: Vec<String>,
    app: String,
    other: String,
}

impl Difference {
    fn of(place: Vec<String>, app: Option<&str>, other: Option<&str>) -> Self {
        let shown = |text: Option<&str>| text.map_or("nothing".to_owned(), |t| format!("`{t}`"));
        Self {
            place,
            app: shown(app),
            other: shown(other),
        }
    }
}

fn first_difference(app: &FunctionShape, other: &FunctionShape) -> Option<Difference> {
    for index in 0..app.params.len().max(other.params.len()) {
        let (ours, theirs) = (app.params.get(index), other.params.get(index));
        if let (Some((name, ours)), Some((same, theirs))) = (ours, theirs)
            && name == same
        {
            let place = format!("parameter `{name}`");
            if let Some(difference) = in_texts(place, ours, theirs) {
                return Some(difference);
            }
            continue;
        }
        let place = vec![format!("parameter {}", index + 1)];
        let written = |param: &(String, String)| format!("{}: {}", param.0, param.1);
        let (ours, theirs) = (ours.map(written), theirs.map(written));
        return Some(Difference::of(place, ours.as_deref(), theirs.as_deref()));
    }
    let place = "the result".to_owned();
    match (&app.result, &other.result) {
        (Some(ours), Some(theirs)) => in_texts(place, ours, theirs),
        (None, None) => None,
        (ours, theirs) => Some(Difference::of(
            vec![place],
            ours.as_deref(),
            theirs.as_deref(),
        )),
    }
}

fn in_texts(place: String, app: &str, other: &str) -> Option<Difference> {
    if app == other {
        return None;
    }
    let mut place = vec![place];
    let inner = tree::read(app)
        .zip(tree::read(other))
        .and_then(|(app, other)| in_types(&mut place, &app, &other));
    Some(inner.unwrap_or_else(|| Difference::of(place, Some(app), Some(other))))
}

/// `place` is where the two types are, which differ.
fn in_types(place: &mut Vec<String>, app: &Type<'_>, other: &Type<'_>) -> Option<Difference> {
    if app.head != other.head || app.parts.is_empty() || other.parts.is_empty() {
        let place = std::mem::take(place);
        return Some(Difference::of(place, Some(app.text), Some(other.text)));
    }
    for index in 0..app.parts.len().max(other.parts.len()) {
        let (ours, theirs) = (app.parts.get(index), other.parts.get(index));
        let texts = (ours.map(|part| part.text), theirs.map(|part| part.text));
        if texts.0 == texts.1 {
            continue;
        }
        let types = ours.zip(theirs).filter(|(a, b)| a.label == b.label);
        let types = types.and_then(|(a, b)| a.ty.as_ref().zip(b.ty.as_ref()));
        place.push(step(app.head, index, ours, theirs));
        return match types {
            Some((ours, theirs)) => in_types(place, ours, theirs),
            None => Some(Difference::of(std::mem::take(place), texts.0, texts.1)),
        };
    }
    None
}

/// A step from a type to one of its parts, in words.
fn step(head: &str, index: usize, app: Option<&Part<'_>>, other: Option<&Part<'_>>) -> String {
    let number = index + 1;
    let word = match (head, index) {
        ("list", _) => return "element".to_owned(),
        ("option", _) => return "value".to_owned(),
        ("result", 0) => return "success".to_owned(),
        ("result", _) => return "error".to_owned(),
        ("record", _) => "field",
        ("variant" | "enum", _) => "case",
        ("flags", _) => "flag",
        _ => "item",
    };
    let labels = (app.and_then(|p| p.label), other.and_then(|p| p.label));
    match labels {
        (Some(label), Some(same)) if label == same => format!("{word} `{label}`"),
        _ => format!("{word} {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::mismatch;
    use crate::{FunctionShape, InterfaceShape};

    /// Name, parameters and result of a function.
    type Function<'a> = (&'a str, &'a [(&'a str, &'a str)], Option<&'a str>);

    fn interface(name: &str, functions: &[Function<'_>]) -> InterfaceShape {
        let owned = |&(name, ty): &(&str, &str)| (name.to_owned(), ty.to_owned());
        let functions = functions
            .iter()
            .map(|(name, params, result)| FunctionShape {
                name: (*name).to_owned(),
                params: params.iter().map(owned).collect(),
                result: result.map(str::to_owned),
            });
        InterfaceShape {
            interface: name.to_owned(),
            functions: functions.collect(),
        }
    }

    const NAME: &str = "inventory:stock/allocation@1.0.0";

    /// How two functions differ that take one parameter of these types.
    #[track_caller]
    fn differ(app: &str, other: &str) -> String {
        let side = |ty| interface(NAME, &[("pick", &[("demand", ty)], None)]);
        assert_eq!(mismatch(&side(app), &side(app)), None);
        let text = mismatch(&side(app), &side(other)).expect("they differ");
        assert!(text.contains("`pick`"), "{text}");
        assert!(text.contains(&format!("func(demand: {app})")), "{text}");
        assert!(text.contains(&format!("func(demand: {other})")), "{text}");
        let (_, place) = text.split_once("They first differ in ").unwrap();
        place.trim_end_matches('.').to_owned()
    }

    #[test]
    fn the_first_differing_place_is_pointed_out() {
        for (app, other, place) in [
            (
                "u8",
                "string",
                "parameter `demand`: `u8` for the app, `string` on the other side",
            ),
            (
                "list<record { sku: string, quantity: u64 }>",
                "list<record { sku: string, quantity: u32 }>",
                "parameter `demand`, element, field `quantity`: `u64` for the app, `u32` on the other side",
            ),
            (
                "record { sku: string, quantity: u64 }",
                "record { sku: string, amount: u64 }",
                "parameter `demand`, field 2: `quantity: u64` for the app, `amount: u64` on the other side",
            ),
            (
                "record { sku: string }",
                "record { sku: string, batch: string }",
                "parameter `demand`, field 2: nothing for the app, `batch: string` on the other side",
            ),
            (
                "record { a: option<tuple<u8, u8>> }",
                "record { a: option<tuple<u8, s8>> }",
                "parameter `demand`, field `a`, value, item 2: `u8` for the app, `s8` on the other side",
            ),
            (
                "result<_, variant { busy, broken(string) }>",
                "result<_, variant { busy, broken }>",
                "parameter `demand`, error, case `broken`: `broken(string)` for the app, `broken` on the other side",
            ),
            (
                "result<_, string>",
                "result<u8, string>",
                "parameter `demand`, success: `_` for the app, `u8` on the other side",
            ),
            (
                "enum { each, box }",
                "enum { each, pallet }",
                "parameter `demand`, case 2: `box` for the app, `pallet` on the other side",
            ),
            (
                "result",
                "result<u8>",
                "parameter `demand`: `result` for the app, `result<u8>` on the other side",
            ),
        ] {
            assert_eq!(differ(app, other), place);
        }
    }

    #[test]
    fn parameters_and_results_must_be_the_same() {
        let app = [("pick", &[("sku", "string")][..], Some("u8"))];
        for (other, place) in [
            (
                [("pick", &[("item", "string")][..], Some("u8"))],
                "parameter 1: `sku: string`",
            ),
            (
                [("pick", &[], Some("u8"))],
                "parameter 1: `sku: string` for the app, nothing",
            ),
            (
                [("pick", &[("sku", "string"), ("at", "u64")], Some("u8"))],
                "parameter 2: nothing for the app, `at: u64`",
            ),
            (
                [("pick", &[("sku", "string")], None)],
                "the result: `u8` for the app, nothing",
            ),
            (
                [("pick", &[("sku", "string")], Some("u16"))],
                "the result: `u8` for the app, `u16`",
            ),
        ] {
            let text = mismatch(&interface(NAME, &app), &interface(NAME, &other)).unwrap();
            assert!(text.contains(place), "{text}");
        }
    }

    #[test]
    fn a_function_that_only_one_side_has() {
        let one = ("pick", &[][..], None);
        let two = ("explain", &[][..], Some("string"));
        let (small, large) = (interface(NAME, &[one]), interface(NAME, &[one, two]));
        assert_eq!(mismatch(&small, &large), None);
        let text = mismatch(&large, &small).unwrap();
        assert!(
            text.contains("`explain`, which is func() -> string"),
            "{text}"
        );
        assert!(text.contains("It has: pick."), "{text}");
    }

    #[test]
    fn interfaces_go_together_by_name_and_version() {
        let named = |name| interface(name, &[]);
        let newer = "inventory:stock/allocation@1.2.0";
        assert_eq!(mismatch(&named(NAME), &named(newer)), None);
        for other in [
            "inventory:stock/allocation@2.0.0",
            "inventory:stock/barcode@1.0.0",
            "x",
        ] {
            let text = mismatch(&named(NAME), &named(other)).unwrap();
            assert!(text.contains(NAME) && text.contains(other), "{text}");
        }
    }

    #[test]
    fn long_types_are_cut_and_still_compared_to_their_end() {
        let fields = |last: &str| {
            let fields: Vec<_> = (0..1_000).map(|i| format!("f{i}: u8")).collect();
            format!("record {{ {}, last: {last} }}", fields.join(", "))
        };
        let side = |ty: &str| interface(NAME, &[("pick", &[("demand", ty)], None)]);
        let text = mismatch(&side(&fields("u8")), &side(&fields("u16"))).unwrap();
        assert!(
            text.ends_with("field `last`: `u8` for the app, `u16` on the other side."),
            "{text}"
        );
        assert!(text.chars().count() < 1_000, "{}", text.len());
    }
}
