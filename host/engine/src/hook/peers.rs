//! The installs of one instance as they were bound together: who fills whose extension points, and whom each may
//! call. Replaced as a whole with every change; a request goes on with what it began with.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use cloudware_types::{
    Class, DesiredHook, DesiredInstall, DesiredInstance, Digest, Dimension, HookTarget, InstallId,
    Limit, Limits, PointKind, Slug,
};

use super::{Hooks, NothingOutside, access::AccessPoints, breaker::Breaker};
use crate::{
    BoundInstall, UsageMeter,
    usage::{Consumer, UsageMeters},
};

/// The installs of an instance that were bound together. Whoever serves requests keeps it alive; the installs
/// themselves only know where it is, because they may call each other in circles.
pub struct Peers {
    by_id: HashMap<InstallId, Peer>,
    pub(crate) hooks: Arc<Hooks>,
}

/// One install and what it may call.
pub(crate) struct Peer {
    pub(crate) install: Arc<BoundInstall>,
    points: Box<[Arc<BoundPoint>]>,
    calls: Box<[BoundCall]>,
    dependencies: Box<[Slug]>,
    /// Who decides about its data, where somebody does.
    access: Option<Arc<AccessPoints>>,
}

/// An extension point of an install, with the hooks that are asked.
pub(crate) struct BoundPoint {
    app: Slug,
    pub(crate) name: Slug,
    interface: Arc<str>,
    pub(crate) kind: PointKind,
    pub(crate) hooks: Box<[BoundHook]>,
}

/// A hook as it is called.
pub(crate) struct BoundHook {
    pub(crate) desired: DesiredHook,
    pub(crate) breaker: Arc<Breaker>,
    /// What its calls are metered with.
    pub(crate) usage: Arc<UsageMeter>,
    /// The limits of one call, made when it is first called.
    limits: OnceLock<Arc<Limits>>,
}

/// What one call of a hook has of its own, which stays as it is when the limits of its class change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own {
    deadline_ms: u64,
    fuel: u64,
    /// None where nobody has set it, and the limit alone bounds it.
    memory: Option<u64>,
}

/// An interface of another app that an install imports.
struct BoundCall {
    interface: Arc<str>,
    install: InstallId,
}

/// What stands behind an import that neither WASI nor a capability provides.
pub(crate) enum Callee<'a> {
    Point(&'a Arc<BoundPoint>),
    Install(&'a Arc<BoundInstall>),
}

impl Peers {
    /// Joins installs that were bound before; those that could not be bound are not among them. `None` where none
    /// of them calls another.
    pub(crate) fn join(
        instance: &DesiredInstance,
        installs: &[Arc<BoundInstall>],
        hooks: &Arc<Hooks>,
        usage: &UsageMeters,
    ) -> Option<Arc<Self>> {
        let calls_others = |install: &DesiredInstall| {
            !(install.points.is_empty()
                && install.calls.is_empty()
                && install.dependencies.is_empty())
        };
        if !instance.installs.iter().any(calls_others) {
            return None;
        }
        let desired = |id: InstallId| instance.installs.iter().find(|install| install.id == id);
        let by_id = installs
            .iter()
            .filter_map(|install| {
                let desired = desired(install.identity.install)?;
                let peer = Peer::new(install, desired, instance, (hooks, usage));
                Some((desired.id, peer))
            })
            .collect();
        let peers = Arc::new(Self {
            by_id,
            hooks: Arc::clone(hooks),
        });
        for install in installs {
            // An install is joined once: a change binds it anew.
            let _ = install.peers.set(Arc::downgrade(&peers));
        }
        Some(peers)
    }

    /// Nobody: for an install that was not joined with others.
    pub(crate) fn alone() -> Self {
        Self {
            by_id: HashMap::new(),
            hooks: Arc::new(Hooks::new(
                Arc::new(NothingOutside),
                Arc::new(NothingOutside),
            )),
        }
    }

    pub(crate) fn get(&self, id: InstallId) -> Option<&Peer> {
        self.by_id.get(&id)
    }

    /// Who decides about the data of an install.
    pub(crate) fn access(&self, id: InstallId) -> Option<&Arc<AccessPoints>> {
        self.by_id.get(&id)?.access.as_ref()
    }

    /// The install of an app.
    pub(crate) fn by_app(&self, app: &str) -> Option<&Arc<BoundInstall>> {
        let mut peers = self.by_id.values();
        let peer = peers.find(|peer| peer.install.identity.app.as_str() == app)?;
        Some(&peer.install)
    }

    /// A hook, with the point that it is on and the install that has the point.
    pub(crate) fn hook(
        &self,
        id: cloudware_types::HookId,
    ) -> Option<(&Arc<BoundInstall>, &Arc<BoundPoint>, &BoundHook)> {
        self.by_id.values().find_map(|peer| {
            peer.points.iter().find_map(|point| {
                let hook = point.hooks.iter().find(|hook| hook.desired.id == id)?;
                Some((&peer.install, point, hook))
            })
        })
    }
}

impl Peer {
    fn new(
        install: &Arc<BoundInstall>,
        desired: &DesiredInstall,
        instance: &DesiredInstance,
        (hooks, usage): (&Hooks, &UsageMeters),
    ) -> Self {
        let points = desired.points.iter().map(|point| {
            let bound = point.hooks.iter().map(|hook| {
                let target = target(hook, instance);
                BoundHook {
                    breaker: hooks.breaker(hook.id, target),
                    usage: usage.of(consumer(hook, desired, instance)),
                    desired: hook.clone(),
                    limits: OnceLock::new(),
                }
            });
            Arc::new(BoundPoint {
                app: desired.app.clone(),
                name: point.name.clone(),
                interface: Arc::clone(&point.interface),
                kind: point.kind,
                hooks: bound.collect(),
            })
        });
        let calls = desired.calls.iter().map(|call| BoundCall {
            interface: Arc::clone(&call.interface),
            install: call.install,
        });
        let points: Box<[_]> = points.collect();
        Self {
            install: Arc::clone(install),
            access: AccessPoints::of(&desired.access_tables, &points, || {
                hooks.access_types(install.code.engine())
            }),
            points,
            calls: calls.collect(),
            dependencies: desired.dependencies.clone().into(),
        }
    }

    /// What stands behind an import.
    pub(crate) fn callee<'a>(&'a self, peers: &'a Peers, interface: &str) -> Option<Callee<'a>> {
        if let Some(point) = self
            .points
            .iter()
            .find(|point| *point.interface == *interface)
        {
            return Some(Callee::Point(point));
        }
        let call = self
            .calls
            .iter()
            .find(|call| *call.interface == *interface)?;
        peers
            .get(call.install)
            .map(|peer| Callee::Install(&peer.install))
    }

    /// Whether it may call the app by HTTP.
    pub(crate) fn depends_on(&self, app: &str) -> bool {
        self.dependencies.iter().any(|known| known.as_str() == app)
    }
}

/// Whose usage the calls of a hook are: the install's that is called; for a webhook the install's that has the point.
fn consumer(hook: &DesiredHook, owner: &DesiredInstall, instance: &DesiredInstance) -> Consumer {
    let called = match &hook.target {
        HookTarget::Install(id) => instance.installs.iter().find(|install| install.id == *id),
        HookTarget::Webhook(_) => None,
    };
    let install = called.unwrap_or(owner);
    Consumer {
        instance: instance.id,
        install: install.id,
        app: install.app.clone(),
        hook: Some(hook.id),
    }
}

/// What a hook calls, as a text that changes when it does: a breaker forgets what another release did, or the same one
/// with another configuration.
fn target(hook: &DesiredHook, instance: &DesiredInstance) -> String {
    match &hook.target {
        HookTarget::Install(id) => {
            let install = instance.installs.iter().find(|install| install.id == *id);
            install.map_or_else(String::new, |install| {
                let config = format!("{:?}", install.config);
                format!("{} {}", install.release, Digest::of(config.as_bytes()))
            })
        }
        HookTarget::Webhook(webhook) => webhook.url.clone(),
    }
}

impl BoundPoint {
    /// The interface, as the app imports it.
    pub(crate) fn interface(&self) -> &str {
        &self.interface
    }

    /// The point as people write it, `app/point`.
    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.app, self.name)
    }
}

impl Own {
    /// What it has beside a limit of its class, if anything.
    pub(crate) fn of(self, limit: Limit) -> Option<u64> {
        match limit.dimension() {
            Dimension::Deadline => Some(self.deadline_ms),
            Dimension::Fuel => Some(self.fuel),
            Dimension::Memory => self.memory,
            _ => None,
        }
    }
}

impl BoundHook {
    /// The limits of one call of a component: those of its install for hooks, lowered by the hook's own.
    pub(crate) fn limits(&self, install: &BoundInstall) -> &Arc<Limits> {
        self.limits.get_or_init(|| {
            let own = [
                (Dimension::Deadline, Some(self.desired.deadline_ms)),
                (Dimension::Memory, self.desired.memory),
            ];
            let lower = own.into_iter().filter_map(|(dimension, value)| {
                let limit = dimension.of(Class::Hook);
                value.map(|value| (limit, value))
            });
            let lowers = |&(limit, value): &(Limit, u64)| value < install.limits.get(limit);
            let mut lower = lower.filter(lowers).peekable();
            if lower.peek().is_none() {
                return Arc::clone(&install.limits);
            }
            let mut limits = Limits::clone(&install.limits);
            for (limit, value) in lower {
                // A value below what the limit may be is raised to it.
                let _ = limits.set(limit, value.max(limit.bounds().0));
            }
            Arc::new(limits)
        })
    }

    /// What one call whose arguments have so many items has of its own.
    pub(crate) fn own(&self, items: u64) -> Own {
        let per_item = self.desired.fuel_per_item.saturating_mul(items);
        Own {
            deadline_ms: self.desired.deadline_ms,
            fuel: self.desired.fuel.saturating_add(per_item),
            memory: self.desired.memory,
        }
    }

    /// Milliseconds that one call of a component may take.
    pub(crate) fn deadline_ms(&self, install: &BoundInstall) -> u64 {
        let most = self
            .limits(install)
            .get(Dimension::Deadline.of(Class::Hook));
        self.desired.deadline_ms.min(most)
    }

    /// Fuel of one call whose arguments have so many items.
    pub(crate) fn fuel(&self, install: &BoundInstall, items: u64) -> u64 {
        let max = install.limits.get(Dimension::Fuel.of(Class::Hook));
        self.own(items).fuel.min(max)
    }
}
