//! Log text of guests: from `wasi:logging`, standard output and standard error, labelled by the host
//! with who wrote it, and bounded per invocation. What is beyond the bound is cut, and the cut is marked.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use crate::Identity;

/// How important a guest says its text is; the levels of `wasi:logging`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LogLevel {
    /// Finest detail.
    Trace,
    /// Detail for developers.
    Debug,
    /// What happened; standard output is taken as this.
    Info,
    /// Something unexpected that was handled; standard error is taken as this.
    Warn,
    /// Something failed.
    Error,
    /// Something that needs a person at once.
    Critical,
}

/// One piece of guest log text.
#[derive(Debug)]
pub struct LogRecord<'a> {
    /// Who wrote it.
    pub identity: &'a Identity,
    /// How important the guest says it is.
    pub level: LogLevel,
    /// The guest's word for where it came from; may be empty.
    pub context: &'a str,
    /// The text, without a final line break.
    pub message: &'a str,
}

/// Where log text goes. Called on the request path: must not block.
pub trait LogSink: Send + Sync + 'static {
    /// Takes one record.
    fn record(&self, record: &LogRecord<'_>);
}

/// The log of one invocation.
pub struct GuestLog {
    identity: Arc<Identity>,
    sink: Arc<dyn LogSink>,
    bytes_max: u64,
    bytes: AtomicU64,
    cut: AtomicBool,
}

impl GuestLog {
    /// A log that keeps at most `bytes_max` bytes of text.
    #[must_use]
    pub fn new(identity: Arc<Identity>, sink: Arc<dyn LogSink>, bytes_max: u64) -> Self {
        Self {
            identity,
            sink,
            bytes_max,
            bytes: AtomicU64::new(0),
            cut: AtomicBool::new(false),
        }
    }

    /// Writes one record, or as much of it as still fits.
    pub fn write(&self, level: LogLevel, context: &str, message: &str) {
        let size = (context.len() + message.len()) as u64;
        let before = self.bytes.fetch_add(size, Ordering::Relaxed);
        if before + size <= self.bytes_max {
            self.emit(level, context, message);
            return;
        }
        self.bytes.fetch_sub(size, Ordering::Relaxed);
        if self.cut.swap(true, Ordering::Relaxed) {
            return;
        }
        let room = usize::try_from(self.bytes_max.saturating_sub(before)).unwrap_or(usize::MAX);
        let kept = floor_char_boundary(message, room.saturating_sub(context.len()));
        self.bytes.fetch_add(kept as u64, Ordering::Relaxed);
        let text = format!(
            "{}… [cut: the limit log-bytes of {} bytes was reached]",
            &message[..kept],
            self.bytes_max
        );
        self.emit(level, context, &text);
    }

    /// Bytes kept so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Gives the whole bound back, before the sandbox serves another request.
    pub(crate) fn reset(&self) {
        self.bytes.store(0, Ordering::Relaxed);
        self.cut.store(false, Ordering::Relaxed);
    }

    fn emit(&self, level: LogLevel, context: &str, message: &str) {
        self.sink.record(&LogRecord {
            identity: &self.identity,
            level,
            context,
            message,
        });
    }
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
