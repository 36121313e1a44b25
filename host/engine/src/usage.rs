//! Usage of installs as the engine saw it, added up by minute until the ledger takes it, and kept in the
//! journal meanwhile.

use std::sync::Arc;

use cloudware_types::{InstallId, InstanceId, Meters, Slug, UsageRecord};
use dashmap::DashMap;
use parking_lot::Mutex;

use crate::{
    clock::unix_coarse,
    journal::{Journal, Lease},
};

/// The usage of one install that the ledger has not taken yet.
#[derive(Debug)]
pub struct UsageMeter {
    journal: Arc<Journal>,
    instance: InstanceId,
    install: InstallId,
    app: Slug,
    /// In the order in which they were begun; only the last is added to.
    readings: Mutex<Vec<Reading>>,
}

/// What was used in one minute.
#[derive(Debug)]
struct Reading {
    minute: u64,
    meters: Meters,
    lease: Lease,
}

impl UsageMeter {
    /// Adds a reading to the current minute. When it returns, the reading outlives this process.
    pub fn add(&self, meters: &Meters) {
        let minute = current_minute();
        let mut readings = self.readings.lock();
        match readings.last_mut() {
            Some(last) if last.minute == minute => last.add(meters),
            _ => {
                let mut reading = Reading {
                    minute,
                    meters: Meters::default(),
                    lease: self
                        .journal
                        .take((self.instance, self.install), &self.app, minute),
                };
                reading.add(meters);
                readings.push(reading);
            }
        }
    }
}

impl Reading {
    fn add(&mut self, meters: &Meters) {
        self.meters.join(meters);
        self.lease.write(&self.meters);
    }
}

/// The meters of all installs of this host.
#[derive(Debug)]
pub(crate) struct UsageMeters {
    meters: DashMap<InstallId, Arc<UsageMeter>>,
    journal: Arc<Journal>,
}

/// Usage on its way to the ledger. It stays in the journal until [`Self::recorded`]; a batch that is
/// dropped before is recorded by the next process.
#[derive(Debug)]
#[must_use = "usage that is not recorded is missing until the host starts again"]
pub struct UsageBatch {
    /// What is to be recorded.
    pub records: Vec<UsageRecord>,
    leases: Vec<Lease>,
    journal: Arc<Journal>,
}

impl UsageBatch {
    /// Frees the places in the journal; called when the ledger has taken the records.
    pub fn recorded(self) {
        self.journal.free_all(self.leases);
    }
}

impl UsageMeters {
    pub(crate) fn new(journal: Arc<Journal>) -> Self {
        Self {
            meters: DashMap::new(),
            journal,
        }
    }

    /// The meter of an install; the same one for as long as the host runs.
    pub(crate) fn of(
        &self,
        instance: InstanceId,
        install: InstallId,
        app: &Slug,
    ) -> Arc<UsageMeter> {
        let meter = self.meters.entry(install).or_insert_with(|| {
            Arc::new(UsageMeter {
                journal: Arc::clone(&self.journal),
                instance,
                install,
                app: app.clone(),
                readings: Mutex::default(),
            })
        });
        Arc::clone(&meter)
    }

    /// Takes everything that has been added since the last call.
    pub(crate) fn drain(&self) -> UsageBatch {
        let mut batch = UsageBatch {
            records: Vec::new(),
            leases: Vec::new(),
            journal: Arc::clone(&self.journal),
        };
        for entry in &self.meters {
            let meter = entry.value();
            let readings = std::mem::take(&mut *meter.readings.lock());
            for reading in readings {
                batch.records.push(UsageRecord {
                    source: self.journal.source(&reading.lease),
                    instance: meter.instance,
                    install: meter.install,
                    app: meter.app.clone(),
                    minute: reading.minute,
                    meters: reading.meters,
                });
                batch.leases.push(reading.lease);
            }
        }
        self.journal.make_room();
        batch
    }
}

fn current_minute() -> u64 {
    unix_coarse().as_secs() / 60
}
