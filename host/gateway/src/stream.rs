//! The socket of a client: a short answer leaves in one piece, and a client that takes nothing for too long is
//! cut off.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

use crate::limits::JOINED_BYTES_MAX;

/// A client's socket.
pub(crate) struct ClientStream {
    socket: TcpStream,
    /// How long the client may take nothing of what is written.
    write_time_max: Duration,
    /// Until when the client must take something; there only while it takes nothing.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl ClientStream {
    pub(crate) fn new(socket: TcpStream, write_time_max: Duration) -> Self {
        Self {
            socket,
            write_time_max,
            deadline: None,
        }
    }

    /// What a write gave, or an error where the client has been waited for too long.
    fn in_time(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.deadline = None;
            return written;
        }
        let max = self.write_time_max;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(max)));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.in_time(cx, written)
    }

    /// Joins what is short: copying it costs less than telling the kernel of several pieces.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        if length > JOINED_BYTES_MAX {
            let written = Pin::new(&mut self.socket).poll_write_vectored(cx, pieces);
            return self.in_time(cx, written);
        }
        let mut joined = [0; JOINED_BYTES_MAX];
        let mut at = 0;
        for piece in pieces {
            joined[at..at + piece.len()].copy_from_slice(piece);
            at += piece.len();
        }
        self.poll_write(cx, &joined[..length])
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Instant};

    use tokio::{
        io::AsyncReadExt as _,
        net::{TcpListener, TcpSocket},
    };

    use super::*;

    const WRITE_TIME_MAX: Duration = Duration::from_millis(50);

    /// Both ends of a connection. What the client does not read fills the buffers soon.
    async fn connection() -> (ClientStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpSocket::new_v4().unwrap();
        client.set_recv_buffer_size(4_096).unwrap();
        let client = client.connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        let stream = ClientStream::new(accepted.unwrap().0, WRITE_TIME_MAX);
        (stream, client.unwrap())
    }

    async fn write(stream: &mut ClientStream, pieces: &[&[u8]]) -> io::Result<usize> {
        let pieces: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        poll_fn(|cx| Pin::new(&mut *stream).poll_write_vectored(cx, &pieces)).await
    }

    #[tokio::test]
    async fn short_and_long_pieces_arrive_in_order() {
        let (mut stream, mut client) = connection().await;
        let long = vec![b'x'; JOINED_BYTES_MAX];
        for pieces in [
            [&b"head"[..], &b""[..], &b"body"[..]],
            [&b"head"[..], &long[..], &b"end"[..]],
        ] {
            let all = pieces.concat();
            let written = write(&mut stream, &pieces).await.unwrap();
            assert!((1..=all.len()).contains(&written));
            let mut read = vec![0; written];
            client.read_exact(&mut read).await.unwrap();
            assert_eq!(read, all[..written]);
        }
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_cut_off() {
        let (mut stream, _client) = connection().await;
        let block = vec![0; 1 << 20];
        let mut last = Instant::now();
        let error = loop {
            match write(&mut stream, &[&block]).await {
                Ok(_) => last = Instant::now(),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(last.elapsed() >= WRITE_TIME_MAX);
    }
}
