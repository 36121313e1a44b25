//! Providers: organisations that publish products.

use cloudware_types::{ProviderId, Slug};
use serde_json::json;

use crate::{
    Call, Caller, Control, Error, Page, PageRequest, Timestamp,
    audit::Draft,
    error::{check_optional_text, check_text},
    limits::{NAME_BYTES_MAX, TITLE_CHARS_MAX},
    store::{self, Connection},
};

/// A provider.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Its id.
    pub id: ProviderId,
    /// Its name, unique on the platform.
    pub slug: Slug,
    /// Its name for people.
    pub title: String,
    /// Since when it is here.
    pub created_at: Timestamp,
}

/// What a new provider is made from.
#[derive(Clone, Debug)]
pub struct ProviderNew {
    /// Its name, unique on the platform.
    pub slug: Slug,
    /// Its name for people; the slug if absent.
    pub title: Option<String>,
}

/// Creates a provider. For operators.
///
/// # Errors
/// [`Error::Conflict`] if the name is taken; [`Error::Invalid`] for the title.
pub async fn create(control: &Control, call: &Call, new: ProviderNew) -> Result<Provider, Error> {
    call.operator("create providers")?;
    let title = match &new.title {
        Some(title) => check_text("title", title, TITLE_CHARS_MAX)?,
        None => new.slug.to_string(),
    };
    let provider = Provider {
        id: ProviderId::generate(),
        slug: new.slug,
        title,
        created_at: Timestamp::now(),
    };
    let mut db = control.store.write().await?;
    if store::provider::find(&mut db, provider.slug.as_str())
        .await?
        .is_some()
    {
        return Err(Error::conflict(
            "already-exists",
            format!("there is a provider `{}` already", provider.slug),
        ));
    }
    store::provider::insert(&mut db, &provider).await?;
    Draft::new(call, "provider.create", provider.id, &provider.slug)
        .provider(provider.id)
        .after(json!({ "slug": provider.slug, "title": provider.title }))
        .write(&mut db)
        .await?;
    db.commit().await.map_err(store::StoreError::from)?;
    Ok(provider)
}

/// Providers in order of names: all for operators, itself for a provider.
///
/// # Errors
/// [`Error::Forbidden`] for tenants.
pub async fn list(
    control: &Control,
    call: &Call,
    page: &PageRequest,
) -> Result<Page<Provider>, Error> {
    let only = match call.caller {
        Caller::Provider(id) => Some(id),
        _ => call.operator("list providers").map(|()| None)?,
    };
    let mut db = control.store.read().await?;
    let rows = store::provider::list(&mut db, page, only).await?;
    Ok(page.page(rows, |provider| provider.slug.to_string()))
}

/// One provider, by id or name: any for operators, itself for a provider.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn get(control: &Control, call: &Call, name: &str) -> Result<Provider, Error> {
    let mut db = control.store.read().await?;
    find(&mut db, call, name).await
}

/// As [`get`], within a transaction.
pub(crate) async fn find(db: &mut Connection, call: &Call, name: &str) -> Result<Provider, Error> {
    call.authenticated()?;
    let found = match name.len() {
        0..=NAME_BYTES_MAX => store::provider::find(db, name).await?,
        _ => None,
    };
    let visible = |provider: &Provider| match call.caller {
        Caller::Operator => true,
        Caller::Provider(own) => own == provider.id,
        Caller::Tenant(_) | Caller::Nobody => false,
    };
    found
        .filter(visible)
        .ok_or_else(|| Error::not_found("provider", name))
}

/// The provider on whose behalf a release is pushed: the caller itself, or the one that an operator
/// names.
pub(crate) async fn publishing(
    db: &mut Connection,
    call: &Call,
    named: Option<&str>,
) -> Result<Provider, Error> {
    call.authenticated()?;
    let named = check_optional_text("provider", named, NAME_BYTES_MAX)?;
    match (call.caller, named) {
        (Caller::Provider(_) | Caller::Operator, Some(name)) => find(db, call, &name).await,
        (Caller::Provider(own), None) => find(db, call, &own.to_string()).await,
        (Caller::Operator, None) => Err(Error::invalid(
            "provider",
            "must name the provider for which an operator pushes: `--provider NAME` (see `cloudware provider list`; `provider create` makes one)",
        )),
        (Caller::Tenant(_) | Caller::Nobody, _) => Err(Error::Forbidden(
            "only a provider or an operator may push releases".to_owned(),
        )),
    }
}
