//! Key-value data of the app in this instance. A write is durable when the call returns.
//!
//! ```no_run
//! # fn main() -> Result<(), cloudware_sdk::kv::Error> {
//! let counters = cloudware_sdk::kv::Bucket::open("counters")?;
//! let visits = counters.increment("visits", 1)?;
//! # Ok(())
//! # }
//! ```

use std::{error, fmt};

use crate::{StorageFailure, bindings::kv::cloudware::kv::store};

/// A named set of keys that belongs to the app.
///
/// Names have 1 to 64 characters of `a-z`, `0-9`, `-`, `_`; keys have 1 to 1,024 bytes.
#[derive(Debug)]
pub struct Bucket(store::Bucket);

/// A value and the version that its last write gave it. Versions of a key only grow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The value.
    pub value: Vec<u8>,
    /// Its version.
    pub version: u64,
}

/// Some keys, in the order of their bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// The keys.
    pub keys: Vec<String>,
    /// Where the next page begins: what to pass as `after`. `None` on the last page.
    pub next: Option<String>,
}

/// One change of [`Bucket::write_many`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Sets a key to a value.
    Set {
        /// The key.
        key: String,
        /// The value.
        value: Vec<u8>,
    },
    /// Removes a key if it is there.
    Delete {
        /// The key.
        key: String,
    },
}

/// What [`Bucket::compare_and_set`] expects to find.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// The key does not exist.
    Absent,
    /// The key has this version.
    Version(u64),
}

/// Why an operation was refused. Nothing was changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The bucket name or key is not valid; the text says which rule it breaks.
    InvalidName(String),
    /// The value is too large.
    ValueTooLarge {
        /// The most bytes that a value may have.
        bytes_max: u64,
    },
    /// The key's version is not the expected one.
    Conflict {
        /// The present version; `None` where the key does not exist.
        current: Option<u64>,
    },
    /// The value at the key is not the number that `increment` needs.
    NotANumber,
    /// The state could not be read or written.
    Storage(StorageFailure),
    /// A value could not be read or written as JSON.
    #[cfg(feature = "json")]
    Json(serde_json::Error),
}

impl Bucket {
    /// Opens a bucket, which need not exist yet.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::Storage`].
    pub fn open(name: &str) -> Result<Self, Error> {
        Ok(Self(store::open(name)?))
    }

    /// The value at a key, if any.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::Storage`].
    pub fn get(&self, key: &str) -> Result<Option<Entry>, Error> {
        Ok(self.0.get(key)?.map(Entry::from))
    }

    /// Sets a key and returns its new version.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::ValueTooLarge`], [`Error::Storage`].
    pub fn set(&self, key: &str, value: &[u8]) -> Result<u64, Error> {
        Ok(self.0.set(key, value)?)
    }

    /// Sets a key if it is as expected, and returns its new version.
    ///
    /// # Errors
    /// [`Error::Conflict`] where it is not; otherwise as [`Self::set`].
    pub fn compare_and_set(
        &self,
        key: &str,
        expected: Expected,
        value: &[u8],
    ) -> Result<u64, Error> {
        let expected = match expected {
            Expected::Absent => None,
            Expected::Version(version) => Some(version),
        };
        Ok(self.0.compare_and_set(key, expected, value)?)
    }

    /// Removes a key; true if it existed.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::Storage`].
    pub fn delete(&self, key: &str) -> Result<bool, Error> {
        Ok(self.0.delete(key)?)
    }

    /// True if the key exists.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::Storage`].
    pub fn exists(&self, key: &str) -> Result<bool, Error> {
        Ok(self.0.exists(key)?)
    }

    /// Adds to the whole number at a key, which counts as 0 where it is absent, and returns the sum.
    ///
    /// # Errors
    /// [`Error::NotANumber`] for another value or a sum that does not fit; otherwise as
    /// [`Self::set`].
    pub fn increment(&self, key: &str, delta: i64) -> Result<i64, Error> {
        Ok(self.0.increment(key, delta)?)
    }

    /// Up to `limit` (at most 1,000) keys that begin with `prefix`, after the key `after`.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::Storage`].
    pub fn list_keys(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Page, Error> {
        let page = self.0.list_keys(prefix, after, limit)?;
        Ok(Page {
            keys: page.keys,
            next: page.next,
        })
    }

    /// The values at up to 1,000 keys, in the order asked.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::Storage`].
    pub fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, Error> {
        let entries = self.0.get_many(keys)?;
        Ok(entries.into_iter().map(|e| e.map(Entry::from)).collect())
    }

    /// Makes up to 1,000 changes, all or none.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::ValueTooLarge`], [`Error::Storage`].
    pub fn write_many(&self, changes: Vec<Change>) -> Result<(), Error> {
        let changes: Vec<_> = changes
            .into_iter()
            .map(|change| match change {
                Change::Set { key, value } => store::Change::Set((key, value)),
                Change::Delete { key } => store::Change::Delete(key),
            })
            .collect();
        Ok(self.0.write_many(&changes)?)
    }
}

#[cfg(feature = "json")]
impl Bucket {
    /// The JSON value at a key with its version, if any.
    ///
    /// # Errors
    /// [`Error::Json`] where the value does not fit `T`; otherwise as [`Self::get`].
    pub fn get_json<T: serde::de::DeserializeOwned>(
        &self,
        key: &str,
    ) -> Result<Option<(T, u64)>, Error> {
        self.get(key)?
            .map(|entry| Ok((serde_json::from_slice(&entry.value)?, entry.version)))
            .transpose()
    }

    /// Sets a key to a value as JSON and returns its new version.
    ///
    /// # Errors
    /// [`Error::Json`] where the value has no JSON form; otherwise as [`Self::set`].
    pub fn set_json<T: serde::Serialize>(&self, key: &str, value: &T) -> Result<u64, Error> {
        self.set(key, &serde_json::to_vec(value)?)
    }
}

impl From<store::Entry> for Entry {
    fn from(entry: store::Entry) -> Self {
        Self {
            value: entry.value,
            version: entry.version,
        }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::InvalidName(text) => Self::InvalidName(text),
            store::Error::ValueTooLarge(bytes_max) => Self::ValueTooLarge { bytes_max },
            store::Error::Conflict(current) => Self::Conflict { current },
            store::Error::NotANumber => Self::NotANumber,
            store::Error::Storage(failure) => Self::Storage(failure.into()),
        }
    }
}

#[cfg(feature = "json")]
impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidName(text) => f.write_str(text),
            Self::ValueTooLarge { bytes_max } => {
                write!(f, "the value has more than {bytes_max} bytes")
            }
            Self::Conflict {
                current: Some(version),
            } => write!(f, "the key has changed: its version is {version}"),
            Self::Conflict { current: None } => f.write_str("the key does not exist"),
            Self::NotANumber => f.write_str("the value at the key is not a whole number"),
            Self::Storage(StorageFailure::Full) => {
                f.write_str("the instance has reached its limit storage")
            }
            Self::Storage(_) => f.write_str("the key-value data can't be used"),
            #[cfg(feature = "json")]
            Self::Json(_) => f.write_str("the value is not the JSON that was expected"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Storage(failure) => Some(failure),
            #[cfg(feature = "json")]
            Self::Json(error) => Some(error),
            _ => None,
        }
    }
}
