//! One call of a component's function in a sandbox of its own, inside the run of another app: a hook, or an
//! interface that an app offers to others. However it ends, it is metered once and its span is closed.

use std::{
    borrow::Cow,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use cloudware_capability::{Progress, Tape};
use cloudware_types::{Class, Dimension, Limits, Meter, Meters, Stop, StopCause};
use wasmtime::component::{Val, types::ComponentFunc};

use super::{
    Failure, Own,
    composition::{CallContext, Ended},
    size,
    slices::{NestedBounds, Slices},
};
use crate::{
    BoundInstall, Sandbox, UsageMeter,
    admission::SandboxPlace,
    clock::thread_moment,
    near::{self, Near, Unmetered},
    recording::EndedCall,
    run::byte_milliseconds,
    sandbox::Setup,
    stop,
    world::World,
};

/// What is called, and within which bounds.
pub(crate) struct Nested<'a> {
    /// Of the new run.
    pub(crate) context: Arc<CallContext>,
    /// Of the run that calls.
    pub(crate) caller: &'a Arc<Progress>,
    pub(crate) interface: &'a str,
    pub(crate) function: &'a str,
    /// The function as the caller imports it.
    pub(crate) ty: &'a ComponentFunc,
    pub(crate) class: Class,
    pub(crate) limits: &'a Arc<Limits>,
    pub(crate) fuel: u64,
    /// What a hook has of its own.
    pub(crate) own: Option<Own>,
    pub(crate) deadline: Duration,
    /// When it ends, where that was settled before; otherwise the deadline counts from its start.
    pub(crate) ends_at: Option<Instant>,
    /// What has been reached then, where that is not the deadline of its own.
    pub(crate) shared: Option<StopCause>,
    /// What it is metered with.
    pub(crate) usage: &'a Arc<UsageMeter>,
    /// Time and chance, where they are not the host's.
    pub(crate) world: Option<World>,
    /// What its host calls are answered from, where it runs again.
    pub(crate) tape: Option<Arc<Tape>>,
}

impl Nested<'_> {
    /// Calls the function.
    ///
    /// # Errors
    /// The stop of its run, observed already, or why it did not come about.
    pub(crate) async fn call(mut self, arguments: &[Val]) -> Result<Vec<Val>, Failure> {
        let started = Instant::now();
        let install = Arc::clone(&self.context.install);
        if let Err(cause) = self.fits(&install, Dimension::RequestBytes, arguments) {
            return Err(self.too_large(cause, started));
        }
        let recorder = install.recorder.as_ref().filter(|_| self.tape.is_none());
        let recorded = recorder.and_then(|recorder| recorder.begin(&install));
        if let Some(recorded) = &recorded {
            self.world = Some(recorded.world);
            self.tape = Some(Arc::clone(&recorded.tape));
        }
        let setup = Setup {
            class: self.class,
            limits: Arc::clone(self.limits),
            fuel: self.fuel,
            context: Some(Arc::clone(&self.context)),
            world: self.world,
            tape: self.tape.clone(),
        };
        let (mut sandbox, place) = match install.nested_sandbox(setup) {
            Ok(taken) => taken,
            Err(failure) => {
                if let Some(recorded) = recorded {
                    recorded.refused(&failure);
                }
                return Err(failure);
            }
        };
        let usage = Arc::clone(self.usage);
        sandbox.store.data_mut().set_usage(usage);
        let mut run = Run {
            install,
            usage: Arc::clone(self.usage),
            context: Arc::clone(&self.context),
            sandbox: Some(sandbox),
            place: Some(place),
            started,
            outcome: "cancelled".into(),
        };
        let result = self.run(&mut run, arguments).await;
        run.outcome = match &result {
            Ok(values) if self.class == Class::Hook => outcome(values.first()),
            Ok(_) => OK.into(),
            Err(failure) => failure.name().into(),
        };
        let told = recorded.zip(run.sandbox.as_ref());
        let told = told.map(|(recorded, sandbox)| {
            recorded.end(&EndedCall {
                interface: self.interface,
                function: self.function,
                ty: self.ty,
                class: self.class,
                limits: self.limits,
                fuel_max: self.fuel,
                arguments,
                result: &result,
                fuel: sandbox.fuel_used(),
                memory_bytes: sandbox.store.data().memory.peak(),
            })
        });
        if let Some(told) = told {
            told.await;
        }
        if result.is_ok() && self.world.is_none() {
            run.keep_warm().await;
        }
        result
    }

    async fn run(&self, run: &mut Run, arguments: &[Val]) -> Result<Vec<Val>, Failure> {
        let sandbox = run.sandbox.as_mut().expect("taken at the end only");
        sandbox.count_request();
        let progress = Arc::clone(sandbox.store.data().progress());
        let millis = |dimension: Dimension| self.limits.get(dimension.of(self.class));
        let bounds = NestedBounds {
            class: self.class,
            started: run.started,
            deadline: self.deadline,
            ends_at: self.ends_at.unwrap_or(run.started + self.deadline),
            shared: self.shared.clone(),
            cpu: Duration::from_millis(millis(Dimension::CpuTime)),
        };
        let install = &run.install;
        let unfit = |what: &str| {
            Failure::Unfit(format!(
                "{} {} {what}: {}.{}",
                install.identity.app, install.identity.version, self.interface, self.function
            ))
        };
        let function = install
            .code
            .function(self.interface, self.function)
            .ok_or_else(|| unfit("does not export the function"))?;
        let ended = {
            let call = async {
                let instance = sandbox.instance(install).await?;
                let Some(function) = instance.get_func(&mut sandbox.store, function) else {
                    return Ok(None);
                };
                let ty = function.ty(&sandbox.store);
                if !is_same(&ty, self.ty) {
                    return Ok(None);
                }
                // What was there before is overwritten.
                let mut results = vec![Val::Bool(false); ty.results().len()];
                function
                    .call_async(&mut sandbox.store, arguments, &mut results)
                    .await?;
                Ok(Some(results))
            };
            let call = pin!(call);
            Slices::new(call, progress, Arc::clone(self.caller), bounds).await
        };
        let stopped = match ended {
            Ok(Ok(Some(results))) => {
                let late = sandbox.store.data_mut().take_stop();
                let fits = || self.fits(install, Dimension::ResponseBytes, &results);
                match late.or_else(|| fits().err()) {
                    None => return Ok(results),
                    Some(cause) => stop::stop(&install.identity, cause, run.started),
                }
            }
            Ok(Ok(None)) => return Err(unfit("exports the function with another type")),
            Ok(Err(error)) => {
                let mut stop = stop::explain(&error, &mut sandbox.store, run.started);
                if let StopCause::Limit { limit, used, max } = &mut stop.cause
                    && limit.dimension() == Dimension::Fuel
                {
                    (*used, *max) = (sandbox.fuel_given(), sandbox.fuel_given());
                }
                stop
            }
            Err(cause) => {
                let stop = stop::stop(&install.identity, cause, run.started);
                stop::Attach::seen_in(stop, sandbox.store.data().progress())
            }
        };
        match stopped.cause {
            // It is not the hook's doing.
            StopCause::Overloaded { .. } => Err(Failure::Overloaded),
            _ => Err(Failure::Stopped(
                run.observed(stopped, (self.class, self.own)),
            )),
        }
    }
}

impl Nested<'_> {
    /// What it was to be given is too large, which is not its own doing.
    fn too_large(&self, cause: StopCause, started: Instant) -> Failure {
        let stop = stop::stop(&self.context.install.identity, cause, started);
        let stop = told(&self.context, self.usage, stop, (self.class, self.own));
        Failure::CutOff {
            reason: stop.explanation(),
            limit: Dimension::RequestBytes.of(self.class),
            is_its_own: false,
        }
    }

    /// Whether values are as large as they may be in one call. Tells where they come near to that.
    fn fits(
        &self,
        install: &BoundInstall,
        dimension: Dimension,
        values: &[Val],
    ) -> Result<(), StopCause> {
        let limit = dimension.of(self.class);
        let (used, max) = (size::bytes(values), self.limits.get(limit));
        if used > max {
            return Err(StopCause::Limit { limit, used, max });
        }
        if let Some(near) = Near::of(limit, used, self.limits) {
            install.observe_near(&near);
        }
        Ok(())
    }
}

/// How a trace tells that a run ended well.
const OK: &str = "ok";

/// How a trace tells of a hook that answered: a refusal is no failure, but whoever looks for what became of a request
/// looks for it.
pub(super) fn outcome(answer: Option<&Val>) -> Cow<'static, str> {
    match answer {
        Some(Val::Result(Err(_))) => "refused".into(),
        _ => OK.into(),
    }
}

fn is_same(exported: &ComponentFunc, imported: &ComponentFunc) -> bool {
    exported.params().eq(imported.params()) && exported.results().eq(imported.results())
}

/// Tells of a stop of the run with this context, as the stop of a request is told, and counts it, as a failure of the
/// hook where it was called as one.
pub(super) fn observed(
    context: &CallContext,
    usage: &UsageMeter,
    stop: Box<Stop>,
    (class, own): (Class, Option<Own>),
) -> Box<Stop> {
    let stop = told(context, usage, stop, (class, own));
    let mut meters = Meters::default();
    meters[Meter::HookFailures] = u64::from(class == Class::Hook);
    usage.add(&meters);
    stop
}

/// Tells of a stop that may be no fault of the hook, and counts it.
pub(super) fn told(
    context: &CallContext,
    usage: &UsageMeter,
    mut stop: Box<Stop>,
    (class, own): (Class, Option<Own>),
) -> Box<Stop> {
    stop.class = class;
    if class == Class::Hook {
        stop.hook = context.path.point();
    }
    let request_id = context.composition.request_id();
    let own = |limit| own.and_then(|own| own.of(limit));
    context.install.observe_within(&mut stop, request_id, own);
    let mut meters = Meters::default();
    meters[Meter::Stops] = 1;
    usage.add(&meters);
    stop
}

/// A run that has not ended.
struct Run {
    install: Arc<BoundInstall>,
    usage: Arc<UsageMeter>,
    context: Arc<CallContext>,
    sandbox: Option<Sandbox>,
    place: Option<SandboxPlace>,
    started: Instant,
    outcome: Cow<'static, str>,
}

impl Run {
    fn observed(&self, stop: Box<Stop>, called: (Class, Option<Own>)) -> Box<Stop> {
        observed(&self.context, &self.usage, stop, called)
    }

    async fn keep_warm(&mut self) {
        self.finish();
        if let (Some(mut sandbox), Some(place)) = (self.sandbox.take(), self.place.take())
            && sandbox.is_at_rest(&self.install).await
        {
            self.install.give_back_nested(sandbox, place);
        }
    }

    /// Meters the run and closes its span.
    fn finish(&mut self) {
        let Some(sandbox) = &mut self.sandbox else {
            return;
        };
        let handles = sandbox.store.data_mut().handles();
        let invocation = sandbox.store.data();
        let progress = invocation.progress();
        progress.cpu_leave(thread_moment);
        let (wall, peak) = (self.started.elapsed(), invocation.memory.peak());
        let mut meters: Meters = *invocation.meters();
        let counted = match invocation.class() {
            Class::Hook => Meter::HookCalls,
            _ => Meter::Requests,
        };
        meters[counted] = 1;
        meters[Meter::Fuel] = sandbox.fuel_used();
        meters[Meter::CpuNanoseconds] = progress.cpu_own();
        meters[Meter::MemoryPeakBytes] = peak;
        meters[Meter::MemoryByteMilliseconds] = byte_milliseconds(peak, wall);
        meters[Meter::OutboundCalls] = progress.outbound_calls();
        meters[Meter::LogBytes] = invocation.log().finish();
        meters[Meter::LogBytesLost] = invocation.log().lost();
        self.usage.add(&meters);
        let (limits, class) = (invocation.limits(), invocation.class());
        let storage = invocation.is_full().then(|| {
            let request_id = self.context.composition.request_id();
            self.install
                .storage_was_full(self.started, class, request_id)
        });
        let unmetered = Unmetered {
            wall,
            handles,
            depth: self.context.path.depth(),
            hooks: Duration::ZERO,
        };
        for near in near::of_run(&meters, unmetered, limits, class).chain(storage) {
            self.install.observe_near(&near);
        }
        self.context.totals.add(meters[Meter::Fuel], peak);
        let ended = Ended {
            outcome: std::mem::take(&mut self.outcome),
            wall,
            cpu_nanoseconds: meters[Meter::CpuNanoseconds],
            fuel: meters[Meter::Fuel],
            memory_bytes: peak,
        };
        self.context.composition.end(self.context.span, ended);
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.finish();
    }
}
