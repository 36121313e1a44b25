//! Durable deliveries: what observers of an extension point are owed, from the call to the last attempt.
//!
//! - A call of an observe point is written into the private database of its instance, in the transaction that
//!   the caller has open if it has one: it is told to the hooks if and only if that transaction is committed.
//! - Each hook is told at least once, on its own: attempts with growing pauses, then a dead letter that people
//!   can look at and replay. A `kill -9` loses nothing and repeats at most what was in flight.
//! - Nothing is polled, and the database of an instance without work is not opened: work begins with a commit,
//!   with a hook that is served anew, and when a pause is over.
//!
//! What a hook is, the queue does not know: [`Deliver`] hands a delivery on, to a component or to a webhook.
//! The client of webhooks, [`WebhookClient`], is here as well; hooks of the other kinds are asked through it.

mod attempt;
mod backoff;
mod clock;
mod config;
mod deliver;
mod deliveries;
pub mod limits;
mod observer;
mod outbox;
mod queue;
mod round;
mod rows;
mod webhook;
mod worker;

pub use clock::{Clock, SystemClock};
pub use config::Config;
pub use deliver::{Call, Deliver, Delivery, DeliveryFailure, Outlook};
pub use deliveries::{Deliveries, DeliveryFilter, Parts, Replay};
pub use observer::{DeliveryEvent, Happened, HookPlace, Observer};
pub use outbox::{Caller, RecordError, Recorded};
pub use webhook::{
    StartError, UrlError, WebhookClient, WebhookConfig, WebhookFailure, WebhookMessage, sign,
};
