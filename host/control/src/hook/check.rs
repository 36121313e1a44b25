//! What can't be chosen for a hook: policies and modes that a kind of point does not have, URLs that are none, payloads
//! that this platform does not write.

use cloudware_types::{HookMode, OnFailure, PointKind};

use super::PAYLOAD_VERSIONS;
use crate::{Error, PlainWebhooks, limits::WEBHOOK_URL_BYTES_MAX};

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

/// Refuses what is no URL of a webhook. Whether the host is there and may be called is found out when it is.
pub(super) fn check_url(url: &str, plain: PlainWebhooks) -> Result<(), Error> {
    match problem(url, plain) {
        None => Ok(()),
        Some(problem) => Err(Error::invalid("url", problem)),
    }
}

fn problem(url: &str, plain: PlainWebhooks) -> Option<String> {
    if url.len() > WEBHOOK_URL_BYTES_MAX {
        return Some(format!("must have at most {WEBHOOK_URL_BYTES_MAX} bytes"));
    }
    let form = || Some("must be a URL such as https://example.com/hooks".to_owned());
    if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return form();
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return form();
    };
    match (scheme, plain) {
        ("https", _) | ("http", PlainWebhooks::Allowed) => {}
        ("http", PlainWebhooks::Refused) => {
            return Some(
                "must begin with https://: without TLS anybody on the way reads what is sent and answers in its place"
                    .to_owned(),
            );
        }
        _ => return form(),
    }
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if rest.contains('#') {
        return Some("must not have a fragment (`#…`), which is never sent".to_owned());
    }
    if authority.contains('@') {
        return Some(
            "must not have a user name or password: the endpoint checks the signature".to_owned(),
        );
    }
    match is_authority(authority) {
        true => None,
        false => form(),
    }
}

/// A host, of names or an address, and perhaps a port.
fn is_authority(authority: &str) -> bool {
    let (host, port) = match authority
        .strip_prefix('[')
        .and_then(|v6| v6.split_once(']'))
    {
        Some((host, rest)) => {
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            (
                "v6",
                rest.strip_prefix(':').or(rest.is_empty().then_some("443")),
            )
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, Some("443")),
        },
    };
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    host.len() <= 253 && host.split('.').all(label) && port.is_some_and(is_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_can_be_called() {
        for url in [
            "https://example.com",
            "https://example.com/hooks?token=x%20y",
            "https://example.com:8443/a/b",
            "https://10.0.0.1/x",
            "https://[2001:db8::1]:8443/x",
            "https://localhost./",
        ] {
            assert_eq!(problem(url, PlainWebhooks::Refused), None, "{url}");
        }
        assert_eq!(
            problem("http://localhost:9000/x", PlainWebhooks::Allowed),
            None
        );
    }

    #[test]
    fn urls_that_cannot() {
        for url in [
            "",
            "example.com",
            "https://",
            "https:///x",
            "ftp://example.com",
            "file:///etc/passwd",
            "http://example.com",
            "https://user:secret@example.com/",
            "https://example.com/#x",
            "https://exa mple.com/",
            "https://example.com:port/",
            "https://example.com:0/",
            "https://example.com:99999/",
            "https://-x.com/",
            "https://a..b/",
            "https://[::1/",
            "https://[example]/",
            "https://[::1]x/",
            "https://example.com/\u{e4}",
            &format!("https://example.com/{}", "x".repeat(WEBHOOK_URL_BYTES_MAX)),
        ] {
            assert!(problem(url, PlainWebhooks::Refused).is_some(), "{url}");
        }
    }
}
