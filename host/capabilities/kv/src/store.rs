//! What a backend of key-value data does. Names, keys and values are bounded where they are made, so a
//! backend never sees one that is not.

use std::sync::Arc;

use async_trait::async_trait;
use cloudware_types::{InstanceId, RunChain, Slug};
use serde::{Deserialize, Serialize};

use crate::limits::{BUCKET_BYTES_MAX, CALL_KEYS_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};

/// Whose data: comes from the binding, never from a guest.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The instance that the data belongs to.
    pub instance: InstanceId,
    /// The app that the buckets belong to.
    pub app: Slug,
    /// The instance's share of the time that databases work, beside the shares of others
    /// ([`cloudware_types::Dimension::CpuWeight`]).
    pub weight: u64,
    /// Size that the instance's storage may have, in bytes.
    pub storage_bytes_max: u64,
}

/// The name of a bucket: 1 to 64 characters of `a-z`, `0-9`, `-`, `_`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BucketName(Arc<str>);

/// A key: 1 to 1,024 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key(String);

/// A value: at most 1 MiB.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Value(Vec<u8>);

/// Why an operation was refused. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KvError {
    /// A name or key breaks a rule; the text says which.
    #[error("{0}")]
    InvalidName(String),
    /// A value, or the values of one call together, are larger than this number of bytes.
    #[error("the value is larger than {0} bytes; keep files as blobs")]
    ValueTooLarge(u64),
    /// The key's version is not the expected one but this, or it does not exist.
    #[error("the key was changed by another: its version is {0:?}")]
    Conflict(Option<u64>),
    /// What is at the key is not a whole number, or the sum would not fit into 64 bits.
    #[error("the value is not a whole number of 64 bits as decimal text")]
    NotANumber,
    /// Others held the lock for too long.
    #[error("the storage is busy; trying again may succeed")]
    Busy,
    /// The storage quota is used up.
    #[error("the storage quota of the instance is used up")]
    Full,
    /// The backend failed; the operator has been told why.
    #[error("the storage is not available")]
    Unavailable,
}

/// A value with the version that its last write gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The value.
    pub value: Vec<u8>,
    /// Grows with every write of the key, also across a deletion; never 0.
    pub version: u64,
}

/// One change of a batch.
#[derive(Clone, Debug)]
pub enum Change {
    /// Sets a key.
    Set(Key, Value),
    /// Removes a key if it is there.
    Delete(Key),
}

/// What a change did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// Set; the new version.
    Set(u64),
    /// Removed; whether it was there.
    Deleted(bool),
}

/// Where a page of keys begins.
#[derive(Clone, Debug)]
pub enum Start {
    /// At the first key.
    First,
    /// After this text, which need not be a key.
    After(String),
    /// After this many keys.
    Offset(u64),
}

/// Which keys to list.
#[derive(Clone, Debug)]
pub struct Listing {
    /// What they begin with; may be empty.
    pub prefix: String,
    /// Where to begin.
    pub start: Start,
    /// How many at most, from 1 to 1,000.
    pub limit: usize,
}

/// Some keys in the order of their bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The keys.
    pub keys: Vec<String>,
    /// Whether there are more.
    pub more: bool,
}

/// Where an operation takes place.
#[derive(Clone, Debug)]
pub struct Place {
    /// Whose data.
    pub scope: Arc<Scope>,
    /// The bucket.
    pub bucket: BucketName,
    /// The invocation that asks, and those that wait for it. A backend uses it to answer [`KvError::Busy`] at once
    /// where one would wait for a lock that it holds itself, or that is held by whoever waits for it.
    pub invocation: RunChain,
}

/// Sets a key on a condition.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The key.
    pub key: Key,
    /// The version that it must have; `None`: it must not exist.
    pub expected: Option<u64>,
    /// The new value.
    pub value: Value,
}

/// A backend. Every method is one atomic operation, may wait for a disk or network without blocking the
/// thread, and may be dropped while it runs: it then took place as a whole or not at all. What a
/// returned change wrote is durable. Correct is what passes [`crate::suite`].
#[async_trait]
pub trait KvStore: Send + Sync + 'static {
    /// The entries at some keys, in the order asked.
    async fn get(&self, place: &Place, keys: Vec<Key>) -> Result<Vec<Option<Entry>>, KvError>;

    /// Whether a key exists.
    async fn exists(&self, place: &Place, key: Key) -> Result<bool, KvError>;

    /// Makes all changes or none, in order.
    async fn change(&self, place: &Place, changes: Vec<Change>) -> Result<Vec<Changed>, KvError>;

    /// Sets a key if its version is `expected`, `None` meaning that it does not exist; the new version.
    async fn compare_and_set(&self, place: &Place, exchange: Exchange) -> Result<u64, KvError>;

    /// Adds to the whole number at a key, absent counting as 0; the sum.
    async fn increment(&self, place: &Place, key: Key, delta: i64) -> Result<i64, KvError>;

    /// Lists keys.
    async fn list(&self, place: &Place, listing: Listing) -> Result<Page, KvError>;
}

impl BucketName {
    /// Checks a name that a stranger wrote.
    ///
    /// # Errors
    /// [`KvError::InvalidName`].
    pub fn parse(text: &str) -> Result<Self, KvError> {
        let valid = (1..=BUCKET_BYTES_MAX).contains(&text.len())
            && text
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(KvError::InvalidName(format!(
                "`{}` is not a valid bucket name: use 1 to {BUCKET_BYTES_MAX} of a-z, 0-9, - and _",
                text.chars().take(80).collect::<String>()
            )))
        }
    }

    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Key {
    /// Checks a key that a stranger wrote.
    ///
    /// # Errors
    /// [`KvError::InvalidName`].
    pub fn parse(text: String) -> Result<Self, KvError> {
        if (1..=KEY_BYTES_MAX).contains(&text.len()) {
            return Ok(Self(text));
        }
        Err(KvError::InvalidName(format!(
            "a key must have 1 to {KEY_BYTES_MAX} bytes, and this one has {}",
            text.len()
        )))
    }

    /// Checks the keys of one call.
    ///
    /// # Errors
    /// [`KvError::InvalidName`], also for more keys than a call may name.
    pub fn parse_many(texts: Vec<String>) -> Result<Vec<Self>, KvError> {
        check_count(texts.len())?;
        texts.into_iter().map(Self::parse).collect()
    }

    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text itself.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl Value {
    /// Checks a value that a stranger wrote.
    ///
    /// # Errors
    /// [`KvError::ValueTooLarge`].
    pub fn parse(bytes: Vec<u8>) -> Result<Self, KvError> {
        if bytes.len() <= VALUE_BYTES_MAX {
            Ok(Self(bytes))
        } else {
            Err(KvError::ValueTooLarge(VALUE_BYTES_MAX as u64))
        }
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Refuses a call about more keys than one may be about.
///
/// # Errors
/// [`KvError::InvalidName`].
pub(crate) fn check_count(keys: usize) -> Result<(), KvError> {
    if keys <= CALL_KEYS_MAX {
        return Ok(());
    }
    Err(KvError::InvalidName(format!(
        "one call may be about {CALL_KEYS_MAX} keys, and this one is about {keys}; make several"
    )))
}
