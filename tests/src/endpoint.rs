//! Endpoints of webhooks: servers on this machine that keep what they are sent and answer as the test says.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use tokio::net::TcpListener;

/// How old a message may be that an endpoint believes, as Standard Webhooks recommends.
const AGE_MAX: Duration = Duration::from_secs(300);

/// What an endpoint was sent.
#[derive(Clone, Debug)]
pub struct Message {
    headers: HeaderMap,
    body: Bytes,
}

type Answers = dyn Fn(&Message, usize) -> (u16, Value) + Send + Sync;

/// An endpoint. It serves until the test ends.
#[derive(Clone)]
pub struct Endpoint {
    address: SocketAddr,
    state: Arc<Served>,
}

struct Served {
    messages: Mutex<Vec<Message>>,
    answers: Box<Answers>,
}

impl Endpoint {
    /// Starts one that answers a message, of which it is told how many came before, with a status and a JSON body.
    ///
    /// # Panics
    /// Where no port is free.
    pub async fn start(
        answers: impl Fn(&Message, usize) -> (u16, Value) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port is free");
        let state = Arc::new(Served {
            messages: Mutex::default(),
            answers: Box::new(answers),
        });
        let endpoint = Self {
            address: listener.local_addr().expect("it is bound"),
            state: Arc::clone(&state),
        };
        let router = Router::new().fallback(answer).with_state(state);
        tokio::spawn(async move { axum::serve(listener, router).await });
        endpoint
    }

    /// Where it is called.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Everything that it was sent, in order.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.state.messages().clone()
    }
}

impl Served {
    fn messages(&self) -> MutexGuard<'_, Vec<Message>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(
    State(served): State<Arc<Served>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let message = Message { headers, body };
    let before = {
        let mut messages = served.messages();
        messages.push(message.clone());
        messages.len() - 1
    };
    let (status, body) = (served.answers)(&message, before);
    Response::builder()
        .status(status)
        .body(Body::from(body.to_string()))
        .expect("tests answer with valid statuses")
}

impl Message {
    /// The id, the same each time that it is told.
    #[must_use]
    pub fn id(&self) -> &str {
        self.header("webhook-id")
    }

    /// What it says.
    ///
    /// # Panics
    /// Where it is no JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a message is JSON")
    }

    /// Whether it was signed a moment ago with this key (`whsec_…`), as the receivers' libraries of Standard Webhooks
    /// find out.
    #[must_use]
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let timestamp = self.header("webhook-timestamp");
        let sent = timestamp.parse().map(Duration::from_secs);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let (Ok(sent), Ok(now)) = (sent, now) else {
            return false;
        };
        let key = secret
            .strip_prefix("whsec_")
            .map(|key| STANDARD.decode(key));
        let Some(Ok(key)) = key else { return false };
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key of any length will do");
        mac.update(format!("{}.{timestamp}.", self.id()).as_bytes());
        mac.update(&self.body);
        let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        let mut signatures = self.header("webhook-signature").split(' ');
        now.abs_diff(sent) <= AGE_MAX && signatures.any(|signature| signature == expected)
    }

    fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    }
}
