//! What the endpoint of a webhook answers: everything that comes over the connection.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, LazyLock},
    time::Duration,
};

use cloudware_deliveries::{
    WebhookClient, WebhookConfig, WebhookMessage, limits::ANSWER_BYTES_MAX,
};
use cloudware_types::{InstanceId, Webhook};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};

/// Words of answers.
pub const WORDS: &[&str] = &[
    "HTTP/1.1 ",
    "HTTP/1.0 ",
    "200 OK\r\n",
    "204 No Content\r\n",
    "100 Continue\r\n\r\n",
    "101 Switching Protocols\r\n",
    "302 Found\r\n",
    "410 Gone\r\n",
    "503 Service Unavailable\r\n",
    "content-length: ",
    "transfer-encoding: chunked\r\n",
    "content-encoding: gzip\r\n",
    "retry-after: ",
    "retry-after: 99999999999999999999\r\n",
    "retry-after: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
    "connection: close\r\n",
    "location: http://169.254.169.254/\r\n",
    "\r\n",
    "0\r\n\r\n",
    "ffffffffffffffff\r\n",
    "{\"result\": ",
    "{\"result\":null,\"result\":1}",
    "[[[[[[[[[[[[[[[[",
    "1e999",
    "\\ud800",
    "}",
    "\u{feff}",
];

/// Characters of the reason of a failure: people read it in a list.
const REASON_CHARS_MAX: usize = 1_000;

/// Longer than any exchange on this machine takes, so that one that hangs is found.
const DEADLINE: Duration = Duration::from_secs(30);

static HARNESS: LazyLock<Harness> = LazyLock::new(Harness::start);

/// The client under test, and an endpoint that answers whatever it is told.
struct Harness {
    runtime: Runtime,
    client: WebhookClient,
    endpoint: SocketAddr,
    answer: Arc<Mutex<Vec<u8>>>,
}

impl Harness {
    fn start() -> Self {
        let runtime = Runtime::new().expect("threads can be started");
        let answer = Arc::new(Mutex::new(Vec::new()));
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a port is free");
        let endpoint = listener.local_addr().expect("it is bound");
        runtime.spawn(serve(listener, Arc::clone(&answer)));
        let config = WebhookConfig {
            allow_insecure: true,
            allow_private_addresses: true,
            ports: Vec::new(),
            authorities: None,
        };
        Self {
            runtime,
            client: WebhookClient::new(config).expect("the settings are right"),
            endpoint,
            answer,
        }
    }

    fn ask(&self, answer: &[u8]) -> Result<Value, String> {
        answer.clone_into(&mut self.answer.lock());
        let message = WebhookMessage {
            // Connections belong to an instance: no input finds one that another has left.
            instance: InstanceId::generate(),
            webhook: Arc::new(Webhook {
                url: format!("http://{}/", self.endpoint),
                keys: vec![vec![1; 24]],
                payload_version: 1,
            }),
            id: "msg_1".to_owned(),
            event: "stock/allocation.allocate".to_owned(),
            arguments: Value::Null,
            called_ms: 0,
            deadline: DEADLINE,
        };
        let asked = self.runtime.block_on(self.client.ask(&message));
        asked.map_err(|failure| failure.to_string())
    }
}

async fn serve(listener: TcpListener, answer: Arc<Mutex<Vec<u8>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let answer = answer.lock().clone();
        tokio::spawn(exchange(stream, answer));
    }
}

/// Reads a message, which ends with its JSON object, answers and closes.
async fn exchange(mut stream: TcpStream, answer: Vec<u8>) -> io::Result<()> {
    let mut message = Vec::new();
    while !message.ends_with(b"}") {
        if stream.read_buf(&mut message).await? == 0 {
            return Ok(());
        }
    }
    stream.write_all(&answer).await?;
    stream.shutdown().await
}

/// Calls an endpoint that answers these bytes.
///
/// # Panics
/// Where the call hangs, gives something else than the endpoint's `result`, or takes failure for success.
pub fn run(data: &[u8]) {
    let given = HARNESS.ask(data);
    match given {
        Err(reason) => {
            assert!(!reason.contains("did not answer within"), "it hangs");
            assert!(
                reason.chars().count() <= REASON_CHARS_MAX,
                "a reason of {} bytes",
                reason.len()
            );
        }
        Ok(value) => {
            assert!(data.len() <= ANSWER_BYTES_MAX + (64 << 10), "too large");
            if let Some(expected) = result(data) {
                assert_eq!(value, expected);
            }
        }
    }
}

/// The `result` of an answer that was a success, read in another way than the client's; `None` where this way can't
/// read it.
///
/// # Panics
/// Where it was none.
fn result(mut data: &[u8]) -> Option<Value> {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 100];
        let mut head = httparse::Response::new(&mut headers);
        let Ok(httparse::Status::Complete(length)) = head.parse(data) else {
            return None;
        };
        let body = &data[length..];
        let code = head.code?;
        if (100..200).contains(&code) && code != 101 {
            data = body;
            continue;
        }
        assert!((200..300).contains(&code), "{code} was taken for success");
        let named = |name: &str| {
            let found = head.headers.iter();
            found
                .filter(|header| header.name.eq_ignore_ascii_case(name))
                .map(|header| header.value)
                .collect::<Vec<_>>()
        };
        if !named("transfer-encoding").is_empty() {
            return None;
        }
        let body = match named("content-length")[..] {
            [] => body,
            [length] if length.iter().all(u8::is_ascii_digit) => {
                let length: usize = str::from_utf8(length).ok()?.parse().ok()?;
                body.get(..length)?
            }
            _ => return None,
        };
        let mut object: serde_json::Map<String, Value> = serde_json::from_slice(body).ok()?;
        let found = object.remove("result");
        assert!(
            found.is_some(),
            "an object without a result was taken for an answer"
        );
        return found;
    }
}
