//! Standard output and error of guests: log text, a record a line.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use cloudware_capability::{GuestLog, LogLevel};
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

/// The longest line that is one record; a longer one is split.
const LINE_BYTES_MAX: usize = 8 << 10;

/// Bytes that a stream says it takes in one write.
const WRITE_BYTES_MAX: usize = 64 << 10;

/// Where a guest's standard output or error goes.
pub(crate) struct LogStream {
    /// The invocation's log.
    pub(crate) log: Arc<GuestLog>,
    /// How important the lines are taken to be.
    pub(crate) level: LogLevel,
}

/// One open stream: keeps what has no line break yet.
struct LineWriter {
    log: Arc<GuestLog>,
    level: LogLevel,
    pending: Vec<u8>,
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl LogStream {
    fn writer(&self) -> LineWriter {
        LineWriter {
            log: Arc::clone(&self.log),
            level: self.level,
            pending: Vec::new(),
        }
    }
}

impl StdoutStream for LogStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.writer())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.writer())
    }
}

impl LineWriter {
    fn take(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let room = LINE_BYTES_MAX.saturating_sub(self.pending.len());
            for chunk in split_first_at(piece, room) {
                self.pending.extend_from_slice(chunk);
                if self.pending.len() >= LINE_BYTES_MAX {
                    self.end_line();
                }
            }
            if piece.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.pending);
        let line = line.trim_end_matches(['\n', '\r']);
        if !line.is_empty() {
            self.log.write(self.level, "", line);
        }
        self.pending.clear();
    }
}

/// `bytes` in pieces: the first of at most `room` bytes, the others of at most a line's length.
fn split_first_at(bytes: &[u8], room: usize) -> impl Iterator<Item = &[u8]> {
    let (first, rest) = bytes.split_at(room.min(bytes.len()));
    std::iter::once(first).chain(rest.chunks(LINE_BYTES_MAX))
}

impl Drop for LineWriter {
    fn drop(&mut self) {
        self.end_line();
    }
}

impl AsyncWrite for LineWriter {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for LineWriter {
    async fn ready(&mut self) {}
}

impl OutputStream for LineWriter {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}
