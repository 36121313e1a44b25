//! How much the databases of instances hold: read once a minute while apps use them and after writes, for the ledger and for the
//! engine, which tells where little is left.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use cloudware_engine::{Engine, UsageBatch};
use cloudware_instance_db::{Error, InstanceDbs};
use cloudware_types::{InstallId, InstanceId, Meter, Meters};
use futures_util::future::join_all;

/// How long the database of an instance is waited for that is to say how much it holds: others wait behind it for their usage
/// to be recorded.
pub(crate) const ASKED_MAX: Duration = Duration::from_millis(200);

/// Databases that were read and that are to be read.
#[derive(Default)]
pub(crate) struct StorageReadings {
    /// The instances that used their database, with the minute: the last one that usage was of.
    seen: HashSet<(InstanceId, u64)>,
    /// What is to be read.
    due: HashMap<InstanceId, Due>,
}

/// A database that is to be read.
struct Due {
    /// An install that used it.
    install: InstallId,
    /// The record of the batch that the reading belongs to: the last of the instance's, one of the app itself if there is one.
    /// None where the reading of its own minute was given already, as the size of the file.
    place: Option<usize>,
}

impl StorageReadings {
    /// Notes which databases are to be read: those that runs used for the first time in a minute, and that may have grown.
    pub(crate) fn note(&mut self, batch: &mut UsageBatch) {
        // It is the app's own as long as it was used by itself too.
        batch
            .records
            .sort_by_key(|record| (record.hook.is_none(), record.minute));
        for (place, record) in batch.records.iter().enumerate() {
            if !uses_database(&record.meters) {
                continue;
            }
            let is_first = self.seen.insert((record.instance, record.minute));
            if is_first || may_have_grown(&record.meters) {
                let due = Due {
                    install: record.install,
                    place: Some(place),
                };
                self.due.insert(record.instance, due);
            }
        }
        let newest = batch.records.iter().map(|record| record.minute).max();
        if let Some(newest) = newest {
            self.seen.retain(|&(_, minute)| minute >= newest);
        }
    }

    /// Reads them, tells the engine, and adds them to the batch that was noted last. Of a database that is closed again, or too
    /// busy to say it, that is the size of its file; who is busy is asked again the next time. May be cancelled: what was not
    /// read is read then.
    pub(crate) async fn read(
        &mut self,
        databases: &InstanceDbs,
        engine: &Engine,
        batch: &mut UsageBatch,
    ) {
        let used = self.due.keys().map(async |&instance| {
            let used = databases.used_bytes_if_open(instance, ASKED_MAX);
            (instance, used.await)
        });
        for (instance, used) in join_all(used).await {
            let Some(Due { install, place }) = self.due.remove(&instance) else {
                continue;
            };
            let bytes = match used {
                Ok(Some(used)) => {
                    engine.storage_read(install, used);
                    used
                }
                Err(Error::Busy) => {
                    let again = Due {
                        install,
                        place: None,
                    };
                    self.due.insert(instance, again);
                    databases.file_bytes(instance)
                }
                Ok(None) | Err(_) => databases.file_bytes(instance),
            };
            if let Some(place) = place {
                batch.records[place].meters[Meter::StorageBytes] = bytes;
            }
        }
    }
}

/// Whether runs used the private database, for themselves or for what they tell observers.
fn uses_database(meters: &Meters) -> bool {
    meters[Meter::SqlNanoseconds] > 0 || meters[Meter::KvOperations] > 0
}

/// Whether something was written, or may have been.
fn may_have_grown(meters: &Meters) -> bool {
    meters[Meter::SqlRowsWritten] > 0 || meters[Meter::KvOperations] > 0
}
