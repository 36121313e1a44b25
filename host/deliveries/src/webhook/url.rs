//! The address of an endpoint as a tenant writes it, checked before it is ever called.

use http::Uri;

use crate::{WebhookConfig, limits::URL_BYTES_MAX};

/// Why an address can't be that of a webhook.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the webhook's address {reason}")]
pub struct UrlError {
    reason: String,
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
    if authority.host().is_empty() {
        return refuse("has no host");
    }
    let port = match authority.port_u16() {
        Some(port) => port,
        None if authority.as_str() == authority.host() => default_port,
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
            "https://127.0.0.1/refused-when-it-is-connected-to",
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
}
