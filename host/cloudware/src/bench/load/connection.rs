//! One connection of the load generator: at most one request on its way, never waiting.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use super::{LoadError, response};

/// How long a connection may take to be made.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Bytes of one answer with its head.
const ANSWER_BYTES_MAX: usize = 64 << 10;

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

/// A connection with its request on the way.
pub(super) struct Connection<'a> {
    address: SocketAddr,
    stream: TcpStream,
    request: &'a [u8],
    expected: &'a [u8],
    /// When the request was sent whose answer is awaited, if one is.
    sent: Option<Instant>,
    received: Vec<u8>,
    filled: usize,
}

impl<'a> Connection<'a> {
    /// Connects and sends the first request.
    pub(super) fn open(
        address: SocketAddr,
        request: &'a [u8],
        expected: &'a [u8],
    ) -> Result<Self, LoadError> {
        let failed = |source| LoadError::Connection { address, source };
        let stream = TcpStream::connect_timeout(&address, CONNECT_MAX).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        stream.set_nonblocking(true).map_err(failed)?;
        let mut connection = Self {
            address,
            stream,
            request,
            expected,
            sent: None,
            received: vec![0; ANSWER_BYTES_MAX],
            filled: 0,
        };
        connection.send(Instant::now())?;
        Ok(connection)
    }

    /// Sends the request. Its answer must have been taken before.
    pub(super) fn send(&mut self, now: Instant) -> Result<(), LoadError> {
        self.sent = Some(now);
        // The buffer of an idle connection takes a request of a few hundred bytes at once.
        match self.stream.write(self.request) {
            Ok(written) if written == self.request.len() => Ok(()),
            Ok(_) => Err(self.failed(ErrorKind::WriteZero.into())),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Takes what has arrived.
    pub(super) fn step(&mut self) -> Result<Step, LoadError> {
        let Some(sent) = self.sent else {
            return Ok(Step::Waiting);
        };
        match self.stream.read(&mut self.received[self.filled..]) {
            Ok(0) => return Err(self.failed(ErrorKind::UnexpectedEof.into())),
            Ok(read) => self.filled += read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Step::Waiting),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(Step::Waiting),
            Err(error) => return Err(self.failed(error)),
        }
        let answer = &self.received[..self.filled];
        match response::check(answer, self.expected) {
            Ok(true) => {
                self.filled = 0;
                self.sent = None;
                Ok(Step::Answered { sent })
            }
            Ok(false) if self.filled == self.received.len() => {
                Err(self.wrong(format!("it has more than {ANSWER_BYTES_MAX} bytes")))
            }
            Ok(false) => Ok(Step::Waiting),
            Err(reason) => Err(self.wrong(reason)),
        }
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
