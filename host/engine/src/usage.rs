//! Usage of installs as the engine saw it, added up by minute until the ledger takes it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use cloudware_types::{InstallId, InstanceId, Meters, Slug, UsageRecord};
use dashmap::DashMap;
use parking_lot::Mutex;
use uuid::Uuid;

/// The usage of one install that the ledger has not taken yet.
#[derive(Debug)]
pub struct UsageMeter {
    instance: InstanceId,
    install: InstallId,
    app: Slug,
    minutes: Mutex<Vec<(u64, Meters)>>,
}

impl UsageMeter {
    /// Adds a reading to the current minute.
    pub fn add(&self, meters: &Meters) {
        let minute = current_minute();
        let mut minutes = self.minutes.lock();
        match minutes.last_mut() {
            Some((last, sum)) if *last == minute => sum.join(meters),
            _ => minutes.push((minute, *meters)),
        }
    }
}

/// The meters of all installs of this host.
#[derive(Debug)]
pub(crate) struct UsageMeters {
    meters: DashMap<InstallId, Arc<UsageMeter>>,
    /// Unique to this start of the host, so that batches of an earlier start can't be taken for ours.
    start: Uuid,
    batches: AtomicU64,
}

impl UsageMeters {
    pub(crate) fn new() -> Self {
        Self {
            meters: DashMap::new(),
            start: Uuid::now_v7(),
            batches: AtomicU64::new(0),
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
                instance,
                install,
                app: app.clone(),
                minutes: Mutex::new(Vec::new()),
            })
        });
        Arc::clone(&meter)
    }

    /// Takes everything that has been added since the last call.
    pub(crate) fn drain(&self) -> Vec<UsageRecord> {
        let mut records = Vec::new();
        let batch = self.batches.fetch_add(1, Ordering::Relaxed);
        for entry in &self.meters {
            let meter = entry.value();
            let minutes = std::mem::take(&mut *meter.minutes.lock());
            records.extend(minutes.into_iter().map(|(minute, meters)| UsageRecord {
                source: format!("{}-{batch}", self.start.as_simple()),
                instance: meter.instance,
                install: meter.install,
                app: meter.app.clone(),
                minute,
                meters,
            }));
        }
        records
    }
}

fn current_minute() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() / 60)
}
