//! What hooks need from outside the engine, as traits that the binary fills: a place where events are kept until
//! observers have been told, and somebody who calls webhooks.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use cloudware_types::{DesiredHook, InstanceId, RunChain, Slug, Webhook};
use serde_json::Value;

/// Something that observers are to be told.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The instance in which it happened.
    pub instance: InstanceId,
    /// The invocation that tells it: where that has an open write transaction, the event is to be kept within it
    /// ([`cloudware_capability::Invocation::chain`]).
    pub invocation: RunChain,
    /// The app that tells it.
    pub app: Slug,
    /// The extension point.
    pub point: Slug,
    /// The interface that was called, with its version.
    pub interface: Arc<str>,
    /// The function that was called.
    pub function: String,
    /// The arguments by the names of the parameters.
    pub arguments: Value,
    /// Elements of the lists in the arguments.
    pub items: u64,
    /// The request that it belongs to; empty where none is known.
    pub request_id: String,
    /// The hooks that are to be told.
    pub hooks: Vec<DesiredHook>,
    /// Size that the instance's private database may have, in bytes.
    pub storage_bytes_max: u64,
    /// The instance's share of the time that databases work.
    pub weight: u64,
}

/// Keeps what observers are to be told. Called on the request path, never twice at once for one invocation.
#[async_trait]
pub trait Outbox: Send + Sync + 'static {
    /// Keeps an event durably: with the invocation's open write transaction where it has one, and else before it
    /// returns. Gives how long the database worked for it.
    ///
    /// # Errors
    /// In words for the app's provider. The invocation is ended, so that what it changed is undone.
    async fn keep(&self, event: Observed) -> Result<Duration, String>;
}

/// One call of a webhook.
#[derive(Clone, Debug)]
pub struct WebhookCall {
    /// The instance whose endpoint it is.
    pub instance: InstanceId,
    /// The endpoint.
    pub webhook: Arc<Webhook>,
    /// Unique for what is told; the same when it is told again.
    pub id: String,
    /// What is called, `app/point.function`.
    pub event: String,
    /// The arguments by the names of the parameters.
    pub arguments: Value,
    /// When the app called, in milliseconds since the Unix epoch.
    pub called_ms: u64,
    /// How long it may take.
    pub deadline: Duration,
}

/// An endpoint did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct WebhookFailed {
    /// In words for the tenant.
    pub reason: String,
    /// How long it wants to be left alone, where it said so.
    pub after: Option<Duration>,
    /// Whether it said that it is gone for good.
    pub is_gone: bool,
}

/// Calls endpoints of tenants.
#[async_trait]
pub trait Webhooks: Send + Sync + 'static {
    /// Asks an endpoint, and gives its result.
    async fn ask(&self, call: WebhookCall) -> Result<Value, WebhookFailed>;

    /// Tells an endpoint something of which no result is wanted.
    async fn tell(&self, call: WebhookCall) -> Result<(), WebhookFailed>;
}

/// For hosts that keep no events and call no webhooks, such as benches: refuses both.
#[derive(Clone, Copy, Debug, Default)]
pub struct NothingOutside;

#[async_trait]
impl Outbox for NothingOutside {
    async fn keep(&self, _event: Observed) -> Result<Duration, String> {
        Err("this host keeps no events for observers".to_owned())
    }
}

#[async_trait]
impl Webhooks for NothingOutside {
    async fn ask(&self, _call: WebhookCall) -> Result<Value, WebhookFailed> {
        Err(WebhookFailed {
            reason: "this host calls no webhooks".to_owned(),
            after: None,
            is_gone: false,
        })
    }

    async fn tell(&self, call: WebhookCall) -> Result<(), WebhookFailed> {
        self.ask(call).await.map(drop)
    }
}
