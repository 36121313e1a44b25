//! The app's configuration in this instance (`wasi:config`): the values that the tenant set, or the
//! defaults of the manifest's `[config]`.

use std::{error, fmt};

use crate::bindings::config::wasi::config::store;

/// The configuration could not be read; the text says why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration can't be read: {}", self.0)
    }
}

impl error::Error for Error {}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Upstream(text) | store::Error::Io(text) => Self(text),
        }
    }
}

/// The value of a key; `None` where the manifest has no such key.
///
/// # Errors
/// Where the host can't read it.
pub fn get(key: &str) -> Result<Option<String>, Error> {
    Ok(store::get(key)?)
}

/// Every key with its value.
///
/// # Errors
/// Where the host can't read them.
pub fn all() -> Result<Vec<(String, String)>, Error> {
    Ok(store::get_all()?)
}
