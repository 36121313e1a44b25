//! Circles of apps that need each other. Hooks don't count: an extension is called by the app that it extends and
//! need not know it.

use std::collections::{BTreeMap, BTreeSet};

use cloudware_packages::Manifest;
use cloudware_types::Slug;

use super::{Composition, Member};
use crate::{
    Error,
    limits::INSTALLS_PER_INSTANCE_MAX,
    store::{self, Connection, StoreError},
};

impl Composition {
    /// Refuses a composition in which a member needs itself by way of others.
    pub(super) fn refuse_cycle(&self, member: &Member) -> Result<(), Error> {
        // Depth first; for each app the one by which it was reached, which leads back to the beginning.
        let mut reached: BTreeMap<&Slug, &Slug> = BTreeMap::new();
        let mut open = vec![member];
        while let Some(current) = open.pop() {
            for next in self.needed(current) {
                if next.install == member.install {
                    return Err(refusal(way(&reached, &member.app, &current.app)));
                }
                if !reached.contains_key(&next.app) {
                    reached.insert(&next.app, &current.app);
                    open.push(next);
                }
            }
        }
        Ok(())
    }
}

/// Refuses to enable an app that needs itself by way of apps that are not enabled yet, as their newest releases say.
/// None of them could ever be enabled first, and who is told of one after the other would not know why.
///
/// # Errors
/// [`Error::Conflict`] that names the circle.
pub(crate) async fn refuse_catalog_cycle(
    db: &mut Connection,
    composition: &Composition,
    (app, manifest): (&Slug, &Manifest),
) -> Result<(), Error> {
    let mut reached: BTreeMap<Slug, Slug> = BTreeMap::new();
    let mut open: Vec<(Slug, BTreeSet<Slug>)> = vec![(app.clone(), needed(manifest))];
    while let Some((current, dependencies)) = open.pop() {
        for next in dependencies {
            if next == *app {
                let reached = reached.iter().collect();
                return Err(refusal(way(&reached, app, &current)));
            }
            // An instance can't have more apps than this, so that a longer way leads nowhere.
            let is_new = !reached.contains_key(&next);
            if is_new && (reached.len() as i64) < INSTALLS_PER_INSTANCE_MAX {
                let dependencies = match composition.app(&next) {
                    Some(member) => needed(&member.manifest),
                    None => newest(db, &next).await?,
                };
                reached.insert(next.clone(), current.clone());
                open.push((next, dependencies));
            }
        }
    }
    Ok(())
}

fn needed(manifest: &Manifest) -> BTreeSet<Slug> {
    manifest.dependencies.keys().cloned().collect()
}

/// What the newest release of an app needs; nothing for one that there is not.
async fn newest(db: &mut Connection, app: &Slug) -> Result<BTreeSet<Slug>, StoreError> {
    let Some(app) = store::app::find(db, app.as_str()).await? else {
        return Ok(BTreeSet::new());
    };
    let release = match &app.latest {
        Some(version) => store::release::find(db, app.id, version).await?,
        None => None,
    };
    Ok(release.map_or_else(BTreeSet::new, |release| needed(&release.manifest)))
}

/// The apps from the first to the last one, as they need each other.
fn way(reached: &BTreeMap<&Slug, &Slug>, first: &Slug, last: &Slug) -> Vec<Slug> {
    let mut back = vec![last.clone()];
    let mut current = last;
    while let Some(before) = reached.get(current).filter(|_| current != first) {
        back.push((*before).clone());
        current = before;
    }
    back.reverse();
    back
}

fn refusal(mut way: Vec<Slug>) -> Error {
    way.extend(way.first().cloned());
    let way: Vec<_> = way.iter().map(Slug::as_str).collect();
    Error::conflict(
        "dependency-cycle",
        format!(
            "apps must not need each other in a circle, and these would: {}. One of them has to work without the next: as an extension on a point of it, for example",
            way.join(" → ")
        ),
    )
}
