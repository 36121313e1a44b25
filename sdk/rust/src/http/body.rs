//! Bodies: reading that of a request, writing that of a response.

use std::{
    error, fmt,
    io::{self, Cursor, Read, Write},
};

use wasip2::{
    http::types::IncomingBody,
    io::streams::{InputStream, OutputStream, StreamError},
};

/// The most bytes that [`super::Request::json`] reads: far above any record that a person or a
/// program sends at once, and far below what would fill an app's memory.
#[cfg(feature = "json")]
pub const JSON_BYTES_MAX: usize = 1_048_576;

/// What a body is read in: large enough to make host calls rare, small against an app's memory.
const CHUNK_BYTES: usize = 65_536;

/// The most that `wasi:io` takes in one call that waits.
const SINGLE_WRITE_BYTES_MAX: usize = 4_096;

/// Why a request body could not be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BodyError {
    /// It has more bytes than the reader allows.
    TooLarge {
        /// The most that was allowed.
        bytes_max: usize,
    },
    /// It was read before.
    AlreadyRead,
    /// It ended too early; the text says why.
    Interrupted(String),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes_max } => {
                write!(f, "the request body has more than {bytes_max} bytes")
            }
            Self::AlreadyRead => f.write_str("the request body was read before"),
            Self::Interrupted(why) => write!(f, "the request body ended too early: {why}"),
        }
    }
}

impl error::Error for BodyError {}

/// Why a request body is not the JSON that the app wants.
#[cfg(feature = "json")]
#[derive(Debug)]
pub enum JsonError {
    /// It could not be read.
    Body(BodyError),
    /// It is not JSON, or not of the wanted shape.
    Json(serde_json::Error),
}

#[cfg(feature = "json")]
impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body(error) => error.fmt(f),
            Self::Json(error) => write!(f, "the request body is not as expected: {error}"),
        }
    }
}

#[cfg(feature = "json")]
impl error::Error for JsonError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Body(error) => Some(error),
            Self::Json(error) => Some(error),
        }
    }
}

impl From<BodyError> for super::Problem {
    fn from(error: BodyError) -> Self {
        use super::Status;
        let (status, kind) = match &error {
            BodyError::TooLarge { .. } => (Status::PAYLOAD_TOO_LARGE, "body-too-large"),
            BodyError::AlreadyRead => (Status::INTERNAL_SERVER_ERROR, "internal"),
            BodyError::Interrupted(_) => (Status::BAD_REQUEST, "body-interrupted"),
        };
        Self::new(status, kind).with_detail(error.to_string())
    }
}

#[cfg(feature = "json")]
impl From<JsonError> for super::Problem {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::Body(error) => error.into(),
            JsonError::Json(_) => {
                Self::new(super::Status::BAD_REQUEST, "invalid-json").with_detail(error.to_string())
            }
        }
    }
}

/// Reads a request body piece by piece.
pub struct BodyReader(Source);

enum Source {
    /// The stream is a part of the body, and is dropped before it.
    Host {
        stream: InputStream,
        _body: IncomingBody,
    },
    Memory(Cursor<Vec<u8>>),
}

impl BodyReader {
    pub(super) fn from_host(body: IncomingBody) -> Result<Self, BodyError> {
        let stream = body.stream().map_err(|()| BodyError::AlreadyRead)?;
        Ok(Self(Source::Host {
            stream,
            _body: body,
        }))
    }

    pub(super) fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(Source::Memory(Cursor::new(bytes)))
    }

    /// The next bytes, at most 64 KiB of them; `None` at the end.
    ///
    /// # Errors
    /// [`BodyError::Interrupted`].
    pub fn next_chunk(&mut self) -> Result<Option<Vec<u8>>, BodyError> {
        match &mut self.0 {
            Source::Host { stream, .. } => match stream.blocking_read(CHUNK_BYTES as u64) {
                Ok(chunk) => Ok(Some(chunk)),
                Err(StreamError::Closed) => Ok(None),
                Err(StreamError::LastOperationFailed(error)) => {
                    Err(BodyError::Interrupted(error.to_debug_string()))
                }
            },
            Source::Memory(bytes) => {
                let mut chunk = Vec::new();
                // Reading from memory can't fail.
                let _ = bytes.take(CHUNK_BYTES as u64).read_to_end(&mut chunk);
                Ok((!chunk.is_empty()).then_some(chunk))
            }
        }
    }

    /// All that remains, if it has at most `bytes_max` bytes.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`], [`BodyError::Interrupted`].
    pub fn read_all(mut self, bytes_max: usize) -> Result<Vec<u8>, BodyError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.next_chunk()? {
            if chunk.len() > bytes_max - bytes.len() {
                return Err(BodyError::TooLarge { bytes_max });
            }
            if bytes.is_empty() {
                bytes = chunk;
            } else {
                bytes.extend_from_slice(&chunk);
            }
        }
        Ok(bytes)
    }
}

/// Writes a response body piece by piece; each piece can be on its way before the next is made.
pub struct BodyWriter(Sink);

enum Sink {
    Host(OutputStream),
    Memory(Vec<u8>),
}

impl BodyWriter {
    pub(super) fn to_host(stream: OutputStream) -> Self {
        Self(Sink::Host(stream))
    }

    pub(super) fn to_memory() -> Self {
        Self(Sink::Memory(Vec::new()))
    }

    /// Writes a whole body. A small one takes a single host call, which a fresh sandbox per request
    /// makes worth having.
    pub(super) fn write_whole(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &self.0 {
            Sink::Host(stream) if bytes.len() <= SINGLE_WRITE_BYTES_MAX => {
                stream.blocking_write_and_flush(bytes).map_err(broken)
            }
            _ => self.write_all(bytes),
        }
    }

    /// What was written to memory; nothing where it went to the host.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        match self.0 {
            Sink::Memory(bytes) => bytes,
            Sink::Host(_) => Vec::new(),
        }
    }
}

impl Write for BodyWriter {
    /// Waits until the host takes something. A peer that has gone away gives
    /// [`io::ErrorKind::BrokenPipe`].
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let stream = match &mut self.0 {
            Sink::Host(stream) => stream,
            Sink::Memory(memory) => return memory.write(bytes),
        };
        if bytes.is_empty() {
            return Ok(0);
        }
        loop {
            let permitted = stream.check_write().map_err(broken)?;
            let count = usize::try_from(permitted).map_or(bytes.len(), |p| p.min(bytes.len()));
            if count > 0 {
                OutputStream::write(stream, &bytes[..count]).map_err(broken)?;
                return Ok(count);
            }
            stream.subscribe().block();
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Sink::Host(stream) => stream.blocking_flush().map_err(broken),
            Sink::Memory(_) => Ok(()),
        }
    }
}

fn broken(error: StreamError) -> io::Error {
    match error {
        StreamError::Closed => io::ErrorKind::BrokenPipe.into(),
        StreamError::LastOperationFailed(error) => {
            io::Error::new(io::ErrorKind::BrokenPipe, error.to_debug_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_read_up_to_its_bound() {
        let body = || BodyReader::from_bytes(vec![7; 100_000]);
        assert_eq!(body().read_all(100_000).unwrap().len(), 100_000);
        assert_eq!(
            body().read_all(99_999),
            Err(BodyError::TooLarge { bytes_max: 99_999 })
        );
        assert_eq!(BodyReader::from_bytes(Vec::new()).read_all(0), Ok(vec![]));
    }
}
