//! HTTP: the request that the app is asked, the response that it gives, and a router.
//!
//! ```no_run
//! use cloudware_sdk::http::{IntoResponse, Problem, Request, Response, Router, Status};
//!
//! fn show(request: Request) -> Result<Response, Problem> {
//!     match request.param("sku") {
//!         "A-1" => Ok(Response::text("a box of screws\n")),
//!         sku => Err(Problem::new(Status::NOT_FOUND, "no-such-item")
//!             .with_detail(format!("there is no item `{sku}`"))),
//!     }
//! }
//!
//! fn handle(request: Request) -> Response {
//!     Router::new().get("/items/{sku}", show).handle(request)
//! }
//!
//! cloudware_sdk::app!(handle);
//! # fn main() {}
//! ```

mod body;
mod percent;
mod problem;
mod request;
mod response;
mod router;

pub use body::{BodyError, BodyReader, BodyWriter};
pub use percent::{decode, encode_segment, parse_pairs};
pub use problem::Problem;
pub use request::{Method, Request};
pub use response::{IntoResponse, Response, Status};
pub use router::Router;

#[cfg(feature = "json")]
pub use body::{JSON_BYTES_MAX, JsonError};

use wasip2::http::types::{IncomingRequest, ResponseOutparam};

/// Answers a request of the host by a handler. [`crate::app!`] calls it; call it yourself only from an
/// own implementation of `wasi:http/incoming-handler`.
pub fn serve<R: IntoResponse>(
    request: IncomingRequest,
    response: ResponseOutparam,
    handle: impl FnOnce(Request) -> R,
) {
    handle(Request::from_host(request))
        .into_response()
        .send(response);
}
