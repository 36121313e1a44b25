//! The operations of a guest, one function each, whichever of the three interfaces it calls: counted,
//! charged, bounded, and handed to the store.

use std::sync::Arc;

use cloudware_capability::{Invocation, LimitReached};
use cloudware_types::{Dimension, Meter};
use wasmtime::component::{Resource, ResourceTableError};

use crate::{
    BucketName, Change, Changed, Entry, Exchange, Key, KvError, KvStore, Listing, NAME, Page,
    Place, Scope, Start, Value,
    limits::{CALL_BYTES_MAX, CALL_KEYS_MAX},
    store::check_count,
};

/// What an invocation has of the capability.
pub(crate) struct Session {
    pub(crate) store: Arc<dyn KvStore>,
    pub(crate) scope: Arc<Scope>,
}

/// What a guest's handle of a bucket stands for.
pub struct Bucket {
    name: BucketName,
}

/// How an operation ends early: with a refusal that the guest sees, or by ending the invocation.
#[derive(Debug)]
pub enum Failure {
    /// The guest sees it.
    Refused(KvError),
    /// The invocation ends.
    Trap(wasmtime::Error),
}

impl From<KvError> for Failure {
    fn from(error: KvError) -> Self {
        Self::Refused(error)
    }
}

impl From<LimitReached> for Failure {
    fn from(error: LimitReached) -> Self {
        Self::Trap(error.into())
    }
}

impl From<ResourceTableError> for Failure {
    fn from(error: ResourceTableError) -> Self {
        Self::Trap(error.into())
    }
}

/// A bucket as a guest's argument.
pub(crate) type BucketHandle = Resource<Bucket>;

pub(crate) fn open(
    invocation: &mut Invocation,
    call: &'static str,
    name: &str,
) -> Result<BucketHandle, Failure> {
    invocation.enter(call)?;
    let bucket = Bucket {
        name: BucketName::parse(name)?,
    };
    let handle = invocation.table.push(bucket)?;
    invocation.leave();
    Ok(handle)
}

pub(crate) fn close(invocation: &mut Invocation, bucket: BucketHandle) -> wasmtime::Result<()> {
    invocation.table.delete(bucket)?;
    Ok(())
}

/// A further handle of the same bucket.
pub(crate) fn duplicate(
    invocation: &mut Invocation,
    bucket: &BucketHandle,
) -> Result<BucketHandle, Failure> {
    let name = invocation.table.get(bucket)?.name.clone();
    Ok(invocation.table.push(Bucket { name })?)
}

pub(crate) async fn get(
    invocation: &mut Invocation,
    call: &'static str,
    bucket: &BucketHandle,
    key: String,
) -> Result<Option<Entry>, Failure> {
    let entries = get_many(invocation, call, bucket, vec![key]).await?;
    Ok(entries.into_iter().next().flatten())
}

pub(crate) async fn get_many(
    invocation: &mut Invocation,
    call: &'static str,
    bucket: &BucketHandle,
    keys: Vec<String>,
) -> Result<Vec<Option<Entry>>, Failure> {
    let (store, place) = begin(invocation, call, bucket, keys.len())?;
    // The keys come from the guest: their number and each one's length are bounded here.
    let keys = Key::parse_many(keys)?;
    let entries = store.get(&place, keys).await;
    let values = entries.iter().flatten().flatten();
    pass(invocation, values.map(|entry| entry.value.len()).sum())?;
    invocation.leave();
    Ok(entries?)
}

pub(crate) async fn exists(
    invocation: &mut Invocation,
    call: &'static str,
    bucket: &BucketHandle,
    key: String,
) -> Result<bool, Failure> {
    let (store, place) = begin(invocation, call, bucket, 1)?;
    // The key comes from the guest: its length is bounded here.
    let exists = store.exists(&place, Key::parse(key)?).await;
    invocation.leave();
    Ok(exists?)
}

pub(crate) async fn set(
    invocation: &mut Invocation,
    call: &'static str,
    bucket: &BucketHandle,
    key: String,
    value: Vec<u8>,
) -> Result<u64, Failure> {
    let changes = vec![(key, Some(value))];
    let changed = change(invocation, call, bucket, changes).await?;
    match changed.first() {
        Some(Changed::Set(version)) => Ok(*version),
        _ => Err(KvError::Unavailable.into()),
    }
}

pub(crate) async fn delete(
    invocation: &mut Invocation,
    call: &'static str,
    bucket: &BucketHandle,
    key: String,
) -> Result<bool, Failure> {
    let changed = change(invocation, call, bucket, vec![(key, None)]).await?;
    Ok(matches!(changed.first(), Some(Changed::Deleted(true))))
}

/// Sets each key to its value, or removes it where there is none.
pub(crate) async fn change(
    invocation: &mut Invocation,
    call: &'static str,
    bucket: &BucketHandle,
    changes: Vec<(String, Option<Vec<u8>>)>,
) -> Result<Vec<Changed>, Failure> {
    let (store, place) = begin(invocation, call, bucket, changes.len())?;
    // The changes come from the guest: their number, each key and value, and their sum are bounded here.
    check_count(changes.len())?;
    let bytes: usize = changes
        .iter()
        .map(|(_, v)| v.as_ref().map_or(0, Vec::len))
        .sum();
    if bytes > CALL_BYTES_MAX {
        return Err(KvError::ValueTooLarge(CALL_BYTES_MAX as u64).into());
    }
    pass(invocation, bytes)?;
    let changes = changes
        .into_iter()
        .map(|(key, value)| {
            let key = Key::parse(key)?;
            Ok(match value {
                Some(value) => Change::Set(key, Value::parse(value)?),
                None => Change::Delete(key),
            })
        })
        .collect::<Result<_, KvError>>()?;
    let changed = store.change(&place, changes).await;
    invocation.leave();
    Ok(changed?)
}

pub(crate) async fn compare_and_set(
    invocation: &mut Invocation,
    call: &'static str,
    bucket: &BucketHandle,
    (key, expected, value): (String, Option<u64>, Vec<u8>),
) -> Result<u64, Failure> {
    let (store, place) = begin(invocation, call, bucket, 1)?;
    // Key and value come from the guest: their lengths are bounded here.
    let exchange = Exchange {
        key: Key::parse(key)?,
        expected,
        value: Value::parse(value)?,
    };
    pass(invocation, exchange.value.as_bytes().len())?;
    let version = store.compare_and_set(&place, exchange).await;
    invocation.leave();
    Ok(version?)
}

pub(crate) async fn increment(
    invocation: &mut Invocation,
    call: &'static str,
    bucket: &BucketHandle,
    key: String,
    delta: i64,
) -> Result<i64, Failure> {
    let (store, place) = begin(invocation, call, bucket, 1)?;
    // The key comes from the guest: its length is bounded here.
    let sum = store.increment(&place, Key::parse(key)?, delta).await;
    invocation.leave();
    Ok(sum?)
}

pub(crate) async fn list(
    invocation: &mut Invocation,
    call: &'static str,
    bucket: &BucketHandle,
    prefix: String,
    (start, limit): (Start, usize),
) -> Result<Page, Failure> {
    let (store, place) = begin(invocation, call, bucket, 1)?;
    let longest = match &start {
        Start::After(after) => prefix.len().max(after.len()),
        _ => prefix.len(),
    };
    // Prefix, place and number come from the guest: nothing longer than a key can match, and a page
    // has at least one key, so that every page leads on.
    if longest > crate::limits::KEY_BYTES_MAX {
        return Err(KvError::InvalidName(format!(
            "a prefix or cursor may have {} bytes, and this one has {longest}",
            crate::limits::KEY_BYTES_MAX
        ))
        .into());
    }
    let listing = Listing {
        prefix,
        start,
        limit: limit.clamp(1, CALL_KEYS_MAX),
    };
    let page = store.list(&place, listing).await;
    invocation.leave();
    Ok(page?)
}

/// Counts what a call holds until it has returned.
fn pass(invocation: &mut Invocation, bytes: usize) -> Result<(), Failure> {
    invocation.memory.pass(bytes).map_err(Failure::Trap)
}

/// Counts and charges the call, and finds out where it takes place.
fn begin(
    invocation: &mut Invocation,
    call: &'static str,
    bucket: &BucketHandle,
    keys: usize,
) -> Result<(Arc<dyn KvStore>, Place), Failure> {
    invocation.enter(call)?;
    invocation.charge(
        Meter::KvOperations,
        Dimension::KvOperations,
        keys.max(1) as u64,
    )?;
    let bucket = invocation.table.get(bucket)?.name.clone();
    let chain = invocation.chain();
    let session = invocation
        .state::<Session>(NAME)
        .ok_or_else(|| Failure::Trap(wasmtime::Error::msg("the capability kv is not granted")))?;
    let place = Place {
        scope: Arc::clone(&session.scope),
        bucket,
        invocation: chain,
    };
    Ok((Arc::clone(&session.store), place))
}
