//! Products over HTTP.

use axum::{
    Json,
    extract::{Query, State},
};
use cloudware_control::{Product, product};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Api,
    caller::Caller,
    page::{PageQuery, PageView, page},
    problem::{ApiError, Refusal},
};

/// A provider's line of apps.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProductView {
    /// Its id.
    id: String,
    /// Its name, unique on the platform.
    slug: String,
    /// The provider that owns it.
    provider: String,
    /// Since when it is here (RFC 3339).
    created_at: String,
}

impl From<Product> for ProductView {
    fn from(product: Product) -> Self {
        Self {
            id: product.id.to_string(),
            slug: product.slug.to_string(),
            provider: product.provider.to_string(),
            created_at: product.created_at.to_string(),
        }
    }
}

/// List products
#[utoipa::path(
    get, path = "/products", tag = "catalog", params(PageQuery),
    responses((status = 200, body = PageView<ProductView>), Refusal)
)]
pub(crate) async fn product_list(
    State(api): State<Api>,
    Caller(call): Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<PageView<ProductView>>, ApiError> {
    page(product::list(&api.control, &call, &query.request()?).await?)
}
