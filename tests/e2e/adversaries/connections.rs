//! Connections that are opened and say nothing: whoever opens as many as he can keeps nobody else out.

use std::{net::SocketAddr, time::Duration};

use cloudware_tests::{Options, Platform};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// Connections of the platform under test.
const CONNECTIONS_MAX: usize = 16;

/// The time in which somebody else is answered: shorter than a head may take, after which the silent ones would go.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

async fn connect(from: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("there are sockets");
    let from = format!("{from}:0").parse().expect("it is an address");
    socket.bind(from).expect("all of 127.0.0.0/8 is local");
    socket.connect(to).await.expect("the platform listens")
}

#[tokio::test]
async fn an_address_that_opens_what_it_can_keeps_nobody_out() {
    let options = Options {
        variables: vec![(
            "CLOUDWARE_GATEWAY__CONNECTIONS_MAX".to_owned(),
            CONNECTIONS_MAX.to_string(),
        )],
        ..Options::default()
    };
    let platform = Platform::start_with(cloudware_tests::binary!(), options).await;
    let mut silent = Vec::new();
    for _ in 0..4 * CONNECTIONS_MAX {
        let mut stream = connect("127.0.0.2", platform.socket()).await;
        // One that was closed already may say so.
        let _ = stream.write_all(b"GET /api/v1/health HTTP/1.1\r\n").await;
        silent.push(stream);
    }
    let mut other = connect("127.0.0.3", platform.socket()).await;
    let request = b"GET /api/v1/health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    other.write_all(request).await.expect("it is taken");
    let mut answer = String::new();
    let read = other.read_to_string(&mut answer);
    let read = timeout(ANSWERED_WITHIN, read).await;
    let _ = read.expect("somebody else is answered").expect("whole");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // And those who behave go on from the same place once the others are gone.
    drop(silent);
    let _ = platform.api().get("/health").await.expect(200);
}
