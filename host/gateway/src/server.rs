//! The listener: accepts connections, serves HTTP/1.1 on them, and drains them at the end.

use std::{convert::Infallible, future::Future, net::IpAddr, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use cloudware_types::{Stop, StopCause};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{Full, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{rt::TokioIo, server::graceful::GracefulShutdown};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;

use crate::{
    BodyError, GatewayBody, GatewayConfig, RequestBody, RouteTable,
    address::{self, Address},
    clients::{Clients, Held},
    connection::Connection,
    forward::{self, Hop, REQUEST_ID},
    limits,
    problem::Problem,
    request_body,
    routes::Site,
    stream::ClientStream,
};

/// What answers requests to the platform itself: its API.
pub type Fallback = Arc<
    dyn Fn(
            Request<RequestBody>,
        )
            -> Pin<Box<dyn Future<Output = Response<UnsyncBoxBody<Bytes, BodyError>>> + Send>>
        + Send
        + Sync,
>;

/// Finds the site of each request and has it answered.
pub struct Gateway {
    config: GatewayConfig,
    routes: Arc<RouteTable>,
    platform: Fallback,
}

impl Gateway {
    /// A gateway over a route table.
    #[must_use]
    pub fn new(config: GatewayConfig, routes: Arc<RouteTable>, platform: Fallback) -> Self {
        Self {
            config,
            routes,
            platform,
        }
    }

    /// Answers one request; `client` is the address that it came from.
    pub async fn handle(
        &self,
        request: Request<Incoming>,
        client: &HeaderValue,
    ) -> Response<GatewayBody> {
        let (request, coming) = request_body::watch(request);
        let mut response = self.answer(request, client).await;
        coming.tell(response.headers_mut());
        response
    }

    async fn answer(
        &self,
        mut request: Request<RequestBody>,
        client: &HeaderValue,
    ) -> Response<GatewayBody> {
        let request_id = forward::request_id(&request);
        let mut response = match self.route(&request) {
            Ok(Route::Platform) => {
                request.headers_mut().insert(REQUEST_ID, request_id.clone());
                let response = (self.platform)(request).await;
                response.map(GatewayBody::Platform)
            }
            Ok(Route::App {
                site,
                mount,
                prefix_bytes,
            }) => {
                let hop = Hop {
                    prefix_bytes,
                    client,
                    request_id: &request_id,
                };
                forward::rewrite(&mut request, &hop);
                let mount = &site.mounts[mount];
                let install = match &mount.install {
                    Ok(install) => Arc::clone(install),
                    Err(why) => {
                        let problem = Problem::not_served(&site, why);
                        return problem.into_response(text(&request_id));
                    }
                };
                match install.serve(request).await {
                    Ok(response) => response.map(GatewayBody::Guest),
                    Err(stop) => {
                        tell(&site, &stop, &request_id);
                        Problem::stopped(&stop).into_response(text(&request_id))
                    }
                }
            }
            Ok(Route::AddSlash) => add_slash(&request),
            Err(problem) => problem.into_response(text(&request_id)),
        };
        response.headers_mut().insert(REQUEST_ID, request_id);
        response
    }

    /// The site that a request leads to and the request as its app would get it; `None` where the platform
    /// or the gateway itself answers. Changes nothing and runs nothing.
    pub fn resolve<B>(
        &self,
        mut request: Request<B>,
        client: &HeaderValue,
    ) -> Option<(Arc<Site>, Request<B>)> {
        let Ok(Route::App {
            site, prefix_bytes, ..
        }) = self.route(&request)
        else {
            return None;
        };
        let request_id = forward::request_id(&request);
        let hop = Hop {
            prefix_bytes,
            client,
            request_id: &request_id,
        };
        forward::rewrite(&mut request, &hop);
        Some((site, request))
    }

    fn route<B>(&self, request: &Request<B>) -> Result<Route, Problem> {
        if request.headers().get_all(header::HOST).iter().count() > 1 {
            return Err(Problem::several_hosts());
        }
        let path = request.uri().path();
        let (site, site_bytes) = match Address::of(request, &self.config.domains) {
            Address::Platform => return Ok(Route::Platform),
            Address::UnknownHost => {
                return Err(Problem::unknown_host(address::host(request)));
            }
            Address::Host { site } => {
                let found = self.routes.by_host(site);
                (found.ok_or_else(|| Problem::unknown_site(site))?, 0)
            }
            Address::Path { site, prefix_bytes } => {
                let found = self.routes.by_path(site);
                (
                    found.ok_or_else(|| Problem::unknown_site(site))?,
                    prefix_bytes,
                )
            }
        };
        if let Some(why) = &site.unavailable {
            return Err(Problem::unavailable(&site, why));
        }
        let within = &path[site_bytes..];
        let Some(mount) = site.find(within) else {
            return Err(Problem::unknown_path(&site, within));
        };
        let mount_bytes = if mount.prefix == "/" {
            0
        } else {
            mount.prefix.len()
        };
        let prefix_bytes = site_bytes + mount_bytes;
        // Relative links of a page need the final slash.
        if path.len() == prefix_bytes && prefix_bytes > 0 && request.method() == http::Method::GET {
            return Ok(Route::AddSlash);
        }
        let mount = site
            .mounts
            .iter()
            .position(|other| std::ptr::eq(other, mount))
            .expect("the mount is of this site");
        Ok(Route::App {
            site,
            mount,
            prefix_bytes,
        })
    }
}

/// Who answers a request.
enum Route {
    Platform,
    App {
        site: Arc<Site>,
        /// Index of the mount in the site.
        mount: usize,
        /// Bytes of the path before the path within the app.
        prefix_bytes: usize,
    },
    AddSlash,
}

/// Tells the operator of a request that was stopped, and of one that was refused before it ran only where he wants to know of
/// each: whoever is asked too much refuses as often as he is asked, and stops are counted (`stops list`).
fn tell(site: &Site, stop: &Stop, request_id: &HeaderValue) {
    let Site {
        tenant, instance, ..
    } = site;
    let is_crowded = matches!(stop.cause, StopCause::Overloaded { .. })
        || stop.http_status() == StatusCode::TOO_MANY_REQUESTS.as_u16();
    if is_crowded && stop.elapsed_ms == 0 {
        tracing::debug!(target: "cloudware::stop", %tenant, %instance, ?request_id, "{}", stop.explanation());
    } else {
        tracing::info!(target: "cloudware::stop", %tenant, %instance, ?request_id, "{}", stop.explanation());
    }
}

fn text(request_id: &HeaderValue) -> &str {
    request_id.to_str().unwrap_or_default()
}

fn add_slash<B>(request: &Request<B>) -> Response<GatewayBody> {
    let uri = request.uri();
    let target = match uri.query() {
        Some(query) => format!("{}/?{query}", uri.path()),
        None => format!("{}/", uri.path()),
    };
    let mut response = Response::new(GatewayBody::Whole(Full::default()));
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    if let Ok(target) = HeaderValue::from_str(&target) {
        response.headers_mut().insert(header::LOCATION, target);
    }
    response
}

/// A gateway that listens.
pub struct Server {
    gateway: Arc<Gateway>,
    listener: TcpListener,
}

impl Server {
    /// A server on a bound socket.
    #[must_use]
    pub fn new(gateway: Arc<Gateway>, listener: TcpListener) -> Self {
        Self { gateway, listener }
    }

    /// Serves until `shutdown` is cancelled, then lets requests in flight finish for at most `drain`.
    pub async fn run(self, shutdown: CancellationToken, drain: Duration) {
        let graceful = GracefulShutdown::new();
        let places = Arc::new(Semaphore::new(self.gateway.config.connections_max as usize));
        let clients = Arc::default();
        loop {
            let place = tokio::select! {
                place = Arc::clone(&places).acquire_owned() => {
                    place.expect("the semaphore is never closed")
                }
                () = shutdown.cancelled() => break,
            };
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = shutdown.cancelled() => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let free = places.available_permits();
                    match Clients::hold(&clients, peer.ip(), free) {
                        Some(held) => self.connect(stream, peer.ip(), (place, held), &graceful),
                        None => {
                            tracing::debug!(client = %peer.ip(), "a connection is one too many of its address")
                        }
                    }
                }
                Err(error) => {
                    // Out of file handles, usually: give running requests the time to free some.
                    tracing::warn!(%error, "a connection can't be accepted");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
        drop(self.listener);
        if tokio::time::timeout(drain, graceful.shutdown())
            .await
            .is_err()
        {
            tracing::warn!("some requests did not finish in time and were cut off");
        }
    }

    fn connect(
        &self,
        stream: TcpStream,
        client: IpAddr,
        place: (OwnedSemaphorePermit, Held),
        graceful: &GracefulShutdown,
    ) {
        // Answers are written whole; waiting for more to send only delays them.
        let _ = stream.set_nodelay(true);
        #[cfg(target_os = "linux")]
        let _ = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(limits::UNSENT_BYTES_MAX);
        let client = HeaderValue::from_str(&client.to_string()).expect("an address is plain text");
        let connection = Connection::new(Arc::clone(&self.gateway), client);
        let asked = Arc::clone(&connection);
        let service = service_fn(move |request| {
            let answering = asked.answering();
            async move {
                let Connection {
                    gateway, client, ..
                } = answering.connection();
                let response = gateway.handle(request, client).await;
                Ok::<_, Infallible>(answering.until_sent(response))
            }
        });
        let mut builder = http1::Builder::new();
        builder
            .header_read_timeout(None)
            .max_buf_size(limits::HEAD_BYTES_MAX)
            .max_headers(limits::HEADERS_MAX);
        let stream = TokioIo::new(ClientStream::new(stream, limits::WRITE_TIME_MAX));
        let served = graceful.watch(builder.serve_connection(stream, service));
        tokio::spawn(async move {
            match connection.drive(served, limits::HEAD_TIME_MAX).await {
                Some(Ok(())) => {}
                Some(Err(error)) => tracing::debug!(%error, "a connection ended early"),
                None => tracing::debug!("a connection was given up: no head came in time"),
            }
            drop(place);
        });
    }
}
