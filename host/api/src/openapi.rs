//! The OpenAPI document: made from the handlers, served, and checked in.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;
use utoipa::{
    OpenApi, PartialSchema, ToSchema,
    openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
};

use crate::{
    Api,
    problem::{PackageProblem, Problem},
};

/// What is not found at a single handler.
#[derive(OpenApi)]
#[openapi(info(
    title = "cloudware",
    description = "The control plane of a cloudware platform: catalog, plans, tenants, instances, installs, quotas, usage and audit.\n\nEvery call but `GET /health` and this document needs an access token. What a caller may not see is answered as not found. Lists are paged: pass the `next` of a page as `after`. Single resources have an `ETag`; send it as `If-Match` to change them only if nobody else has."
))]
struct Base;

/// The document without any path.
pub(crate) fn base() -> utoipa::openapi::OpenApi {
    let mut document = Base::openapi();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(
        "token",
        SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)),
    );
    let schemas = &mut components.schemas;
    schemas.insert(Problem::name().into_owned(), Problem::schema());
    schemas.insert(
        PackageProblem::name().into_owned(),
        PackageProblem::schema(),
    );
    document.security = Some(vec![SecurityRequirement::new(
        "token",
        Vec::<String>::new(),
    )]);
    document
}

/// The document as text.
pub(crate) fn render(document: utoipa::openapi::OpenApi) -> String {
    let mut text = document
        .to_pretty_json()
        .expect("the document has text keys only");
    text.push('\n');
    text
}

/// The OpenAPI document
#[utoipa::path(
    get, path = "/openapi.json", tag = "platform", security(()),
    responses((status = 200, description = "This document", content_type = "application/json"))
)]
pub(crate) async fn openapi(State(api): State<Api>) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, api.document.to_string()).into_response()
}
