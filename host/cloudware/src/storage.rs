//! How much the databases of instances hold: read once a minute while apps use them and after writes, for the ledger and for the
//! engine, which tells where little is left.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use cloudware_engine::Engine;
use cloudware_instance_db::{Error, InstanceDbs};
use cloudware_types::{InstallId, InstanceId, Meter, Meters, UsageRecord};
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
    /// The record that the reading belongs to: the last of the instance's, of its last minute one of an app itself if there is
    /// one. None where the reading of its own minute was given already, as the size of the file.
    place: Option<usize>,
}

impl StorageReadings {
    /// Notes which databases are to be read: those that runs used for the first time in a minute, and that may have grown.
    pub(crate) fn note(&mut self, records: &mut [UsageRecord]) {
        // It is the app's own as long as it was used by itself too.
        records.sort_by_key(|record| (record.minute, record.hook.is_none()));
        for (place, record) in records.iter().enumerate() {
            if !uses_database(&record.meters) {
                continue;
            }
            let is_first = self.seen.insert((record.instance, record.minute));
            let due = self.due.get(&record.instance);
            let is_due_here = due.is_some_and(|due| due.place.is_some());
            if is_first || is_due_here || may_have_grown(&record.meters) {
                let due = Due {
                    install: record.install,
                    place: Some(place),
                };
                self.due.insert(record.instance, due);
            }
        }
        let newest = records.iter().map(|record| record.minute).max();
        if let Some(newest) = newest {
            self.seen.retain(|&(_, minute)| minute >= newest);
        }
    }

    /// Reads them, tells the engine, and adds them to the records that were noted last. Of a database that is closed again, or too
    /// busy to say it, that is the size of its file; who is busy is asked again the next time. May be cancelled: what was not
    /// read is read then.
    pub(crate) async fn read(
        &mut self,
        databases: &InstanceDbs,
        engine: &Engine,
        records: &mut [UsageRecord],
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
                records[place].meters[Meter::StorageBytes] = bytes;
            }
        }
    }
}

/// Whether runs used the private database, for themselves or for what they tell observers.
fn uses_database(meters: &Meters) -> bool {
    meters[Meter::SqlNanoseconds] > 0 || meters[Meter::KvOperations] > 0
}

/// Whether something was written, or may have been. Runs that use the database without a statement tell observers something,
/// which is written there.
fn may_have_grown(meters: &Meters) -> bool {
    meters[Meter::SqlRowsWritten] > 0
        || meters[Meter::KvOperations] > 0
        || meters[Meter::SqlStatements] == 0
}

#[cfg(test)]
mod tests {
    use cloudware_types::HookId;

    use super::*;

    /// Usage of the database in a minute: time, statements, and rows written.
    fn used(
        instance: InstanceId,
        hook: Option<HookId>,
        minute: u64,
        [nanoseconds, statements, rows]: [u64; 3],
    ) -> UsageRecord {
        let mut meters = Meters::default();
        meters[Meter::SqlNanoseconds] = nanoseconds;
        meters[Meter::SqlStatements] = statements;
        meters[Meter::SqlRowsWritten] = rows;
        UsageRecord {
            source: String::new(),
            instance,
            install: InstallId::generate(),
            app: "app".parse().unwrap(),
            hook,
            minute,
            meters,
        }
    }

    /// Whether the instance is to be read, and the record that it will belong to.
    fn noted(readings: &mut StorageReadings, mut records: Vec<UsageRecord>) -> Option<UsageRecord> {
        readings.note(&mut records);
        let due = std::mem::take(&mut readings.due).into_values().next()?;
        Some(records.swap_remove(due.place.unwrap()))
    }

    #[test]
    fn databases_are_read_once_a_minute_and_when_they_may_have_grown() {
        let mut readings = StorageReadings::default();
        let instance = InstanceId::generate();
        let mut is_due = |minute, used_of| {
            let records = vec![used(instance, None, minute, used_of)];
            noted(&mut readings, records).is_some()
        };
        const READS: [u64; 3] = [9, 1, 0];
        assert!(!is_due(1, [0, 0, 0]), "it used none");
        assert!(is_due(1, READS));
        assert!(!is_due(1, READS));
        assert!(is_due(1, [9, 2, 1]));
        assert!(
            is_due(1, [9, 0, 0]),
            "what observers are told is kept there"
        );
        assert!(is_due(2, READS));
    }

    #[test]
    fn a_reading_is_the_apps_own_where_it_used_the_database_itself() {
        let mut readings = StorageReadings::default();
        let instance = InstanceId::generate();
        let hook = Some(HookId::generate());
        let records = vec![
            used(instance, None, 1, [9, 1, 0]),
            used(instance, hook, 1, [9, 2, 1]),
        ];
        assert_eq!(noted(&mut readings, records).map(|of| of.hook), Some(None));
        let alone = vec![used(instance, hook, 2, [9, 1, 0])];
        assert_eq!(noted(&mut readings, alone).map(|of| of.hook), Some(hook));
    }
}
