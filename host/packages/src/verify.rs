//! Whether a component fits its manifest and the host: it exports what the manifest promises, and
//! imports only what the host provides and the manifest asks for.

mod interfaces;

use cloudware_types::Slug;
use serde::Serialize;

use self::interfaces::Shared;

use crate::{
    COMPONENT, ComponentShape, Consent, HostInterfaces, InterfaceName, InterfaceShape, MANIFEST,
    Manifest, Package, PointShape, Problem, Problems, component, host::Provider,
};

/// What verifying found out about a component that fits.
#[derive(Clone, Debug, Serialize)]
pub struct Verified {
    /// The app.
    pub name: Slug,
    /// Capabilities that its sandbox needs, sorted: those asked for, and those that every app has
    /// and the component imports. An install is granted these.
    pub capabilities: Vec<String>,
    /// How it answers HTTP, if it does.
    pub http: Option<HttpHandler>,
    /// Its extension points, with the functions that the app imports.
    pub points: Vec<PointShape>,
    /// What it exports for extension points of other apps.
    pub implements: Vec<InterfaceShape>,
    /// What it imports from other apps.
    pub calls: Vec<InterfaceShape>,
    /// What it exports for the calls of other apps.
    pub services: Vec<InterfaceShape>,
    /// What is odd and does no harm.
    pub warnings: Vec<Problem>,
}

/// The interface by which a component answers HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HttpHandler {
    /// `wasi:http/incoming-handler@0.2`.
    Wasi02,
    /// `wasi:http/handler@0.3`.
    Wasi03,
}

/// Checks the component of a package against its manifest and a host.
///
/// # Errors
/// Everything that does not fit, or why the component can't be checked at all.
pub fn verify(package: &Package, host: &HostInterfaces) -> Result<Verified, Problems> {
    let mut problems = Problems::new();
    let verified = check(
        &package.component,
        Some(&package.manifest),
        host,
        &mut problems,
    );
    problems.into_result(verified)
}

/// As [`verify`]; without a manifest, what depends on it is left out.
pub(crate) fn check(
    bytes: &[u8],
    manifest: Option<&Manifest>,
    host: &HostInterfaces,
    problems: &mut Problems,
) -> Option<Verified> {
    let inspected = match component::inspect_with_types(bytes) {
        Ok(inspected) => inspected,
        Err(problem) => {
            problems.push(problem);
            return None;
        }
    };
    let shape = &inspected.shape;
    let declared = manifest.map(|manifest| {
        let shared = Shared::read(&inspected, manifest, host, problems);
        (manifest, shared)
    });
    let used = check_imports(shape, declared.as_ref(), host, problems);
    let (manifest, shared) = declared?;
    let mut warnings = Vec::new();
    let http = check_http(shape, manifest, &mut warnings, problems);
    check_asked(manifest, host, &used, &mut warnings, problems);
    let mut capabilities: Vec<_> = manifest.capabilities.keys().cloned().chain(used).collect();
    capabilities.sort();
    capabilities.dedup();
    Some(Verified {
        name: manifest.name.clone(),
        capabilities,
        http,
        points: shared.points,
        implements: shared.implements,
        calls: shared.calls,
        services: shared.services,
        warnings,
    })
}

/// The capabilities that the imports use.
fn check_imports(
    shape: &ComponentShape,
    declared: Option<&(&Manifest, Shared)>,
    host: &HostInterfaces,
    problems: &mut Problems,
) -> Vec<String> {
    let mut used = Vec::new();
    for import in shape.imports.iter().filter(|import| import.needs_provider) {
        let name = import.name.as_str();
        let at = format!("{COMPONENT}: import {name}");
        let Ok(wanted) = name.parse::<InterfaceName>() else {
            problems.push(unprovided(
                &at,
                "No host provides a bare name.",
                PLATFORM_FIX,
            ));
            continue;
        };
        match host.provider_of(&wanted) {
            // Whether other packages provide it is what the manifest tells.
            None if wanted.is_platform() || declared.is_some() => {
                if !declared.is_some_and(|(_, shared)| shared.provides(name)) {
                    problems.push(nobody_provides(&wanted, host, &at));
                }
            }
            None | Some(Provider::Wasi) => {}
            Some(Provider::Capability(capability)) => {
                let manifest = declared.map(|(manifest, _)| manifest);
                let asked = manifest.is_none_or(|m| m.capabilities.contains_key(&capability.name));
                if !asked && capability.consent == Consent::Asked {
                    problems.push(Problem::new(
                        "capability-not-asked",
                        &at,
                        format!(
                            "The component uses the capability `{}`, which the manifest does not ask for.",
                            capability.name
                        ),
                        format!(
                            "Add `{} = \"…\"` with the reason to [capabilities] in {MANIFEST}, or don't import it.",
                            capability.name
                        ),
                    ));
                }
                used.push(capability.name.clone());
            }
        }
    }
    used
}

const PLATFORM_FIX: &str =
    "Build against the interfaces in wit/ of a project that `cloudware new` made.";
const APP_FIX: &str = "If it is an extension point of this app, declare it in [extension-points] of cloudware.toml; if another app exports it, name it in [calls].";

fn nobody_provides(wanted: &InterfaceName, host: &HostInterfaces, at: &str) -> Problem {
    let others = host.other_versions(wanted);
    let message = match others.as_slice() {
        [] => "Nothing on this platform provides it.".to_owned(),
        some => format!("This platform provides {} instead.", some.join(", ")),
    };
    let is_platform = wanted.is_platform() || !others.is_empty();
    unprovided(
        at,
        &message,
        if is_platform { PLATFORM_FIX } else { APP_FIX },
    )
}

fn unprovided(at: &str, message: &str, fix: &str) -> Problem {
    Problem::new("import-not-provided", at, message, fix)
}

fn check_http(
    shape: &ComponentShape,
    manifest: &Manifest,
    warnings: &mut Vec<Problem>,
    problems: &mut Problems,
) -> Option<HttpHandler> {
    let handler = shape.exports.iter().find_map(|name| handler(name));
    if handler.is_none() && manifest.http.is_some() {
        problems.push(Problem::new(
            "missing-export",
            COMPONENT,
            format!(
                "{MANIFEST} has [http], and the component exports neither wasi:http/incoming-handler@0.2 nor wasi:http/handler@0.3. It exports: {}.",
                list(&shape.exports)
            ),
            "Export one of them, or remove [http].",
        ));
    }
    if handler.is_some() && manifest.http.is_none() {
        warnings.push(Problem::new(
            "http-not-mounted",
            format!("{MANIFEST}: http"),
            "The component answers HTTP, and the manifest mounts it nowhere.",
            "Add [http].",
        ));
    }
    handler.filter(|_| manifest.http.is_some())
}

fn handler(export: &str) -> Option<HttpHandler> {
    let name: InterfaceName = export.parse().ok()?;
    let version = name.version.filter(|version| version.pre.is_empty())?;
    match (name.path.as_str(), version.major, version.minor) {
        ("wasi:http/incoming-handler", 0, 2) => Some(HttpHandler::Wasi02),
        ("wasi:http/handler", 0, 3) => Some(HttpHandler::Wasi03),
        _ => None,
    }
}

fn check_asked(
    manifest: &Manifest,
    host: &HostInterfaces,
    used: &[String],
    warnings: &mut Vec<Problem>,
    problems: &mut Problems,
) {
    for name in manifest.capabilities.keys() {
        let at = format!("{MANIFEST}: capabilities.{name}");
        if host.capability(name).is_none() {
            let names: Vec<_> = host.capabilities().iter().map(|c| c.name.clone()).collect();
            problems.push(Problem::new(
                "unknown-capability",
                at,
                format!("This platform has no capability `{name}`."),
                format!("It has: {}.", list(&names)),
            ));
        } else if !used.contains(name) {
            warnings.push(Problem::new(
                "capability-not-used",
                at,
                "The manifest asks for it, and the component does not import it.",
                "Remove it, so that tenants need not consent to it.",
            ));
        }
    }
}

fn list<S: AsRef<str>>(names: &[S]) -> String {
    if names.is_empty() {
        return "nothing".to_owned();
    }
    let names: Vec<_> = names.iter().map(AsRef::as_ref).collect();
    names.join(", ")
}
