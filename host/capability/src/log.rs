//! Log text of guests: from `wasi:logging`, standard output and standard error, labelled by the host
//! with who wrote it, and bounded per invocation. What is beyond the bound is cut, and the cut is marked.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use cloudware_types::{Class, Dimension, Limit};

use crate::{Identity, lines::Lines};

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
    /// Whether it takes records of this level.
    fn wants(&self, _level: LogLevel) -> bool {
        true
    }

    /// Takes one record, and says whether it is kept.
    fn record(&self, record: &LogRecord<'_>) -> bool;
}

/// The log of one invocation.
pub struct GuestLog {
    identity: Arc<Identity>,
    sink: Arc<dyn LogSink>,
    limit: Limit,
    bytes_max: u64,
    bytes: AtomicU64,
    lost: AtomicU64,
    cut: AtomicBool,
    /// What of standard output and error has no line break yet.
    output: Mutex<Lines>,
    errors: Mutex<Lines>,
}

/// A standard stream of a guest. However often a guest opens it, it is one stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StandardStream {
    /// Its lines are taken as [`LogLevel::Info`].
    Output,
    /// Its lines are taken as [`LogLevel::Warn`].
    Error,
}

impl StandardStream {
    fn level(self) -> LogLevel {
        match self {
            Self::Output => LogLevel::Info,
            Self::Error => LogLevel::Warn,
        }
    }
}

impl GuestLog {
    /// A log of runs of `class` that keeps at most `bytes_max` bytes of text, which is their limit.
    #[must_use]
    pub fn new(
        identity: Arc<Identity>,
        sink: Arc<dyn LogSink>,
        class: Class,
        bytes_max: u64,
    ) -> Self {
        Self {
            identity,
            sink,
            limit: Dimension::LogBytes.of(class),
            bytes_max,
            bytes: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            cut: AtomicBool::new(false),
            output: Mutex::default(),
            errors: Mutex::default(),
        }
    }

    /// Takes what the guest wrote to a standard stream, a record a line. What has no line break waits for the rest of
    /// its line.
    pub fn print(&self, stream: StandardStream, bytes: &[u8]) {
        let write = |line: &str| self.write(stream.level(), "", line);
        self.lines(stream).take(bytes, write);
    }

    /// Ends lines that have no break yet, when nothing of the guest runs any more, and gives the bytes kept.
    pub fn finish(&self) -> u64 {
        for stream in [StandardStream::Output, StandardStream::Error] {
            let write = |line: &str| self.write(stream.level(), "", line);
            self.lines(stream).end(write);
        }
        self.bytes()
    }

    fn lines(&self, stream: StandardStream) -> MutexGuard<'_, Lines> {
        let lines = match stream {
            StandardStream::Output => &self.output,
            StandardStream::Error => &self.errors,
        };
        lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes one record, or as much of it as still fits. One of a level that nobody wants is not even lost.
    pub fn write(&self, level: LogLevel, context: &str, message: &str) {
        if !self.sink.wants(level) {
            return;
        }
        let size = (context.len() + message.len()) as u64;
        let before = self.bytes.fetch_add(size, Ordering::Relaxed);
        if before + size <= self.bytes_max {
            if !self.emit(level, context, message) {
                self.bytes.fetch_sub(size, Ordering::Relaxed);
                self.lost.fetch_add(size, Ordering::Relaxed);
            }
            return;
        }
        self.bytes.fetch_sub(size, Ordering::Relaxed);
        if self.cut.swap(true, Ordering::Relaxed) {
            self.lost.fetch_add(size, Ordering::Relaxed);
            return;
        }
        let room = usize::try_from(self.bytes_max.saturating_sub(before)).unwrap_or(usize::MAX);
        let context = &context[..floor_char_boundary(context, room)];
        let message = &message[..floor_char_boundary(message, room - context.len())];
        let text = format!(
            "{message}… [cut: the limit {} of {} bytes was reached]",
            self.limit, self.bytes_max
        );
        let kept = match self.emit(level, context, &text) {
            true => (context.len() + message.len()) as u64,
            false => 0,
        };
        self.bytes.fetch_add(kept, Ordering::Relaxed);
        self.lost.fetch_add(size - kept, Ordering::Relaxed);
    }

    /// Bytes kept so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes left out so far of what somebody wanted: beyond the bound, or not taken by the sink.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Gives the whole bound back, before the sandbox serves another request.
    pub(crate) fn reset(&self) {
        self.bytes.store(0, Ordering::Relaxed);
        self.lost.store(0, Ordering::Relaxed);
        self.cut.store(false, Ordering::Relaxed);
    }

    fn emit(&self, level: LogLevel, context: &str, message: &str) -> bool {
        self.sink.record(&LogRecord {
            identity: &self.identity,
            level,
            context,
            message,
        })
    }
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use cloudware_types::{InstallId, InstanceId, TenantId};

    use super::*;

    /// Keeps what is no detail and not refused.
    #[derive(Default)]
    struct Kept(Mutex<Vec<String>>);

    impl LogSink for Kept {
        fn wants(&self, level: LogLevel) -> bool {
            level > LogLevel::Debug
        }

        fn record(&self, record: &LogRecord<'_>) -> bool {
            let text = format!("{}|{}", record.context, record.message);
            self.0.lock().unwrap().push(text);
            record.message != "refused"
        }
    }

    #[test]
    fn what_is_kept_and_what_is_lost_are_all_that_was_wanted() {
        let identity = Arc::new(Identity {
            tenant: TenantId::generate(),
            tenant_slug: "acme".parse().unwrap(),
            instance: InstanceId::generate(),
            instance_slug: "main".parse().unwrap(),
            install: InstallId::generate(),
            app: "stock".parse().unwrap(),
            version: "1.0.0".to_owned(),
        });
        let sink = Arc::new(Kept::default());
        let log = GuestLog::new(identity, Arc::clone(&sink) as _, Class::Hook, 20);
        let write = |level, context, message| {
            log.write(level, context, message);
            (log.bytes(), log.lost())
        };
        assert_eq!(write(LogLevel::Debug, "", "nobody wants it"), (0, 0));
        assert_eq!(write(LogLevel::Info, "", "refused"), (0, 7));
        assert_eq!(write(LogLevel::Info, "ab", "cdefgh"), (8, 7));
        // Twelve bytes of twenty are left, and the sixth letter has two.
        assert_eq!(write(LogLevel::Info, "1234567", "abcdéfgh"), (19, 12));
        assert_eq!(write(LogLevel::Info, "", "more"), (19, 16));
        let kept = sink.0.lock().unwrap().clone();
        let cut = "1234567|abcd… [cut: the limit hook-log-bytes of 20 bytes was reached]";
        assert_eq!(kept, ["|refused", "ab|cdefgh", cut]);
        log.reset();
        assert_eq!(write(LogLevel::Info, "", "anew"), (4, 0));
        log.write(LogLevel::Info, "a context that alone is too long", "");
        assert_eq!(log.bytes(), 20);
    }
}
