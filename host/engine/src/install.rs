//! An install bound to the engine: its code, its capabilities, its limits, its warm sandboxes. Replaced as
//! a whole when anything about the install changes; what runs on the old one finishes on it.

use std::{
    sync::{Arc, OnceLock, Weak},
    time::{Duration, Instant},
};

use cloudware_capability::{Binding, FindAccess, Identity, LogSink};
use cloudware_types::{
    Class, DesiredInstall, DesiredInstance, Digest, Dimension, Limit, Limits, Meter, Meters,
    OtherPlans, Reuse, Slug, Stop, StopCause,
};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    Admission, Observer, Sandbox, UsageMeter,
    admission::{Permit, SandboxPlace},
    clock::coarse,
    code::Code,
    hook::{Failure, Peers, find_access},
    limits::WARM_IDLE_MAX,
    log_rate::RatedLog,
    near::Near,
    recording::Recorder,
    sandbox::Setup,
    schedule::Queue,
    serve::RequestId,
    stop::{Attach as _, overloaded, stop},
    task::Bounds,
};

/// One install as the engine serves it.
pub struct BoundInstall {
    pub(crate) identity: Arc<Identity>,
    pub(crate) code: Arc<Code>,
    /// Digest of its component.
    pub(crate) component: Digest,
    pub(crate) limits: Arc<Limits>,
    pub(crate) bindings: Arc<[(&'static str, Arc<dyn Binding>)]>,
    pub(crate) log: Arc<dyn LogSink>,
    pub(crate) usage: Arc<UsageMeter>,
    pub(crate) observer: Arc<dyn Observer>,
    reuse: Reuse,
    pub(crate) other_plans: OtherPlans,
    pub(crate) admission: Arc<Admission>,
    pub(crate) queue: Arc<Queue>,
    /// See [`crate::EngineConfig::fuel_yield_interval`].
    pub(crate) fuel_yield_interval: u64,
    /// Records its calls, while the tenant wants that.
    pub(crate) recorder: Option<Recorder>,
    /// The installs that it was joined with, where some of them call each other.
    pub(crate) peers: OnceLock<Weak<Peers>>,
    /// How its runs find whoever decides about its data.
    pub(crate) find_access: FindAccess,
    sandboxes: Arc<Semaphore>,
    warm_places: Arc<Semaphore>,
    /// Warm sandboxes for requests.
    warm: Mutex<Vec<Warm>>,
    /// Warm sandboxes for calls of its functions.
    warm_nested: Mutex<Vec<Warm>>,
}

/// A warm sandbox waiting for its next request, with the place in the pool that it takes.
struct Warm {
    sandbox: Sandbox,
    place: SandboxPlace,
    /// Its share of what all idle warm sandboxes may take.
    _warm: OwnedSemaphorePermit,
    /// On the coarse clock.
    since: u64,
}

/// The right of one request to run: counted for the instance, and a place for its sandbox.
pub(crate) struct Admitted {
    /// None where it runs for a request that was admitted.
    pub(crate) permit: Option<Permit>,
    pub(crate) place: SandboxPlace,
    /// A warm sandbox, where one was idle.
    pub(crate) sandbox: Option<Sandbox>,
}

/// What a [`BoundInstall`] is made from.
pub(crate) struct BindParts<'a> {
    pub(crate) instance: &'a DesiredInstance,
    pub(crate) install: &'a DesiredInstall,
    pub(crate) code: Arc<Code>,
    pub(crate) bindings: Arc<[(&'static str, Arc<dyn Binding>)]>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) fuel_yield_interval: u64,
    pub(crate) sandboxes: Arc<Semaphore>,
    pub(crate) warm_places: Arc<Semaphore>,
    pub(crate) usage: Arc<UsageMeter>,
    pub(crate) log: Arc<dyn LogSink>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) recorder: Option<Recorder>,
}

impl BoundInstall {
    pub(crate) fn new(parts: BindParts<'_>) -> Self {
        let BindParts {
            instance, install, ..
        } = parts;
        Self {
            identity: Arc::new(Identity {
                tenant: instance.tenant,
                tenant_slug: instance.tenant_slug.clone(),
                instance: instance.id,
                instance_slug: instance.slug.clone(),
                install: install.id,
                app: install.app.clone(),
                version: install.version.to_string(),
            }),
            code: parts.code,
            component: install.component,
            limits: Arc::clone(&install.limits),
            bindings: parts.bindings,
            log: Arc::new(RatedLog::new(&parts.admission, parts.log)),
            usage: parts.usage,
            observer: parts.observer,
            reuse: install.reuse,
            other_plans: install.other_plans.clone(),
            admission: parts.admission,
            queue: parts.queue,
            fuel_yield_interval: parts.fuel_yield_interval,
            find_access: find_access(install),
            recorder: parts.recorder,
            peers: OnceLock::new(),
            sandboxes: parts.sandboxes,
            warm_places: parts.warm_places,
            warm: Mutex::new(Vec::new()),
            warm_nested: Mutex::new(Vec::new()),
        }
    }

    /// The app's name.
    #[must_use]
    pub fn app(&self) -> &Slug {
        &self.identity.app
    }

    /// Takes everything that a request needs before any work is done for it.
    ///
    /// # Errors
    /// The stop that the caller sees; it is counted.
    pub(crate) fn admit(&self, started: Instant) -> Result<Admitted, Box<Stop>> {
        let permit = self.admission.admit().map_err(|refusal| {
            let mut stop = match refusal.is_of_host {
                true => self.turn_away(refusal.cause, started),
                false => self.refuse(refusal.cause, started),
            };
            stop.is_of_host = refusal.is_of_host;
            stop.resetting(refusal.resets_in)
        })?;
        if let Some(warm) = self.warm.lock().pop() {
            return Ok(Admitted {
                permit: Some(permit),
                place: warm.place,
                sandbox: Some(warm.sandbox),
            });
        }
        let place = self.place_for_request(started)?;
        Ok(Admitted {
            permit: Some(permit),
            place,
            sandbox: None,
        })
    }

    /// A sandbox for a call of one of its functions inside the run of another app: a warm one, or a place in the
    /// pool and a fresh one. The request that it belongs to has been admitted already.
    ///
    /// # Errors
    /// [`Failure::Overloaded`] where the pool is full.
    pub(crate) fn nested_sandbox(&self, setup: Setup) -> Result<(Sandbox, SandboxPlace), Failure> {
        let fault = |error: wasmtime::Error| Failure::Unfit(format!("no sandbox: {error:#}"));
        // What is left over from a call of another class has other limits.
        let warm = match setup.world {
            None => self.warm_nested.lock().pop(),
            Some(_) => None,
        };
        if let Some(mut warm) = warm.filter(|warm| warm.sandbox.class() == setup.class) {
            warm.sandbox.renew(setup).map_err(fault)?;
            return Ok((warm.sandbox, warm.place));
        }
        let place = self.place().ok_or(Failure::Overloaded)?;
        let sandbox = Sandbox::new(self, setup).map_err(fault)?;
        Ok((sandbox, place))
    }

    /// A place in the pool for a request, also for one that another app sends, which runs for a request that was admitted.
    ///
    /// # Errors
    /// The stop where the pool is full; it is counted.
    pub(crate) fn place_for_request(&self, started: Instant) -> Result<SandboxPlace, Box<Stop>> {
        self.place()
            .ok_or_else(|| self.turn_away(overloaded(), started))
    }

    /// See [`Admission::sandbox_place`].
    fn place(&self) -> Option<SandboxPlace> {
        self.admission.sandbox_place(&self.sandboxes)
    }

    /// A stop for a request that was refused before it ran, counted in the ledger.
    pub(crate) fn refuse(&self, cause: StopCause, started: Instant) -> Box<Stop> {
        let mut meters = Meters::default();
        meters[Meter::Requests] = 1;
        meters[Meter::Stops] = 1;
        self.usage.add(&meters);
        stop(&self.identity, cause, started)
    }

    /// A stop for a request that the host has no room for: it is counted, and nobody pays for the request.
    fn turn_away(&self, cause: StopCause, started: Instant) -> Box<Stop> {
        self.count_stop();
        stop(&self.identity, cause, started)
    }

    /// Tells of writes of a run that found no room.
    pub(crate) fn storage_was_full(
        &self,
        started: Instant,
        class: Class,
        request_id: &RequestId,
    ) -> Near {
        let limit = Limit::from(Dimension::Storage);
        let max = self.limits.get(limit);
        // More than the limit where that was lowered.
        let used = self.admission.storage().max(max);
        let cause = StopCause::limit(Dimension::Storage, class, used, max);
        self.refused_within(cause, started, class, request_id);
        Near { limit, used, max }
    }

    /// Tells of a limit that refused something to a run of `class`, and counts it. The run goes on, with an error that its
    /// app may answer to; whoever looks for what was stopped finds it all the same.
    pub(crate) fn refused_within(
        &self,
        cause: StopCause,
        started: Instant,
        class: Class,
        request_id: &RequestId,
    ) {
        let mut stop = stop(&self.identity, cause, started);
        // That of a limit of the whole instance is not the run's.
        stop.class = class;
        self.observe(&mut stop, request_id);
        self.count_stop();
    }

    /// Counts a stop: runs are metered without it.
    pub(crate) fn count_stop(&self) {
        let mut meters = Meters::default();
        meters[Meter::Stops] = 1;
        self.usage.add(&meters);
    }

    /// Keeps a sandbox for the next request, where the app wants that and it has served few enough.
    pub(crate) fn give_back(&self, sandbox: Sandbox, place: SandboxPlace) {
        self.keep_warm(&self.warm, sandbox, place);
    }

    /// As [`Self::give_back`], for sandboxes whose functions are called.
    pub(crate) fn give_back_nested(&self, sandbox: Sandbox, place: SandboxPlace) {
        self.keep_warm(&self.warm_nested, sandbox, place);
    }

    fn keep_warm(&self, warm: &Mutex<Vec<Warm>>, sandbox: Sandbox, place: SandboxPlace) {
        let Reuse::Warm { requests_max } = self.reuse else {
            return;
        };
        if sandbox.served() >= requests_max || self.admission.memory().is_scarce() {
            return;
        }
        let Ok(warm_place) = Arc::clone(&self.warm_places).try_acquire_owned() else {
            return;
        };
        let mut warm = warm.lock();
        if warm.len() < WARM_IDLE_MAX {
            warm.push(Warm {
                sandbox,
                place,
                _warm: warm_place,
                since: coarse(),
            });
        }
    }

    /// Throws away warm sandboxes that have been idle for `idle_for`.
    pub(crate) fn evict_idle(&self, idle_for: Duration) {
        let now = Duration::from_nanos(coarse());
        for warm in [&self.warm, &self.warm_nested] {
            let idle = |warm: &Warm| now.saturating_sub(Duration::from_nanos(warm.since));
            warm.lock().retain(|warm| idle(warm) < idle_for);
        }
    }

    /// What bounds a run of `class` from outside its sandbox.
    pub(crate) fn bounds(&self, class: Class) -> Bounds {
        let millis =
            |dimension: Dimension| Duration::from_millis(self.limits.get(dimension.of(class)));
        Bounds {
            class,
            deadline: millis(Dimension::Deadline),
            cpu: millis(Dimension::CpuTime),
        }
    }
}
