//! Between the engine and the deliveries: what observers are to be told is kept in the outbox of its instance,
//! what is due is handed to the engine, which calls components and, through the client of webhooks, endpoints; what
//! becomes of deliveries is told.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use cloudware_control::event::{DeliveryOutcome, DeliveryReport};
use cloudware_deliveries::{
    Call, Caller, Deliver, Deliveries, Delivery, DeliveryEvent, DeliveryFailure, Happened,
    Observer, Outlook, WebhookClient, WebhookFailure, WebhookMessage,
};
use cloudware_engine::{
    DeliveryError, Engine, Observed, Outbox, WebhookCall, WebhookFailed, Webhooks,
};
use serde_json::Value;

use crate::watch::{Watch, moment, now_ms};

/// When a hook is looked for again that the engine does not serve: it is being changed at this moment.
const NOT_SERVED: Duration = Duration::from_secs(5);

/// Keeps what observers are to be told.
pub(crate) struct Kept(pub(crate) Arc<Deliveries>);

#[async_trait]
impl Outbox for Kept {
    async fn keep(&self, event: Observed) -> Result<Duration, String> {
        let caller = Caller {
            instance: event.instance,
            app: event.app.as_str(),
            run: event.invocation,
            weight: event.weight,
            storage_bytes_max: event.storage_bytes_max,
        };
        let call = Call {
            app: event.app.to_string(),
            point: event.point.to_string(),
            interface: event.interface.to_string(),
            function: event.function,
            arguments: event.arguments,
            items: event.items,
            request_id: event.request_id,
        };
        let recorded = self.0.record(caller, call, &event.hooks).await;
        match recorded.result {
            Ok(()) => Ok(recorded.worked),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Hands deliveries to the engine.
pub(crate) struct Handed(pub(crate) Arc<Engine>);

#[async_trait]
impl Deliver for Handed {
    async fn deliver(&self, delivery: &Delivery) -> Result<(), DeliveryFailure> {
        let id = delivery.id.to_string();
        let told = cloudware_engine::Delivery {
            hook: delivery.hook.id,
            function: &delivery.call.function,
            arguments: &delivery.call.arguments,
            id: &id,
            request_id: &delivery.call.request_id,
            called_ms: delivery.called_ms,
        };
        let delivered = self.0.deliver(delivery.instance, told).await;
        delivered.map_err(|error| DeliveryFailure {
            outlook: match &error {
                DeliveryError::Later { after, .. } => Outlook::NotTried { after: *after },
                DeliveryError::NotServed => Outlook::NotTried { after: NOT_SERVED },
                DeliveryError::Webhook(failed) if failed.is_gone => Outlook::Gone,
                DeliveryError::Webhook(failed) => Outlook::Retry {
                    after: failed.after,
                },
                DeliveryError::Failed(_) => Outlook::Retry { after: None },
            },
            reason: error.to_string(),
        })
    }
}

/// Calls webhooks for the engine.
pub(crate) struct Called(pub(crate) Arc<WebhookClient>);

#[async_trait]
impl Webhooks for Called {
    async fn ask(&self, call: WebhookCall) -> Result<Value, WebhookFailed> {
        self.0.ask(&message(call)).await.map_err(failed)
    }

    async fn tell(&self, call: WebhookCall) -> Result<(), WebhookFailed> {
        self.0.tell(&message(call)).await.map_err(failed)
    }
}

fn message(call: WebhookCall) -> WebhookMessage {
    WebhookMessage {
        instance: call.instance,
        webhook: call.webhook,
        id: call.id,
        event: call.event,
        arguments: call.arguments,
        called_ms: call.called_ms,
        deadline: call.deadline,
    }
}

fn failed(failure: WebhookFailure) -> WebhookFailed {
    WebhookFailed {
        reason: failure.to_string(),
        after: match failure {
            WebhookFailure::Status { retry_after, .. } => retry_after,
            _ => None,
        },
        is_gone: failure == WebhookFailure::Gone,
    }
}

/// Says what becomes of deliveries: at once in the operator's log, gathered in the event feed of the tenant.
pub(crate) struct Told(pub(crate) Arc<Watch>);

impl Observer for Told {
    fn happened(&self, event: DeliveryEvent) {
        let DeliveryEvent {
            instance,
            hook,
            happened,
        } = event;
        let (outcome, count, delivery, reason) = match happened {
            Happened::Dead { delivery, reason } => {
                tracing::warn!(%instance, hook = hook.name, %delivery, reason, "an observer could not be told and has a dead letter");
                (DeliveryOutcome::Dead, 1, Some(delivery), reason)
            }
            Happened::Dropped {
                count,
                delivery,
                reason,
            } => {
                tracing::warn!(%instance, hook = hook.name, count, reason, "an observer is not told any more");
                (DeliveryOutcome::Dropped, count, delivery, reason)
            }
            Happened::Gone { delivery, reason } => {
                tracing::warn!(%instance, hook = hook.name, reason, "a webhook says that it is gone; it is called until somebody disables it");
                (DeliveryOutcome::Gone, 1, Some(delivery), reason)
            }
        };
        self.0.deliveries.note(DeliveryReport {
            at: moment(now_ms()),
            instance,
            hook: hook.id,
            app: hook.app,
            point: hook.point,
            name: hook.name,
            outcome,
            count,
            delivery,
            reason,
        });
    }
}
