//! Pages of lists, with a cursor.

use axum::Json;
use cloudware_control::{Error, Page, PageRequest};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::problem::ApiError;

/// Which piece of a list is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// At most this many items, from 1 to 500; 50 if absent.
    pub(crate) limit: Option<u32>,
    /// The `next` of the page before.
    pub(crate) after: Option<String>,
}

/// One piece of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PageView<T> {
    /// The items.
    items: Vec<T>,
    /// What to send as `after` to get the next piece; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl PageQuery {
    pub(crate) fn request(self) -> Result<PageRequest, Error> {
        PageRequest::new(self.limit, self.after)
    }
}

/// A page of what the control plane gave, item by item as callers see it.
pub(crate) fn page<T, V: From<T>>(page: Page<T>) -> Result<Json<PageView<V>>, ApiError> {
    Ok(Json(PageView {
        items: page.items.into_iter().map(V::from).collect(),
        next: page.next,
    }))
}
