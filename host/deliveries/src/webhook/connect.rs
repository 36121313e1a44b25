//! Opens connections to endpoints. This is the one place where an address is connected to, and each was checked
//! here after it was looked up, whatever the name or number in the URL was.

use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, sync::Semaphore};
use tower::Service;

use super::address::is_public;
use crate::limits::{ADDRESS_STAGGER, ADDRESSES_MAX, LOOKUPS_PER_INSTANCE_MAX};

/// Which addresses may be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Public ones.
    Public,
    /// All, for development.
    Everything,
}

/// Connects on behalf of one instance. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Connector {
    reach: Reach,
    lookups: Arc<Semaphore>,
}

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// Names that don't exist and names of private machines look the same, so that tenants can't find out
    /// which machines there are.
    #[error("no public address was found for `{host}`")]
    NoAddress {
        /// The host in the URL.
        host: String,
    },
    /// No address accepted the connection.
    #[error("no connection to `{host}` came about: {source}")]
    Refused {
        /// The host in the URL.
        host: String,
        /// What the last address said.
        source: io::Error,
    },
}

impl Connector {
    pub(crate) fn new(reach: Reach) -> Self {
        Self {
            reach,
            lookups: Arc::new(Semaphore::new(LOOKUPS_PER_INSTANCE_MAX)),
        }
    }

    async fn connect(self, uri: Uri) -> Result<TokioIo<TcpStream>, ConnectError> {
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or_else(|| match uri.scheme_str() {
            Some("http") => 80,
            _ => 443,
        });
        let found = match host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => self.look_up(host.to_owned(), port).await,
        };
        let allowed: Vec<_> = found
            .into_iter()
            .filter(|address| self.reach == Reach::Everything || is_public(address.ip()))
            .take(ADDRESSES_MAX)
            .collect();
        let Some(result) = first(&allowed).await else {
            let host = host.to_owned();
            return Err(ConnectError::NoAddress { host });
        };
        let host = host.to_owned();
        let stream = result.map_err(|source| ConnectError::Refused { host, source })?;
        // Messages are written whole; waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        Ok(TokioIo::new(stream))
    }

    /// The addresses of a name; none where it has none or can't be looked up.
    async fn look_up(&self, name: String, port: u16) -> Vec<SocketAddr> {
        // The system's resolver can't be cancelled. So the place is given back by the thread that it blocks and
        // not by the caller, who may have gone away, or names that nobody answers for would take all threads.
        let Ok(place) = Arc::clone(&self.lookups).acquire_owned().await else {
            return Vec::new();
        };
        let looked_up = tokio::task::spawn_blocking(move || {
            let _place = place;
            let found = (name.as_str(), port).to_socket_addrs();
            found.map(Iterator::collect).unwrap_or_default()
        });
        looked_up.await.unwrap_or_default()
    }
}

/// The first connection that comes about, each address begun a little later than the one before (RFC 8305);
/// `None` where there are no addresses.
async fn first(addresses: &[SocketAddr]) -> Option<io::Result<TcpStream>> {
    let connect = |(number, address): (u32, &SocketAddr)| {
        let address = *address;
        async move {
            tokio::time::sleep(ADDRESS_STAGGER * number).await;
            TcpStream::connect(address).await
        }
    };
    let mut connecting: FuturesUnordered<_> = (0..).zip(addresses).map(connect).collect();
    let mut last = None;
    while let Some(result) = connecting.next().await {
        let is_there = result.is_ok();
        last = Some(result);
        if is_there {
            break;
        }
    }
    last
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}
