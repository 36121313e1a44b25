//! The rules for what a manifest says about other packages: for single values, and for values that depend on
//! each other.

use cloudware_types::{OnFailure, PointKind};

use super::super::{ExtensionPoint, Kind, Manifest};
use crate::{
    InterfaceName, MANIFEST, Problem, Problems, access,
    limits::{ACCESS_TABLE_CHARS_MAX, INTERFACE_CHARS_MAX},
};

fn refuse(
    problems: &mut Problems,
    at: impl Into<String>,
    message: impl Into<String>,
    fix: impl Into<String>,
) {
    problems.push(Problem::new("invalid-value", at, message, fix));
}

/// The name of a table that others may decide about.
pub(super) fn table(text: &str, at: &str, problems: &mut Problems) -> Option<String> {
    let valid = (1..=ACCESS_TABLE_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !valid {
        refuse(
            problems,
            at,
            "This is not a name for a table that hooks may decide about.",
            format!(
                "Write it as the app's SQL does: at most {ACCESS_TABLE_CHARS_MAX} letters, digits and `_`."
            ),
        );
    }
    valid.then(|| text.to_owned())
}

/// An interface that an extension fills: of another app, or one of the platform's that are there to be filled.
pub(super) fn filled(text: &str, at: &str, problems: &mut Problems) -> Option<InterfaceName> {
    match text.parse::<InterfaceName>() {
        Ok(name) if access::may_be_filled(&name) => Some(name),
        Ok(name) if let Some(known) = access::other_version(&name) => {
            let message = format!("{name} is not a version that this platform asks.");
            refuse(problems, at, message, format!("Build against {known}."));
            None
        }
        _ => interface(text, at, problems),
    }
}

pub(super) fn interface(text: &str, at: &str, problems: &mut Problems) -> Option<InterfaceName> {
    if text.chars().count() > INTERFACE_CHARS_MAX {
        let fix = format!("Use at most {INTERFACE_CHARS_MAX} characters.");
        refuse(problems, at, "The name of the interface is too long.", fix);
        return None;
    }
    match text.parse::<InterfaceName>() {
        Err(error) => {
            let fix = "Write it as the component has it, such as `acme:stock/levels@1.0.0`.";
            refuse(problems, at, format!("{error}."), fix);
            None
        }
        Ok(name) if name.is_platform() => {
            let message = format!("{name} is an interface of the platform, not of an app.");
            let fix = "Name an interface of a package of your own or of another app.";
            refuse(problems, at, message, fix);
            None
        }
        Ok(name) => Some(name),
    }
}

/// A policy that points of this kind may have.
pub(super) fn policy(
    text: &str,
    kind: PointKind,
    at: &str,
    problems: &mut Problems,
) -> Option<OnFailure> {
    let policies = kind.policies();
    let policy = policies.iter().copied().find(|one| one.name() == text);
    if policy.is_none() {
        let names: Vec<_> = policies.iter().map(|one| format!("`{one}`")).collect();
        let message =
            format!("`{text}` can't happen when a hook on a point of kind `{kind}` fails.");
        refuse(
            problems,
            at,
            message,
            format!("Write {}.", names.join(" or ")),
        );
    }
    policy
}

pub(super) fn fuel(fuel: u64, at: &str, problems: &mut Problems) -> bool {
    if fuel == 0 {
        refuse(
            problems,
            at,
            "A hook without fuel can't begin.",
            "Write how much a call needs whatever its arguments, or leave it out.",
        );
    }
    fuel > 0
}

pub(super) fn nothing_implemented() -> Problem {
    Problem::new(
        "missing-key",
        format!("{MANIFEST}: extension.implements"),
        "An extension fills extension points, and none is named.",
        "Add `\"package:name/interface@1.0.0\" = \"…\"` with what it does to [extension.implements].",
    )
}

/// Rules between parts.
pub(in super::super) fn check(manifest: &Manifest, problems: &mut Problems) {
    check_points(manifest, problems);
    check_access(manifest, problems);
    check_extension(manifest, problems);
    check_calls(manifest, problems);
    let sides = [
        ("extension.implements", implements(manifest).collect()),
        ("calls", manifest.calls.keys().collect()),
        ("services", manifest.services.keys().collect::<Vec<_>>()),
    ];
    for (path, names) in sides {
        for (name, before) in repeated(&names) {
            refuse(
                problems,
                format!("{MANIFEST}: {path}.{name}"),
                format!("{before} is named already, and one stands for the other."),
                "Keep the one that the component has.",
            );
        }
    }
}

fn implements(manifest: &Manifest) -> impl Iterator<Item = &InterfaceName> {
    manifest.extension.iter().flat_map(|e| e.implements.keys())
}

/// Whether two names can't both be told from each other at run time.
fn same(a: &InterfaceName, b: &InterfaceName) -> bool {
    a.serves(b)
}

/// Names for which an earlier one stands, with that one.
fn repeated<'a>(names: &[&'a InterfaceName]) -> Vec<(&'a InterfaceName, &'a InterfaceName)> {
    let earlier = |index: usize, name: &InterfaceName| {
        names[..index]
            .iter()
            .copied()
            .find(|before| same(before, name))
    };
    let all = names.iter().copied().enumerate();
    all.filter_map(|(index, name)| Some((name, earlier(index, name)?)))
        .collect()
}

/// Points are told apart by their interfaces, which are of the one package that is the app's own.
fn check_points(manifest: &Manifest, problems: &mut Problems) {
    let own = |point: &ExtensionPoint| !point.interface.is_platform();
    let points = manifest.extension_points.iter();
    let points: Vec<_> = points.filter(|(_, point)| own(point)).collect();
    for (index, (name, point)) in points.iter().enumerate() {
        let at = format!("{MANIFEST}: extension-points.{name}.interface");
        let interface = &point.interface;
        let before = points[..index]
            .iter()
            .find(|(_, before)| same(&before.interface, interface));
        if let Some((before, _)) = before {
            let message = format!("The point `{before}` has this interface already.");
            refuse(problems, &at, message, "Give each point one of its own.");
        }
        let (first, package) = (points[0].0, points[0].1.interface.package());
        if interface.package() != package {
            refuse(
                problems,
                &at,
                format!(
                    "It belongs to the WIT package `{}`, and that of the point `{first}` to `{package}`.",
                    interface.package()
                ),
                "Move both into the package of the app.",
            );
        }
    }
}

/// Tables that hooks decide about are the app's own, and no two of them the same to the database.
fn check_access(manifest: &Manifest, problems: &mut Problems) {
    let namespace = manifest
        .database
        .as_ref()
        .map(|database| format!("{}_", database.namespace));
    let tables: Vec<_> = manifest.access.keys().collect();
    for (index, table) in tables.iter().enumerate() {
        let at = format!("{MANIFEST}: access.{table}");
        let begins = |prefix: &String| {
            let head = table.get(..prefix.len());
            head.is_some_and(|head| head.eq_ignore_ascii_case(prefix))
        };
        match &namespace {
            None => refuse(
                problems,
                &at,
                "The app has no tables.",
                "Add [database] with its namespace, or remove [access].",
            ),
            Some(prefix) if !begins(prefix) => refuse(
                problems,
                &at,
                format!(
                    "The app owns tables whose names begin with `{prefix}`, and this one does not."
                ),
                "Name a table of the app, in full.",
            ),
            Some(_) => {}
        }
        if let Some(before) = tables[..index]
            .iter()
            .find(|before| before.eq_ignore_ascii_case(table))
        {
            refuse(
                problems,
                &at,
                format!("`{before}` is the same table to the database."),
                "Remove one of the two.",
            );
        }
    }
}

fn check_extension(manifest: &Manifest, problems: &mut Problems) {
    if manifest.kind == Kind::Extension && manifest.extension.is_none() {
        problems.push(nothing_implemented());
    }
    for name in implements(manifest) {
        let mut points = manifest.extension_points.iter();
        if let Some((point, _)) = points.find(|(_, point)| same(&point.interface, name)) {
            refuse(
                problems,
                format!("{MANIFEST}: extension.implements.{name}"),
                format!(
                    "It is the interface of the app's own point `{point}`, and the app would call itself."
                ),
                "Do this where the app uses its own default, and remove one of the two.",
            );
        }
    }
}

fn check_calls(manifest: &Manifest, problems: &mut Problems) {
    if manifest.dependencies.contains_key(&manifest.name) {
        refuse(
            problems,
            format!("{MANIFEST}: dependencies.{}", manifest.name),
            "The app names itself.",
            "Remove it.",
        );
    }
    for name in manifest.calls.keys() {
        let at = format!("{MANIFEST}: calls.{name}");
        let mut points = manifest.extension_points.iter();
        if let Some((point, _)) = points.find(|(_, point)| same(&point.interface, name)) {
            refuse(
                problems,
                &at,
                format!(
                    "The extension point `{point}` has this interface, and only one can answer."
                ),
                "Remove one of the two.",
            );
        }
        if manifest.services.keys().any(|service| same(service, name)) {
            refuse(
                problems,
                &at,
                "The app names this interface in [services] too, and would call itself.",
                "Remove one of the two.",
            );
        }
    }
}
