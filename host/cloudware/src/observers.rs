//! Between the engine and the deliveries: what observers are to be told is kept in the outbox of its instance, and
//! what is due is handed to the engine, which calls components and webhooks.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use cloudware_deliveries::{
    Call, Caller, Deliver, Deliveries, Delivery, DeliveryEvent, DeliveryFailure, Happened,
    Observer, Outlook,
};
use cloudware_engine::{DeliveryError, Engine, Observed, Outbox};

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
        };
        let delivered = self.0.deliver(delivery.instance, told).await;
        delivered.map_err(|error| match error {
            DeliveryError::Later { reason, after } => DeliveryFailure {
                reason,
                outlook: Outlook::Retry { after: Some(after) },
            },
            DeliveryError::NotServed | DeliveryError::Failed(_) => {
                DeliveryFailure::retryable(error.to_string())
            }
        })
    }
}

/// Says in the operator's log what becomes of deliveries. Tenants see them in their lists.
pub(crate) struct Told;

impl Observer for Told {
    fn happened(&self, event: DeliveryEvent) {
        let DeliveryEvent {
            instance,
            hook_name,
            happened,
            ..
        } = event;
        match happened {
            Happened::Dead { delivery, reason } => {
                tracing::warn!(%instance, hook = hook_name, %delivery, reason, "an observer could not be told and has a dead letter");
            }
            Happened::Dropped { count, reason } => {
                tracing::warn!(%instance, hook = hook_name, count, reason, "an observer is not told any more");
            }
            Happened::Gone { reason } => {
                tracing::warn!(%instance, hook = hook_name, reason, "a webhook says that it is gone; it is called until somebody disables it");
            }
        }
    }
}
