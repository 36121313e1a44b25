//! Usage of installs as the engine saw it, added up by minute until the ledger takes it, and kept in the
//! journal meanwhile. What an install consumes as a hook is added up for that hook alone, so that a run is one addition,
//! and all meters of an install together are its usage.

use std::sync::Arc;

use cloudware_capability::UsageSink;
use cloudware_types::{HookId, InstallId, InstanceId, Meter, Meters, Slug, UsageRecord};
use dashmap::DashMap;
use parking_lot::Mutex;

use crate::{
    clock::unix_coarse,
    journal::{Journal, Lease},
};

/// Whose usage it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Consumer {
    pub(crate) instance: InstanceId,
    pub(crate) install: InstallId,
    pub(crate) app: Slug,
    /// The hook as which the install is called, or the webhook that is called for it.
    pub(crate) hook: Option<HookId>,
}

/// The usage of one consumer that the ledger has not taken yet.
#[derive(Debug)]
pub struct UsageMeter {
    journal: Arc<Journal>,
    consumer: Consumer,
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
                    lease: self.journal.take(&self.consumer, minute),
                };
                reading.add(meters);
                readings.push(reading);
            }
        }
    }
}

impl UsageSink for UsageMeter {
    fn add(&self, meters: &Meters) {
        Self::add(self, meters);
    }
}

impl Reading {
    fn add(&mut self, meters: &Meters) {
        self.meters.join(meters);
        self.lease.write(&self.meters);
    }
}

/// One call of a webhook, metered when it ends, however it ends.
pub(crate) struct WebhookReading<'a> {
    usage: &'a UsageMeter,
    failed: bool,
}

impl<'a> WebhookReading<'a> {
    /// A call that begins.
    pub(crate) fn begin(usage: &'a UsageMeter) -> Self {
        Self {
            usage,
            failed: true,
        }
    }

    /// It ended well.
    pub(crate) fn succeeded(mut self) {
        self.failed = false;
    }
}

impl Drop for WebhookReading<'_> {
    fn drop(&mut self) {
        let mut meters = Meters::default();
        meters[Meter::WebhookCalls] = 1;
        meters[Meter::WebhookFailures] = u64::from(self.failed);
        self.usage.add(&meters);
    }
}

/// The meters of all installs of this host, and of their hooks.
#[derive(Debug)]
pub(crate) struct UsageMeters {
    meters: DashMap<(InstallId, Option<HookId>), Arc<UsageMeter>>,
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

    /// The meter of a consumer; the same one for as long as somebody holds it or it has readings.
    pub(crate) fn of(&self, consumer: Consumer) -> Arc<UsageMeter> {
        let key = (consumer.install, consumer.hook);
        let meter = self.meters.entry(key).or_insert_with(|| {
            Arc::new(UsageMeter {
                journal: Arc::clone(&self.journal),
                consumer,
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
                    instance: meter.consumer.instance,
                    install: meter.consumer.install,
                    app: meter.consumer.app.clone(),
                    hook: meter.consumer.hook,
                    minute: reading.minute,
                    meters: reading.meters,
                });
                batch.leases.push(reading.lease);
            }
        }
        // Nobody can add to a meter that only the map holds, and nobody gets it while the map looks.
        self.meters
            .retain(|_, meter| Arc::strong_count(meter) > 1 || !meter.readings.lock().is_empty());
        self.journal.make_room();
        batch
    }
}

fn current_minute() -> u64 {
    unix_coarse().as_secs() / 60
}
