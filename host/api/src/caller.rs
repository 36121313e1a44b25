//! Who calls: the bearer token of a request, looked up before anything else of it is read.

use axum::extract::FromRequestParts;
use cloudware_control::{Call, Error, token};
use http::{header, request::Parts};

use crate::{Api, problem::ApiError, request::RequestId, revision};

/// The call that a request makes. A request without a valid token does not get further.
pub(crate) struct Caller(pub(crate) Call);

impl FromRequestParts<Api> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        // With several it is not known which one whoever is in front has looked at.
        let mut all = parts.headers.get_all(header::AUTHORIZATION).iter();
        let only = all.next().filter(|_| all.next().is_none());
        let secret = only
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, secret)| secret.trim())
            .ok_or(Error::Unauthenticated)?;
        let token = token::authenticate(&api.control, secret).await?;
        let request_id = parts.extensions.get::<RequestId>();
        let mut call = token.call(request_id.map_or("", |id| &id.0));
        call.if_match = revision::expected(&parts.headers);
        Ok(Self(call))
    }
}

/// Runs a change to its end, also when the client hangs up in between: a change that is half done
/// is worse than one that nobody waits for.
pub(crate) async fn to_the_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::spawn(change).await {
        Ok(outcome) => Ok(outcome?),
        Err(error) => Err(Error::Interrupted(error.to_string()).into()),
    }
}
