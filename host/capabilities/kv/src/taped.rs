//! A store whose operations go through the tape of an invocation: noted while it is recorded, answered from the tape
//! when it runs again.

use std::sync::Arc;

use async_trait::async_trait;
use cloudware_capability::{Tape, bytes_from_json, bytes_to_json};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value as Json, json};

use crate::{Change, Changed, Entry, Exchange, Key, KvError, KvStore, Listing, Page, Place, Start};

/// A store behind a tape.
pub(crate) struct TapedKv {
    pub(crate) store: Arc<dyn KvStore>,
    pub(crate) tape: Arc<Tape>,
}

#[async_trait]
impl KvStore for TapedKv {
    async fn get(&self, place: &Place, keys: Vec<Key>) -> Result<Vec<Option<Entry>>, KvError> {
        let names: Vec<_> = keys.iter().map(|key| key.as_str().to_owned()).collect();
        let asked = json!({ "bucket": place.bucket.as_str(), "keys": names });
        let write = |entries: &Vec<Option<Entry>>| {
            let pairs = names.iter().zip(entries);
            pairs.map(|(key, entry)| write_entry(key, entry)).collect()
        };
        let read = |json: &Json| json.as_array()?.iter().map(read_entry).collect();
        let live = self.store.get(place, keys);
        self.tape
            .exchange("kv.get", asked, live, outcome(write), answer(read))
            .await
    }

    async fn exists(&self, place: &Place, key: Key) -> Result<bool, KvError> {
        let asked = json!({ "bucket": place.bucket.as_str(), "key": key.as_str() });
        let live = self.store.exists(place, key);
        self.tape
            .exchange("kv.exists", asked, live, outcome(plain), answer(parsed))
            .await
    }

    async fn change(&self, place: &Place, changes: Vec<Change>) -> Result<Vec<Changed>, KvError> {
        let written: Vec<_> = changes
            .iter()
            .map(|change| match change {
                Change::Set(key, value) => {
                    json!({ "key": key.as_str(), "value": bytes_to_json(value.as_bytes()) })
                }
                Change::Delete(key) => json!({ "key": key.as_str(), "deleted": true }),
            })
            .collect();
        let asked = json!({ "bucket": place.bucket.as_str(), "changes": written });
        let write = |changed: &Vec<Changed>| {
            let word = |changed: &Changed| match changed {
                Changed::Set(version) => json!(version),
                Changed::Deleted(was_there) => json!(was_there),
            };
            changed.iter().map(word).collect()
        };
        let read = |json: &Json| {
            let changed = |json: &Json| match json {
                Json::Bool(was_there) => Some(Changed::Deleted(*was_there)),
                json => json.as_u64().map(Changed::Set),
            };
            json.as_array()?.iter().map(changed).collect()
        };
        let live = self.store.change(place, changes);
        self.tape
            .exchange("kv.change", asked, live, outcome(write), answer(read))
            .await
    }

    async fn compare_and_set(&self, place: &Place, exchange: Exchange) -> Result<u64, KvError> {
        let asked = json!({
            "bucket": place.bucket.as_str(),
            "key": exchange.key.as_str(),
            "expected": exchange.expected,
            "value": bytes_to_json(exchange.value.as_bytes()),
        });
        let live = self.store.compare_and_set(place, exchange);
        let call = "kv.compare-and-set";
        self.tape
            .exchange(call, asked, live, outcome(plain), answer(parsed))
            .await
    }

    async fn increment(&self, place: &Place, key: Key, delta: i64) -> Result<i64, KvError> {
        let asked = json!({ "bucket": place.bucket.as_str(), "key": key.as_str(), "delta": delta });
        let live = self.store.increment(place, key, delta);
        self.tape
            .exchange("kv.increment", asked, live, outcome(plain), answer(parsed))
            .await
    }

    async fn list(&self, place: &Place, listing: Listing) -> Result<Page, KvError> {
        let start = match &listing.start {
            Start::First => Json::Null,
            Start::After(after) => json!({ "after": after }),
            Start::Offset(keys) => json!({ "offset": keys }),
        };
        let asked = json!({
            "bucket": place.bucket.as_str(),
            "prefix": listing.prefix,
            "start": start,
            "limit": listing.limit,
        });
        let write = |page: &Page| json!({ "keys": page.keys, "more": page.more });
        let read = |json: &Json| {
            Some(Page {
                keys: parsed(&json["keys"])?,
                more: json["more"].as_bool()?,
            })
        };
        let live = self.store.list(place, listing);
        self.tape
            .exchange("kv.list", asked, live, outcome(write), answer(read))
            .await
    }
}

/// Notes what an operation gave, `{"ok": …}` or `{"err": …}`.
fn outcome<T>(
    write: impl FnOnce(&T) -> Json + Send,
) -> impl FnOnce(&Result<T, KvError>) -> Json + Send {
    |result| match result {
        Ok(value) => json!({ "ok": write(value) }),
        Err(error) => json!({ "err": error }),
    }
}

/// What [`outcome`] noted.
fn answer<T>(
    read: impl FnOnce(&Json) -> Option<T> + Send,
) -> impl FnOnce(&Json) -> Option<Result<T, KvError>> + Send {
    |json| match json.get("ok") {
        Some(value) => read(value).map(Ok),
        None => parsed(json.get("err")?).map(Err),
    }
}

fn plain<T: Serialize>(value: &T) -> Json {
    json!(value)
}

fn parsed<T: DeserializeOwned>(json: &Json) -> Option<T> {
    T::deserialize(json).ok()
}

/// With its key, so that the name says what is redacted.
fn write_entry(key: &str, entry: &Option<Entry>) -> Json {
    match entry {
        None => Json::Null,
        Some(entry) => json!({
            "key": key, "value": bytes_to_json(&entry.value), "version": entry.version,
        }),
    }
}

fn read_entry(json: &Json) -> Option<Option<Entry>> {
    if json.is_null() {
        return Some(None);
    }
    Some(Some(Entry {
        value: bytes_from_json(&json["value"])?,
        version: json["version"].as_u64()?,
    }))
}
