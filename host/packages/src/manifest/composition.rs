//! The parts of a manifest that tell how packages work together: extension points offered and filled, and
//! other apps called. From TOML, collecting every problem on the way.

mod rules;

use std::collections::BTreeMap;

use cloudware_types::{Class, Dimension, PointKind, Reuse, Slug};
use toml::{Table, Value};

pub(super) use self::rules::check;
use super::{Extension, ExtensionPoint, parse::SLUG_FIX};
use crate::{
    InterfaceName, MANIFEST, Problem, Problems,
    limits::{
        ACCESS_TABLES_MAX, CALLS_MAX, DEPENDENCIES_MAX, IMPLEMENTS_MAX, POINT_DEADLINE_MS_MAX,
        POINTS_MAX, REUSE_REQUESTS_MAX, SERVICES_MAX, TEXT_CHARS_MAX,
    },
    section::{Section, check_text, expect_text, wrong_type},
};

/// What a manifest says about other packages.
pub(super) struct Composition {
    pub(super) points: BTreeMap<Slug, ExtensionPoint>,
    pub(super) extension: Option<Extension>,
    pub(super) dependencies: BTreeMap<Slug, String>,
    pub(super) calls: BTreeMap<InterfaceName, String>,
    pub(super) services: BTreeMap<InterfaceName, String>,
    /// Tables that others may decide about.
    pub(super) access: BTreeMap<String, String>,
}

impl Composition {
    /// Takes its tables out of the manifest.
    pub(super) fn take(root: &mut Section, problems: &mut Problems) -> Self {
        let points = root.table("extension-points", problems);
        let points = points.map_or_else(BTreeMap::new, |table| points_of(table, problems));
        let extension = root.section("extension", problems);
        let extension = extension.map(|section| extension_of(section, problems));
        let dependencies = root.table("dependencies", problems);
        let dependencies = dependencies.map_or_else(BTreeMap::new, |table| {
            described("dependencies", table, DEPENDENCIES_MAX, slug, problems)
        });
        let access = root.table("access", problems);
        let access = access.map_or_else(BTreeMap::new, |table| {
            described("access", table, ACCESS_TABLES_MAX, rules::table, problems)
        });
        let mut interfaces = |key: &'static str, entries_max| {
            let table = root.table(key, problems);
            table.map_or_else(BTreeMap::new, |table| {
                described(key, table, entries_max, rules::interface, problems)
            })
        };
        Self {
            points,
            extension,
            dependencies,
            access,
            calls: interfaces("calls", CALLS_MAX),
            services: interfaces("services", SERVICES_MAX),
        }
    }
}

fn points_of(table: Table, problems: &mut Problems) -> BTreeMap<Slug, ExtensionPoint> {
    bounded("extension-points", table, POINTS_MAX, problems)
        .filter_map(|(name, value)| {
            let at = format!("{MANIFEST}: extension-points.{name}");
            let slug = slug(&name, &at, problems);
            let Value::Table(table) = value else {
                let expected = "a table with `interface`, `kind` and `description`";
                problems.push(wrong_type(&at, &value, expected));
                return None;
            };
            let section = Section::nested("extension-points", &name, table);
            let point = point(section, problems);
            Some((slug?, point?))
        })
        .collect()
}

fn point(mut section: Section, problems: &mut Problems) -> Option<ExtensionPoint> {
    let place = section.place("interface");
    let interface = section
        .required_text("interface", usize::MAX, problems)
        .and_then(|text| rules::interface(&text, &place, problems));
    let kind = section.required_parsed::<PointKind>(
        "kind",
        "Choose what fits the functions of the interface.",
        problems,
    );
    let description = section.required_text("description", TEXT_CHARS_MAX, problems);
    let place = section.place("on-failure");
    let on_failure = section.text("on-failure", usize::MAX, problems);
    let on_failure = match (kind, on_failure) {
        (Some(kind), Some(text)) => rules::policy(&text, kind, &place, problems),
        (Some(kind), None) => kind.policies().first().copied(),
        (None, _) => None,
    };
    let deadline = section.number("deadline-ms", 1..=POINT_DEADLINE_MS_MAX, problems);
    let place = section.place("fuel");
    let fuel = Dimension::Fuel.of(Class::Hook);
    let base = section
        .quantity("fuel", fuel, problems)
        .filter(|fuel| rules::fuel(*fuel, &place, problems));
    let per_item = section.quantity("fuel-per-item", fuel, problems);
    section.finish(problems);
    Some(ExtensionPoint {
        interface: interface?,
        kind: kind?,
        description: description?,
        on_failure: on_failure?,
        deadline_ms: deadline
            .map_or_else(|| Dimension::Deadline.default_value(Class::Hook), u64::from),
        fuel: base.unwrap_or_else(|| fuel.default_value()),
        fuel_per_item: per_item.unwrap_or(0),
    })
}

fn extension_of(mut section: Section, problems: &mut Problems) -> Extension {
    let reuse = section.number("reuse", 1..=REUSE_REQUESTS_MAX, problems);
    let before = problems.iter().count();
    let implements = section.table("implements", problems).unwrap_or_default();
    if implements.is_empty() && problems.iter().count() == before {
        problems.push(rules::nothing_implemented());
    }
    section.finish(problems);
    let path = "extension.implements";
    Extension {
        reuse: reuse.map_or(Reuse::Fresh, |requests_max| Reuse::Warm { requests_max }),
        implements: described(path, implements, IMPLEMENTS_MAX, rules::filled, problems),
    }
}

fn slug(name: &str, at: &str, problems: &mut Problems) -> Option<Slug> {
    name.parse()
        .map_err(|error| {
            let message = format!("{error}.");
            problems.push(Problem::new("invalid-value", at, message, SLUG_FIX));
        })
        .ok()
}

/// A table from what `key` reads to texts for people.
fn described<K: Ord>(
    path: &str,
    table: Table,
    entries_max: usize,
    key: impl Fn(&str, &str, &mut Problems) -> Option<K>,
    problems: &mut Problems,
) -> BTreeMap<K, String> {
    bounded(path, table, entries_max, problems)
        .filter_map(|(name, value)| {
            let at = format!("{MANIFEST}: {path}.{name}");
            let key = key(&name, &at, problems);
            let text = expect_text(value, &at, problems)?;
            let text = check_text(text, TEXT_CHARS_MAX, &at, problems)?;
            Some((key?, text))
        })
        .collect()
}

/// The first entries of a table, as many as may be there.
fn bounded(
    path: &str,
    table: Table,
    entries_max: usize,
    problems: &mut Problems,
) -> impl Iterator<Item = (String, Value)> + use<> {
    if table.len() > entries_max {
        problems.push(Problem::new(
            "invalid-value",
            format!("{MANIFEST}: {path}"),
            format!("There are {} entries.", table.len()),
            format!("Use at most {entries_max}."),
        ));
    }
    table.into_iter().take(entries_max)
}
