//! Whether an extension fits an extension point: it exports an interface of that name and track of versions, and
//! all types are the same.

use cloudware_packages::{InterfaceName, PointShape, mismatch};
use cloudware_types::Slug;

use super::{Composition, Member, serves};
use crate::Hook;

/// How an extension stands to an extension point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It can be called.
    Fits,
    /// The app has no such point.
    NoPoint,
    /// It fills other points.
    Other,
    /// It means to fill the point, and its types are others; the text names both sides'.
    Mismatch(String),
}

/// How an extension stands to a point of an app.
pub(crate) fn fit(app: &Member, point: &Slug, extension: &Member) -> Fit {
    let Some(point) = app.shapes.point(point) else {
        return Fit::NoPoint;
    };
    let wanted = point.as_interface();
    let meant = extension.shapes.implements.iter();
    let meant = meant.filter(|have| serves(&have.interface, &wanted.interface));
    let mut worst = Fit::Other;
    for have in meant {
        match mismatch(&wanted, have) {
            None => return Fit::Fits,
            Some(text) => worst = Fit::Mismatch(text),
        }
    }
    worst
}

impl Composition {
    /// Why a hook could not be called as things are here; `None` if it could, or if what it needs for that is
    /// disabled anyway.
    pub(crate) fn unfit(&self, hook: &Hook) -> Option<String> {
        let app = self.member(hook.app_install)?;
        let Some(point) = app.shapes.point(&hook.point) else {
            return Some(format!(
                "{} has no extension point `{}`.",
                app.label(),
                hook.point
            ));
        };
        if let Some(policy) = hook.fields.on_failure
            && !point.kind.policies().contains(&policy)
        {
            return Some(format!(
                "Its policy for failures is `{policy}`, which a point of the kind {} does not have.",
                point.kind
            ));
        }
        match hook.extension() {
            None => asks_something_else(self.written_for.get(&hook.id)?, point),
            Some(install) => {
                let extension = self.member(install)?;
                match fit(app, &hook.point, extension) {
                    Fit::Fits => None,
                    Fit::Mismatch(difference) => Some(difference),
                    Fit::NoPoint | Fit::Other => Some(format!(
                        "{} does not implement {}.",
                        extension.label(),
                        point.interface
                    )),
                }
            }
        }
    }
}

/// How a point differs from what the endpoint of a webhook was written for.
fn asks_something_else(written_for: &PointShape, point: &PointShape) -> Option<String> {
    if written_for.kind != point.kind {
        return Some(format!(
            "Its endpoint was written for a point of the kind {}, and it is {} now.",
            written_for.kind, point.kind
        ));
    }
    let difference = mismatch(&point.as_interface(), &written_for.as_interface())?;
    Some(format!(
        "Its endpoint was written for other types. {difference}"
    ))
}

impl Member {
    /// The points of this app that have an interface of another version, as `app/point with interface`.
    pub(super) fn points_of_other_versions(&self, interface: &str) -> Vec<String> {
        let path = |name: &str| name.parse::<InterfaceName>().ok().map(|name| name.path);
        let wanted = path(interface);
        let points = self.shapes.points.iter();
        points
            .filter(|point| wanted.is_some() && path(&point.interface) == wanted)
            .map(|point| format!("{}/{} has {}", self.app, point.name, point.interface))
            .collect()
    }
}
