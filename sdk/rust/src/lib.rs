//! What a Rust app on Cloudware uses: HTTP requests and responses, SQL, key-value data,
//! configuration, logs, clock and random numbers. One module per capability, named as the manifest
//! names the capability.
//!
//! Extension points, of an app or filled by an extension, need nothing of this crate: see `sdk/README.md`.
//!
//! A component imports what it uses and no more: an app that never calls [`sql`] does not import
//! the SQL interface, and need not ask for it in its manifest.
//!
//! ```no_run
//! use cloudware_sdk::http::{Request, Response};
//!
//! fn handle(request: Request) -> Response {
//!     Response::text(format!("hello from {}\n", request.path()))
//! }
//!
//! cloudware_sdk::app!(handle);
//! # fn main() {}
//! ```

// Generated code has its own habits.
#[allow(missing_docs, unused_qualifications, clippy::unwrap_used)]
mod bindings;

pub mod clock;
pub mod config;
pub mod http;
pub mod kv;
pub mod limits;
pub mod logging;
pub mod random;
pub mod sql;
mod storage;

pub use storage::StorageFailure;

/// What [`app!`] expands to needs these names; nothing else does.
#[doc(hidden)]
pub mod exported {
    pub use wasip2;
}

/// Exports a function as the app's HTTP handler (`wasi:http/incoming-handler`).
///
/// The function takes a [`http::Request`] and gives anything that is
/// [`http::IntoResponse`]. Used once, in the root of a crate of type `cdylib`.
#[macro_export]
macro_rules! app {
    ($handle:path) => {
        const _: () = {
            struct App;

            impl $crate::exported::wasip2::exports::http::incoming_handler::Guest for App {
                fn handle(
                    request: $crate::exported::wasip2::http::types::IncomingRequest,
                    response: $crate::exported::wasip2::http::types::ResponseOutparam,
                ) {
                    $crate::http::serve(request, response, $handle);
                }
            }

            $crate::exported::wasip2::http::proxy::export!(
                App with_types_in $crate::exported::wasip2
            );
        };
    };
}
