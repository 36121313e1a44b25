//! Interfaces that packages share: whether the component imports and exports those that its manifest names,
//! what functions they have, and whether these can be called from another sandbox.

use super::list;
use crate::{
    HostInterfaces, InterfaceName, InterfaceShape, MANIFEST, Manifest, PointShape, Problem,
    Problems, access,
    component::Inspected,
    shape::{self, Reader, Side},
};

/// What a component shares with other packages.
pub(super) struct Shared {
    pub(super) points: Vec<PointShape>,
    pub(super) implements: Vec<InterfaceShape>,
    pub(super) calls: Vec<InterfaceShape>,
    pub(super) services: Vec<InterfaceShape>,
}

impl Shared {
    /// Reads the interfaces that the manifest names.
    pub(super) fn read(
        inspected: &Inspected,
        manifest: &Manifest,
        host: &HostInterfaces,
        problems: &mut Problems,
    ) -> Self {
        let mut component = Component {
            imports: inspected
                .shape
                .imports
                .iter()
                .map(|i| i.name.as_str())
                .collect(),
            exports: inspected.shape.exports.iter().map(String::as_str).collect(),
            reader: Reader::new(inspected.types.as_ref()),
            host,
        };
        let points = manifest.extension_points.iter();
        let points = points.filter_map(|(name, point)| {
            if let Some(shape) = access::shape(name, &point.interface) {
                return Some(shape);
            }
            let at = format!("{MANIFEST}: extension-points.{name}.interface");
            let shape = component.imported(&point.interface, &at, problems)?;
            shape::rules::check(point.kind, &shape, problems);
            Some(PointShape {
                name: name.clone(),
                interface: shape.interface,
                kind: point.kind,
                functions: shape.functions,
            })
        });
        let points = points.collect();
        let calls = manifest.calls.keys();
        let calls = calls.filter_map(|name| {
            component.imported(name, &format!("{MANIFEST}: calls.{name}"), problems)
        });
        let calls = calls.collect();
        let implements = manifest.extension.iter().flat_map(|e| e.implements.keys());
        let implements = implements.filter_map(|name| {
            let at = format!("{MANIFEST}: extension.implements.{name}");
            component.exported(name, &at, problems)
        });
        let implements = implements.collect();
        let services = manifest.services.keys();
        let services = services.filter_map(|name| {
            component.exported(name, &format!("{MANIFEST}: services.{name}"), problems)
        });
        Self {
            points,
            implements,
            calls,
            services: services.collect(),
        }
    }

    /// True if somebody else in the instance stands behind this import.
    pub(super) fn provides(&self, import: &str) -> bool {
        let mut points = self.points.iter().map(|point| &point.interface);
        // Those of the platform are asked by the platform alone.
        if is_platform(import) {
            return false;
        }
        let mut calls = self.calls.iter().map(|call| &call.interface);
        points.any(|name| name == import) || calls.any(|name| name == import)
    }
}

struct Component<'a> {
    imports: Vec<&'a str>,
    exports: Vec<&'a str>,
    reader: Reader<'a>,
    host: &'a HostInterfaces,
}

impl Component<'_> {
    /// The interface as the component imports it from others.
    fn imported(
        &mut self,
        wanted: &InterfaceName,
        at: &str,
        problems: &mut Problems,
    ) -> Option<InterfaceShape> {
        if self.host.provider_of(wanted).is_some() {
            problems.push(Problem::new(
                "interface-of-platform",
                at,
                format!("The platform itself provides {wanted}."),
                "Name an interface of a package of your own or of another app.",
            ));
            return None;
        }
        if let Some(name) = find(&self.imports, wanted) {
            return Some(self.reader.interface(name, Side::Import, problems));
        }
        let of_apps: Vec<_> = self
            .imports
            .iter()
            .copied()
            .filter(|n| !is_platform(n))
            .collect();
        problems.push(Problem::new(
            "missing-import",
            at,
            format!(
                "The component does not import {wanted}. Beside what the platform provides it imports: {}.",
                list(&of_apps)
            ),
            "Call one of its functions, because toolchains leave out what is not used, or remove it from the manifest.",
        ));
        None
    }

    /// The interface as the component exports it for others.
    fn exported(
        &mut self,
        wanted: &InterfaceName,
        at: &str,
        problems: &mut Problems,
    ) -> Option<InterfaceShape> {
        if let Some(name) = find(&self.exports, wanted) {
            return Some(self.reader.interface(name, Side::Export, problems));
        }
        problems.push(Problem::new(
            "missing-export",
            at,
            format!(
                "The component does not export {wanted}. It exports: {}.",
                list(&self.exports)
            ),
            "Export it from the world that the component is built for, or remove it from the manifest.",
        ));
        None
    }
}

/// The name that stands for `wanted`, rather the same one than a compatible one.
fn find<'a>(names: &[&'a str], wanted: &InterfaceName) -> Option<&'a str> {
    let parsed = names.iter().filter_map(|name| {
        let parsed: InterfaceName = name.parse().ok()?;
        parsed.serves(wanted).then_some((*name, parsed))
    });
    let mut fitting: Vec<_> = parsed.collect();
    fitting.sort_by_key(|(_, parsed)| parsed != wanted);
    fitting.first().map(|(name, _)| *name)
}

fn is_platform(name: &str) -> bool {
    name.parse::<InterfaceName>()
        .is_ok_and(|name| name.is_platform())
}
