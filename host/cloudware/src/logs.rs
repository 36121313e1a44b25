//! Log lines of the host and of guests: structured, on standard error.

use std::borrow::Cow;

use anyhow::{Context, Result};
use cloudware_capability::{LogLevel, LogRecord, LogSink};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{Config, LogFormat};

/// Starts logging as configured.
pub(crate) fn init(config: &Config) -> Result<()> {
    let filter = EnvFilter::try_new(&config.log)
        .with_context(|| format!("log: `{}` is not a level or filter", config.log))?;
    let registry = tracing_subscriber::registry().with(filter);
    match config.log_format {
        LogFormat::Text => {
            use std::io::IsTerminal;
            let layer = fmt::layer()
                .with_writer(std::io::stderr)
                .with_ansi(std::io::stderr().is_terminal())
                .with_target(false);
            registry.with(layer).try_init()?;
        }
        LogFormat::Json => {
            let layer = fmt::layer().json().with_writer(std::io::stderr);
            registry.with(layer).try_init()?;
        }
    }
    Ok(())
}

/// Guest log text among the host's, labelled with who wrote it. What a terminal obeys is escaped, so
/// that a guest can't forge lines.
pub(crate) struct GuestLogs;

impl LogSink for GuestLogs {
    fn wants(&self, level: LogLevel) -> bool {
        macro_rules! is_enabled {
            ($level:ident) => {
                tracing::enabled!(target: "cloudware::guest", tracing::Level::$level)
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
                    target: "cloudware::guest",
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
