//! Admission of an instance: permits are taken before any work is done for a request, so that a
//! flooded instance costs the host a few comparisons and its neighbours nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use cloudware_types::{Class, Dimension, Limits, StopCause};

/// The two limits of [`Admission`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// Runs at the same time.
    pub concurrency: u64,
    /// Requests a second; the burst is one second's worth.
    pub rate: u64,
}

impl From<&Limits> for AdmissionLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            concurrency: limits.get(Dimension::Concurrency),
            rate: limits.get(Dimension::RequestRate),
        }
    }
}

/// Counts what an instance runs and how often it is asked; shared by all of its installs and kept
/// when they change.
#[derive(Debug)]
pub struct Admission {
    started: Instant,
    concurrency_max: AtomicU64,
    rate: AtomicU64,
    running: AtomicU64,
    /// Theoretical arrival time of the next request in nanoseconds since `started`, as in the
    /// generic cell rate algorithm (ITU-T I.371).
    arrival: AtomicU64,
}

/// The right to run once; gives it back when dropped.
#[derive(Debug)]
pub struct Permit(Arc<Admission>);

const SECOND: u64 = 1_000_000_000;

impl Admission {
    /// An instance that runs nothing.
    #[must_use]
    pub fn new(limits: AdmissionLimits) -> Self {
        Self {
            started: Instant::now(),
            concurrency_max: AtomicU64::new(limits.concurrency),
            rate: AtomicU64::new(limits.rate),
            running: AtomicU64::new(0),
            arrival: AtomicU64::new(0),
        }
    }

    /// Changes the limits; what runs already goes on.
    pub fn set_limits(&self, limits: AdmissionLimits) {
        self.concurrency_max
            .store(limits.concurrency, Ordering::Relaxed);
        self.rate.store(limits.rate, Ordering::Relaxed);
    }

    /// Takes a permit.
    ///
    /// # Errors
    /// The limit that is reached. A request refused for concurrency does not count against the rate.
    pub fn admit(self: &Arc<Self>) -> Result<Permit, StopCause> {
        let max = self.concurrency_max.load(Ordering::Relaxed);
        let before = self.running.fetch_add(1, Ordering::Relaxed);
        let permit = Permit(Arc::clone(self));
        if before >= max {
            return Err(StopCause::limit(
                Dimension::Concurrency,
                Class::Request,
                before + 1,
                max,
            ));
        }
        let now = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.arrive(now)?;
        Ok(permit)
    }

    /// Runs at the moment.
    #[must_use]
    pub fn running(&self) -> u64 {
        self.running.load(Ordering::Relaxed)
    }

    fn arrive(&self, now: u64) -> Result<(), StopCause> {
        let rate = self.rate.load(Ordering::Relaxed).max(1);
        let interval = SECOND / rate;
        let burst = SECOND;
        let update = |arrival: u64| {
            let earliest = arrival.max(now);
            (earliest + interval <= now + burst).then_some(earliest + interval)
        };
        match self
            .arrival
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, update)
        {
            Ok(_) => Ok(()),
            Err(_) => Err(StopCause::limit(
                Dimension::RequestRate,
                Class::Request,
                rate + 1,
                rate,
            )),
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(concurrency: u64, rate: u64) -> Arc<Admission> {
        Arc::new(Admission::new(AdmissionLimits { concurrency, rate }))
    }

    #[test]
    fn a_permit_comes_back_when_dropped() {
        let admission = admission(2, 1_000_000);
        let first = admission.admit().unwrap();
        let _second = admission.admit().unwrap();
        assert_eq!(
            admission.admit().unwrap_err(),
            StopCause::limit(Dimension::Concurrency, Class::Request, 3, 2)
        );
        drop(first);
        assert!(admission.admit().is_ok());
        assert_eq!(admission.running(), 1);
    }

    #[test]
    fn a_burst_is_one_second_and_refills_evenly() {
        let admission = admission(100, 10);
        let admitted = (0..50).filter(|_| admission.arrive(0).is_ok()).count();
        assert_eq!(admitted, 10);
        assert!(admission.arrive(SECOND / 10 - 1).is_err());
        assert!(admission.arrive(SECOND / 10).is_ok());
        let admitted = (0..50)
            .filter(|_| admission.arrive(10 * SECOND).is_ok())
            .count();
        assert_eq!(admitted, 10);
    }

    #[test]
    fn a_changed_rate_holds_from_the_next_request() {
        let admission = admission(100, 1);
        assert!(admission.arrive(0).is_ok());
        assert!(admission.arrive(1).is_err());
        admission.set_limits(AdmissionLimits {
            concurrency: 100,
            rate: 1_000_000,
        });
        // One request at the old rate has used up the second already begun.
        assert!(admission.arrive(SECOND).is_ok());
        assert!(admission.arrive(SECOND + 1).is_ok());
    }
}
