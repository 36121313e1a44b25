//! Key-value data in the table `cw_kv` of the instance's private database. Writers of an instance
//! take turns, so every operation is atomic; an answer comes after the commit has reached the disk.

use std::sync::Arc;

use async_trait::async_trait;
use cloudware_instance_db::{AppKey, Database, Error, Holder, InstanceDbs, PlatformScope, Worked};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    Change, Changed, Entry, Exchange, Key, KvError, KvStore, Listing, Page, Place, Start,
    limits::{CALL_BYTES_MAX, CALL_TIME_MAX},
};

/// The backend of a host that keeps everything itself.
pub struct EmbeddedKv {
    databases: Arc<InstanceDbs>,
}

impl EmbeddedKv {
    /// Keeps data in these databases.
    #[must_use]
    pub fn new(databases: Arc<InstanceDbs>) -> Self {
        Self { databases }
    }

    fn database(&self, place: &Place) -> Result<(Arc<Database>, PlatformScope), KvError> {
        let database = self
            .databases
            .get(place.scope.instance)
            .map_err(|error| refusal(&error))?;
        let scope = PlatformScope {
            storage_bytes_max: place.scope.storage_bytes_max,
            time_max: CALL_TIME_MAX,
            holder: Holder::new(
                place.invocation.clone(),
                AppKey::of(place.scope.app.as_str()),
            )
            .with_weight(place.scope.weight),
        };
        Ok((database, scope))
    }

    async fn read<R: Send + 'static>(
        &self,
        place: &Place,
        work: impl FnOnce(&Rows<'_>) -> Answer<R> + Send + 'static,
    ) -> Result<R, KvError> {
        let (database, scope) = self.database(place)?;
        let place = place.clone();
        let worked = database
            .read(scope, move |sqlite| {
                work(&Rows {
                    sqlite,
                    place: &place,
                })
            })
            .await;
        answer(worked)
    }

    async fn write<R: Send + 'static>(
        &self,
        place: &Place,
        work: impl FnOnce(&Rows<'_>) -> Answer<R> + Send + 'static,
    ) -> Result<R, KvError> {
        let (database, scope) = self.database(place)?;
        let place = place.clone();
        let worked = database
            .write(scope, move |sqlite| {
                work(&Rows {
                    sqlite,
                    place: &place,
                })
            })
            .await;
        answer(worked)
    }
}

/// The inner refusals are found before anything is written.
type Answer<R> = Result<Result<R, KvError>, Error>;

fn answer<R>(worked: Worked<Result<R, KvError>>) -> Result<R, KvError> {
    worked.result.map_err(|error| refusal(&error))?
}

fn refusal(error: &Error) -> KvError {
    match error {
        Error::Busy => KvError::Busy,
        Error::Full => KvError::Full,
        _ => KvError::Unavailable,
    }
}

#[async_trait]
impl KvStore for EmbeddedKv {
    async fn get(&self, place: &Place, keys: Vec<Key>) -> Result<Vec<Option<Entry>>, KvError> {
        self.read(place, move |rows| {
            let mut entries = Vec::with_capacity(keys.len());
            let mut bytes = 0;
            for key in &keys {
                let entry = rows.entry(key)?;
                bytes += entry.as_ref().map_or(0, |entry| entry.value.len());
                if bytes > CALL_BYTES_MAX {
                    return Ok(Err(KvError::ValueTooLarge(CALL_BYTES_MAX as u64)));
                }
                entries.push(entry);
            }
            Ok(Ok(entries))
        })
        .await
    }

    async fn exists(&self, place: &Place, key: Key) -> Result<bool, KvError> {
        self.read(place, move |rows| Ok(Ok(rows.version(&key)?.is_some())))
            .await
    }

    async fn change(&self, place: &Place, changes: Vec<Change>) -> Result<Vec<Changed>, KvError> {
        self.write(place, move |rows| {
            let changed = changes.iter().map(|change| match change {
                Change::Set(key, value) => rows.set(key, value.as_bytes()).map(Changed::Set),
                Change::Delete(key) => rows.delete(key).map(Changed::Deleted),
            });
            Ok(Ok(changed.collect::<Result<_, _>>()?))
        })
        .await
    }

    async fn compare_and_set(&self, place: &Place, exchange: Exchange) -> Result<u64, KvError> {
        self.write(place, move |rows| {
            let current = rows.version(&exchange.key)?;
            if current != exchange.expected {
                return Ok(Err(KvError::Conflict(current)));
            }
            rows.set(&exchange.key, exchange.value.as_bytes()).map(Ok)
        })
        .await
    }

    async fn increment(&self, place: &Place, key: Key, delta: i64) -> Result<i64, KvError> {
        self.write(place, move |rows| {
            let current = match rows.entry(&key)? {
                None => Some(0),
                Some(entry) => std::str::from_utf8(&entry.value)
                    .ok()
                    .and_then(|text| text.parse::<i64>().ok()),
            };
            let Some(sum) = current.and_then(|number| number.checked_add(delta)) else {
                return Ok(Err(KvError::NotANumber));
            };
            rows.set(&key, sum.to_string().as_bytes())?;
            Ok(Ok(sum))
        })
        .await
    }

    async fn list(&self, place: &Place, listing: Listing) -> Result<Page, KvError> {
        self.read(place, move |rows| Ok(Ok(rows.list(&listing)?)))
            .await
    }
}

/// The rows of one bucket of one app.
struct Rows<'c> {
    sqlite: &'c Connection,
    place: &'c Place,
}

impl Rows<'_> {
    fn app(&self) -> &str {
        self.place.scope.app.as_str()
    }

    fn bucket(&self) -> &str {
        self.place.bucket.as_str()
    }

    fn entry(&self, key: &Key) -> Result<Option<Entry>, Error> {
        let entry = self
            .sqlite
            .prepare_cached(
                "SELECT value, version FROM cw_kv WHERE app = ?1 AND bucket = ?2 AND key = ?3",
            )?
            .query_row([self.app(), self.bucket(), key.as_str()], |row| {
                Ok(Entry {
                    value: row.get(0)?,
                    version: row.get::<_, i64>(1)?.unsigned_abs(),
                })
            })
            .optional()?;
        Ok(entry)
    }

    fn version(&self, key: &Key) -> Result<Option<u64>, Error> {
        let version: Option<i64> = self
            .sqlite
            .prepare_cached(
                "SELECT version FROM cw_kv WHERE app = ?1 AND bucket = ?2 AND key = ?3",
            )?
            .query_row([self.app(), self.bucket(), key.as_str()], |row| row.get(0))
            .optional()?;
        Ok(version.map(i64::unsigned_abs))
    }

    fn set(&self, key: &Key, value: &[u8]) -> Result<u64, Error> {
        // One counter for all keys of an app: versions grow across deletions without a trace of
        // the keys that were deleted.
        let version: i64 = self
            .sqlite
            .prepare_cached(
                "INSERT INTO cw_kv_counter (app, version) VALUES (?1, 1)
                 ON CONFLICT (app) DO UPDATE SET version = version + 1 RETURNING version",
            )?
            .query_row([self.app()], |row| row.get(0))?;
        self.sqlite
            .prepare_cached(
                "INSERT INTO cw_kv (app, bucket, key, version, value) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (app, bucket, key) DO UPDATE
                 SET version = excluded.version, value = excluded.value",
            )?
            .execute(params![
                self.app(),
                self.bucket(),
                key.as_str(),
                version,
                value
            ])?;
        Ok(version.unsigned_abs())
    }

    fn delete(&self, key: &Key) -> Result<bool, Error> {
        let deleted = self
            .sqlite
            .prepare_cached("DELETE FROM cw_kv WHERE app = ?1 AND bucket = ?2 AND key = ?3")?
            .execute([self.app(), self.bucket(), key.as_str()])?;
        Ok(deleted > 0)
    }

    fn list(&self, listing: &Listing) -> Result<Page, Error> {
        const FROM: &str = "SELECT key FROM cw_kv
             WHERE app = ?1 AND bucket = ?2 AND key >= ?3 ORDER BY key LIMIT ?4 OFFSET ?5";
        const AFTER: &str = "SELECT key FROM cw_kv
             WHERE app = ?1 AND bucket = ?2 AND key > ?3 ORDER BY key LIMIT ?4 OFFSET ?5";
        let (statement, begin, offset) = match &listing.start {
            Start::After(after) if *after >= listing.prefix => (AFTER, after, 0),
            Start::Offset(keys) => (FROM, &listing.prefix, *keys),
            Start::First | Start::After(_) => (FROM, &listing.prefix, 0),
        };
        let mut statement = self.sqlite.prepare_cached(statement)?;
        let mut rows = statement.query(params![
            self.app(),
            self.bucket(),
            begin,
            listing.limit as i64 + 1,
            i64::try_from(offset).unwrap_or(i64::MAX)
        ])?;
        let mut keys: Vec<String> = Vec::new();
        while let Some(row) = rows.next()? {
            let key: String = row.get(0)?;
            if !key.starts_with(&listing.prefix) {
                break;
            }
            keys.push(key);
        }
        let more = keys.len() > listing.limit;
        keys.truncate(listing.limit);
        Ok(Page { keys, more })
    }
}
