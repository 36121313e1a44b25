//! The address of an endpoint as a tenant writes it, checked before it is ever called.

use std::net::IpAddr;

use http::Uri;

use super::address::is_public;
use crate::{WebhookConfig, limits::URL_BYTES_MAX};

/// Why an address can't be that of a webhook.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the webhook's address {reason}")]
pub struct UrlError {
    reason: String,
}

impl UrlError {
    /// What is wrong with the address and what would do, as the end of a sentence that begins with it.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// The address as it is called.
///
/// # Errors
/// [`UrlError`] says what is wrong and what would do.
pub(crate) fn checked(url: &str, config: &WebhookConfig) -> Result<Uri, UrlError> {
    let refuse = |reason: &str| {
        Err(UrlError {
            reason: reason.to_owned(),
        })
    };
    if url.len() > URL_BYTES_MAX {
        return refuse(&format!("has more than {URL_BYTES_MAX} bytes"));
    }
    if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return refuse(
            "is not a URL: write it as https://example.com/path, with what is not ASCII as %…",
        );
    }
    if url.contains('#') {
        return refuse("has a fragment (`#…`), which is never sent: leave it out");
    }
    let Ok(uri) = url.parse::<Uri>() else {
        return refuse("is not a URL: write it as https://example.com/path");
    };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return refuse("is not complete: write it as https://example.com/path");
    };
    let default_port = match scheme {
        "https" => 443,
        "http" if config.allow_insecure => 80,
        "http" => return refuse("begins with http://, and this platform allows https:// only"),
        _ => return refuse("must begin with https://"),
    };
    if authority.as_str().contains('@') {
        return refuse("has a user or password: what is sent is signed instead");
    }
    let host = authority.host();
    if host.is_empty() {
        return refuse("has no host");
    }
    if address(host).is_none() && !is_name(host) {
        return refuse("has a host that is neither a name nor an address");
    }
    let port = match authority.port_u16() {
        Some(port) => port,
        None if authority.as_str() == host => default_port,
        None => return refuse("has a port that is no number from 1 to 65535"),
    };
    if port == 0 || !(config.ports.is_empty() || config.ports.contains(&port)) {
        let allowed: Vec<_> = config.ports.iter().map(ToString::to_string).collect();
        return refuse(&format!(
            "has port {port}, and this platform allows {}",
            match allowed.as_slice() {
                [] => "1 to 65535".to_owned(),
                allowed => allowed.join(", "),
            }
        ));
    }
    Ok(uri)
}

/// Refuses an address that is written as a number and may not be called. Where names lead is found out when they are
/// called, and so it is looked at then, whatever was written.
///
/// # Errors
/// [`UrlError`] says what is wrong and what would do.
pub(crate) fn check_reach(uri: &Uri, config: &WebhookConfig) -> Result<(), UrlError> {
    match uri.host().and_then(address) {
        Some(address) if !config.allow_private_addresses && !is_public(address) => Err(UrlError {
            reason: "is not of the public internet, and this platform calls no others".to_owned(),
        }),
        _ => Ok(()),
    }
}

/// The address that a host is written as, where it is none by name.
fn address(host: &str) -> Option<IpAddr> {
    match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(inner) => inner.parse().map(IpAddr::V6).ok(),
        None => host.parse().map(IpAddr::V4).ok(),
    }
}

/// Whether a host is written as names are (RFC 1123, with `_`, which is in use).
fn is_name(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let is_label = |label: &str| {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(is_inner)
    };
    host.len() <= 253 && host.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_called_and_addresses_that_are_not() {
        let strict = WebhookConfig::default();
        for url in [
            "https://example.com",
            "https://example.com/hook?tenant=acme",
            "https://example.com:8443/hook",
            "https://[2606:4700::1111]/hook",
            "https://[2606:4700::1111]:443/hook",
            "https://localhost./refused-when-it-is-connected-to",
        ] {
            assert!(checked(url, &strict).is_ok(), "{url}");
        }
        for (url, word) in [
            ("", "not a URL"),
            ("example.com/hook", "not a URL"),
            ("/hook", "not complete"),
            ("http://example.com", "https:// only"),
            ("ftp://example.com", "https://"),
            ("file:///etc/passwd", "not a URL"),
            ("https://user:secret@example.com", "password"),
            ("https://user@example.com", "password"),
            ("https://example.com#part", "fragment"),
            ("https://-x.com/", "neither"),
            ("https://a..b/", "neither"),
            ("https://[::1/", "not a URL"),
            ("https://example.com/\u{e4}", "not a URL"),
            ("https://example.com:22/", "port 22"),
            ("https://example.com:0/", "port 0"),
            ("https://example.com:99999/", "port"),
            ("https://example.com:/", "port"),
            ("https://[2606:4700::1111]:/", "port"),
            ("https://exa mple.com/", "not a URL"),
            ("https://example.com/\r\nhost: other", "not a URL"),
            (
                &format!("https://example.com/{}", "x".repeat(URL_BYTES_MAX)),
                "bytes",
            ),
        ] {
            let error = checked(url, &strict).expect_err(url).to_string();
            assert!(error.contains(word), "{url}: {error}");
        }
    }

    #[test]
    fn an_operator_may_allow_more_for_development() {
        let config = WebhookConfig {
            allow_insecure: true,
            ports: Vec::new(),
            ..WebhookConfig::default()
        };
        assert!(checked("http://localhost:34567/hook", &config).is_ok());
        assert!(checked("http://localhost:0/hook", &config).is_err());
    }

    #[test]
    fn numbers_of_private_machines_are_refused_where_they_are_written() {
        let strict = WebhookConfig::default();
        let open = WebhookConfig {
            allow_private_addresses: true,
            ..WebhookConfig::default()
        };
        for (url, is_public) in [
            ("https://127.0.0.1/hook", false),
            ("https://10.1.2.3:8443/", false),
            ("https://[::1]:8443/hook", false),
            ("https://[::ffff:10.1.2.3]/", false),
            ("https://1.1.1.1/", true),
            ("https://[2606:4700::1111]/hook", true),
            ("https://localhost/", true),
        ] {
            let uri = checked(url, &strict).unwrap();
            assert_eq!(check_reach(&uri, &strict).is_ok(), is_public, "{url}");
            assert!(check_reach(&uri, &open).is_ok(), "{url}");
        }
    }
}
