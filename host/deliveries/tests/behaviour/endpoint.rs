//! Endpoints of webhooks: real servers on this machine, some of them bad.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, State},
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use cloudware_deliveries::{WebhookClient, WebhookConfig, WebhookFailure, WebhookMessage};
use cloudware_types::{InstanceId, Webhook};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

use crate::fixture::{BEGIN_MS, some};

/// What an endpoint was sent.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub from: SocketAddr,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

/// An endpoint whose path says what it does.
#[derive(Clone, Default)]
pub struct Endpoint {
    pub seen: Arc<Mutex<Vec<Seen>>>,
    address: Option<SocketAddr>,
}

impl Endpoint {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Self {
            address: Some(listener.local_addr().unwrap()),
            ..Self::default()
        };
        let router = Router::new().fallback(answer).with_state(endpoint.clone());
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        endpoint
    }

    pub fn port(&self) -> u16 {
        self.address.unwrap().port()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port())
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn answer(
    State(endpoint): State<Endpoint>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().to_owned();
    let times = {
        let mut seen = endpoint.seen.lock().unwrap();
        seen.push(Seen {
            path: path.clone(),
            headers,
            body: body.clone(),
            from,
        });
        seen.len()
    };
    let large = |bytes: usize| format!("{{\"result\": \"{}\"}}", "x".repeat(bytes - 14));
    match path.as_str() {
        "/echo" => {
            let sent: Value = serde_json::from_slice(&body).unwrap();
            axum::Json(json!({ "result": sent["data"] })).into_response()
        }
        "/once-down" if times == 1 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        "/once-down" | "/no-content" => StatusCode::NO_CONTENT.into_response(),
        "/moved" => (StatusCode::FOUND, [("location", "/echo")]).into_response(),
        "/down" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        "/busy" => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "120")]).into_response(),
        "/gone" => StatusCode::GONE.into_response(),
        "/hangs" => std::future::pending().await,
        "/drips" => {
            let begun = unfinished("{\"result\":");
            Body::from_stream(begun).into_response()
        }
        "/largest" => large(1 << 20).into_response(),
        "/too-large" => large((1 << 20) + 1).into_response(),
        "/endless" => Body::from_stream(endless()).into_response(),
        "/page" => "<html>It works!</html>".into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A body that begins and never ends.
fn unfinished(
    begin: &'static str,
) -> impl futures_util::Stream<Item = Result<Bytes, std::io::Error>> {
    use futures_util::StreamExt as _;
    futures_util::stream::once(async move { Ok(Bytes::from(begin)) })
        .chain(futures_util::stream::pending())
}

/// A body that goes on and on.
fn endless() -> impl futures_util::Stream<Item = Result<Bytes, std::io::Error>> {
    futures_util::stream::repeat_with(|| Ok(Bytes::from(vec![b' '; 64 << 10])))
}

/// A server that writes these bytes to whoever connects and has sent a head, and closes.
pub async fn raw_server(bytes: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 64 << 10]).await;
            let _ = stream.write_all(&bytes).await;
        }
    });
    format!("http://127.0.0.1:{port}/")
}

/// A server with a certificate for `localhost` by the authority in `authority.pem`. Gives its port.
pub async fn tls_server() -> u16 {
    let certificate = CertificateDer::from_pem_file(tls_file("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(tls_file("server-key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let _ = stream.read(&mut [0; 64 << 10]).await;
            let body = r#"{"result": "over TLS"}"#;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    port
}

pub fn tls_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/behaviour/tls")
        .join(name)
}

/// What a developer sets to call endpoints on the own machine.
pub fn development() -> WebhookConfig {
    WebhookConfig {
        allow_insecure: true,
        allow_private_addresses: true,
        ports: Vec::new(),
        authorities: None,
    }
}

pub fn webhook(url: impl Into<String>) -> Webhook {
    Webhook {
        url: url.into(),
        keys: vec![vec![1; 24], vec![2; 24]],
        payload_version: 3,
    }
}

/// What an endpoint is asked, with time enough.
pub fn message(url: impl Into<String>) -> WebhookMessage {
    WebhookMessage {
        instance: InstanceId::generate(),
        webhook: Arc::new(webhook(url)),
        id: "msg_1".into(),
        event: "stock/allocation.allocate".into(),
        arguments: some(),
        called_ms: BEGIN_MS,
        deadline: Duration::from_secs(20),
    }
}

/// Asks an endpoint once.
pub async fn ask(config: WebhookConfig, url: &str) -> Result<Value, WebhookFailure> {
    let client = WebhookClient::new(config).unwrap();
    client.ask(&message(url)).await
}
