//! HTTP ingress: one listener for the sites of all tenants and, on the platform's own host names, for
//! the API. Finds the site by host name or path, hands the request to the engine, and turns stops into
//! problem+json.
//!
//! The route table is all it knows: it has no database and asks nobody on the request path.

mod address;
mod body;
mod clients;
mod config;
mod connection;
mod forward;
mod limits;
mod problem;
mod request_body;
mod routes;
mod server;
mod stream;

pub use body::{BodyError, GatewayBody};
pub use config::GatewayConfig;
pub use request_body::RequestBody;
pub use routes::{Mount, NotServed, RouteTable, Site};
pub use server::{Fallback, Gateway, Server};
