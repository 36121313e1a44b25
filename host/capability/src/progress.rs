//! What can be seen of a running invocation from outside its store: the host call it waits in and what its
//! host calls took, the CPU it has used, the request body it was given. Shared between the run and
//! whoever drives it.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use cloudware_types::{Consumer, Stop, StopCause};

/// Shared, cheap to update, never a point of contention: one invocation writes, and the next one of a warm sandbox has
/// another.
#[derive(Debug)]
pub struct Progress {
    cpu_nanoseconds: AtomicU64,
    /// The part of it that was spent in the sandboxes of others, which this one called.
    cpu_elsewhere: AtomicU64,
    /// When the thread that is in the sandbox entered it; [`OUTSIDE`] where none is.
    entered_at: AtomicU64,
    /// The least that its processor time was then.
    entered_cpu: AtomicU64,
    request_bytes: AtomicU64,
    outbound_calls: AtomicU64,
    /// Fuel that it was given.
    fuel_given: AtomicU64,
    /// Fuel that was left when the guest last called the host.
    fuel_left: AtomicU64,
    /// Fuel that those have burned so far whom it waits for.
    fuel_elsewhere: AtomicU64,
    /// Polls so far.
    slice: AtomicU64,
    /// When the last of them began, on the coarse clock.
    slice_began: AtomicU64,
    has_host_worked_long: AtomicBool,
    is_hurried: AtomicBool,
    host_calls: Mutex<HostCalls>,
    stop: Mutex<Option<StopCause>>,
}

/// No thread is in the sandbox.
const OUTSIDE: u64 = u64::MAX;

/// A moment of a thread, in nanoseconds. Its processor time is known to lie between two values, which are a
/// little apart because not every moment is worth a call of the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ThreadMoment {
    /// The monotonic clock.
    pub at: u64,
    /// The least that its processor time is.
    pub cpu_min: u64,
    /// The most that it is.
    pub cpu_max: u64,
}

impl ThreadMoment {
    /// Processor time since an earlier moment of the same thread: never less than it had, and more only where it
    /// did not run all the time.
    #[must_use]
    pub fn cpu_since(&self, earlier: &Self) -> u64 {
        let passed = self.at.saturating_sub(earlier.at);
        passed.min(self.cpu_max.saturating_sub(earlier.cpu_min))
    }
}

/// The host calls of one invocation.
#[derive(Debug, Default)]
struct HostCalls {
    /// Index of the call that the guest is in, and since when.
    current: Option<(usize, Instant)>,
    /// A host has some dozens of functions, and a guest uses a few.
    made: Vec<HostCall>,
}

/// All calls of one function.
#[derive(Debug)]
struct HostCall {
    name: &'static str,
    calls: u64,
    nanoseconds: u64,
}

impl HostCalls {
    fn enter(&mut self, name: &'static str) {
        let now = Instant::now();
        self.leave(now);
        let index = match self
            .made
            .iter()
            .position(|made| std::ptr::eq(made.name, name))
        {
            Some(index) => index,
            None => {
                self.made.push(HostCall {
                    name,
                    calls: 0,
                    nanoseconds: 0,
                });
                self.made.len() - 1
            }
        };
        self.made[index].calls += 1;
        self.current = Some((index, now));
    }

    fn leave(&mut self, now: Instant) {
        if let Some((index, since)) = self.current.take() {
            let took = u64::try_from((now - since).as_nanos()).unwrap_or(u64::MAX);
            self.made[index].nanoseconds += took;
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            cpu_nanoseconds: AtomicU64::new(0),
            cpu_elsewhere: AtomicU64::new(0),
            entered_at: AtomicU64::new(OUTSIDE),
            entered_cpu: AtomicU64::new(0),
            request_bytes: AtomicU64::new(0),
            outbound_calls: AtomicU64::new(0),
            fuel_given: AtomicU64::new(0),
            fuel_left: AtomicU64::new(0),
            fuel_elsewhere: AtomicU64::new(0),
            slice: AtomicU64::new(0),
            slice_began: AtomicU64::new(0),
            has_host_worked_long: AtomicBool::new(false),
            is_hurried: AtomicBool::new(false),
            host_calls: Mutex::default(),
            stop: Mutex::new(None),
        }
    }
}

impl Progress {
    /// Notes the host call that the guest is in.
    pub(crate) fn enter(&self, name: &'static str) {
        lock(&self.host_calls).enter(name);
    }

    /// Notes that the guest is back in its own code.
    pub(crate) fn leave(&self) {
        lock(&self.host_calls).leave(Instant::now());
    }

    /// The host call that the guest is in, for example `sql.query`.
    #[must_use]
    pub fn host_call(&self) -> Option<&'static str> {
        let calls = lock(&self.host_calls);
        calls.current.map(|(index, _)| calls.made[index].name)
    }

    /// The host calls that took the most time so far, the longest first; the one that has not ended
    /// counts up to now.
    #[must_use]
    pub fn consumers(&self) -> Vec<Consumer> {
        let calls = lock(&self.host_calls);
        let current = calls
            .current
            .map(|(index, since)| (index, since.elapsed().as_nanos() as u64));
        let took = |(index, call): (usize, &HostCall)| {
            let now = current.filter(|(at, _)| *at == index);
            let nanoseconds = call.nanoseconds + now.map_or(0, |(_, nanoseconds)| nanoseconds);
            Consumer {
                host_call: call.name.to_owned(),
                calls: call.calls,
                microseconds: nanoseconds / 1_000,
            }
        };
        let mut consumers: Vec<_> = calls.made.iter().enumerate().map(took).collect();
        consumers.sort_by_key(|consumer| std::cmp::Reverse(consumer.microseconds));
        consumers.truncate(Stop::CONSUMERS_MAX);
        consumers
    }

    /// Notes that a thread enters the sandbox.
    pub fn cpu_enter(&self, now: &ThreadMoment) {
        self.entered_cpu.store(now.cpu_min, Ordering::Relaxed);
        self.entered_at.store(now.at, Ordering::Relaxed);
    }

    /// Notes that the thread leaves the sandbox, and adds the CPU time that it spent there. `now` is not asked
    /// for, and nothing done, where no thread is in it.
    pub fn cpu_leave(&self, now: impl FnOnce() -> ThreadMoment) {
        if let Some(entered) = self.entered() {
            self.entered_at.store(OUTSIDE, Ordering::Relaxed);
            let spent = now().cpu_since(&entered);
            self.cpu_nanoseconds.fetch_add(spent, Ordering::Relaxed);
        }
    }

    fn entered(&self) -> Option<ThreadMoment> {
        let at = self.entered_at.load(Ordering::Relaxed);
        let cpu = self.entered_cpu.load(Ordering::Relaxed);
        (at != OUTSIDE).then_some(ThreadMoment {
            at,
            cpu_min: cpu,
            cpu_max: cpu,
        })
    }

    /// CPU time of the stay that has not ended, at `now`.
    #[must_use]
    pub fn cpu_of_stay(&self, now: &ThreadMoment) -> u64 {
        self.entered().map_or(0, |entered| now.cpu_since(&entered))
    }

    /// Notes that the guest is polled, at a moment of the coarse clock in nanoseconds.
    pub fn begin_slice(&self, now: u64) {
        self.slice.fetch_add(1, Ordering::Relaxed);
        self.slice_began.store(now, Ordering::Relaxed);
    }

    /// How often the guest has been polled.
    #[must_use]
    pub fn slice(&self) -> u64 {
        self.slice.load(Ordering::Relaxed)
    }

    /// When the guest was last polled, as [`Self::begin_slice`] was told.
    #[must_use]
    pub fn slice_began(&self) -> u64 {
        self.slice_began.load(Ordering::Relaxed)
    }

    /// Notes that host functions have kept a thread for long which the guest called.
    pub fn host_worked_long(&self) {
        self.has_host_worked_long.store(true, Ordering::Relaxed);
    }

    /// Whether host functions have kept a thread for long which the guest called.
    #[must_use]
    pub fn has_host_worked_long(&self) -> bool {
        self.has_host_worked_long.load(Ordering::Relaxed)
    }

    /// Notes whether the guest is to yield at the next point where it can. Gives whether that is new.
    pub fn hurry(&self, is_hurried: bool) -> bool {
        self.is_hurried.swap(is_hurried, Ordering::Relaxed) != is_hurried
    }

    /// Notes the fuel that the guest is given.
    pub fn give_fuel(&self, fuel: u64) {
        self.fuel_given.store(fuel, Ordering::Relaxed);
        self.fuel_left.store(fuel, Ordering::Relaxed);
    }

    /// The fuel that the guest was given.
    #[must_use]
    pub fn fuel_given(&self) -> u64 {
        self.fuel_given.load(Ordering::Relaxed)
    }

    /// Notes what is left of the guest's fuel.
    pub fn note_fuel_left(&self, fuel: u64) {
        self.fuel_left.store(fuel, Ordering::Relaxed);
    }

    /// Notes fuel that is counted here and was burned in another sandbox, which this one called and waits for.
    pub fn fuel_was_elsewhere(&self, fuel: u64) {
        self.fuel_elsewhere.fetch_add(fuel, Ordering::Relaxed);
    }

    /// Fuel that this sandbox alone burned up to the last call of the host.
    #[must_use]
    pub fn fuel_own(&self) -> u64 {
        self.fuel_given()
            .saturating_sub(self.fuel_left.load(Ordering::Relaxed))
    }

    /// Fuel burned up to the last call of the host, and by those whom the guest called meanwhile. A guest that yields
    /// calls the host for that.
    #[must_use]
    pub fn fuel_burned(&self) -> u64 {
        self.fuel_own()
            .saturating_add(self.fuel_elsewhere.load(Ordering::Relaxed))
    }

    /// Notes CPU time that is counted here and was spent in another sandbox, which this one called.
    pub fn cpu_was_elsewhere(&self, nanoseconds: u64) {
        self.cpu_elsewhere.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// CPU time of this sandbox alone in the stays that have ended, in nanoseconds.
    #[must_use]
    pub fn cpu_own(&self) -> u64 {
        let elsewhere = self.cpu_elsewhere.load(Ordering::Relaxed);
        self.cpu_spent().saturating_sub(elsewhere)
    }

    /// CPU time used inside the sandbox in the stays that have ended, and in those that it called meanwhile,
    /// in nanoseconds.
    #[must_use]
    pub fn cpu_spent(&self) -> u64 {
        self.cpu_nanoseconds.load(Ordering::Relaxed)
    }

    /// The same with the stay that has not ended, for who asks from inside it; `clock` is this thread's CPU
    /// clock.
    #[must_use]
    pub fn cpu_until(&self, clock: u64) -> u64 {
        let entered = self.entered().map_or(clock, |entered| entered.cpu_min);
        self.cpu_spent() + clock.saturating_sub(entered)
    }

    /// Adds bytes of the request body that were handed to the guest, and returns the new sum.
    pub fn add_request_bytes(&self, bytes: u64) -> u64 {
        self.request_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes
    }

    /// Counts a request that the guest sends, and returns the new sum.
    pub fn add_outbound_call(&self) -> u64 {
        self.outbound_calls.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Requests that the guest has sent.
    #[must_use]
    pub fn outbound_calls(&self) -> u64 {
        self.outbound_calls.load(Ordering::Relaxed)
    }

    /// Bytes of the request body that were handed to the guest.
    #[must_use]
    pub fn request_bytes(&self) -> u64 {
        self.request_bytes.load(Ordering::Relaxed)
    }

    /// Records why the invocation must end, from outside its store. The first cause wins.
    pub fn stop(&self, cause: StopCause) {
        lock(&self.stop).get_or_insert(cause);
    }

    /// The recorded cause. It stays: whoever waits for the invocation looks for it as well as the invocation itself.
    #[must_use]
    pub fn stop_cause(&self) -> Option<StopCause> {
        lock(&self.stop).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
