//! What can't be chosen for a hook: policies and modes that a kind of point does not have, addresses that are not called,
//! payloads that this platform does not write.

use cloudware_types::{HookMode, OnFailure, PointKind};

use super::PAYLOAD_VERSIONS;
use crate::{Control, Error};

/// Refuses a policy that a kind of point does not have.
pub(super) fn check_policy(kind: PointKind, policy: Option<OnFailure>) -> Result<(), Error> {
    match policy {
        Some(policy) if !kind.policies().contains(&policy) => {
            let policies: Vec<_> = kind.policies().iter().map(|policy| policy.name()).collect();
            Err(Error::invalid(
                "on_failure",
                format!(
                    "can't be `{policy}` for a hook on a point of the kind {kind}: use {}",
                    policies.join(" or ")
                ),
            ))
        }
        _ => Ok(()),
    }
}

/// Refuses to compare where there is nothing to compare.
pub(super) fn check_mode(kind: PointKind, mode: HookMode) -> Result<(), Error> {
    match (kind, mode) {
        (PointKind::Observe, HookMode::Shadow) => Err(Error::invalid(
            "mode",
            "can't be `shadow` for a hook on a point of the kind observe: it gives no result that could be compared",
        )),
        _ => Ok(()),
    }
}

/// Refuses a version of the payload that this platform does not write.
pub(super) fn check_payload_version(version: Option<u32>) -> Result<(), Error> {
    match version {
        Some(version) if !PAYLOAD_VERSIONS.contains(&version) => Err(Error::invalid(
            "payload_version",
            format!(
                "must be from {} to {}, the versions that this platform writes",
                PAYLOAD_VERSIONS.start(),
                PAYLOAD_VERSIONS.end()
            ),
        )),
        _ => Ok(()),
    }
}

/// Refuses an address that is no webhook's. Whether the host is there is found out when it is called.
pub(super) fn check_url(control: &Control, url: &str) -> Result<(), Error> {
    let checked = control.data_plane.check_webhook(url);
    checked.map_err(|problem| Error::invalid("url", problem))
}
