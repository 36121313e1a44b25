//! What an operator can set about webhooks.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Settings of [`crate::WebhookClient`]. Unknown keys are errors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookConfig {
    /// Whether endpoints may be called without TLS, as `http://`. For development: whoever is on the way can
    /// read what is sent and change what is answered.
    pub allow_insecure: bool,
    /// Whether endpoints may have addresses that are not public, such as those of this machine and its network.
    /// For development: tenants reach whatever the host reaches.
    pub allow_private_addresses: bool,
    /// Ports that endpoints may have; none in the list means any.
    pub ports: Vec<u16>,
    /// A PEM file with certificates of authorities that are trusted beside the public ones.
    pub authorities: Option<PathBuf>,
}

impl Default for WebhookConfig {
    fn default() -> Self {
        Self {
            allow_insecure: false,
            allow_private_addresses: false,
            ports: vec![80, 443, 8080, 8443],
            authorities: None,
        }
    }
}
