//! Why a call of the database was refused, and the one place where SQLite's result codes become
//! these reasons.

use rusqlite::{ErrorCode, ffi};
use serde::{Deserialize, Serialize};

/// The kind of a constraint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConstraintKind {
    /// UNIQUE or PRIMARY KEY.
    Unique,
    /// NOT NULL.
    NotNull,
    /// CHECK.
    Check,
    /// FOREIGN KEY.
    ForeignKey,
    /// Anything else, for example RAISE in a trigger or the type of a STRICT column.
    Other,
}

/// A constraint that a change would have broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Its kind.
    pub kind: ConstraintKind,
    /// Table and columns, or the name of the constraint, or the message of a trigger.
    pub subject: String,
}

/// Why a call was refused. Unless said otherwise nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Error {
    /// The statement is not valid, or asks for more than a statement may.
    #[error("the statement was refused: {0}")]
    Statement(String),
    /// The parameters don't fit the statement.
    #[error("the parameters don't fit the statement: {0}")]
    Parameters(String),
    /// The statement touches what the app does not own.
    #[error("denied: {0}")]
    Denied(String),
    /// A constraint would have been broken.
    #[error("a constraint would be broken: {}", .0.subject)]
    Constraint(Violation),
    /// A change was attempted in a transaction that was begun for reading.
    #[error("a transaction begun for reading can't change anything; begin it for writing")]
    ReadOnly,
    /// The transaction has already ended: by its owner, by a failure, or because it did nothing for long
    /// while others waited for its turn.
    #[error(
        "the transaction has already ended, and what was not committed is undone; one that does nothing while others wait is ended too: begin it again"
    )]
    Closed,
    /// The time that the call may take is used up.
    #[error("the statement took longer than it may")]
    TimeExceeded,
    /// The call gave more rows than it may.
    #[error("the statement gave more rows than it may")]
    RowsReadExceeded,
    /// The call changed more rows than it may.
    #[error("the statement changed more rows than it may")]
    RowsWrittenExceeded,
    /// Others held the lock, or all databases that may be open are in use.
    #[error("the database is busy; trying again may succeed")]
    Busy,
    /// The storage quota is used up.
    #[error("the storage quota of the instance is used up")]
    Full,
    /// The file can't be read or written, is damaged, or is not ours. The text is for the operator, who
    /// finds it in the log, and never for a guest.
    #[error("the database is not available: {0}")]
    Unavailable(String),
}

/// What SQLite's codes for a full database, a missing right and an interrupt mean in this call, which
/// the code alone does not say.
pub(crate) struct Circumstances {
    /// What the authorizer refused first.
    pub denied: Option<String>,
    /// Whether the clock, and not a vanished caller, interrupted the statement.
    pub timed_out: TimedOut,
}

/// Whether the clock interrupted a statement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TimedOut {
    Yes,
    No,
}

/// Maps an error of a statement that a stranger wrote.
pub(crate) fn classify(error: &rusqlite::Error, about: Circumstances) -> Error {
    let (code, extended, message) = match error {
        rusqlite::Error::SqliteFailure(failure, message) => (
            failure.code,
            failure.extended_code,
            message.clone().unwrap_or_else(|| failure.to_string()),
        ),
        rusqlite::Error::SqlInputError { error, msg, .. } => {
            (error.code, error.extended_code, msg.clone())
        }
        rusqlite::Error::MultipleStatement => {
            return Error::Statement("only one statement at a time can be run".into());
        }
        rusqlite::Error::InvalidParameterCount(..) | rusqlite::Error::InvalidParameterName(_) => {
            return Error::Parameters(error.to_string());
        }
        other => return Error::Statement(other.to_string()),
    };
    match code {
        ErrorCode::AuthorizationForStatementDenied => {
            Error::Denied(about.denied.unwrap_or(message))
        }
        // Compiling a view or a trigger reports a denial as a plain error.
        ErrorCode::Unknown if about.denied.is_some() => {
            Error::Denied(about.denied.unwrap_or(message))
        }
        ErrorCode::ConstraintViolation => Error::Constraint(violation(extended, &message)),
        ErrorCode::OperationInterrupted | ErrorCode::OperationAborted => match about.timed_out {
            TimedOut::Yes => Error::TimeExceeded,
            TimedOut::No => Error::Closed,
        },
        ErrorCode::OutOfMemory => Error::Statement(format!(
            "it needs more memory than it may use, which is {} MiB for a statement and {} MiB for a \
             migration; sort or select fewer or smaller values",
            crate::limits::STATEMENT_MEMORY_BYTES_MAX >> 20,
            crate::limits::MIGRATION_MEMORY_BYTES_MAX >> 20
        )),
        ErrorCode::TooBig => Error::Statement(format!(
            "a value or the statement is too long; a value may have {} MiB",
            crate::limits::VALUE_BYTES_MAX >> 20
        )),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Error::Busy,
        ErrorCode::DiskFull => Error::Full,
        ErrorCode::ReadOnly if extended == ffi::SQLITE_READONLY => Error::ReadOnly,
        ErrorCode::Unknown
        | ErrorCode::TypeMismatch
        | ErrorCode::SchemaChanged
        | ErrorCode::ParameterOutOfRange
        | ErrorCode::ApiMisuse => Error::Statement(message),
        _ => Error::Unavailable(format!("{message} (SQLite code {extended})")),
    }
}

/// Maps an error of a statement of our own, where nothing but the file can be wrong.
pub(crate) fn platform(error: &rusqlite::Error) -> Error {
    let about = Circumstances {
        denied: None,
        timed_out: TimedOut::Yes,
    };
    match classify(error, about) {
        kept @ (Error::Busy | Error::Full | Error::TimeExceeded | Error::Unavailable(_)) => kept,
        _ => Error::Unavailable(error.to_string()),
    }
}

impl From<rusqlite::Error> for Error {
    /// For statements of the platform itself.
    fn from(error: rusqlite::Error) -> Self {
        platform(&error)
    }
}

fn violation(extended: i32, message: &str) -> Violation {
    let kind = match extended {
        ffi::SQLITE_CONSTRAINT_UNIQUE
        | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
        | ffi::SQLITE_CONSTRAINT_ROWID => ConstraintKind::Unique,
        ffi::SQLITE_CONSTRAINT_NOTNULL => ConstraintKind::NotNull,
        ffi::SQLITE_CONSTRAINT_CHECK => ConstraintKind::Check,
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => ConstraintKind::ForeignKey,
        _ => ConstraintKind::Other,
    };
    let subject = match message.split_once("constraint failed: ") {
        Some((_, subject)) => subject,
        None => message,
    };
    Violation {
        kind,
        subject: subject.to_owned(),
    }
}
