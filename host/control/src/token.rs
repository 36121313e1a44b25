//! Access tokens: 256 random bits behind a prefix that says what they open. Only the hash is kept,
//! so the database opens nothing; a token can be revoked at any time.

use cloudware_types::{Digest, ProviderId, Slug, TenantId, TokenId};
use rand::{RngExt, distr::Alphanumeric};
use serde_json::json;
use subtle::ConstantTimeEq;

use crate::{
    Call, Caller, Control, Error, Page, PageRequest, Timestamp,
    audit::Draft,
    error::check_text,
    limits::{NAME_BYTES_MAX, TOKEN_NAME_CHARS_MAX, TOKEN_USE_NOTED_EVERY, TOKENS_PER_OWNER_MAX},
    provider,
    store::{self, Connection, StoreError},
    tenant,
};

/// Random characters of a secret: 43 of 62 letters and digits have 256 bits.
const SECRET_CHARS: usize = 43;

/// Bytes of the longest secret with its prefix; longer texts are not looked at.
const SECRET_BYTES_MAX: usize = 60;

/// For whom a token speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenOwner {
    /// The platform's staff.
    Operator,
    /// A provider.
    Provider(ProviderId),
    /// A tenant.
    Tenant(TenantId),
}

impl TokenOwner {
    /// `operator`, `provider` or `tenant`.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Provider(_) => "provider",
            Self::Tenant(_) => "tenant",
        }
    }

    pub(crate) fn provider(self) -> Option<ProviderId> {
        match self {
            Self::Provider(id) => Some(id),
            Self::Operator | Self::Tenant(_) => None,
        }
    }

    pub(crate) fn tenant(self) -> Option<TenantId> {
        match self {
            Self::Tenant(id) => Some(id),
            Self::Operator | Self::Provider(_) => None,
        }
    }

    fn caller(self) -> Caller {
        match self {
            Self::Operator => Caller::Operator,
            Self::Provider(id) => Caller::Provider(id),
            Self::Tenant(id) => Caller::Tenant(id),
        }
    }
}

/// What is known of a token; not the secret.
#[derive(Clone, Debug)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// For whom it speaks.
    pub owner: TokenOwner,
    /// The owner's name; `None` for operators.
    pub owner_name: Option<Slug>,
    /// What it is for, for people and the audit trail.
    pub name: String,
    /// Since when it is valid.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// Since when it is not valid any more.
    pub revoked_at: Option<Timestamp>,
}

/// A new token with its secret, which is shown this once.
#[derive(Clone, Debug)]
pub struct TokenMinted {
    /// The token.
    pub token: Token,
    /// What to send as bearer token.
    pub secret: String,
}

/// What a new token is made from.
#[derive(Clone, Debug)]
pub struct TokenNew {
    /// What it is for.
    pub name: String,
    /// The provider for which it speaks, by id or name.
    pub provider: Option<String>,
    /// The tenant for which it speaks, by id or name.
    pub tenant: Option<String>,
}

/// Makes a token: operators for anybody, others for themselves. Without provider and tenant it
/// speaks for the caller.
///
/// # Errors
/// [`Error::Invalid`] for the name or for provider and tenant together; [`Error::NotFound`] for an
/// owner that the caller may not know of; [`Error::Conflict`] if the owner has too many.
pub async fn create(control: &Control, call: &Call, new: TokenNew) -> Result<TokenMinted, Error> {
    call.authenticated()?;
    let name = check_text("name", &new.name, TOKEN_NAME_CHARS_MAX)?;
    let mut db = control.store.write().await?;
    let (owner, owner_name) = owner(&mut db, call, &new).await?;
    if store::token::count_live(&mut db, owner).await? >= TOKENS_PER_OWNER_MAX {
        return Err(Error::conflict(
            "too-many",
            format!(
                "there are {TOKENS_PER_OWNER_MAX} tokens already: revoke those that are not used"
            ),
        ));
    }
    let token = Token {
        id: TokenId::generate(),
        owner,
        owner_name,
        name,
        created_at: Timestamp::now(),
        last_used_at: None,
        revoked_at: None,
    };
    let secret = secret(owner);
    store::token::insert(&mut db, &token, &hash(&secret)).await?;
    draft(call, "token.create", &token)
        .after(json!({ "kind": owner.kind(), "owner": token.owner_name, "name": token.name }))
        .write(&mut db)
        .await?;
    db.commit().await.map_err(StoreError::from)?;
    Ok(TokenMinted { token, secret })
}

/// Tokens, newest first: all for operators, their own for others.
///
/// # Errors
/// [`Error::Unauthenticated`]; [`Error::Invalid`] for a cursor of another list.
pub async fn list(
    control: &Control,
    call: &Call,
    page: &PageRequest,
) -> Result<Page<Token>, Error> {
    call.authenticated()?;
    let only = match call.caller {
        Caller::Provider(id) => Some(TokenOwner::Provider(id)),
        Caller::Tenant(id) => Some(TokenOwner::Tenant(id)),
        Caller::Operator | Caller::Nobody => None,
    };
    let mut db = control.store.read().await?;
    let rows = store::token::list(&mut db, page.cursor()?, page.rows(), only).await?;
    Ok(page.page(rows, |token| token.id.to_string()))
}

/// Makes a token invalid from now on. Revoking a revoked one does nothing.
///
/// # Errors
/// [`Error::NotFound`], also for the tokens of others.
pub async fn revoke(control: &Control, call: &Call, id: &str) -> Result<Token, Error> {
    call.authenticated()?;
    let mut db = control.store.write().await?;
    let found = match id.len() {
        0..=NAME_BYTES_MAX => store::token::find(&mut db, id).await?,
        _ => None,
    };
    let visible =
        |token: &Token| call.caller == Caller::Operator || call.caller == token.owner.caller();
    let Some(mut token) = found.filter(visible) else {
        return Err(Error::not_found("token", id));
    };
    if token.revoked_at.is_some() {
        return Ok(token);
    }
    let now = Timestamp::now();
    store::token::revoke(&mut db, token.id, now).await?;
    token.revoked_at = Some(now);
    draft(call, "token.revoke", &token).write(&mut db).await?;
    db.commit().await.map_err(StoreError::from)?;
    Ok(token)
}

/// Who shows this secret. Notes the use, at most once a minute.
///
/// # Errors
/// [`Error::Unauthenticated`] for a text that is no token or a revoked one.
pub async fn authenticate(control: &Control, secret: &str) -> Result<Token, Error> {
    if !secret.starts_with("cw_") || secret.len() > SECRET_BYTES_MAX {
        return Err(Error::Unauthenticated);
    }
    let wanted = hash(secret);
    let mut db = control.store.read().await?;
    let found = store::token::find_by_hash(&mut db, &wanted).await?;
    drop(db);
    // The index found it by its hash already; the comparison makes sure of all its bytes without
    // telling by its duration how many fit.
    let token = match found {
        Some((token, stored)) if bool::from(stored.as_bytes().ct_eq(wanted.as_bytes())) => token,
        _ => return Err(Error::Unauthenticated),
    };
    if token.revoked_at.is_some() {
        return Err(Error::Unauthenticated);
    }
    // Who may enter must not depend on whether that can be noted.
    if let Err(error) = note_use(control, &token).await {
        tracing::warn!(token = %token.id, %error, "the use of a token could not be noted");
    }
    Ok(token)
}

impl Token {
    /// The call that its owner makes.
    #[must_use]
    pub fn call(&self, request_id: impl Into<String>) -> Call {
        Call {
            caller: self.owner.caller(),
            token: Some(self.id),
            actor: match &self.owner_name {
                Some(owner) => format!("{owner}: {}", self.name),
                None => self.name.clone(),
            },
            request_id: request_id.into(),
            if_match: None,
        }
    }
}

async fn note_use(control: &Control, token: &Token) -> Result<(), Error> {
    let now = Timestamp::now();
    let pause = i64::try_from(TOKEN_USE_NOTED_EVERY.as_millis()).unwrap_or(i64::MAX);
    let recent = |last: Timestamp| now.millis().saturating_sub(last.millis()) < pause;
    if token.last_used_at.is_some_and(recent) {
        return Ok(());
    }
    let mut db = control.store.write().await?;
    store::token::used(&mut db, token.id, now).await?;
    Ok(db.commit().await.map_err(StoreError::from)?)
}

async fn owner(
    db: &mut Connection,
    call: &Call,
    new: &TokenNew,
) -> Result<(TokenOwner, Option<Slug>), Error> {
    match (&new.provider, &new.tenant, call.caller) {
        (Some(_), Some(_), _) => Err(Error::invalid(
            "provider",
            "and tenant exclude each other: a token speaks for one of them",
        )),
        (Some(name), None, _) => {
            let provider = provider::find(db, call, name).await?;
            Ok((TokenOwner::Provider(provider.id), Some(provider.slug)))
        }
        (None, Some(name), _) => {
            let tenant = tenant::find(db, call, name).await?;
            Ok((TokenOwner::Tenant(tenant.id), Some(tenant.slug)))
        }
        (None, None, Caller::Provider(id)) => {
            let provider = provider::find(db, call, &id.to_string()).await?;
            Ok((TokenOwner::Provider(id), Some(provider.slug)))
        }
        (None, None, Caller::Tenant(id)) => {
            let tenant = tenant::find(db, call, &id.to_string()).await?;
            Ok((TokenOwner::Tenant(id), Some(tenant.slug)))
        }
        (None, None, Caller::Operator) => Ok((TokenOwner::Operator, None)),
        (None, None, Caller::Nobody) => Err(Error::Unauthenticated),
    }
}

fn draft(call: &Call, action: &str, token: &Token) -> Draft {
    let draft = Draft::new(call, action, token.id, &token.name);
    match token.owner {
        TokenOwner::Operator => draft,
        TokenOwner::Provider(id) => draft.provider(id),
        TokenOwner::Tenant(id) => draft.tenant(id),
    }
}

fn secret(owner: TokenOwner) -> String {
    let prefix = match owner {
        TokenOwner::Operator => "cw_op_",
        TokenOwner::Provider(_) => "cw_prv_",
        TokenOwner::Tenant(_) => "cw_ten_",
    };
    // The thread's generator is cryptographically secure and seeded by the operating system.
    let random = rand::rng().sample_iter(Alphanumeric).take(SECRET_CHARS);
    random
        .map(char::from)
        .fold(prefix.to_owned(), |mut text, c| {
            text.push(c);
            text
        })
}

fn hash(secret: &str) -> String {
    Digest::of(secret.as_bytes()).hex()
}
