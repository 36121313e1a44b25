//! What connects the installs of an instance in its desired state: extension points with the hooks on them, and who
//! answers whose calls.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use cloudware_packages::{ExtensionPoint, Manifest};
use cloudware_types::{DesiredCall, DesiredHook, DesiredPoint, HookTarget, InstallId, Reuse, Slug};

use crate::{
    composition::first_provider, limits::WEBHOOK_DEADLINE_MS_DEFAULT, store::desired::HookRow,
};

/// Texts that many hooks share are held once: ten thousand hooks have a handful of names.
#[derive(Debug, Default)]
pub(super) struct Texts(HashSet<Arc<str>>);

impl Texts {
    fn get(&mut self, text: &str) -> Arc<str> {
        match self.0.get(text) {
            Some(shared) => Arc::clone(shared),
            None => {
                let shared: Arc<str> = text.into();
                self.0.insert(Arc::clone(&shared));
                shared
            }
        }
    }
}

/// The extension points of an install. `hooks` are those on all its points, in order; one on a point that the
/// release does not have any more is left out.
pub(super) fn points(
    points: &BTreeMap<Slug, ExtensionPoint>,
    hooks: Vec<HookRow>,
    texts: &mut Texts,
) -> Vec<DesiredPoint> {
    let mut desired: Vec<_> = points
        .iter()
        .map(|(name, point)| DesiredPoint {
            name: name.clone(),
            interface: texts.get(&point.interface.to_string()),
            kind: point.kind,
            hooks: Vec::new(),
        })
        .collect();
    for row in hooks {
        let place = desired.iter_mut().find(|point| point.name == row.point);
        if let (Some(place), Some(point)) = (place, points.get(&row.point)) {
            place.hooks.push(hook(row, point, texts));
        }
    }
    for point in &mut desired {
        point.hooks.shrink_to_fit();
    }
    desired
}

/// A hook with what was chosen for it, or else what its point says.
fn hook(row: HookRow, point: &ExtensionPoint, texts: &mut Texts) -> DesiredHook {
    let chosen = row.fields;
    let policy = chosen.on_failure.unwrap_or(point.on_failure);
    let mut desired = DesiredHook {
        id: row.id,
        name: texts.get(row.name.as_str()),
        mode: row.mode,
        on_failure: policy,
        deadline_ms: chosen.deadline_ms.unwrap_or(point.deadline_ms),
        fuel: chosen.fuel.unwrap_or(point.fuel),
        fuel_per_item: chosen.fuel_per_item.unwrap_or(point.fuel_per_item),
        memory: chosen.memory,
        target: row.target,
    };
    if let HookTarget::Webhook(_) = desired.target {
        // It computes elsewhere, and further away.
        (desired.fuel, desired.fuel_per_item, desired.memory) = (0, 0, None);
        desired.deadline_ms = chosen.deadline_ms.unwrap_or(WEBHOOK_DEADLINE_MS_DEFAULT);
    }
    desired
}

/// Who answers the calls of an install. One for which there is nobody is left out; the control plane refuses the
/// changes that would lead there.
pub(super) fn calls<'a>(
    (install, manifest): (InstallId, &Manifest),
    installs: impl Iterator<Item = (InstallId, &'a Manifest)> + Clone,
) -> Vec<DesiredCall> {
    let calls = manifest.calls.keys().filter_map(|interface| {
        Some(DesiredCall {
            interface: interface.to_string().into(),
            install: first_provider(install, interface, installs.clone())?,
        })
    });
    calls.collect()
}

/// The tables of an app that hooks decide about.
pub(super) fn access_tables(manifest: &Manifest, texts: &mut Texts) -> Arc<[Arc<str>]> {
    manifest
        .access
        .keys()
        .map(|table| texts.get(table))
        .collect()
}

/// Whether sandboxes may serve several calls. An app that answers requests and fills points, too, must allow it for
/// both, because it has the same sandboxes for both.
pub(super) fn reuse(manifest: &Manifest) -> Reuse {
    let http = manifest.http.as_ref().map(|http| http.reuse);
    let extension = manifest.extension.as_ref().map(|extension| extension.reuse);
    match (http, extension) {
        (None, None) => Reuse::Fresh,
        (Some(reuse), None) | (None, Some(reuse)) => reuse,
        (Some(Reuse::Warm { requests_max: a }), Some(Reuse::Warm { requests_max: b })) => {
            Reuse::Warm {
                requests_max: a.min(b),
            }
        }
        (Some(_), Some(_)) => Reuse::Fresh,
    }
}
