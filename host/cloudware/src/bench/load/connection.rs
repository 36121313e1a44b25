//! One connection of the load generator: at most one request on its way, never waiting.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use super::{
    LoadError,
    response::{self, Expected},
};

/// How long a connection may take to be made.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Bytes of one answer with its head.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Bytes that are read at once; most answers are shorter.
const READ_BYTES: usize = 4 << 10;

/// What a look at a connection found.
pub(super) enum Step {
    /// The answer is not there yet.
    Waiting,
    /// There was an answer, to the request sent at this time.
    Answered {
        /// When the request was sent.
        sent: Instant,
    },
}

/// A connection, with or without a request on the way.
pub(super) struct Connection {
    address: SocketAddr,
    stream: TcpStream,
    /// When the request was sent whose answer is awaited, if one is.
    sent: Option<Instant>,
    received: Vec<u8>,
    filled: usize,
}

impl Connection {
    /// Connects.
    pub(super) fn open(address: SocketAddr) -> Result<Self, LoadError> {
        let failed = |source| LoadError::Connection { address, source };
        let stream = TcpStream::connect_timeout(&address, CONNECT_MAX).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        stream.set_nonblocking(true).map_err(failed)?;
        Ok(Self {
            address,
            stream,
            sent: None,
            received: Vec::new(),
            filled: 0,
        })
    }

    /// Sends a request; it counts as sent at `at`. The answer of the one before must have been taken.
    pub(super) fn send(&mut self, request: &[u8], at: Instant) -> Result<(), LoadError> {
        self.sent = Some(at);
        // The buffer of an idle connection takes a request of a few hundred bytes at once.
        match self.stream.write(request) {
            Ok(written) if written == request.len() => Ok(()),
            Ok(_) => Err(self.failed(ErrorKind::WriteZero.into())),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Sends a part of something that has begun. False where the system takes nothing more at present.
    pub(super) fn send_part(&mut self, bytes: &[u8]) -> Result<bool, LoadError> {
        match self.stream.write(bytes) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Takes a part of what has arrived and throws it away. Gives the number of bytes; none where nothing
    /// has arrived.
    pub(super) fn discard(&mut self, part: &mut [u8]) -> Result<Option<usize>, LoadError> {
        match self.stream.read(part) {
            Ok(0) => Err(self.failed(ErrorKind::UnexpectedEof.into())),
            Ok(read) => Ok(Some(read)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Takes what has arrived.
    pub(super) fn step(&mut self, expected: &Expected) -> Result<Step, LoadError> {
        let Some(sent) = self.sent else {
            return Ok(Step::Waiting);
        };
        if self.received.len() - self.filled < READ_BYTES / 2 {
            self.received.resize(self.filled + READ_BYTES, 0);
        }
        match self.stream.read(&mut self.received[self.filled..]) {
            Ok(0) => return Err(self.failed(ErrorKind::UnexpectedEof.into())),
            Ok(read) => self.filled += read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Step::Waiting),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(Step::Waiting),
            Err(error) => return Err(self.failed(error)),
        }
        match response::check(&self.received[..self.filled], expected) {
            Ok(true) => {
                self.filled = 0;
                self.sent = None;
                Ok(Step::Answered { sent })
            }
            Ok(false) if self.filled >= ANSWER_BYTES_MAX => {
                Err(self.wrong(format!("it has more than {ANSWER_BYTES_MAX} bytes")))
            }
            Ok(false) => Ok(Step::Waiting),
            Err(reason) => Err(self.wrong(reason)),
        }
    }

    /// When the request was sent whose answer is awaited, if one is.
    pub(super) fn sent(&self) -> Option<Instant> {
        self.sent
    }

    fn failed(&self, source: io::Error) -> LoadError {
        LoadError::Connection {
            address: self.address,
            source,
        }
    }

    fn wrong(&self, reason: String) -> LoadError {
        LoadError::Answer {
            address: self.address,
            reason,
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
