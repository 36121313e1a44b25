//! Memory of an invocation: the sum of all its linear memories and tables, which the engine asks the limiter about one by
//! one, and of what the host holds for it behind its handles. And the memory that the invocations of an instance, and of
//! a host, have together.

use std::{
    cmp, mem,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use cloudware_types::{Class, Dimension, StopCause};
use wasmtime::ResourceLimiter;

use crate::limits::{OVERLOAD_RETRY_SECONDS, PASSING_BYTES_MIN, REFUSED_GROWTHS_MAX};

/// Bytes that the host keeps for one table element: a pointer.
const TABLE_ELEMENT_BYTES: u64 = 8;

/// Core instances, memories and tables of one component; composed components have several each,
/// and one that has hundreds is an attack on the pool.
const CORE_INSTANCES_MAX: usize = 64;

/// The memory that all sandboxes of a host may have together. Dropped sandboxes give back what they had.
#[derive(Debug)]
pub struct HostMemory {
    used: AtomicU64,
    max: u64,
}

impl HostMemory {
    /// Memory of which nothing is used, `max` bytes.
    #[must_use]
    pub fn new(max: u64) -> Self {
        Self {
            used: AtomicU64::new(0),
            max,
        }
    }

    /// Bytes that sandboxes have at the moment.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes that they may have.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.max
    }
}

impl Default for HostMemory {
    /// Memory without a bound, for what is not served.
    fn default() -> Self {
        Self::new(u64::MAX)
    }
}

/// What the sandboxes of one instance have of the memory of the host.
#[derive(Debug, Default)]
pub struct InstanceMemory {
    used: AtomicU64,
    host: Arc<HostMemory>,
}

impl InstanceMemory {
    /// An instance that has none of it.
    #[must_use]
    pub fn of(host: &Arc<HostMemory>) -> Self {
        Self {
            used: AtomicU64::new(0),
            host: Arc::clone(host),
        }
    }

    /// Takes more. An instance may have as much as is still free, so that however many there are that want everything, each
    /// leaves as much as it takes for the next one (dynamic thresholds: Choudhury and Hahne, IEEE/ACM Transactions on
    /// Networking 6(2), 1998). Whether there was as much; if not, nothing is taken.
    fn take(&self, bytes: u64) -> bool {
        let own = self.used.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let taken = self
            .host
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                let all = used.checked_add(bytes)?;
                let free = self.host.max.checked_sub(all)?;
                (own <= free).then_some(all)
            });
        if taken.is_err() {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
        }
        taken.is_ok()
    }

    /// What one run has at most where nothing else runs. One that wants more is told of it as of its own limit: to come again
    /// does not help.
    fn alone_max(&self) -> u64 {
        self.host.max / 2
    }

    /// Whether more than half of the memory of the host is in use: what is kept for later gives way.
    #[must_use]
    pub fn is_scarce(&self) -> bool {
        self.host.used() > self.host.max / 2
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        self.host.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The store's limiter: refuses growth beyond the limit by ending the invocation, so that the
/// guest's own out-of-memory handling can't hide the reason.
#[derive(Debug)]
pub struct MemoryMeter {
    /// Of linear memories and tables.
    guest: u64,
    /// What capabilities hold behind handles.
    held: u64,
    /// What was found behind other handles when they were last looked at.
    found: u64,
    /// Of the call of the host that the guest is in.
    passing: u64,
    peak: u64,
    max: u64,
    /// Growths beyond what a memory or table has at most.
    refused: u32,
    class: Class,
    stop: Option<StopCause>,
    instance: Arc<InstanceMemory>,
}

impl MemoryMeter {
    pub(crate) fn new(class: Class, max: u64, instance: Arc<InstanceMemory>) -> Self {
        Self {
            guest: 0,
            held: 0,
            found: 0,
            passing: 0,
            peak: 0,
            max: max.min(instance.alone_max()),
            refused: 0,
            class,
            stop: None,
            instance,
        }
    }

    /// The sum now, in bytes.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.guest + self.held + self.found
    }

    /// The largest sum so far, in bytes.
    #[must_use]
    pub fn peak(&self) -> u64 {
        self.peak
    }

    /// Begins anew with another limit and what there is, for an invocation that serves several requests.
    pub(crate) fn renew(&mut self, max: u64) {
        self.max = max.min(self.instance.alone_max());
        self.refused = 0;
        self.peak = self.used();
    }

    pub(crate) fn take_stop(&mut self) -> Option<StopCause> {
        self.stop.take()
    }

    /// Counts what a capability holds behind a handle that it gives to the guest.
    ///
    /// # Errors
    /// The invocation is to end: there is not as much.
    pub fn hold(&mut self, bytes: u64) -> wasmtime::Result<()> {
        self.take(bytes)?;
        self.held += bytes;
        Ok(())
    }

    /// The guest has given back a handle behind which so much was held.
    pub fn release(&mut self, bytes: u64) {
        let bytes = bytes.min(self.held);
        self.held -= bytes;
        self.instance.give_back(bytes);
    }

    /// Counts what is found behind all handles that no capability has given, in place of what was found before.
    ///
    /// # Errors
    /// As [`Self::hold`].
    pub fn find(&mut self, bytes: u64) -> wasmtime::Result<()> {
        match bytes.cmp(&self.found) {
            cmp::Ordering::Greater => self.take(bytes - self.found)?,
            cmp::Ordering::Less => self.instance.give_back(self.found - bytes),
            // Who wants nothing more has it, also where others have taken much meanwhile.
            cmp::Ordering::Equal => {}
        }
        self.found = bytes;
        Ok(())
    }

    /// Counts what a call of the host holds until it has returned to the guest: arguments while it waits, and results until the
    /// guest has taken them. A call bounds that by itself; it is none of the run's memory, and the instance's.
    ///
    /// # Errors
    /// The invocation is to end: the host has not as much.
    pub fn pass(&mut self, bytes: usize) -> wasmtime::Result<()> {
        if bytes < PASSING_BYTES_MIN {
            return Ok(());
        }
        self.take_of_host(bytes as u64)?;
        self.passing += bytes as u64;
        Ok(())
    }

    /// The call has returned.
    pub(crate) fn passed(&mut self) {
        if self.passing > 0 {
            self.instance.give_back(mem::take(&mut self.passing));
        }
    }

    /// Takes what is then added to one of the sums.
    fn take(&mut self, more: u64) -> wasmtime::Result<()> {
        let wanted = self.used().saturating_add(more);
        if wanted > self.max {
            self.stop.get_or_insert(StopCause::limit(
                Dimension::Memory,
                self.class,
                wanted,
                self.max,
            ));
            return Err(wasmtime::Error::msg("the memory limit was reached"));
        }
        self.take_of_host(more)?;
        self.peak = self.peak.max(wanted);
        Ok(())
    }

    fn take_of_host(&mut self, more: u64) -> wasmtime::Result<()> {
        if self.instance.take(more) {
            return Ok(());
        }
        self.stop.get_or_insert(StopCause::Overloaded {
            retry_after_seconds: OVERLOAD_RETRY_SECONDS,
        });
        Err(wasmtime::Error::msg("the host has no memory free"))
    }

    /// Whether a memory or table grows, whose elements have so many bytes. Growth beyond what it has at most fails as Wasm says,
    /// and the guest sees -1; to be refused costs the host many times what it costs the guest to ask, so not for ever.
    fn grow(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
        element_bytes: u64,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            self.refused += 1;
            if self.refused > REFUSED_GROWTHS_MAX {
                wasmtime::bail!(
                    "asked over {REFUSED_GROWTHS_MAX} times for more than its memories and tables have at most"
                );
            }
            return Ok(false);
        }
        let elements = desired.saturating_sub(current) as u64;
        let bytes = elements.saturating_mul(element_bytes);
        self.take(bytes)?;
        self.guest += bytes;
        Ok(true)
    }
}

impl Drop for MemoryMeter {
    fn drop(&mut self) {
        self.instance.give_back(self.used() + self.passing);
    }
}

impl ResourceLimiter for MemoryMeter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.grow(current, desired, maximum, 1)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.grow(current, desired, maximum, TABLE_ELEMENT_BYTES)
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES_MAX
    }

    fn memories(&self) -> usize {
        CORE_INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        CORE_INSTANCES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn meter(max: u64, instance: &Arc<InstanceMemory>) -> MemoryMeter {
        MemoryMeter::new(Class::Request, max, Arc::clone(instance))
    }

    #[test]
    fn what_the_host_holds_is_memory_of_the_run() {
        let host = Arc::new(HostMemory::new(100 * MIB));
        let instance = Arc::new(InstanceMemory::of(&host));
        let mut run = meter(4 * MIB, &instance);
        assert!(run.memory_growing(0, MIB as usize, None).unwrap());
        run.hold(MIB).unwrap();
        run.find(2 * MIB).unwrap();
        assert_eq!((run.used(), host.used()), (4 * MIB, 4 * MIB));
        run.hold(1).unwrap_err();
        let reached = StopCause::limit(Dimension::Memory, Class::Request, 4 * MIB + 1, 4 * MIB);
        assert_eq!(run.take_stop(), Some(reached));
        run.find(MIB).unwrap();
        run.release(MIB);
        assert_eq!((run.used(), run.peak()), (2 * MIB, 4 * MIB));
        assert_eq!(host.used(), 2 * MIB);
        drop(run);
        assert_eq!(host.used(), 0);
    }

    #[test]
    fn an_instance_has_as_much_memory_as_it_leaves() {
        let host = Arc::new(HostMemory::new(12 * MIB));
        let [one, other] = [(); 2].map(|()| Arc::new(InstanceMemory::of(&host)));
        let take = |instance: &Arc<InstanceMemory>| {
            let mut run = meter(u64::MAX, instance);
            while run.memory_growing(0, MIB as usize, None).is_ok() {}
            run
        };
        // Alone it has half, and is told of that as of its limit.
        let mut first = take(&one);
        assert_eq!(first.used(), 6 * MIB);
        let alone = StopCause::limit(Dimension::Memory, Class::Request, 7 * MIB, 6 * MIB);
        assert_eq!(first.take_stop(), Some(alone));
        assert!(!one.is_scarce());
        let mut second = take(&other);
        assert_eq!(second.used(), 3 * MIB);
        let overloaded = second.take_stop();
        assert!(matches!(overloaded, Some(StopCause::Overloaded { .. })));
        // Who has more than is left by now, and wants no more, has it.
        second.find(0).unwrap();
        assert!(meter(u64::MAX, &one).find(1).is_err());
        assert_eq!(host.used(), 9 * MIB);
        assert!(one.is_scarce());
        drop(first);
        assert_eq!(take(&one).used(), 4 * MIB);
        drop(second);
        assert_eq!(host.used(), 0);
    }

    #[test]
    fn what_passes_is_the_instances_until_it_has_passed() {
        let host = Arc::new(HostMemory::new(12 * MIB));
        let instance = Arc::new(InstanceMemory::of(&host));
        let mut run = meter(1, &instance);
        run.pass(4 << 20).unwrap();
        run.pass(1).unwrap();
        assert_eq!((run.used(), host.used()), (0, 4 * MIB));
        run.pass(3 << 20).unwrap_err();
        run.passed();
        assert_eq!(host.used(), 0);
        run.pass(6 << 20).unwrap();
        drop(run);
        assert_eq!(host.used(), 0);
    }
}
