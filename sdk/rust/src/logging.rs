//! Log messages with a level (`wasi:logging`). What an app writes to standard error is kept as well,
//! without a level, and needs no capability.

use crate::bindings::logging::wasi::logging::logging;

/// How important a message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// Values of variables and the flow of control.
    Trace,
    /// Of interest to someone who debugs the app.
    Debug,
    /// Of interest to someone who watches the app.
    Info,
    /// Something may go wrong.
    Warn,
    /// Something went wrong.
    Error,
    /// The app can't go on.
    Critical,
}

impl From<Level> for logging::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Trace => Self::Trace,
            Level::Debug => Self::Debug,
            Level::Info => Self::Info,
            Level::Warn => Self::Warn,
            Level::Error => Self::Error,
            Level::Critical => Self::Critical,
        }
    }
}

/// Logs a message. `context` groups similar messages, for example `picks`. Text beyond the
/// invocation's log limit is cut.
pub fn log(level: Level, context: &str, message: &str) {
    logging::log(level.into(), context, message);
}

/// Logs a message at [`Level::Info`].
pub fn info(context: &str, message: &str) {
    log(Level::Info, context, message);
}

/// Logs a message at [`Level::Warn`].
pub fn warn(context: &str, message: &str) {
    log(Level::Warn, context, message);
}

/// Logs a message at [`Level::Error`].
pub fn error(context: &str, message: &str) {
    log(Level::Error, context, message);
}
