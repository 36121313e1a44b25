//! Memory of an invocation as the sum of all its linear memories and tables. The engine asks the
//! limiter about each one alone, so the sum is kept here.

use cloudware_types::{Class, Dimension, StopCause};
use wasmtime::ResourceLimiter;

/// Bytes that the host keeps for one table element: a pointer.
const TABLE_ELEMENT_BYTES: u64 = 8;

/// Core instances, memories and tables of one component; composed components have several each,
/// and one that has hundreds is an attack on the pool.
const CORE_INSTANCES_MAX: usize = 64;

/// The store's limiter: refuses growth beyond the limit by ending the invocation, so that the
/// guest's own out-of-memory handling can't hide the reason.
#[derive(Debug)]
pub struct MemoryMeter {
    used: u64,
    peak: u64,
    max: u64,
    class: Class,
    stop: Option<StopCause>,
}

impl MemoryMeter {
    pub(crate) fn new(class: Class, max: u64) -> Self {
        Self {
            used: 0,
            peak: 0,
            max,
            class,
            stop: None,
        }
    }

    /// The sum now, in bytes.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used
    }

    /// The largest sum so far, in bytes.
    #[must_use]
    pub fn peak(&self) -> u64 {
        self.peak
    }

    /// Replaces the limit, for an invocation that serves several requests.
    pub fn set_max(&mut self, max: u64) {
        self.max = max;
    }

    pub(crate) fn take_stop(&mut self) -> Option<StopCause> {
        self.stop.take()
    }

    fn grow(&mut self, bytes: u64) -> wasmtime::Result<bool> {
        let wanted = self.used.saturating_add(bytes);
        if wanted > self.max {
            self.stop.get_or_insert(StopCause::limit(
                Dimension::Memory,
                self.class,
                wanted,
                self.max,
            ));
            return Err(wasmtime::Error::msg("the memory limit was reached"));
        }
        self.used = wanted;
        self.peak = self.peak.max(wanted);
        Ok(true)
    }
}

impl ResourceLimiter for MemoryMeter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // Growth beyond the memory's own declared maximum fails as Wasm says: the guest sees -1.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.grow(desired.saturating_sub(current) as u64)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let elements = desired.saturating_sub(current) as u64;
        self.grow(elements.saturating_mul(TABLE_ELEMENT_BYTES))
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
