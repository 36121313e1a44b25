//! Taking an upload: everything that can be checked before a tenant sees a package, in one step.

use cloudware_types::Digest;

use crate::{HostInterfaces, Package, Problems, Verified, package, verify};

/// Reads and verifies an archive. Where `expected` is given, the archive must have that digest.
///
/// Blocks for up to a few seconds of CPU time with the largest packages.
///
/// # Errors
/// Every problem of the archive, the manifest, the migrations and the component at once.
pub fn accept(
    archive: &[u8],
    expected: Option<&Digest>,
    host: &HostInterfaces,
) -> Result<(Package, Verified), Problems> {
    let mut problems = Problems::new();
    let parts = package::read_parts(archive, expected, &mut problems);
    let verified = parts
        .component
        .as_ref()
        .and_then(|bytes| verify::check(bytes, parts.manifest.as_ref(), host, &mut problems));
    problems.into_result(parts.package.zip(verified))
}
