//! One wasmtime engine as the platform sets it up, with everything linked: for WASI 0.2, or for 0.3.

use std::sync::Arc;

use cloudware_capability::{Capability, Invocation};
use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, OperatorCost, PoolingAllocationConfig,
    WasmBacktraceDetails,
    component::{Component, HasData, Linker, ResourceTable},
};

use crate::{
    CodeError, EngineConfig, EngineError, SandboxAllocation, bodiless,
    cache::CodeCache,
    code::{Code, Wasi},
    hook::linker_of,
    limits, messages,
};

/// One wasmtime engine with everything linked.
pub(crate) struct Runtime {
    pub(crate) engine: wasmtime::Engine,
    linker: Linker<Invocation>,
    pub(crate) cache: CodeCache,
}

impl Runtime {
    pub(crate) fn new(
        config: &EngineConfig,
        wasi: Wasi,
        capabilities: &[Arc<dyn Capability>],
    ) -> Result<Self, EngineError> {
        let settings_error = |source| EngineError::Settings {
            sandboxes: config.sandboxes_max,
            source,
        };
        let engine = wasmtime_engine(config, wasi).map_err(settings_error)?;
        let mut linker = Linker::new(&engine);
        link_wasi(&mut linker, wasi).map_err(settings_error)?;
        for capability in capabilities {
            capability
                .link(&mut linker)
                .map_err(|source| EngineError::Link {
                    name: capability.name(),
                    source,
                })?;
        }
        let cache = CodeCache::open(&config.cache_dir, &engine)?;
        Ok(Self {
            engine,
            linker,
            cache,
        })
    }

    pub(crate) fn link(
        &self,
        wasi: Wasi,
        component: &Component,
        provided: impl Fn(&str) -> bool,
    ) -> Result<Code, CodeError> {
        let own = linker_of(&self.linker, component, provided)
            .map_err(|error| CodeError::Import(format!("{error:#}")))?;
        let pre = own
            .as_ref()
            .unwrap_or(&self.linker)
            .instantiate_pre(component)
            .map_err(|error| CodeError::Import(format!("{error:#}")))?;
        Code::new(wasi, pre).map_err(|error| CodeError::Export(format!("{error:#}")))
    }
}

/// The engine for one generation of WASI. Two that were made from the same settings, also in different
/// processes, take each other's compiled code.
pub(crate) fn wasmtime_engine(
    config: &EngineConfig,
    wasi: Wasi,
) -> wasmtime::Result<wasmtime::Engine> {
    // The kernel may not know how to scan page maps (before Linux 6.7); then without.
    wasmtime::Engine::new(&settings(config, wasi, Enabled::Yes))
        .or_else(|_| wasmtime::Engine::new(&settings(config, wasi, Enabled::Auto)))
}

fn link_wasi(linker: &mut Linker<Invocation>, wasi: Wasi) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    link_io(linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    bodiless::link(linker)?;
    if wasi == Wasi::P3 {
        wasmtime_wasi::p3::add_to_linker(linker)?;
        wasmtime_wasi_http::p3::add_to_linker(linker)?;
    }
    messages::link(linker, wasi)
}

/// Replaces `wasi:io` by itself with less around it: it needs the resources of an invocation and not its WASI
/// context, which would otherwise be made for every response body.
fn link_io(linker: &mut Linker<Invocation>) -> wasmtime::Result<()> {
    use wasmtime_wasi_io::bindings::wasi::io::{error, poll, streams};
    linker.allow_shadowing(true);
    error::add_to_linker::<_, Resources>(linker, Resources::of)?;
    poll::add_to_linker::<_, Resources>(linker, Resources::of)?;
    streams::add_to_linker::<_, Resources>(linker, Resources::of)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The resources of an invocation, for host functions that need nothing else.
struct Resources;

impl Resources {
    fn of(invocation: &mut Invocation) -> &mut ResourceTable {
        invocation.reach_function();
        &mut invocation.table
    }
}

impl HasData for Resources {
    type Data<'a> = &'a mut ResourceTable;
}

/// Fuel alone bounds computation, gives scheduling points and a deterministic count; the deadline is
/// checked at those points, so no epochs are needed, which would cost a second check in every loop.
fn settings(config: &EngineConfig, wasi: Wasi, pagemap_scan: Enabled) -> Config {
    let mut settings = Config::new();
    settings.consume_fuel(true);
    settings.operator_cost(operator_cost());
    settings.wasm_component_model(true);
    settings.wasm_component_model_async(wasi == Wasi::P3);
    settings.concurrency_support(wasi == Wasi::P3);
    settings.memory_init_cow(true);
    settings.max_wasm_stack(limits::WASM_STACK_BYTES);
    settings.async_stack_size(limits::ASYNC_STACK_BYTES);
    settings.wasm_backtrace_details(WasmBacktraceDetails::Disable);
    if config.allocation == SandboxAllocation::Pooling {
        let mut pool = pool(config.sandboxes_max);
        pool.pagemap_scan(pagemap_scan);
        settings.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    settings
}

/// What instructions cost in fuel: one unit each, as by default, but for those that leave the guest's code. Nothing lets others run
/// in a slice that consists of them.
fn operator_cost() -> OperatorCost {
    let mut cost = OperatorCost::new();
    let leaving = [
        &mut cost.MemoryGrow,
        &mut cost.TableGrow,
        &mut cost.ElemDrop,
        &mut cost.MemoryAtomicNotify,
        &mut cost.MemoryAtomicWait32,
        &mut cost.MemoryAtomicWait64,
    ];
    for own in leaving {
        *own = limits::LEAVING_FUEL;
    }
    cost
}

/// The shape of the pool of sandboxes.
#[must_use]
pub fn pool(sandboxes: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(sandboxes);
    pool.total_core_instances(sandboxes.saturating_mul(4));
    pool.total_memories(sandboxes.saturating_mul(2));
    pool.total_tables(sandboxes.saturating_mul(4));
    pool.total_stacks(sandboxes);
    pool.max_core_instances_per_component(limits::CORE_INSTANCES_PER_COMPONENT);
    pool.max_memories_per_component(limits::MEMORIES_PER_COMPONENT);
    pool.max_tables_per_component(limits::MEMORIES_PER_COMPONENT);
    pool.max_memory_size(limits::MEMORY_BYTES_MAX);
    pool.table_elements(limits::TABLE_ELEMENTS_MAX);
    pool.linear_memory_keep_resident(limits::KEEP_RESIDENT_BYTES);
    pool.table_keep_resident(limits::KEEP_RESIDENT_BYTES);
    pool
}
