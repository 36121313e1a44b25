//! What an app needs from others of its instance: those that it names as dependencies, and for each interface that
//! it calls one that provides it with the same types.

use cloudware_packages::{InterfaceName, Manifest, mismatch};
use cloudware_types::{InstallId, Slug};

use super::{Composition, Member, serves};
use crate::Error;

/// Something that an app needs and does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unmet {
    /// An app that is not enabled.
    App { app: Slug, reason: String },
    /// An interface that no app provides.
    Service { interface: String, reason: String },
    /// An interface that an app provides with other types.
    Types {
        interface: String,
        provider: String,
        difference: String,
    },
}

/// Of those who provide an interface the one that was enabled first, so that enabling another one later changes
/// nothing for those who call it.
pub(crate) fn first_provider<'a>(
    caller: InstallId,
    wanted: &InterfaceName,
    installs: impl Iterator<Item = (InstallId, &'a Manifest)>,
) -> Option<InstallId> {
    let provides = |manifest: &Manifest| manifest.services.keys().any(|have| have.serves(wanted));
    installs
        .filter(|(install, manifest)| *install != caller && provides(manifest))
        .map(|(install, _)| install)
        .min()
}

impl Composition {
    /// What a member needs and does not have.
    pub(super) fn unmet(&self, member: &Member) -> Vec<Unmet> {
        let dependencies = member.manifest.dependencies.iter();
        let apps = dependencies
            .filter(|(app, _)| self.app(app).is_none())
            .map(|(app, reason)| Unmet::App {
                app: app.clone(),
                reason: reason.clone(),
            });
        let calls = member.shapes.calls.iter().filter_map(|call| {
            let reason = reason_of(member, &call.interface);
            let interface = call.interface.clone();
            let Some(provider) = self.provider(member, &interface) else {
                return Some(Unmet::Service { interface, reason });
            };
            let mut services = provider.shapes.services.iter();
            let service = services.find(|have| serves(&have.interface, &interface));
            let difference = service.and_then(|service| mismatch(call, service))?;
            Some(Unmet::Types {
                interface,
                provider: provider.label(),
                difference,
            })
        });
        apps.chain(calls).collect()
    }

    /// Who answers the calls of an interface that a member imports.
    fn provider(&self, caller: &Member, interface: &str) -> Option<&Member> {
        let wanted = interface.parse().ok()?;
        let installs = self.members.iter();
        let installs = installs.map(|member| (member.install, &member.manifest));
        self.member(first_provider(caller.install, &wanted, installs)?)
    }

    /// Whom a member may call, the apps that it depends on first.
    pub(super) fn needed<'a>(&'a self, member: &'a Member) -> impl Iterator<Item = &'a Member> {
        let dependencies = member.manifest.dependencies.keys();
        let calls = member.shapes.calls.iter();
        dependencies
            .filter_map(|app| self.app(app))
            .chain(calls.filter_map(|call| self.provider(member, &call.interface)))
    }
}

impl Unmet {
    /// The refusal of a change after which `member` would need this.
    pub(super) fn refusal(&self, member: &Member, place: &str) -> Error {
        let who = member.label();
        match self {
            Self::App { app, reason } => Error::conflict(
                "needs-app",
                format!(
                    "{who} needs {app} ({reason}), which is not enabled in {place}: enable {app} first"
                ),
            ),
            Self::Service { interface, reason } => Error::conflict(
                "needs-service",
                format!(
                    "{who} calls {interface} ({reason}), and no app that is enabled in {place} provides it: enable one that does first"
                ),
            ),
            Self::Types {
                interface,
                provider,
                difference,
            } => Error::conflict(
                "service-mismatch",
                format!(
                    "{who} calls {interface} of {provider}, and their types differ. {difference} Use versions of both that go together"
                ),
            ),
        }
    }

    /// What would be missing, for a sentence about the one that would miss it.
    pub(super) fn missing(&self) -> String {
        match self {
            Self::App { reason, .. } => format!("({reason})"),
            Self::Service { interface, reason } => format!("for {interface} ({reason})"),
            Self::Types {
                interface,
                difference,
                ..
            } => format!("for {interface}, with other types: {difference}"),
        }
    }
}

/// Why a member calls an interface, in its manifest's words.
fn reason_of(member: &Member, interface: &str) -> String {
    let name = interface.parse::<InterfaceName>().ok();
    let mut calls = member.manifest.calls.iter();
    let declared =
        calls.find(|(declared, _)| name.as_ref().is_some_and(|name| declared.path == name.path));
    declared.map_or_else(String::new, |(_, reason)| reason.clone())
}
