//! How the apps of an instance work together: whose extensions fill whose points, and who needs whom. What a change
//! of one install would mean for the others is found out here, before it is made.
//!
//! Everything here looks at a [`Composition`], which is read within the transaction of the change, so that nothing
//! it was decided on is different when it is written.

mod change;
mod cycle;
mod fit;
mod needs;

pub(crate) use change::{Connections, NewHook, examine};
pub(crate) use cycle::refuse_catalog_cycle;
pub(crate) use fit::{Fit, fit};
pub(crate) use needs::first_provider;

use std::collections::HashMap;

use cloudware_packages::{InterfaceName, Manifest, PointShape};
use cloudware_types::{HookId, InstallId, InstanceId, Slug};
use semver::Version;

use crate::{
    Hook, Install, Release,
    release::Shapes,
    store::{self, Connection, StoreError},
};

/// The enabled installs of an instance and its hooks.
#[derive(Clone, Debug)]
pub(crate) struct Composition {
    /// In the order in which they were first enabled.
    members: Vec<Member>,
    /// Those that are disabled, too.
    hooks: Vec<Hook>,
    /// What the endpoints of webhooks were written for.
    written_for: HashMap<HookId, PointShape>,
}

/// One enabled install with what its release offers and needs.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub install: InstallId,
    pub app: Slug,
    pub version: Version,
    pub manifest: Manifest,
    pub shapes: Shapes,
}

impl Composition {
    /// As it is.
    pub(crate) async fn read(
        db: &mut Connection,
        instance: InstanceId,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            members: store::composition::members(db, instance).await?,
            hooks: store::hook::of_instance(db, instance).await?,
            written_for: store::hook::written_for(db, instance).await?,
        })
    }

    /// As it will be with an install at a release.
    pub(crate) fn with(&self, member: Member) -> Self {
        let mut after = self.without(member.install);
        let place = after
            .members
            .partition_point(|other| other.install < member.install);
        after.members.insert(place, member);
        after
    }

    /// As it will be without an install; its hooks stay.
    pub(crate) fn without(&self, install: InstallId) -> Self {
        let mut after = self.clone();
        after.members.retain(|member| member.install != install);
        after
    }

    /// An enabled install.
    pub(crate) fn member(&self, install: InstallId) -> Option<&Member> {
        self.members.iter().find(|member| member.install == install)
    }

    /// The enabled install of an app.
    pub(crate) fn app(&self, app: &Slug) -> Option<&Member> {
        self.members.iter().find(|member| member.app == *app)
    }

    /// Every enabled install.
    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }
}

impl Member {
    /// An install at a release.
    pub(crate) fn of(install: &Install, release: &Release, shapes: Shapes) -> Self {
        Self {
            install: install.id,
            app: install.app.clone(),
            version: release.version.clone(),
            manifest: release.manifest.clone(),
            shapes,
        }
    }

    /// The name as people write it, `app version`.
    fn label(&self) -> String {
        format!("{} {}", self.app, self.version)
    }
}

/// Whether an interface can stand where another is wanted, by their names.
fn serves(have: &str, want: &str) -> bool {
    match (have.parse::<InterfaceName>(), want.parse::<InterfaceName>()) {
        (Ok(have), Ok(want)) => have.serves(&want),
        _ => false,
    }
}
