//! What an operator can set about the gateway.

use serde::{Deserialize, Serialize};

/// The gateway's configuration. Unknown keys are errors.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayConfig {
    /// Domains of the platform, without port. `<tenant>.<domain>` is a tenant's site; the domain
    /// itself, like any IP address, is the platform's API and the path form of sites.
    pub domains: Vec<String>,
    /// Connections open at the same time, 1 to 1,000,000; further ones wait to be accepted. One address (of IPv6, a /64) may
    /// hold as many as are still free, which is half of them where there is no other; more are closed at once.
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

impl GatewayConfig {
    /// What is wrong with the settings, each in words for the operator; empty when all is well.
    #[must_use]
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        if self.domains.is_empty() {
            mistakes.push("domains: at least one is needed, such as \"localhost\"".to_owned());
        }
        for domain in &self.domains {
            if domain.is_empty() || domain.contains(['/', ':', ' ']) {
                mistakes.push(format!("domains: `{domain}` is not a domain name"));
            }
        }
        if !(1..=1_000_000).contains(&self.connections_max) {
            mistakes.push(format!(
                "connections_max = {} must be from 1 to 1000000",
                self.connections_max
            ));
        }
        mistakes
    }
}
