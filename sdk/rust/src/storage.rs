//! The failures that every capability with state has in common.

use std::{error::Error, fmt};

/// Why stored state could not be read or written. Nothing was changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StorageFailure {
    /// Another invocation held the lock for too long; trying again may succeed. At once, and each time, where this
    /// invocation holds it in a transaction of its own, or the app does that waits for this invocation to answer.
    Busy,
    /// The storage quota of the instance is used up.
    Full,
    /// The backend can't be reached or is damaged. The operator has been told why.
    Unavailable,
}

impl fmt::Display for StorageFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "the data is in use: by another request (try again), or by an open transaction of this call or of the app that waits for it (end it before)",
            Self::Full => "the storage quota is used up; delete something or ask for more",
            Self::Unavailable => "the data can't be reached at present; the operator knows why",
        })
    }
}

impl Error for StorageFailure {}

/// The generator gives each interface its own copy of the shared type.
macro_rules! from_binding {
    ($binding:path) => {
        impl From<$binding> for StorageFailure {
            fn from(failure: $binding) -> Self {
                use $binding as Binding;
                match failure {
                    Binding::Busy => Self::Busy,
                    Binding::Full => Self::Full,
                    Binding::Unavailable => Self::Unavailable,
                }
            }
        }
    };
}

from_binding!(crate::bindings::kv::cloudware::types::failures::StorageFailure);
from_binding!(crate::bindings::sql::cloudware::types::failures::StorageFailure);
