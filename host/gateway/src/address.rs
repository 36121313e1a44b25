//! Where a request is addressed to: a site by host name, a site by path, or the platform itself.

use http::{Request, header};

/// The prefix of the path form of sites.
const PATH_FORM: &str = "/t/";

/// The addressee of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Address<'a> {
    /// `<site>.<domain>`; the path within the site is the whole path.
    Host {
        /// The label before the domain: `tenant`, or `instance--tenant`.
        site: &'a str,
    },
    /// `/t/<tenant>/<instance>/…` on the platform's own host.
    Path {
        /// The names of tenant and instance, `tenant/instance`.
        site: &'a str,
        /// Bytes of the path that lead to the site; what follows is empty or begins with `/`.
        prefix_bytes: usize,
    },
    /// Anything else on the platform's own host.
    Platform,
    /// A host that is not ours.
    UnknownHost,
}

impl<'a> Address<'a> {
    /// Reads the address of a request, given the platform's domains.
    pub(crate) fn of<B>(request: &'a Request<B>, domains: &[String]) -> Self {
        let host = match host(request) {
            Some(host) => host,
            None => return Self::UnknownHost,
        };
        let name = without_port(host);
        for domain in domains {
            match strip_suffix_ignoring_case(name, domain) {
                Some("") => return Self::of_path(request.uri().path()),
                Some(labels) if labels.ends_with('.') => {
                    return Self::Host {
                        site: &labels[..labels.len() - 1],
                    };
                }
                _ => {}
            }
        }
        if is_ip(name) {
            return Self::of_path(request.uri().path());
        }
        Self::UnknownHost
    }

    fn of_path(path: &'a str) -> Self {
        let Some(rest) = path.strip_prefix(PATH_FORM) else {
            return Self::Platform;
        };
        let mut parts = rest.splitn(3, '/');
        match (parts.next(), parts.next()) {
            (Some(tenant), Some(instance)) if !tenant.is_empty() && !instance.is_empty() => {
                let site_bytes = tenant.len() + 1 + instance.len();
                Self::Path {
                    site: &rest[..site_bytes],
                    prefix_bytes: PATH_FORM.len() + site_bytes,
                }
            }
            _ => Self::Platform,
        }
    }
}

/// The host that a request names: in its target (HTTP/2, proxies) or its `Host` header.
pub(crate) fn host<B>(request: &Request<B>) -> Option<&str> {
    match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers().get(header::HOST)?.to_str().ok(),
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn is_ip(name: &str) -> bool {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<std::net::IpAddr>().is_ok()
}

fn strip_suffix_ignoring_case<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let at = text.len().checked_sub(suffix.len())?;
    let (head, tail) = text.is_char_boundary(at).then(|| text.split_at(at))?;
    tail.eq_ignore_ascii_case(suffix).then_some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(host: &str, path: &str) -> Request<()> {
        Request::builder()
            .uri(path)
            .header("host", host)
            .body(())
            .unwrap()
    }

    fn domains() -> Vec<String> {
        vec!["localhost".to_owned(), "apps.example.com".to_owned()]
    }

    #[test]
    fn sites_by_host_name() {
        for host in [
            "acme.localhost:8080",
            "ACME.localhost",
            "acme.apps.example.com",
        ] {
            let request = request(host, "/t/other/main/");
            let Address::Host { site } = Address::of(&request, &domains()) else {
                panic!("{host} is a site");
            };
            assert!(site.eq_ignore_ascii_case("acme"));
        }
    }

    #[test]
    fn sites_by_path() {
        for host in [
            "localhost:8080",
            "127.0.0.1:1",
            "[::1]:80",
            "apps.example.com",
        ] {
            let request = request(host, "/t/acme/main/stock/items?x=1");
            assert_eq!(
                Address::of(&request, &domains()),
                Address::Path {
                    site: "acme/main",
                    prefix_bytes: "/t/acme/main".len(),
                }
            );
        }
    }

    #[test]
    fn the_platform_and_strangers() {
        for path in ["/", "/t/", "/t/acme", "/t//main/", "/api/v1/health"] {
            let request = request("localhost", path);
            assert_eq!(
                Address::of(&request, &domains()),
                Address::Platform,
                "{path}"
            );
        }
        for host in [
            "example.com",
            "evillocalhost",
            "localhost.example.com",
            "",
            "::::",
            "ä",
        ] {
            if let Ok(request) = Request::builder().header("host", host).body(()) {
                assert_eq!(
                    Address::of(&request, &domains()),
                    Address::UnknownHost,
                    "{host}"
                );
            }
        }
        let without = Request::builder().body(()).unwrap();
        assert_eq!(Address::of(&without, &domains()), Address::UnknownHost);
    }
}
