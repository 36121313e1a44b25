//! Apps: independently versioned packages. An app appears with its first release and belongs to the
//! provider of that release.

use cloudware_types::{AppId, ProviderId, Slug};
use semver::Version;

use crate::{
    Call, Caller, Control, Error, Page, PageRequest, Timestamp,
    limits::NAME_BYTES_MAX,
    store::{self, Connection},
};

/// An app in the catalog.
#[derive(Clone, Debug)]
pub struct App {
    /// Its id.
    pub id: AppId,
    /// The provider that owns it.
    pub provider_id: ProviderId,
    /// The provider's name.
    pub provider: Slug,
    /// The product that it belongs to.
    pub product: Slug,
    /// Its name, unique on the platform.
    pub slug: Slug,
    /// Its name for people, from its newest published release.
    pub title: String,
    /// What it does, from its newest published release.
    pub description: String,
    /// The newest published version; `None` if all are deprecated or yanked.
    pub latest: Option<Version>,
    /// Since when it is here.
    pub created_at: Timestamp,
}

/// Apps in order of names: a provider's own, all for operators and tenants.
///
/// # Errors
/// [`Error::Unauthenticated`].
pub async fn list(control: &Control, call: &Call, page: &PageRequest) -> Result<Page<App>, Error> {
    call.authenticated()?;
    let only = match call.caller {
        Caller::Provider(id) => Some(id),
        _ => None,
    };
    let mut db = control.store.read().await?;
    let rows = store::app::list(&mut db, page, only).await?;
    Ok(page.page(rows, |app| app.slug.to_string()))
}

/// One app, by id or name.
///
/// # Errors
/// [`Error::NotFound`], also for the apps of other providers.
pub async fn get(control: &Control, call: &Call, name: &str) -> Result<App, Error> {
    let mut db = control.store.read().await?;
    find(&mut db, call, name).await
}

/// As [`get`], within a transaction.
pub(crate) async fn find(db: &mut Connection, call: &Call, name: &str) -> Result<App, Error> {
    call.authenticated()?;
    let found = match name.len() {
        0..=NAME_BYTES_MAX => store::app::find(db, name).await?,
        _ => None,
    };
    found
        .filter(|app| call.sees_apps_of(app.provider_id))
        .ok_or_else(|| Error::not_found("app", name))
}
