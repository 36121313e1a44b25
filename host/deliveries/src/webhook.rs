//! Webhooks: HTTP endpoints of tenants that fill extension points, called as Standard Webhooks says.
//!
//! A stranger chooses the address and writes the answer. So connections are made only to addresses that were
//! checked after they were looked up, redirects are not followed, and time and size of everything are
//! bounded. Connections are kept for each instance on its own: nobody waits for a place, a look-up or a
//! connection of another instance.

mod address;
mod answer;
mod client;
mod config;
mod connect;
mod failure;
mod message;
mod pool;
mod signature;
mod tls;
mod url;

pub use client::{StartError, WebhookClient};
pub use config::WebhookConfig;
pub use failure::WebhookFailure;
pub use message::WebhookMessage;
pub use signature::sign;
pub use url::UrlError;
