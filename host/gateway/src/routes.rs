//! The route table: which sites exist and which app answers which path of each. Changed a whole site at
//! a time; requests that have found their site go on with what they found.

use std::sync::Arc;

use cloudware_engine::{BoundInstall, Peers};
use cloudware_types::{InstanceId, Slug};
use dashmap::DashMap;

/// The sites of all tenants.
#[derive(Default)]
pub struct RouteTable {
    /// By the label of the host name and by `tenant/instance`.
    sites: DashMap<String, Arc<Site>>,
    names: DashMap<InstanceId, Vec<String>>,
}

/// The site of one instance.
pub struct Site {
    /// The tenant's name.
    pub tenant: Slug,
    /// The instance's name.
    pub instance: Slug,
    /// Whether the tenant's bare host name leads here too.
    pub is_default: bool,
    /// Why the site serves nothing at the moment, for people.
    pub unavailable: Option<String>,
    /// The apps, at most one for each prefix.
    pub mounts: Vec<Mount>,
    /// Kept for the apps, which call each other through it; `None` where none does.
    pub peers: Option<Arc<Peers>>,
}

/// One app of a site.
pub struct Mount {
    /// The path prefix: `/`, or `/name` without a final slash.
    pub prefix: String,
    /// The install that answers, or why none does, which visitors are told.
    pub install: Result<Arc<BoundInstall>, NotServed>,
}

/// Why an app that has its place in a site is not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotServed {
    /// It could not be bound.
    Broken,
    /// Its release was taken out of service for good.
    Yanked {
        /// The app.
        app: Slug,
        /// The release's version.
        version: String,
        /// Why, in the provider's words.
        reason: String,
    },
}

impl RouteTable {
    /// Puts a site into the table, in the place of the instance's earlier one.
    pub fn put(&self, id: InstanceId, mut site: Site) {
        // Longest first, so that the first match is the most specific one.
        site.mounts
            .sort_by_key(|mount| std::cmp::Reverse(mount.prefix.len()));
        let names = names(&site);
        let site = Arc::new(site);
        for name in &names {
            self.sites.insert(name.clone(), Arc::clone(&site));
        }
        let before = self.names.insert(id, names.clone()).unwrap_or_default();
        for name in before.iter().filter(|name| !names.contains(name)) {
            self.sites.remove(name);
        }
    }

    /// Takes a site out of the table.
    pub fn remove(&self, id: InstanceId) {
        for name in self
            .names
            .remove(&id)
            .map(|(_, names)| names)
            .unwrap_or_default()
        {
            self.sites.remove(&name);
        }
    }

    /// The site that a host label leads to, in any case of letters.
    #[must_use]
    pub fn by_host(&self, label: &str) -> Option<Arc<Site>> {
        let site = self.sites.get(label).map(|site| Arc::clone(&site));
        site.or_else(|| {
            let lower = label.to_ascii_lowercase();
            self.sites.get(&lower).map(|site| Arc::clone(&site))
        })
    }

    /// The site of an instance, by `tenant/instance`.
    #[must_use]
    pub fn by_path(&self, name: &str) -> Option<Arc<Site>> {
        self.sites.get(name).map(|site| Arc::clone(&site))
    }
}

/// `/` can't be in a host label, and `--` can't be in a slug, so that no name means two sites.
fn names(site: &Site) -> Vec<String> {
    let (tenant, instance) = (&site.tenant, &site.instance);
    let mut names = vec![
        format!("{tenant}/{instance}"),
        format!("{instance}--{tenant}"),
    ];
    if site.is_default {
        names.push(tenant.to_string());
    }
    names
}

impl Site {
    /// The app that answers a path, with the most specific prefix.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<&Mount> {
        self.mounts.iter().find(|mount| mount.covers(path))
    }
}

impl Mount {
    fn covers(&self, path: &str) -> bool {
        self.prefix == "/"
            || path
                .strip_prefix(&*self.prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}
