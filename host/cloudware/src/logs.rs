//! Log lines of the host and of guests: structured, on standard error.

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

/// Guest log text among the host's, labelled with who wrote it. Control characters are escaped by
/// the formatter, so that a guest can't forge lines.
pub(crate) struct GuestLogs;

impl LogSink for GuestLogs {
    fn record(&self, record: &LogRecord<'_>) {
        let identity = record.identity;
        macro_rules! emit {
            ($level:ident) => {
                tracing::$level!(
                    target: "cloudware::guest",
                    tenant = %identity.tenant_slug,
                    instance = %identity.instance_slug,
                    app = %identity.app,
                    context = record.context,
                    message = record.message,
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
    }
}
