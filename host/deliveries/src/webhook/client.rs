//! Calls endpoints: writes and signs the message, and reads the answer within its bounds.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use bytes::Bytes;
use cloudware_types::HookTarget;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::Value;
use tokio::time::timeout;

use super::{
    UrlError, WebhookConfig, WebhookFailure, WebhookMessage, answer,
    connect::{ConnectError, Reach},
    message,
    pool::{Clients, InstanceClient},
    signature::sign,
    tls, url,
};
use crate::{Deliver, Delivery, DeliveryFailure, limits::ANSWER_BYTES_MAX};

/// What calls say who they are from.
const USER_AGENT: &str = concat!("cloudware/", env!("CARGO_PKG_VERSION"));

/// Calls endpoints. One per host.
pub struct WebhookClient {
    config: WebhookConfig,
    clients: Clients,
}

/// Why endpoints can't be called at all.
#[derive(Debug, thiserror::Error)]
#[error("the settings of webhooks are wrong: {0}")]
pub struct StartError(String);

impl WebhookClient {
    /// A client that has no connections yet.
    ///
    /// # Errors
    /// [`StartError`] in words for the operator.
    pub fn new(config: WebhookConfig) -> Result<Self, StartError> {
        let tls = tls::client_config(config.authorities.as_deref()).map_err(StartError)?;
        let reach = match config.allow_private_addresses {
            true => Reach::Everything,
            false => Reach::Public,
        };
        Ok(Self {
            config,
            clients: Clients::new(tls, reach),
        })
    }

    /// Whether a webhook may have this address, as far as that can be said without looking its name up. For the
    /// moment when it is registered.
    ///
    /// # Errors
    /// [`UrlError`] says what is wrong and what would do.
    pub fn check(&self, url: &str) -> Result<(), UrlError> {
        url::check_reach(&url::checked(url, &self.config)?, &self.config)
    }

    /// Asks an endpoint that fills a guard, decision or transform, and gives the `result` of its answer.
    ///
    /// # Errors
    /// [`WebhookFailure`] in words for the tenant.
    pub async fn ask(&self, message: &WebhookMessage) -> Result<Value, WebhookFailure> {
        let body = self.exchange(message).await?;
        answer::result(&body)
    }

    /// Tells an endpoint that observes. Whatever it answers with a status of success will do; it is read, so that
    /// the connection can be used again.
    ///
    /// # Errors
    /// [`WebhookFailure`] in words for the tenant.
    pub async fn tell(&self, message: &WebhookMessage) -> Result<(), WebhookFailure> {
        self.exchange(message).await.map(drop)
    }

    /// Sends a message once, and gives the body of an answer with a status of success.
    async fn exchange(&self, message: &WebhookMessage) -> Result<Bytes, WebhookFailure> {
        let request = self.request(message)?;
        let client = self.clients.get(message.instance);
        let exchange = async {
            let _place = client.calls.acquire().await;
            let response = send(&client, request).await?;
            answer::check_status(response.status(), response.headers())?;
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
            match body.collect().await {
                Ok(body) => Ok(body.to_bytes()),
                Err(error) if error.is::<LengthLimitError>() => Err(WebhookFailure::TooLarge),
                Err(error) => Err(WebhookFailure::Broken(last_cause(error.as_ref()))),
            }
        };
        let ended = timeout(message.deadline, exchange).await;
        ended.unwrap_or(Err(WebhookFailure::Deadline(message.deadline)))
    }

    fn request(&self, message: &WebhookMessage) -> Result<Request<Full<Bytes>>, WebhookFailure> {
        let uri = url::checked(&message.webhook.url, &self.config)?;
        let keys = &message.webhook.keys;
        if keys.is_empty() {
            let reason = "the webhook has no key to sign with: give it one".to_owned();
            return Err(WebhookFailure::Message(reason));
        }
        let body = message::body(message)?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let timestamp = since.map_or(0, |since| since.as_secs());
        let signature = sign(keys, &message.id, timestamp, &body);
        Request::post(uri)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, HeaderValue::from_static(USER_AGENT))
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature)
            .body(Full::from(body))
            .map_err(|error| WebhookFailure::Message(error.to_string()))
    }
}

#[async_trait]
impl Deliver for WebhookClient {
    async fn deliver(&self, delivery: &Delivery) -> Result<(), DeliveryFailure> {
        let HookTarget::Webhook(webhook) = &delivery.hook.target else {
            let reason = "the hook is a component and was taken for a webhook";
            return Err(DeliveryFailure::retryable(reason));
        };
        let call = &delivery.call;
        let message = WebhookMessage {
            instance: delivery.instance,
            webhook: Arc::clone(webhook),
            id: delivery.id.to_string(),
            event: format!("{}/{}.{}", call.app, call.point, call.function),
            arguments: call.arguments.clone(),
            called_ms: delivery.called_ms,
            deadline: Duration::from_millis(delivery.hook.deadline_ms),
        };
        Ok(self.tell(&message).await?)
    }
}

async fn send(
    client: &Arc<InstanceClient>,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, WebhookFailure> {
    client.http.request(request).await.map_err(|error| {
        if !error.is_connect() {
            return WebhookFailure::Broken(last_cause(&error));
        }
        let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(at) = cause {
            if let Some(own) = at.downcast_ref::<ConnectError>() {
                return WebhookFailure::Unreachable(own.to_string());
            }
            cause = at.source();
        }
        WebhookFailure::Unreachable(last_cause(&error))
    })
}

/// What an error says that is behind all the others: those in front only name the layer.
fn last_cause(error: &dyn Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
