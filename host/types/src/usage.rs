//! Usage: what invocations consumed, as meters that the engine adds up per install and minute.

use std::ops::{Index, IndexMut};

use serde::{Deserialize, Serialize};

use crate::{HookId, InstallId, InstanceId, Slug};

macro_rules! meters {
    ($($variant:ident $name:literal $how:ident: $doc:literal;)*) => {
        /// One metered quantity.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[repr(usize)]
        pub enum Meter { $(#[doc = $doc] $variant,)* }

        impl Meter {
            /// Every meter, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name in APIs and tables.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// Joins two readings: sums add up, peaks keep the larger.
            #[must_use]
            pub fn join(self, a: u64, b: u64) -> u64 {
                match self { $(Self::$variant => meters!(@$how a b)),* }
            }

            /// Whether readings are joined by taking the larger and not by adding.
            #[must_use]
            pub fn is_peak(self) -> bool {
                match self { $(Self::$variant => meters!(@is_peak $how)),* }
            }
        }
    };
    (@sum $a:ident $b:ident) => { $a.saturating_add($b) };
    (@peak $a:ident $b:ident) => { $a.max($b) };
    (@is_peak sum) => { false };
    (@is_peak peak) => { true };
}

meters! {
    Requests "requests" sum: "Requests that reached the install, refused ones included, but for those that an overloaded host refused.";
    Stops "stops" sum: "Requests that the host stopped or refused, those included that it was too busy for.";
    Fuel "fuel" sum: "Fuel consumed.";
    CpuNanoseconds "cpu-ns" sum: "Nanoseconds of CPU inside the sandbox, host waits not counted.";
    MemoryPeakBytes "memory-peak-bytes" peak: "The largest memory of one invocation.";
    MemoryByteMilliseconds "memory-byte-ms" sum: "Peak memory of each invocation times its wall time, in byte-milliseconds: what it could have taken from others, at most.";
    StorageBytes "storage-bytes" peak: "The most that the private database of the instance held, which all of its apps share; read once a minute while an app uses it, and after writes.";
    RequestBytes "request-bytes" sum: "Bytes of request bodies read by the guest.";
    ResponseBytes "response-bytes" sum: "Bytes of response bodies sent.";
    LogBytes "log-bytes" sum: "Bytes of log text kept, those included that the host's log had no room for because nobody reads it.";
    LogBytesLost "log-bytes-lost" sum: "Bytes of log text left out, beyond `log-bytes` of a run or `log-rate` of the instance.";
    HostCalls "host-calls" sum: "Calls of capability functions.";
    SqlStatements "sql-statements" sum: "SQL statements run.";
    SqlRowsRead "sql-rows-read" sum: "Rows returned by SQL.";
    SqlRowsWritten "sql-rows-written" sum: "Rows inserted, updated or deleted by SQL.";
    SqlNanoseconds "sql-ns" sum: "Nanoseconds that the database worked.";
    KvOperations "kv-operations" sum: "Key-value operations.";
    OutboundCalls "outbound-calls" sum: "HTTP requests that runs sent, those to other apps of the instance included.";
    HookCalls "hook-calls" sum: "Calls of an install's functions as a hook.";
    HookFailures "hook-failures" sum: "Calls of an install's functions as a hook that failed.";
    WebhookCalls "webhook-calls" sum: "Calls of endpoints that fill an install's extension points.";
    WebhookFailures "webhook-failures" sum: "Calls of endpoints that fill an install's extension points that failed.";
}

/// A reading of every meter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Meters([u64; Meter::ALL.len()]);

impl Meters {
    /// Adds another reading to this one, meter by meter, as [`Meter::join`] says.
    pub fn join(&mut self, other: &Self) {
        for &meter in Meter::ALL {
            self[meter] = meter.join(self[meter], other[meter]);
        }
    }

    /// Every meter with its reading, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Meter, u64)> + '_ {
        Meter::ALL.iter().map(|&m| (m, self[m]))
    }
}

impl Index<Meter> for Meters {
    type Output = u64;

    fn index(&self, meter: Meter) -> &u64 {
        &self.0[meter as usize]
    }
}

impl IndexMut<Meter> for Meters {
    fn index_mut(&mut self, meter: Meter) -> &mut u64 {
        &mut self.0[meter as usize]
    }
}

/// What one install consumed in one minute, by itself or as one hook, as the engine hands it to the ledger. All
/// records of an install together are its usage: what it consumed as a hook is in the record of the hook alone.
///
/// The ledger is idempotent on (`source`, install, minute): handing a record on twice counts once.
#[derive(Clone, Debug)]
pub struct UsageRecord {
    /// Unique name of the batch: the host's start and a sequence number.
    pub source: String,
    /// The instance.
    pub instance: InstanceId,
    /// The install.
    pub install: InstallId,
    /// The app's name.
    pub app: Slug,
    /// The hook as which it was called; for a webhook, which is no install, the hook that was called for it. `None`
    /// for everything else.
    pub hook: Option<HookId>,
    /// Minutes since the Unix epoch.
    pub minute: u64,
    /// The readings.
    pub meters: Meters,
}
