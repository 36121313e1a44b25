//! The head of a request, up to the app that answers it.

use std::sync::{Arc, LazyLock};

use cloudware_gateway::{Gateway, GatewayConfig, Mount, NotServed, RouteTable, Site};
use cloudware_types::InstanceId;
use http::{HeaderValue, Request, header::HOST};

/// Words of requests.
pub const WORDS: &[&str] = &[
    "GET ",
    " HTTP/1.1\r\n",
    "Host: ",
    "acme",
    "birch",
    "main",
    "spare",
    "spare--acme",
    ".localhost",
    "localhost",
    "apps.example.com",
    "127.0.0.1",
    "[::1]",
    ":80",
    "/t/",
    "/t/acme/main",
    "/stock",
    "/",
    "//",
    "..",
    "%2e%2e",
    "%2F",
    "http://",
    "@",
    "?",
    "#",
    "Connection: host, x-forwarded-prefix\r\n",
    "X-Forwarded-Host: ",
    "X-Cloudware-Tenant: acme\r\n",
    "Forwarded: host=acme\r\n",
    "X-Request-Id: ",
    "\r\n",
    "\t",
    "\u{ff0f}",
];

/// The sites: tenant, instance, and whether the tenant's bare name leads there.
const SITES: &[(&str, &str, bool)] = &[
    ("acme", "main", true),
    ("acme", "spare", false),
    ("birch", "main", true),
];

/// The mounts of each.
const MOUNTS: &[&str] = &["/", "/stock", "/stock/admin"];

/// The domains of the platform.
const DOMAINS: &[&str] = &["localhost", "apps.example.com"];

static GATEWAY: LazyLock<Gateway> = LazyLock::new(|| {
    let routes = RouteTable::default();
    for (tenant, instance, is_default) in SITES {
        let site = Site {
            tenant: tenant.parse().expect("a name"),
            instance: instance.parse().expect("a name"),
            is_default: *is_default,
            unavailable: None,
            mounts: mounts(),
            peers: None,
        };
        routes.put(InstanceId::generate(), site);
    }
    let config = GatewayConfig {
        domains: DOMAINS.iter().map(|&domain| domain.to_owned()).collect(),
        ..GatewayConfig::default()
    };
    let platform = Arc::new(|_| unreachable!("no request is handled"));
    Gateway::new(config, Arc::new(routes), platform)
});

fn mounts() -> Vec<Mount> {
    let mount = |prefix: &&str| Mount {
        prefix: (*prefix).to_owned(),
        install: Err(NotServed::Broken),
    };
    MOUNTS.iter().map(mount).collect()
}

/// Parses any bytes as the head of a request and finds its app.
///
/// # Panics
/// Where a request leads to a site that it does not name, or the app gets what only the host may set.
pub fn run(data: &[u8]) {
    let Some(request) = request(data) else {
        return;
    };
    let client = HeaderValue::from_static("192.0.2.1");
    let asked = (named_host(&request), request.uri().path().to_owned());
    let Some((site, forwarded)) = GATEWAY.resolve(request, &client) else {
        return;
    };
    let (host, path) = asked;
    let within = names(&host, &path, &site).unwrap_or_else(|| {
        panic!(
            "{path} at {host} leads to {}/{}",
            site.tenant, site.instance
        )
    });
    let prefix = &forwarded.headers()["x-forwarded-prefix"];
    let prefix = prefix.to_str().expect("a prefix of a path");
    assert!(path.starts_with(prefix), "{prefix} is of {path}");
    let mounted = &prefix[path.len() - within.len()..];
    assert!(
        mounted.is_empty() || MOUNTS.contains(&mounted),
        "{mounted} is no mount"
    );
    let seen = forwarded.uri();
    assert!(
        seen.path().starts_with('/') && seen.authority().is_none(),
        "{seen}"
    );
    // `OPTIONS *` has a target that is no path.
    let rooted = format!("/{path}");
    assert!(
        rooted.ends_with(seen.path()) || seen.path() == "/",
        "{seen} is of {path}"
    );
    assert_eq!(forwarded.headers()["x-forwarded-for"], client);
    for name in ["forwarded", "x-cloudware-tenant", "te"] {
        assert!(!forwarded.headers().contains_key(name), "{name}");
    }
    assert_eq!(
        forwarded
            .headers()
            .get_all("x-forwarded-host")
            .iter()
            .count(),
        1
    );
}

/// The request as the server would read it.
fn request(data: &[u8]) -> Option<Request<()>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Request::new(&mut headers);
    let _ = head.parse(data).ok()?;
    let mut request = Request::builder().method(head.method?).uri(head.path?);
    for header in head.headers.iter().filter(|header| !header.name.is_empty()) {
        request = request.header(header.name, header.value);
    }
    request.body(()).ok()
}

fn named_host(request: &Request<()>) -> String {
    let target = request
        .uri()
        .authority()
        .map(|authority| authority.to_string());
    let header = || Some(request.headers().get(HOST)?.to_str().ok()?.to_owned());
    target
        .or_else(header)
        .unwrap_or_default()
        .to_ascii_lowercase()
}

/// The path within the site, where host and path do name it. Written another way than the gateway's.
fn names(host: &str, path: &str, site: &Site) -> Option<String> {
    let (tenant, instance) = (site.tenant.as_str(), site.instance.as_str());
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let name = match host.rfind(':') {
        Some(at) if digits(&host[at + 1..]) => &host[..at],
        _ => host,
    };
    let by_host = DOMAINS.iter().any(|domain| {
        name == format!("{instance}--{tenant}.{domain}")
            || (name == format!("{tenant}.{domain}") && instance == "main")
    });
    if by_host {
        return Some(path.to_owned());
    }
    let bare = name.trim_matches(['[', ']']);
    let own = DOMAINS.contains(&name) || bare.parse::<std::net::IpAddr>().is_ok();
    let within = path.strip_prefix(&format!("/t/{tenant}/{instance}"))?;
    let whole = within.is_empty() || within.starts_with('/');
    (own && whole).then(|| within.to_owned())
}
