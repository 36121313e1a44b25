//! The extension points that every app has that declares tables in `[access]`: the platform asks them, by interfaces of
//! its own, whose types are those of `wit/access`.

use cloudware_types::{AFTER_ACCESS, BEFORE_ACCESS, Class, Dimension, OnFailure, PointKind, Slug};

use crate::{
    ExtensionPoint, FunctionShape, InterfaceName, MANIFEST, Manifest, PointShape, Problem, Problems,
};

/// Fuel for each column, condition, row and value that a hook is given: taking it in and out again costs about a tenth.
const FUEL_PER_ITEM: u64 = 10_000;

/// The interfaces, and the points on which they are asked.
const INTERFACES: [(&str, &str); 2] = [
    (BEFORE_ACCESS, "cloudware:access/before@0.1.0"),
    (AFTER_ACCESS, "cloudware:access/after@0.1.0"),
];

/// True for an interface of the platform that extensions may fill.
pub(crate) fn may_be_filled(interface: &InterfaceName) -> bool {
    INTERFACES.iter().any(|(_, name)| {
        name.parse::<InterfaceName>()
            .is_ok_and(|name| interface.serves(&name))
    })
}

/// The version that the platform asks of an interface that extensions may fill, where this is another one of it.
pub(crate) fn other_version(interface: &InterfaceName) -> Option<&'static str> {
    let known = INTERFACES.iter().map(|(_, name)| *name);
    let mut known = known.filter(|name| {
        name.parse::<InterfaceName>()
            .is_ok_and(|name| interface.is_version_of(&name) && !interface.serves(&name))
    });
    known.next()
}

/// Adds the points to a manifest that declares tables.
pub(crate) fn offer(manifest: &mut Manifest, problems: &mut Problems) {
    if manifest.access.is_empty() {
        return;
    }
    let tables: Vec<_> = manifest
        .access
        .keys()
        .map(|table| format!("`{table}`"))
        .collect();
    let tables = tables.join(", ");
    for (name, interface) in INTERFACES {
        let name: Slug = name.parse().expect("the platform's points have names");
        let does = match name.as_str() {
            BEFORE_ACCESS => {
                "Before the app reads or writes a table: may refuse it, or restrict it to some rows"
            }
            _ => "After the app has read a table: may mask values",
        };
        let point = ExtensionPoint {
            interface: interface
                .parse()
                .expect("the platform's interfaces have names"),
            kind: PointKind::Transform,
            description: format!("{does}. Tables: {tables}."),
            on_failure: OnFailure::Refuse,
            deadline_ms: Dimension::Deadline.default_value(Class::Hook),
            fuel: Dimension::Fuel.of(Class::Hook).default_value(),
            fuel_per_item: FUEL_PER_ITEM,
        };
        if manifest.extension_points.contains_key(&name) {
            problems.push(Problem::new(
                "invalid-value",
                format!("{MANIFEST}: extension-points.{name}"),
                format!(
                    "An app that declares tables in [access] has a point `{name}` of the platform."
                ),
                "Give this point another name.",
            ));
            continue;
        }
        manifest.extension_points.insert(name, point);
    }
}

/// A point of the platform, with its functions; `None` where the interface is none of these.
pub(crate) fn shape(name: &Slug, interface: &InterfaceName) -> Option<PointShape> {
    let (_, known) = INTERFACES
        .iter()
        .find(|(_, known)| interface.to_string() == **known)?;
    let access = access();
    let rows = rows();
    let (params, result) = if name.as_str() == BEFORE_ACCESS {
        (vec![("access", access.clone())], access)
    } else {
        (
            vec![
                ("rows", rows.clone()),
                ("accesses", format!("list<{access}>")),
            ],
            rows,
        )
    };
    let params = params.into_iter().map(|(name, ty)| (name.to_owned(), ty));
    Some(PointShape {
        name: name.clone(),
        interface: (*known).to_owned(),
        kind: PointKind::Transform,
        functions: vec![FunctionShape {
            name: "transform".to_owned(),
            params: params.collect(),
            result: Some(format!("result<{result}, string>")),
        }],
    })
}

const VALUE: &str =
    "variant { null, boolean(bool), integer(s64), real(f64), text(string), blob(list<u8>) }";

fn access() -> String {
    let condition = format!(
        "record {{ column: string, comparison: enum {{ eq, ne, lt, le, gt, ge, is-null, is-not-null, in-list }}, values: list<{VALUE}> }}"
    );
    format!(
        "record {{ app: string, table: string, operation: enum {{ read, insert, update, delete }}, columns: list<string>, \
         columns-read: list<string>, columns-written: list<string>, filter: list<{condition}> }}"
    )
}

fn rows() -> String {
    format!(
        "record {{ columns: list<record {{ name: string, origin: option<record {{ table: string, column: string }}> }}>, \
         rows: list<list<{VALUE}>> }}"
    )
}
