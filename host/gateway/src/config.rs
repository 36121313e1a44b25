//! What an operator can set about the gateway.

/// The gateway's configuration.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// Domains of the platform, without port. `<tenant>.<domain>` is a tenant's site; the domain
    /// itself, like any IP address, is the platform's API and the path form of sites.
    pub domains: Vec<String>,
    /// Connections open at the same time; further ones wait to be accepted.
    pub connections_max: u32,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            domains: vec!["localhost".to_owned()],
            connections_max: 10_000,
        }
    }
}
