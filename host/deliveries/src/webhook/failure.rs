//! How a call of an endpoint fails, in words for the tenant whose endpoint it is.

use std::time::Duration;

use http::StatusCode;

use super::UrlError;
use crate::{DeliveryFailure, Outlook, limits::ANSWER_BYTES_MAX};

/// Why an endpoint did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookFailure {
    /// This platform does not call the address.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// What is to be sent can't be.
    #[error("{0}")]
    Message(String),
    /// No connection came about.
    #[error("the endpoint can't be reached: {0}")]
    Unreachable(String),
    /// The connection broke off, or what came over it is not HTTP.
    #[error("the endpoint did not answer in HTTP: {0}")]
    Broken(String),
    /// It took too long.
    #[error("the endpoint did not answer within {} ms", .0.as_millis())]
    Deadline(Duration),
    /// It wants to be called elsewhere.
    #[error(
        "the endpoint answered {0}, and redirects are not followed: give the webhook the address that it leads to"
    )]
    Redirect(StatusCode),
    /// It answered that something is wrong.
    #[error("the endpoint answered {status}")]
    Status {
        /// What it answered.
        status: StatusCode,
        /// When it wants to be called again.
        retry_after: Option<Duration>,
    },
    /// It wants to be called never again.
    #[error(
        "the endpoint answered 410 Gone: it wants no more calls; disable or remove the webhook"
    )]
    Gone,
    /// It answered more than is read.
    #[error("the endpoint answered more than {ANSWER_BYTES_MAX} bytes")]
    TooLarge,
    /// It answered something else than was asked for.
    #[error("the endpoint's answer can't be used: {0}")]
    Answer(String),
}

impl From<WebhookFailure> for DeliveryFailure {
    /// Whatever an endpoint does wrong can be put right within a day; only what is to be sent can't.
    fn from(failure: WebhookFailure) -> Self {
        let outlook = match &failure {
            WebhookFailure::Gone => Outlook::Gone,
            WebhookFailure::Message(_) => Outlook::Never,
            WebhookFailure::Status { retry_after, .. } => Outlook::Retry {
                after: *retry_after,
            },
            _ => Outlook::Retry { after: None },
        };
        Self {
            reason: failure.to_string(),
            outlook,
        }
    }
}
