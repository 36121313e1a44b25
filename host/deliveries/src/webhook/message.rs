//! What an endpoint is sent.

use chrono::{DateTime, SecondsFormat};
use cloudware_types::Webhook;
use serde::Serialize;
use serde_json::Value;

use super::WebhookFailure;
use crate::{Call, limits::MESSAGE_BYTES_MAX};

/// The body of a message; `type` and `timestamp` are where Standard Webhooks recommends them.
#[derive(Serialize)]
struct Body<'a> {
    /// `<app>/<point>.<function>`
    #[serde(rename = "type")]
    kind: String,
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
pub(crate) fn body(
    webhook: &Webhook,
    call: &Call,
    called_ms: u64,
) -> Result<Vec<u8>, WebhookFailure> {
    let called = i64::try_from(called_ms)
        .ok()
        .and_then(DateTime::from_timestamp_millis)
        .unwrap_or_default();
    let body = Body {
        kind: format!("{}/{}.{}", call.app, call.point, call.function),
        timestamp: called.to_rfc3339_opts(SecondsFormat::Millis, true),
        version: webhook.payload_version,
        data: &call.arguments,
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
