//! What can go wrong in the control plane, in words for the caller. Detail that only operators may
//! see stays in the source of the error.

use cloudware_packages::Problems;

use crate::{ApplyError, MigrateError, PackageStoreError, StoreError};

/// Why a service function did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No token, or one that is unknown or revoked.
    #[error("a valid access token is needed: send it as `Authorization: Bearer <token>`")]
    Unauthenticated,
    /// The caller may see the thing and may not do this with it.
    #[error("{0}")]
    Forbidden(String),
    /// There is no such thing, or the caller may not know of it.
    #[error("there is no {noun} `{name}`")]
    NotFound {
        /// The kind of thing.
        noun: &'static str,
        /// What the caller called it.
        name: String,
    },
    /// A value is out of its bounds or malformed.
    #[error("{field} {message}")]
    Invalid {
        /// The value's place in the request.
        field: String,
        /// What is wrong with it and what would do.
        message: String,
    },
    /// The present state does not allow it.
    #[error("{message}")]
    Conflict {
        /// Short machine-readable kind, for example `already-exists`.
        code: &'static str,
        /// What is in the way and what to do.
        message: String,
    },
    /// The resource was changed since the caller read it.
    #[error(
        "the resource is at revision {current} and not at {expected}: read it again, then decide anew"
    )]
    RevisionChanged {
        /// The revision that the caller had read.
        expected: u64,
        /// The present revision.
        current: u64,
    },
    /// A package was refused; every reason is listed.
    #[error("the package was refused: {0}")]
    Rejected(Problems),
    /// A schema change failed; nothing was changed.
    #[error("the migration of {app} to schema {target} failed, and nothing was changed: {source}")]
    Migration {
        /// The app.
        app: String,
        /// The schema that was to be reached.
        target: u32,
        /// Why.
        source: MigrateError,
    },
    /// The data plane did not take the new release over; the old one is in force again.
    #[error(
        "{what} could not be put into service, and the state before is in force again: {source}"
    )]
    TakenBack {
        /// What was to be served, for example `stock 1.1.0`.
        what: String,
        /// Why it was not.
        source: ApplyError,
    },
    /// The change is recorded, and the data plane did not take it over.
    #[error(
        "the change is recorded, but it is not in service yet: {0}; the next change or start of the instance tries again"
    )]
    Apply(#[from] ApplyError),
    /// The control database failed.
    #[error("the control database failed")]
    Store(#[from] StoreError),
    /// The package store failed.
    #[error("the package store failed")]
    Packages(#[from] PackageStoreError),
    /// A background task of the control plane was lost.
    #[error("the work was interrupted: {0}")]
    Interrupted(String),
}

impl Error {
    pub(crate) fn not_found(noun: &'static str, name: &str) -> Self {
        Self::NotFound {
            noun,
            name: name.chars().take(64).collect(),
        }
    }

    /// An [`Error::Invalid`].
    #[must_use]
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid {
            field: field.into(),
            message: message.into(),
        }
    }

    pub(crate) fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::Conflict {
            code,
            message: message.into(),
        }
    }
}

/// Checks a text for people: trimmed, not empty, at most `chars_max` characters, no control
/// characters, and none that turn the direction of what stands behind them (Unicode Standard Annex 9): a list would show
/// something else than what is there.
pub(crate) fn check_text(field: &str, text: &str, chars_max: usize) -> Result<String, Error> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Error::invalid(field, "must not be empty"));
    }
    if text.chars().count() > chars_max {
        return Err(Error::invalid(
            field,
            format!("must have at most {chars_max} characters"),
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::invalid(field, "must not have control characters"));
    }
    if text.contains(|c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')) {
        return Err(Error::invalid(
            field,
            "must not have embeddings, overrides or isolates of direction",
        ));
    }
    Ok(text.to_owned())
}

/// Checks an optional text as [`check_text`] does.
pub(crate) fn check_optional_text(
    field: &str,
    text: Option<&str>,
    chars_max: usize,
) -> Result<Option<String>, Error> {
    text.map(|text| check_text(field, text, chars_max))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_show_what_they_have() {
        assert_eq!(check_text("reason", " trial ", 5).unwrap(), "trial");
        for (text, said) in [
            ("", "empty"),
            ("trials", "at most 5"),
            ("a\nb", "control characters"),
            ("a\u{202e}b", "of direction"),
            ("\u{2066}b", "of direction"),
        ] {
            let refused = check_text("reason", text, 5).unwrap_err().to_string();
            assert!(refused.contains(said), "{text:?}: {refused}");
        }
    }
}
