//! Access tokens over HTTP.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use cloudware_control::{Token, TokenNew, token};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Api,
    caller::{Caller, to_the_end},
    page::{PageQuery, PageView, page},
    problem::{ApiError, Refusal},
};

/// What is known of a token; not the secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenView {
    /// Its id.
    id: String,
    /// `operator`, `provider` or `tenant`.
    kind: &'static str,
    /// The provider or tenant for which it speaks; absent for operators.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    /// What it is for.
    name: String,
    /// Since when it is valid (RFC 3339).
    created_at: String,
    /// When it was last used, to the minute (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<String>,
    /// Since when it is not valid any more (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<String>,
}

/// A token to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenCreate {
    /// What it is for; at most 60 characters.
    name: String,
    /// The provider for which it is to speak, by id or name.
    provider: Option<String>,
    /// The tenant for which it is to speak, by id or name.
    tenant: Option<String>,
}

/// A new token with its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenMintedView {
    /// What is known of it from now on.
    #[serde(flatten)]
    token: TokenView,
    /// What to send as bearer token. It is shown this once and kept nowhere.
    secret: String,
}

impl From<Token> for TokenView {
    fn from(token: Token) -> Self {
        Self {
            id: token.id.to_string(),
            kind: token.owner.kind(),
            owner: token.owner_name.as_ref().map(ToString::to_string),
            name: token.name,
            created_at: token.created_at.to_string(),
            last_used_at: token.last_used_at.map(|time| time.to_string()),
            revoked_at: token.revoked_at.map(|time| time.to_string()),
        }
    }
}

/// Make a token
///
/// Operators make tokens for anybody; others for themselves. Without provider and tenant it speaks
/// for the caller.
#[utoipa::path(
    post, path = "/tokens", tag = "tokens", request_body = TokenCreate,
    responses((status = 201, body = TokenMintedView), Refusal)
)]
pub(crate) async fn token_create(
    State(api): State<Api>,
    Caller(call): Caller,
    Json(body): Json<TokenCreate>,
) -> Result<(StatusCode, Json<TokenMintedView>), ApiError> {
    let new = TokenNew {
        name: body.name,
        provider: body.provider,
        tenant: body.tenant,
    };
    let minted = to_the_end(async move { token::create(&api.control, &call, new).await }).await?;
    let view = TokenMintedView {
        token: minted.token.into(),
        secret: minted.secret,
    };
    Ok((StatusCode::CREATED, Json(view)))
}

/// List tokens, newest first
#[utoipa::path(
    get, path = "/tokens", tag = "tokens", params(PageQuery),
    responses((status = 200, body = PageView<TokenView>), Refusal)
)]
pub(crate) async fn token_list(
    State(api): State<Api>,
    Caller(call): Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<PageView<TokenView>>, ApiError> {
    page(token::list(&api.control, &call, &query.request()?).await?)
}

/// Revoke a token
#[utoipa::path(
    delete, path = "/tokens/{token}", tag = "tokens",
    params(("token" = String, Path, description = "Id")),
    responses((status = 200, body = TokenView), Refusal)
)]
pub(crate) async fn token_revoke(
    State(api): State<Api>,
    Caller(call): Caller,
    Path(id): Path<String>,
) -> Result<Json<TokenView>, ApiError> {
    let revoked = to_the_end(async move { token::revoke(&api.control, &call, &id).await }).await?;
    Ok(Json(revoked.into()))
}
