//! What a release offers to other apps and needs from them, with the types of all functions. Kept beside the
//! manifest since it was found when the package was verified, so that two releases can be compared without their
//! components.

use cloudware_packages::{InterfaceShape, PointShape, Verified};
use cloudware_types::Slug;
use serde::{Deserialize, Serialize};

/// The interfaces of a release. Releases that were pushed before there were extension points have none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shapes {
    /// Extension points that it offers.
    pub points: Vec<PointShape>,
    /// Interfaces that it exports for extension points of others.
    pub implements: Vec<InterfaceShape>,
    /// Interfaces that it imports from other apps.
    pub calls: Vec<InterfaceShape>,
    /// Interfaces that it exports for the calls of other apps.
    pub services: Vec<InterfaceShape>,
}

impl Shapes {
    /// What verifying a package found out.
    pub(crate) fn of(verified: &Verified) -> Self {
        Self {
            points: verified.points.clone(),
            implements: verified.implements.clone(),
            calls: verified.calls.clone(),
            services: verified.services.clone(),
        }
    }

    /// One of the points.
    pub(crate) fn point(&self, name: &Slug) -> Option<&PointShape> {
        self.points.iter().find(|point| point.name == *name)
    }
}
