//! Why a statement was refused.

use std::{error, fmt};

use super::ColumnError;
use crate::{StorageFailure, bindings::sql::cloudware::sql::database as binding};

/// Why a statement was refused. Outside a transaction nothing was changed; inside one the
/// transaction stays open and the statement had no effect.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The statement is not valid; the text is the database's explanation.
    Statement(String),
    /// The parameters don't fit the statement.
    Parameters(String),
    /// The statement touches what the app does not own, or what a tenant's hook does not allow
    /// ([`Error::access_refused`]); the text names it.
    Denied(String),
    /// A constraint would have been broken.
    Constraint(Violation),
    /// A change was attempted in a transaction that was begun for reading.
    ReadOnly,
    /// The transaction has already ended.
    Closed,
    /// The state could not be read or written.
    Storage(StorageFailure),
    /// A column of the result is not there, or not of the wanted type.
    Column(ColumnError),
}

/// A constraint that a change would have broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Its kind.
    pub kind: ConstraintKind,
    /// Table and columns, or the name of the constraint.
    pub subject: String,
}

/// The kind of a constraint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConstraintKind {
    /// `UNIQUE` or `PRIMARY KEY`.
    Unique,
    /// `NOT NULL`.
    NotNull,
    /// `CHECK`.
    Check,
    /// `REFERENCES`.
    ForeignKey,
    /// Another one, for example a trigger that refuses.
    Other,
}

impl Error {
    /// True where a constraint of this kind would have been broken.
    #[must_use]
    pub fn violates(&self, kind: ConstraintKind) -> bool {
        matches!(self, Self::Constraint(violation) if violation.kind == kind)
    }
}

/// What the text begins with where a tenant's data access hook refuses.
const ACCESS_REFUSED: &str = "access-refused: ";

impl Error {
    /// What the tenant's hooks say to the app and its users, where one of them refuses what the statement does with a
    /// table that the app's manifest declares in `[access]`.
    #[must_use]
    pub fn access_refused(&self) -> Option<&str> {
        match self {
            Self::Denied(text) => text.strip_prefix(ACCESS_REFUSED),
            _ => None,
        }
    }
}

impl From<binding::Error> for Error {
    fn from(error: binding::Error) -> Self {
        match error {
            binding::Error::Statement(text) => Self::Statement(text),
            binding::Error::Parameters(text) => Self::Parameters(text),
            binding::Error::Denied(text) => Self::Denied(text),
            binding::Error::Constraint(violation) => Self::Constraint(Violation {
                kind: violation.kind.into(),
                subject: violation.subject,
            }),
            binding::Error::ReadOnly => Self::ReadOnly,
            binding::Error::Closed => Self::Closed,
            binding::Error::Storage(failure) => Self::Storage(failure.into()),
        }
    }
}

impl From<binding::ConstraintKind> for ConstraintKind {
    fn from(kind: binding::ConstraintKind) -> Self {
        match kind {
            binding::ConstraintKind::Unique => Self::Unique,
            binding::ConstraintKind::NotNull => Self::NotNull,
            binding::ConstraintKind::Check => Self::Check,
            binding::ConstraintKind::ForeignKey => Self::ForeignKey,
            binding::ConstraintKind::Other => Self::Other,
        }
    }
}

impl From<ColumnError> for Error {
    fn from(error: ColumnError) -> Self {
        Self::Column(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Statement(text) => write!(f, "the statement is not valid: {text}"),
            Self::Parameters(text) => write!(f, "the parameters don't fit: {text}"),
            Self::Denied(text) => write!(f, "the statement is not allowed: {text}"),
            Self::Constraint(violation) => {
                let kind = match violation.kind {
                    ConstraintKind::Unique => "unique",
                    ConstraintKind::NotNull => "not-null",
                    ConstraintKind::Check => "check",
                    ConstraintKind::ForeignKey => "foreign-key",
                    ConstraintKind::Other => "other",
                };
                write!(f, "the {kind} constraint {} refuses", violation.subject)
            }
            Self::ReadOnly => f.write_str("the transaction was begun for reading"),
            Self::Closed => f.write_str("the transaction has already ended"),
            Self::Storage(StorageFailure::Full) => {
                f.write_str("the instance has reached its limit storage")
            }
            Self::Storage(_) => f.write_str("the database can't be used"),
            Self::Column(_) => f.write_str("the result is not as expected"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Storage(failure) => Some(failure),
            Self::Column(error) => Some(error),
            _ => None,
        }
    }
}
