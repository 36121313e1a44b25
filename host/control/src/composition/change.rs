//! What a change of one install means: what it and others would miss, hooks that would not fit any more, hooks
//! that come to be.

use cloudware_types::{InstallId, Slug};

use super::{
    Composition, Member,
    fit::{Fit, fit},
    serves,
};
use crate::Error;

/// What a change brings about beside itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connections {
    /// Hooks to be registered, in order.
    pub new: Vec<NewHook>,
    /// What is worth knowing and no reason to refuse.
    pub notes: Vec<String>,
}

/// An extension that belongs on a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewHook {
    /// The install that has the point, and its app.
    pub app: (InstallId, Slug),
    /// The point.
    pub point: Slug,
    /// The install of the extension, and its app.
    pub extension: (InstallId, Slug),
}

/// Finds out what it means that the install `changed` of the instance `place` is otherwise, or gone, `after`.
///
/// # Errors
/// [`Error::Conflict`]: it would miss something (`needs-app`, `needs-service`, `service-mismatch`) or others would
/// (`needed-by`), it would need itself (`dependency-cycle`), or hooks would not fit (`point-mismatch`).
pub(crate) fn examine(
    before: &Composition,
    after: &Composition,
    changed: InstallId,
    place: &str,
) -> Result<Connections, Error> {
    refuse_broken(before, after, changed)?;
    let Some(member) = after.member(changed) else {
        return Ok(Connections::default());
    };
    if let Some(unmet) = after.unmet(member).first() {
        return Err(unmet.refusal(member, place));
    }
    after.refuse_cycle(member)?;
    let mut unfit = unfit_hooks(after, changed);
    let mut new = Vec::new();
    for pair in pairs(before, after, member) {
        match fit(pair.app, &pair.point, pair.extension) {
            Fit::Fits => new.push(pair.hook()),
            Fit::Mismatch(difference) => unfit.push(pair.describe(&difference)),
            Fit::NoPoint | Fit::Other => {}
        }
    }
    if !unfit.is_empty() {
        return Err(Error::conflict("point-mismatch", unfit.join(" ")));
    }
    Ok(Connections {
        new,
        notes: notes(after, member, place),
    })
}

/// Refuses a change by which others would miss what they have now.
fn refuse_broken(
    before: &Composition,
    after: &Composition,
    changed: InstallId,
) -> Result<(), Error> {
    let mut broken = Vec::new();
    for other in after.members().iter().filter(|m| m.install != changed) {
        let missed_before = before
            .member(other.install)
            .map_or_else(Vec::new, |other| before.unmet(other));
        let missed = after.unmet(other).into_iter();
        let missed = missed.filter(|unmet| !missed_before.contains(unmet));
        broken
            .extend(missed.map(|unmet| format!("{} needs it {}", other.label(), unmet.missing())));
    }
    let Some(member) = before.member(changed).filter(|_| !broken.is_empty()) else {
        return Ok(());
    };
    let what = match after.member(changed) {
        None => format!("{} can't be disabled", member.label()),
        Some(after) => format!("{} can't be changed to {}", member.label(), after.version),
    };
    Err(Error::conflict(
        "needed-by",
        format!(
            "{what}: {}. Disable or change those who need it first",
            broken.join("; ")
        ),
    ))
}

/// Hooks that are called, concern the install, and would not fit after the change; each as a sentence.
fn unfit_hooks(after: &Composition, changed: InstallId) -> Vec<String> {
    let concerned = after.hooks.iter().filter(|hook| {
        hook.is_enabled && (hook.app_install == changed || hook.extension() == Some(changed))
    });
    concerned
        .filter_map(|hook| {
            let reason = after.unfit(hook)?;
            Some(format!(
                "The hook {} would not fit any more: {reason} Disable or remove the hook, or use versions that go together.",
                hook.path()
            ))
        })
        .collect()
}

/// A point and an extension that have no hook yet.
struct Pair<'a> {
    app: &'a Member,
    point: Slug,
    extension: &'a Member,
}

impl Pair<'_> {
    fn hook(self) -> NewHook {
        let of = |member: &Member| (member.install, member.app.clone());
        NewHook {
            app: of(self.app),
            point: self.point,
            extension: of(self.extension),
        }
    }

    fn describe(&self, difference: &str) -> String {
        format!(
            "{} does not fit the extension point {}/{} of {}: {difference} Use versions of both that go together.",
            self.extension.label(),
            self.app.app,
            self.point,
            self.app.label()
        )
    }
}

/// The points and extensions that a change brings together. Whoever removed the hook of two that were together
/// before does not get it back by changing the version of one.
fn pairs<'a>(
    before: &Composition,
    after: &'a Composition,
    member: &'a Member,
) -> impl Iterator<Item = Pair<'a>> {
    let others = after
        .members()
        .iter()
        .filter(|m| m.install != member.install);
    let filled = others.clone().map(move |app| (app, member));
    let offered = others.map(move |extension| (member, extension));
    let all = offered.chain(filled).flat_map(|(app, extension)| {
        let points = app.shapes.points.iter();
        points.map(move |point| Pair {
            app,
            point: point.name.clone(),
            extension,
        })
    });
    all.filter(|pair| {
        let is_hooked = after.hooks.iter().any(|hook| {
            hook.app_install == pair.app.install
                && hook.point == pair.point
                && hook.extension() == Some(pair.extension.install)
        });
        let were_together = before
            .member(pair.app.install)
            .zip(before.member(pair.extension.install))
            .is_some_and(|(app, extension)| fit(app, &pair.point, extension) == Fit::Fits);
        !is_hooked && !were_together
    })
}

/// Interfaces that an extension implements for nobody here.
fn notes(after: &Composition, member: &Member, place: &str) -> Vec<String> {
    let others = || {
        after
            .members()
            .iter()
            .filter(|m| m.install != member.install)
    };
    let unused = member.shapes.implements.iter().filter(|implemented| {
        !others().any(|app| {
            let mut points = app.shapes.points.iter();
            points.any(|point| serves(&implemented.interface, &point.interface))
        })
    });
    unused
        .map(|implemented| {
            let interface = &implemented.interface;
            let versions: Vec<_> = others()
                .flat_map(|app| app.points_of_other_versions(interface))
                .collect();
            match versions.as_slice() {
                [] => format!(
                    "no app that is enabled in {place} has an extension point for {interface}: it is registered when one is enabled"
                ),
                versions => format!(
                    "{interface} is not called in {place}, where the version is another: {}",
                    versions.join(", ")
                ),
            }
        })
        .collect()
}
