//! What an endpoint is sent.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, SecondsFormat};
use cloudware_types::{InstanceId, Webhook};
use serde::Serialize;
use serde_json::Value;

use super::WebhookFailure;
use crate::limits::MESSAGE_BYTES_MAX;

/// What an endpoint is sent, and how long it may take over it.
#[derive(Clone, Debug)]
pub struct WebhookMessage {
    /// The instance whose endpoint it is.
    pub instance: InstanceId,
    /// The endpoint.
    pub webhook: Arc<Webhook>,
    /// Unique for what is told; the same when it is told again.
    pub id: String,
    /// What is called: `app/point.function`.
    pub event: String,
    /// The arguments by the parameters' names.
    pub arguments: Value,
    /// When the app called, in milliseconds since the Unix epoch.
    pub called_ms: u64,
    /// How long everything may take: look-up, connection, message and answer.
    pub deadline: Duration,
}

/// The body of a message; `type` and `timestamp` are where Standard Webhooks recommends them.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    event: &'a str,
    /// When the call was made.
    timestamp: String,
    /// The version of the payload that the endpoint was written for.
    version: u32,
    /// The arguments by the parameters' names.
    data: &'a Value,
}

/// The body of a message as bytes, which are what is signed.
///
/// # Errors
/// [`WebhookFailure::Message`] where it is too large.
pub(crate) fn body(message: &WebhookMessage) -> Result<Vec<u8>, WebhookFailure> {
    let called = i64::try_from(message.called_ms)
        .ok()
        .and_then(DateTime::from_timestamp_millis)
        .unwrap_or_default();
    let body = Body {
        event: &message.event,
        timestamp: called.to_rfc3339_opts(SecondsFormat::Millis, true),
        version: message.webhook.payload_version,
        data: &message.arguments,
    };
    let bytes = serde_json::to_vec(&body).expect("a message has text keys only");
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(WebhookFailure::Message(format!(
            "the arguments make a message of {} bytes; a webhook is sent {MESSAGE_BYTES_MAX} at most",
            bytes.len()
        )));
    }
    Ok(bytes)
}
