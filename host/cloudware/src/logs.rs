//! Log lines of the host and of guests: structured, on standard error. Where that is no file but a pipe or a terminal, whoever
//! reads it may stop reading, and nothing waits for that: lines are handed to threads that write, those of guests to one of
//! their own, so that a flood of theirs takes no place from the host's.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, IsTerminal as _, Write},
    os::fd::AsFd as _,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use cloudware_capability::{LogLevel, LogRecord, LogSink};
use tracing::Metadata;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    EnvFilter, filter::LevelFilter, fmt, fmt::MakeWriter, layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::config::{Config, LogFormat};

/// Lines that may wait for a reader; newer ones are left out. A burst of what a busy instance may log in a second fits.
const WAITING_LINES_MAX: usize = 4_096;

/// What guest text is marked with for filters.
const GUEST: &str = "cloudware::guest";

/// How long the threads that write may take at the end.
const END_MAX: Duration = Duration::from_secs(3);

/// How often it is looked whether lines were left out.
const LOST_EVERY: Duration = Duration::from_secs(1);

/// How often it is told that more and more are, at most.
const LOST_TOLD_EVERY: Duration = Duration::from_secs(60);

/// Keeps the threads that write; when it is dropped, they have a moment to write what waits.
#[must_use]
pub(crate) struct Writing {
    guards: Vec<WorkerGuard>,
    lost: Vec<ErrorCounter>,
}

impl Writing {
    /// Tells, for as long as it is polled, how many lines were left out since the start because nobody read them in time: at
    /// once, each minute while it goes on, and whenever it has stopped; and again where that finds no room either, so
    /// that whoever reads again is told the sum.
    pub(crate) async fn tell_of_losses(&self) {
        let dropped = || -> usize { self.lost.iter().map(ErrorCounter::dropped_lines).sum() };
        let (mut before, mut told, mut told_at) = (0, 0, None::<Instant>);
        // Lines of this kind, which nobody misses.
        let mut own = 0;
        loop {
            tokio::time::sleep(LOST_EVERY).await;
            let all = dropped();
            let lines = all - own;
            let has_stopped = lines == std::mem::replace(&mut before, lines);
            let is_time = told_at.is_none_or(|at| at.elapsed() >= LOST_TOLD_EVERY);
            if lines > told && (has_stopped || is_time) {
                tracing::warn!(
                    lines,
                    "log lines were left out since the start: nobody reads standard error as fast as it is written"
                );
                told_at = Some(Instant::now());
                match dropped() > all {
                    true => own += 1,
                    false => told = lines,
                }
            }
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let guards = std::mem::take(&mut self.guards);
        let (ends, ended) = mpsc::channel::<()>();
        // Where nobody reads, a guard says so on standard output; if that is closed it panics, and waits for the reader.
        thread::spawn(move || {
            drop(guards);
            drop(ends);
        });
        let _ = ended.recv_timeout(END_MAX);
    }
}

/// Starts logging as configured.
pub(crate) fn init(config: &Config) -> Result<Writing> {
    let filter = filter(&config.log)?;
    let (output, writing) = Output::open().context("standard error can't be written")?;
    let registry = tracing_subscriber::registry().with(filter);
    match config.log_format {
        LogFormat::Text => {
            let layer = fmt::layer()
                .with_writer(output)
                .with_ansi(io::stderr().is_terminal())
                .with_target(false);
            registry.with(layer).try_init()?;
        }
        LogFormat::Json => {
            let layer = fmt::layer().json().with_writer(output);
            registry.with(layer).try_init()?;
        }
    }
    Ok(writing)
}

/// What is logged. A word that is no level would be taken for the name of a target, and nothing else be logged; so would a level
/// with a blank before it.
fn filter(log: &str) -> Result<EnvFilter> {
    let parts = log.split(',').map(str::trim);
    let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
    let is_known =
        |part: &&str| part.contains(['=', '[', ']']) || part.parse::<LevelFilter>().is_ok();
    ensure!(
        !parts.is_empty() && parts.iter().all(is_known),
        "log: `{log}` is not a level (error, warn, info, debug, trace, off), or a filter such as info,sqlx=warn"
    );
    EnvFilter::try_new(parts.join(","))
        .with_context(|| format!("log: `{log}` is not a level or filter"))
}

/// Where lines go.
enum Output {
    /// A file takes them at once.
    File,
    /// To somebody who may not take them.
    Reader {
        host: NonBlocking,
        guests: NonBlocking,
    },
}

impl Output {
    fn open() -> io::Result<(Self, Writing)> {
        let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        if stderr.metadata()?.is_file() {
            let writing = Writing {
                guards: Vec::new(),
                lost: Vec::new(),
            };
            return Ok((Self::File, writing));
        }
        let queue = |name, file| {
            NonBlockingBuilder::default()
                .lossy(true)
                .buffered_lines_limit(WAITING_LINES_MAX)
                .thread_name(name)
                .finish(file)
        };
        let (guests, of_guests) = queue("log-guests", stderr.try_clone()?);
        let (host, of_host) = queue("log-host", stderr);
        let writing = Writing {
            guards: vec![of_guests, of_host],
            lost: vec![guests.error_counter(), host.error_counter()],
        };
        Ok((Self::Reader { host, guests }, writing))
    }
}

impl<'a> MakeWriter<'a> for Output {
    type Writer = Box<dyn Write + 'a>;

    fn make_writer(&'a self) -> Self::Writer {
        match self {
            Self::File => Box::new(io::stderr()),
            Self::Reader { host, .. } => Box::new(host.clone()),
        }
    }

    fn make_writer_for(&'a self, of: &Metadata<'_>) -> Self::Writer {
        match self {
            Self::Reader { guests, .. } if of.target() == GUEST => Box::new(guests.clone()),
            _ => self.make_writer(),
        }
    }
}

/// Guest log text among the host's, labelled with who wrote it. What a terminal obeys is escaped, so
/// that a guest can't forge lines.
pub(crate) struct GuestLogs;

impl LogSink for GuestLogs {
    fn wants(&self, level: LogLevel) -> bool {
        macro_rules! is_enabled {
            ($level:ident) => {
                tracing::enabled!(target: GUEST, tracing::Level::$level)
            };
        }
        match level {
            LogLevel::Trace => is_enabled!(TRACE),
            LogLevel::Debug => is_enabled!(DEBUG),
            LogLevel::Info => is_enabled!(INFO),
            LogLevel::Warn => is_enabled!(WARN),
            LogLevel::Error | LogLevel::Critical => is_enabled!(ERROR),
        }
    }

    fn record(&self, record: &LogRecord<'_>) -> bool {
        let identity = record.identity;
        let (context, message) = (visible(record.context), visible(record.message));
        macro_rules! emit {
            ($level:ident) => {
                tracing::$level!(
                    target: GUEST,
                    tenant = %identity.tenant_slug,
                    instance = %identity.instance_slug,
                    app = %identity.app,
                    context = &*context,
                    message = &*message,
                )
            };
        }
        match record.level {
            LogLevel::Trace => emit!(trace),
            LogLevel::Debug => emit!(debug),
            LogLevel::Info => emit!(info),
            LogLevel::Warn => emit!(warn),
            LogLevel::Error | LogLevel::Critical => emit!(error),
        }
        true
    }
}

/// Characters that a terminal or an editor obeys rather than shows: control characters, separators of lines
/// and of paragraphs, and those that turn the direction of what follows.
fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with such characters written out.
fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_obeyed(character) {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_can_not_begin_a_line() {
        assert_eq!(
            visible("a\n2026 INFO b\u{1b}[0m"),
            "a\\n2026 INFO b\\u{1b}[0m"
        );
        assert_eq!(visible("a\u{2028}\u{202e}b"), "a\\u{2028}\\u{202e}b");
        assert_eq!(visible("größe 1 m²"), "größe 1 m²");
    }
}
