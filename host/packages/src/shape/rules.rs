//! What the functions of an extension point look like, by its kind.

use cloudware_types::PointKind;

use super::{FunctionShape, InterfaceShape, excerpt};
use crate::{COMPONENT, Problem, Problems};

/// Reports each function that its kind does not allow.
pub(crate) fn check(kind: PointKind, shape: &InterfaceShape, problems: &mut Problems) {
    for function in shape.functions.iter().filter(|f| !fits(kind, f)) {
        let (must, fix) = expected(kind);
        problems.push(Problem::new(
            "point-signature",
            format!("{COMPONENT}: import {}", shape.interface),
            format!(
                "`{}` is {}; a function of a point of kind `{kind}` {must}.",
                function.name,
                excerpt(&function.to_string(), TYPE_CHARS_SHOWN)
            ),
            fix,
        ));
    }
}

/// What of a function's type is shown in a problem, so that what it must look like still fits behind it.
const TYPE_CHARS_SHOWN: usize = 500;

fn fits(kind: PointKind, function: &FunctionShape) -> bool {
    let result = function.result.as_deref();
    match kind {
        PointKind::Guard => result == Some("result<_, string>"),
        PointKind::Decide => result.is_some_and(|result| result.starts_with("option<")),
        PointKind::Transform => function
            .params
            .first()
            .is_some_and(|(_, ty)| result == Some(&format!("result<{ty}, string>"))),
        PointKind::Observe => result.is_none(),
    }
}

/// What a function must look like, and what to do where it doesn't.
fn expected(kind: PointKind) -> (&'static str, &'static str) {
    match kind {
        PointKind::Guard => (
            "returns `result<_, string>`",
            "Return `result<_, string>`, where the text says why it is refused, or choose another kind.",
        ),
        PointKind::Decide => (
            "returns `option<T>`",
            "Return an `option`, where `none` leaves the decision to the app, or choose another kind.",
        ),
        PointKind::Transform => (
            "takes what it changes as the first parameter, of type `T`, and returns `result<T, string>`",
            "Take and return the same type, so that several hooks can follow each other, or choose another kind.",
        ),
        PointKind::Observe => (
            "returns nothing, because it is called later",
            "Return nothing, or choose another kind.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{FunctionShape, PointKind, fits};

    fn function(params: &[&str], result: Option<&str>) -> FunctionShape {
        let params = params.iter().map(|ty| ("x".to_owned(), (*ty).to_owned()));
        FunctionShape {
            name: "f".into(),
            params: params.collect(),
            result: result.map(str::to_owned),
        }
    }

    /// The kinds that a function fits.
    fn kinds(params: &[&str], result: Option<&str>) -> Vec<PointKind> {
        let function = function(params, result);
        let all = PointKind::ALL.iter().copied();
        all.filter(|kind| fits(*kind, &function)).collect()
    }

    #[test]
    fn each_kind_has_its_form() {
        use PointKind::{Decide, Guard, Observe, Transform};
        assert_eq!(kinds(&["u8"], Some("result<_, string>")), [Guard]);
        assert_eq!(kinds(&[], Some("result<_, string>")), [Guard]);
        assert_eq!(kinds(&["u8"], Some("option<u8>")), [Decide]);
        assert_eq!(
            kinds(&["u8", "s8"], Some("result<u8, string>")),
            [Transform]
        );
        let record = "record { a: u8 }";
        let changed = format!("result<{record}, string>");
        assert_eq!(kinds(&[record], Some(&changed)), [Transform]);
        assert_eq!(kinds(&["u8"], None), [Observe]);
    }

    #[test]
    fn what_is_near_is_not_enough() {
        for (params, result) in [
            (&["u8"][..], "result"),
            (&["u8"], "result<_, u8>"),
            (&["u8"], "result<u8>"),
            (&["u8"], "result<u16, string>"),
            (&["u16", "u8"], "result<u8, string>"),
            (&[], "result<u8, string>"),
            (&["u8"], "list<option<u8>>"),
            (&["u8"], "bool"),
        ] {
            assert_eq!(kinds(params, Some(result)), [], "{params:?} -> {result}");
        }
    }
}
