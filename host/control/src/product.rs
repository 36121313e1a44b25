//! Products: a provider's lines of apps. A product appears with the first release of an app in it
//! and belongs to the provider of that release.

use cloudware_types::{ProductId, ProviderId, Slug};

use crate::{
    Call, Caller, Control, Error, Page, PageRequest, Provider, Timestamp,
    limits::NAME_BYTES_MAX,
    store::{self, Connection},
};

/// A product.
#[derive(Clone, Debug)]
pub struct Product {
    /// Its id.
    pub id: ProductId,
    /// The provider that owns it.
    pub provider_id: ProviderId,
    /// The provider's name.
    pub provider: Slug,
    /// Its name, unique on the platform.
    pub slug: Slug,
    /// Since when it is here.
    pub created_at: Timestamp,
}

/// Products in order of names: a provider's own, all for everybody else.
///
/// # Errors
/// [`Error::Unauthenticated`].
pub async fn list(
    control: &Control,
    call: &Call,
    page: &PageRequest,
) -> Result<Page<Product>, Error> {
    call.authenticated()?;
    let only = match call.caller {
        Caller::Provider(id) => Some(id),
        _ => None,
    };
    let mut db = control.store.read().await?;
    let rows = store::product::list(&mut db, page, only).await?;
    Ok(page.page(rows, |product| product.slug.to_string()))
}

/// By id or name.
pub(crate) async fn find(db: &mut Connection, name: &str) -> Result<Product, Error> {
    let found = match name.len() {
        0..=NAME_BYTES_MAX => store::product::find(db, name).await?,
        _ => None,
    };
    found.ok_or_else(|| Error::not_found("product", name))
}

/// The product of this name, which comes into being if there is none; it must be the provider's.
pub(crate) async fn claim(
    db: &mut Connection,
    provider: &Provider,
    slug: &Slug,
) -> Result<(), Error> {
    match store::product::find(db, slug.as_str()).await? {
        Some(product) if product.provider_id == provider.id => Ok(()),
        Some(_) => Err(taken(slug)),
        None => {
            let product = Product {
                id: ProductId::generate(),
                provider_id: provider.id,
                provider: provider.slug.clone(),
                slug: slug.clone(),
                created_at: Timestamp::now(),
            };
            Ok(store::product::insert(db, &product).await?)
        }
    }
}

/// The refusal of a product that belongs to somebody else; it does not say to whom.
pub(crate) fn taken(slug: &Slug) -> Error {
    Error::conflict(
        "product-taken",
        format!(
            "the product `{slug}` belongs to another provider: choose another name in cloudware.toml: package.product"
        ),
    )
}
