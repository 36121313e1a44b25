//! Admission of an instance: permits are taken before any work is done for a request, so that a
//! flooded instance costs the host a few comparisons and its neighbours nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use cloudware_capability::{HostMemory, InstanceMemory};
use cloudware_types::{Class, Dimension, Limits, Scope, StopCause};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    clock::coarse,
    lag::Lag,
    limits::{BEHIND_MORE, LAG_BEAT, LOST_LOG_NEAR, SPARED_PATIENCE, SPARED_REQUESTS_PER_SECOND},
    near::{Near, is_near},
    rate::Rate,
    schedule::Share,
    window::{Exhausted, FuelMax, FuelWindows},
};

/// Counts what an instance runs, how often it is asked, and what it burns; shared by all of its
/// installs and kept when they change.
#[derive(Debug)]
pub struct Admission {
    /// The values of the limits that bound a whole instance; those of invocations are not used.
    limits: [AtomicU64; Dimension::COUNT],
    running: AtomicU64,
    /// Runs behind answers that were sent.
    behind: AtomicU64,
    /// Sandboxes: of requests, of what they call in turn, and warm ones that are idle.
    sandboxes: AtomicU64,
    requests: Rate,
    /// Those that are not refused for the lag of the host.
    spared: Rate,
    egress: Rate,
    log: Rate,
    /// How often the log says that text was left out.
    lost_log: Rate,
    /// When that happened last, on the coarse clock.
    lost_log_at: AtomicU64,
    fuel: Mutex<FuelWindows>,
    /// Whether most of the fuel of a window is burned.
    is_fuel_near: AtomicBool,
    /// Bytes of the private database when they were last looked at.
    storage: AtomicU64,
    share: Arc<Share>,
    memory: Arc<InstanceMemory>,
    /// Of the host.
    lag: Arc<Lag>,
}

/// The right to run once; gives it back when dropped.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    is_behind: bool,
}

/// A sandbox's place in the pool of the host, counted for its instance until it is dropped.
#[derive(Debug)]
pub(crate) struct SandboxPlace {
    admission: Arc<Admission>,
    _permit: OwnedSemaphorePermit,
}

/// Why a request is not admitted.
#[derive(Debug, PartialEq)]
pub struct Refusal {
    /// The limit.
    pub cause: StopCause,
    /// After how long there may be room, where time makes room.
    pub resets_in: Option<Duration>,
    /// Whether it is the lag of the host, for which nobody pays.
    pub is_of_host: bool,
}

impl From<Exhausted> for Refusal {
    fn from(exhausted: Exhausted) -> Self {
        Self {
            cause: exhausted.cause,
            resets_in: Some(exhausted.resets_in),
            is_of_host: false,
        }
    }
}

impl Admission {
    /// An instance that runs nothing.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let admission = Self {
            limits: [const { AtomicU64::new(0) }; Dimension::COUNT],
            running: AtomicU64::new(0),
            behind: AtomicU64::new(0),
            sandboxes: AtomicU64::new(0),
            requests: Rate::default(),
            spared: Rate::default(),
            egress: Rate::default(),
            log: Rate::default(),
            lost_log: Rate::default(),
            lost_log_at: AtomicU64::new(0),
            fuel: Mutex::default(),
            is_fuel_near: AtomicBool::new(false),
            storage: AtomicU64::new(0),
            share: Arc::default(),
            memory: Arc::default(),
            lag: Arc::default(),
        };
        admission.set_limits(limits);
        admission
    }

    /// The same, on a host whose lag is measured, and whose memory is shared.
    pub(crate) fn on(mut self, lag: &Arc<Lag>, memory: &Arc<HostMemory>) -> Self {
        self.lag = Arc::clone(lag);
        self.memory = Arc::new(InstanceMemory::of(memory));
        self
    }

    /// Changes the limits; what runs already goes on.
    pub fn set_limits(&self, limits: &Limits) {
        let of_instances = Dimension::ALL
            .iter()
            .filter(|d| d.scope() == Scope::Instance);
        for &dimension in of_instances {
            let new = limits.get(dimension);
            let old = self.limits[dimension as usize].swap(new, Ordering::Relaxed);
            let rate = match dimension {
                Dimension::RequestRate => &self.requests,
                Dimension::EgressRate => &self.egress,
                Dimension::LogRate => &self.log,
                _ => continue,
            };
            if old != new {
                rate.change(coarse(), old, new);
            }
        }
        self.share.set_weight(limits.get(Dimension::CpuWeight));
    }

    pub(crate) fn limit(&self, dimension: Dimension) -> u64 {
        self.limits[dimension as usize].load(Ordering::Relaxed)
    }

    fn refusal(&self, dimension: Dimension, used: u64) -> Refusal {
        let max = self.limit(dimension);
        Refusal {
            cause: StopCause::limit(dimension, Class::Request, used, max),
            resets_in: None,
            is_of_host: false,
        }
    }

    /// Takes a permit.
    ///
    /// # Errors
    /// The limit that is reached. A request refused for concurrency does not count against the rate.
    pub fn admit(self: &Arc<Self>) -> Result<Permit, Refusal> {
        let before = self.running.fetch_add(1, Ordering::Relaxed);
        let permit = Permit {
            admission: Arc::clone(self),
            is_behind: false,
        };
        if before >= self.limit(Dimension::Concurrency) {
            return Err(self.refusal(Dimension::Concurrency, before + 1));
        }
        self.burn(0)?;
        self.wait()?;
        let rate = self.limit(Dimension::RequestRate);
        self.requests.take(coarse(), rate).map_err(|wait| Refusal {
            resets_in: Some(Duration::from_nanos(wait)),
            ..self.refusal(Dimension::RequestRate, rate + 1)
        })?;
        Ok(permit)
    }

    /// Refuses what would wait for a processor for longer than `queue-time` says: in the queue of the instance, or, where
    /// the instance asks for more than a little, as everybody does.
    fn wait(&self) -> Result<(), Refusal> {
        let max = self.limit(Dimension::QueueTime);
        let waited = self.share.waited_ms();
        if waited > max {
            return Err(Refusal {
                resets_in: Some(Duration::from_millis(waited)),
                ..self.refusal(Dimension::QueueTime, waited)
            });
        }
        let lag = self.lag.millis();
        if lag <= max || lag <= max.saturating_mul(SPARED_PATIENCE) && self.take_spared() {
            return Ok(());
        }
        Err(Refusal {
            // It may last for as long as it takes until it is looked at again.
            resets_in: Some(Duration::from_millis(lag).max(2 * LAG_BEAT)),
            is_of_host: true,
            ..self.refusal(Dimension::QueueTime, lag)
        })
    }

    /// Takes one of the few requests that any instance may ask for, where there is one left.
    fn take_spared(&self) -> bool {
        let rate = SPARED_REQUESTS_PER_SECOND;
        self.spared.take(coarse(), rate).is_ok()
    }

    /// The lag of the host in milliseconds, where it is so long that what can wait gives way: half of what requests may wait.
    pub(crate) fn gives_way(&self) -> Option<u64> {
        let lag = self.lag.millis();
        (lag > self.limit(Dimension::QueueTime).div_ceil(2)).then_some(lag)
    }

    /// A permit for what runs already behind an answer, and is not refused any more.
    pub(crate) fn occupy(self: &Arc<Self>) -> Permit {
        self.behind.fetch_add(1, Ordering::Relaxed);
        Permit {
            admission: Arc::clone(self),
            is_behind: true,
        }
    }

    /// Counts fuel that a run of the instance has burned.
    ///
    /// # Errors
    /// The window in which nothing is left.
    pub(crate) fn burn(&self, fuel: u64) -> Result<(), Exhausted> {
        let max = FuelMax {
            minute: self.limit(Dimension::FuelPerMinute),
            day: self.limit(Dimension::FuelPerDay),
        };
        let mut windows = self.fuel.lock();
        let outcome = windows.add(fuel, max);
        let (minute, day) = windows.used();
        drop(windows);
        let is_near = is_near(minute, max.minute) || is_near(day, max.day);
        self.is_fuel_near.store(is_near, Ordering::Relaxed);
        outcome
    }

    /// Counts fuel that was burned earlier today, before the host started.
    pub(crate) fn resume(&self, fuel: u64) {
        self.fuel.lock().resume(fuel);
    }

    /// Counts bytes of an answer, and says how long the next ones must wait.
    pub(crate) fn send(&self, bytes: u64) -> Option<Duration> {
        let rate = self.limit(Dimension::EgressRate);
        match self.egress.charge(coarse(), bytes, rate) {
            0 => None,
            wait => Some(Duration::from_nanos(wait)),
        }
    }

    /// How many bytes of an answer may leave in one piece: a quarter of a second's worth, so that the burst is kept, and a
    /// change of the rate is felt soon.
    pub(crate) fn piece_max(&self) -> u64 {
        self.limit(Dimension::EgressRate).div_ceil(4)
    }

    /// The rate of its answers, where they come near it.
    pub(crate) fn near_egress(&self) -> Option<Near> {
        let (dimension, used) = self.used_of(&self.egress, Dimension::EgressRate, coarse());
        let max = self.limit(dimension);
        let limit = dimension.into();
        is_near(used, max).then_some(Near { limit, used, max })
    }

    /// Takes so much of what the instance may log, where there is as much left.
    pub(crate) fn log(&self, bytes: u64) -> bool {
        let now = coarse();
        let rate = self.limit(Dimension::LogRate);
        let has_room = self.log.take_many(now, bytes, rate).is_ok();
        if !has_room {
            self.lost_log_at.store(now, Ordering::Relaxed);
        }
        has_room
    }

    /// Whether it is time to say that log text was left out: once a second.
    pub(crate) fn tells_of_lost_log(&self) -> bool {
        self.lost_log.take(coarse(), 1).is_ok()
    }

    /// Notes how much the private database holds.
    pub(crate) fn note_storage(&self, bytes: u64) {
        self.storage.store(bytes, Ordering::Relaxed);
    }

    /// How much the private database held when it was looked at last, in bytes.
    pub(crate) fn storage(&self) -> u64 {
        self.storage.load(Ordering::Relaxed)
    }

    /// What is used at the moment of limits of the whole instance: of rates, how much of what may come at once.
    pub(crate) fn used(&self) -> [(Dimension, u64); 5] {
        let now = coarse();
        [
            (Dimension::Concurrency, self.running()),
            self.used_of(&self.requests, Dimension::RequestRate, now),
            (Dimension::QueueTime, self.share.waited_ms()),
            self.used_of(&self.egress, Dimension::EgressRate, now),
            self.logged(now),
        ]
    }

    fn used_of(&self, rate: &Rate, dimension: Dimension, now: u64) -> (Dimension, u64) {
        (dimension, rate.used(now, self.limit(dimension)))
    }

    fn logged(&self, now: u64) -> (Dimension, u64) {
        let lost_at = self.lost_log_at.load(Ordering::Relaxed);
        match now.saturating_sub(lost_at) < LOST_LOG_NEAR.as_nanos() as u64 {
            // Text was left out a moment ago, because it was more than there was room for.
            true if lost_at > 0 => (Dimension::LogRate, self.limit(Dimension::LogRate)),
            _ => self.used_of(&self.log, Dimension::LogRate, now),
        }
    }

    /// The limits of the whole instance that are nearly used up.
    pub(crate) fn near(&self) -> impl Iterator<Item = Near> + '_ {
        let fuel = self.is_fuel_near.load(Ordering::Relaxed).then(|| {
            let (minute, day) = self.fuel.lock().used();
            [
                (Dimension::FuelPerMinute, minute),
                (Dimension::FuelPerDay, day),
            ]
        });
        let storage = (Dimension::Storage, self.storage());
        let used = fuel
            .into_iter()
            .flatten()
            .chain(self.used())
            .chain([storage]);
        used.filter_map(|(dimension, used)| {
            let max = self.limit(dimension);
            let limit = dimension.into();
            // Where one may run at a time, or come in a second, the one that asks is no news.
            let is_alone =
                used == 1 && matches!(dimension, Dimension::Concurrency | Dimension::RequestRate);
            (is_near(used, max) && !is_alone).then_some(Near { limit, used, max })
        })
    }

    /// Runs at the moment whose answers have not been sent.
    #[must_use]
    pub fn running(&self) -> u64 {
        self.running.load(Ordering::Relaxed)
    }

    /// All runs at the moment, those behind answers included.
    #[cfg(test)]
    fn running_in_all(&self) -> u64 {
        self.running() + self.behind.load(Ordering::Relaxed)
    }

    /// A place for a sandbox. An instance may have as many as are still free, whatever they are for, so that however
    /// many there are that want everything, each leaves as much as it takes for the next one (dynamic thresholds:
    /// Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998).
    pub(crate) fn sandbox_place(self: &Arc<Self>, pool: &Arc<Semaphore>) -> Option<SandboxPlace> {
        let counted = self.sandboxes.fetch_add(1, Ordering::Relaxed) + 1;
        let permit = Arc::clone(pool).try_acquire_owned().ok();
        // Looked at behind the taking, so that several that take at once are not more.
        let Some(permit) = permit.filter(|_| counted <= pool.available_permits() as u64 + 1) else {
            self.sandboxes.fetch_sub(1, Ordering::Relaxed);
            return None;
        };
        Some(SandboxPlace {
            admission: Arc::clone(self),
            _permit: permit,
        })
    }

    /// What the instance has of the memory of the host.
    pub(crate) fn memory(&self) -> &Arc<InstanceMemory> {
        &self.memory
    }

    /// The instance's place in the queue for processors.
    pub(crate) fn share(&self) -> &Arc<Share> {
        &self.share
    }
}

impl Permit {
    /// Makes the place free for the next request, where the run has one behind its answer: of these there are as many again as
    /// the instance may run at a time, and some.
    pub(crate) fn step_behind(&mut self) {
        if self.is_behind {
            return;
        }
        let max = self.admission.limit(Dimension::Concurrency);
        let max = max.saturating_add(BEHIND_MORE);
        let behind = &self.admission.behind;
        if behind.fetch_add(1, Ordering::Relaxed) >= max {
            behind.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        self.admission.running.fetch_sub(1, Ordering::Relaxed);
        self.is_behind = true;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let place = match self.is_behind {
            true => &self.admission.behind,
            false => &self.admission.running,
        };
        place.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for SandboxPlace {
    fn drop(&mut self) {
        self.admission.sandboxes.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
