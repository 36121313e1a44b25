//! HTTP as no client library would write it: bytes on a socket.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// How long a server may take to answer or to hang up.
const CLOSED_WITHIN: Duration = Duration::from_secs(30);

/// What came back before the server closed the connection.
#[derive(Clone, Debug)]
pub struct RawAnswer {
    /// The status code, if a status line came.
    pub status: Option<u16>,
    /// Everything, as text.
    pub text: String,
}

/// Sends a request as it stands and reads until the server closes the connection, for which the
/// request should ask.
///
/// # Panics
/// Where the server can't be reached, or neither answers nor hangs up.
pub async fn exchange(address: SocketAddr, request: impl AsRef<[u8]>) -> RawAnswer {
    exchange_parts(address, [request]).await
}

/// Sends a request as it stands and reads nothing, from a client with little room for what it does not read.
///
/// # Panics
/// Where the server can't be reached.
pub async fn send_unread(address: SocketAddr, request: impl AsRef<[u8]>) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("there are sockets");
    let small = socket.set_recv_buffer_size(4_096);
    small.expect("a buffer may be small");
    let connected = socket.connect(address).await;
    let mut client = connected.expect("the server can be reached");
    let written = client.write_all(request.as_ref()).await;
    written.expect("the request is taken");
    client
}

/// As [`exchange`], for a request that comes in parts; a server that has hung up in between is not sent
/// the rest.
///
/// # Panics
/// As [`exchange`].
pub async fn exchange_parts(
    address: SocketAddr,
    parts: impl IntoIterator<Item = impl AsRef<[u8]>>,
) -> RawAnswer {
    let stream = TcpStream::connect(address).await;
    let (mut reader, mut writer) = stream.expect("the server can be reached").into_split();
    let read = tokio::spawn(async move {
        let mut text = Vec::new();
        // A server that refuses a body hangs up on what is still under way; what it said counts.
        let _ = reader.read_to_end(&mut text).await;
        text
    });
    for part in parts {
        if read.is_finished() || writer.write_all(part.as_ref()).await.is_err() {
            break;
        }
    }
    let read = timeout(CLOSED_WITHIN, read).await;
    let bytes = read
        .expect("the server answers and closes the connection")
        .expect("reading does not panic");
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok());
    RawAnswer { status, text }
}

impl RawAnswer {
    /// The body, behind the empty line.
    #[must_use]
    pub fn body(&self) -> &str {
        self.text
            .split_once("\r\n\r\n")
            .map_or("", |(_, body)| body)
    }
}
