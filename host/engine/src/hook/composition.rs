//! A composed request: everything that runs for one request across apps, hooks and called apps. It keeps the time
//! that hooks have had, the path by which they came, and the spans of the trace, which is told when the last
//! run that belongs to it has ended.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cloudware_capability::{ExtensionTime, RunContext};
use cloudware_types::{
    Class, Dimension, HookId, InstallId, InstanceId, Limit, Span, StopCause, TenantId, Trace,
    Waiting,
};
use parking_lot::Mutex;

use crate::{
    BoundInstall, Observer,
    clock::unix_coarse,
    hook::{
        BoundPoint, Peers,
        time::{End, EndOf, RunTime},
    },
    serve::RequestId,
};

/// What all runs of one request share.
pub(crate) struct Composition {
    request_id: RequestId,
    observer: Arc<dyn Observer>,
    tenant: TenantId,
    instance: InstanceId,
    began: Instant,
    began_ms: u64,
    budget: Duration,
    /// The limit that the budget comes from.
    budget_limit: Limit,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    spans: Vec<Open>,
    omitted: u64,
    /// Time that each hook has had, in the order in which they were first asked.
    hooks: Vec<(HookId, Arc<str>, Duration)>,
}

/// A span that may still be going on.
struct Open {
    parent: Option<u32>,
    who: Who,
    point: Option<Arc<BoundPoint>>,
    call: Cow<'static, str>,
    shadow: bool,
    began: Duration,
    ended: Option<Ended>,
}

/// Whose code a span is of.
pub(crate) enum Who {
    /// A component's.
    Install(Arc<BoundInstall>),
    /// An endpoint's of the tenant, by its name.
    Webhook(Arc<str>),
}

/// What a run is before it has begun.
pub(crate) struct SpanStart {
    pub(crate) parent: Option<u32>,
    pub(crate) who: Who,
    pub(crate) point: Option<Arc<BoundPoint>>,
    pub(crate) call: Cow<'static, str>,
    pub(crate) shadow: bool,
}

/// What a run used, and how it ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ended {
    pub(crate) outcome: Cow<'static, str>,
    pub(crate) wall: Duration,
    pub(crate) cpu_nanoseconds: u64,
    pub(crate) fuel: u64,
    pub(crate) memory_bytes: u64,
}

impl Composition {
    /// Begins with the run of `install`, which is the first span, and the time that hooks may have for a run of its
    /// class.
    pub(crate) fn begin(
        install: &Arc<BoundInstall>,
        request_id: RequestId,
        call: Cow<'static, str>,
        (budget, class): (Duration, Class),
    ) -> Arc<Self> {
        let composition = Self {
            request_id,
            observer: Arc::clone(&install.observer),
            tenant: install.identity.tenant,
            instance: install.identity.instance,
            began: Instant::now(),
            began_ms: u64::try_from(unix_coarse().as_millis()).unwrap_or(u64::MAX),
            budget,
            budget_limit: Dimension::ExtensionTime.of(class),
            state: Mutex::default(),
        };
        composition.span(SpanStart {
            parent: None,
            who: Who::Install(Arc::clone(install)),
            point: None,
            call,
            shadow: false,
        });
        Arc::new(composition)
    }

    /// The request's id.
    pub(crate) fn request_id(&self) -> &RequestId {
        &self.request_id
    }

    /// Begins a span; `None` where there are too many.
    pub(crate) fn span(&self, start: SpanStart) -> Option<u32> {
        let began = self.began.elapsed();
        let mut state = self.state.lock();
        if state.spans.len() >= Trace::SPANS_MAX {
            state.omitted += 1;
            return None;
        }
        state.spans.push(Open {
            parent: start.parent,
            who: start.who,
            point: start.point,
            call: start.call,
            shadow: start.shadow,
            began,
            ended: None,
        });
        u32::try_from(state.spans.len() - 1).ok()
    }

    /// Ends a span.
    pub(crate) fn end(&self, span: Option<u32>, ended: Ended) {
        let Some(index) = span else { return };
        if let Some(span) = self.state.lock().spans.get_mut(index as usize) {
            span.ended.get_or_insert(ended);
        }
    }

    /// What a span that has ended used; nothing where it has not.
    pub(crate) fn ended(&self, span: usize) -> Ended {
        let state = self.state.lock();
        let ended = state.spans.get(span).and_then(|span| span.ended.clone());
        ended.unwrap_or_default()
    }

    /// Time that hooks may still have, nothing where the budget is used up.
    pub(crate) fn budget_left(&self) -> Duration {
        self.budget.saturating_sub(self.spent())
    }

    /// Time that hooks have had.
    fn spent(&self) -> Duration {
        let state = self.state.lock();
        state.hooks.iter().map(|(.., time)| *time).sum()
    }

    /// Counts time that a hook has had.
    pub(crate) fn spend(&self, hook: HookId, name: &Arc<str>, time: Duration) {
        let mut state = self.state.lock();
        match state.hooks.iter_mut().find(|(id, ..)| *id == hook) {
            Some((.., spent)) => *spent += time,
            None => state.hooks.push((hook, Arc::clone(name), time)),
        }
    }

    /// The end of the budget, which comes at this moment.
    pub(crate) fn budget_end(&self, at: Instant) -> End {
        End {
            at,
            limit: self.budget_limit,
            max: u64::try_from(self.budget.as_millis()).unwrap_or(u64::MAX),
            whose: EndOf::Budget,
        }
    }

    /// The limit that the budget is.
    pub(crate) fn budget_limit(&self) -> Limit {
        self.budget_limit
    }

    /// Whether a hook has had more time than all others together.
    pub(crate) fn has_spent_most(&self, hook: HookId) -> bool {
        let (mut own, mut others) = (Duration::ZERO, Duration::ZERO);
        for (id, _, time) in &self.state.lock().hooks {
            match *id == hook {
                true => own += *time,
                false => others += *time,
            }
        }
        own > others
    }

    /// Who used up the budget, for people: every hook with its time, the longest first.
    pub(crate) fn spenders(&self) -> String {
        let mut hooks = self.state.lock().hooks.clone();
        hooks.sort_by_key(|(.., time)| std::cmp::Reverse(*time));
        let told: Vec<_> = hooks
            .iter()
            .map(|(_, name, time)| format!("{name} {:.1} ms", time.as_secs_f64() * 1_000.0))
            .collect();
        format!(
            "the hooks of this request have used up its budget of {} ms ({}): {}",
            self.budget.as_millis(),
            self.budget_limit.name(),
            told.join(", ")
        )
    }
}

impl Drop for Composition {
    /// The trace is told when nothing of the request runs any more. A request that nobody else took part in
    /// is none.
    fn drop(&mut self) {
        let State { spans, omitted, .. } = std::mem::take(self.state.get_mut());
        if spans.len() < 2 {
            return;
        }
        self.observer.traced(Trace {
            request_id: self.request_id.as_str().to_owned(),
            began_ms: self.began_ms,
            tenant: self.tenant,
            instance: self.instance,
            spans: spans.into_iter().map(Open::close).collect(),
            omitted,
        });
    }
}

impl Open {
    fn close(self) -> Span {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let (install, app, version) = match &self.who {
            Who::Install(install) => (
                Some(install.identity.install),
                install.identity.app.to_string(),
                install.identity.version.clone(),
            ),
            Who::Webhook(name) => (None, name.to_string(), String::new()),
        };
        let ended = self.ended.unwrap_or_else(|| Ended {
            outcome: "cancelled".into(),
            ..Ended::default()
        });
        Span {
            parent: self.parent,
            install,
            app,
            version,
            point: self.point.map(|point| point.path()),
            call: self.call.into_owned(),
            outcome: ended.outcome.into_owned(),
            shadow: self.shadow,
            began_us: micros(self.began),
            wall_us: micros(ended.wall),
            cpu_us: ended.cpu_nanoseconds / 1_000,
            fuel: ended.fuel,
            memory_bytes: ended.memory_bytes,
        }
    }
}

/// What one run needs to call others: kept with its invocation.
pub(crate) struct CallContext {
    /// The install that runs.
    pub(crate) install: Arc<BoundInstall>,
    /// The installs that were bound together with it.
    pub(crate) peers: Arc<Peers>,
    /// The request that it runs for.
    pub(crate) composition: Arc<Composition>,
    /// What is driven as one task with it.
    pub(crate) totals: Arc<TaskTotals>,
    /// How it came to run.
    pub(crate) path: Arc<Step>,
    /// Its span.
    pub(crate) span: Option<u32>,
    /// The runs that can do nothing before it has ended.
    pub(crate) waiting: Waiting,
    /// How its time is counted, and when it ends at the latest.
    pub(crate) time: Arc<RunTime>,
}

impl RunContext for CallContext {
    fn depth(&self) -> u64 {
        self.path.depth()
    }

    fn extension_time(&self) -> ExtensionTime {
        ExtensionTime {
            limit: self.composition.budget_limit,
            used: self.composition.spent() + self.time.own_of_hook(),
            max: self.composition.budget,
        }
    }
}

impl CallContext {
    /// Tells of a call that would have gone deeper than the limit.
    pub(crate) fn too_deep(&self, class: Class, max: u64) {
        let cause = StopCause::limit(Dimension::Recursion, class, max.saturating_add(1), max);
        let request_id = self.composition.request_id();
        self.install
            .refused_within(cause, Instant::now(), class, request_id);
    }

    /// What hooks have had of the time that the run has for all of them; nothing where it is another's.
    pub(crate) fn hooks_time(&self) -> Duration {
        match self.path.depth() {
            0 => self.composition.spent(),
            _ => Duration::ZERO,
        }
    }

    /// The context of the run that a composition begins with: of `install`, for something that happened at `point`
    /// if at one.
    pub(crate) fn first(
        install: &Arc<BoundInstall>,
        peers: Arc<Peers>,
        composition: Arc<Composition>,
        point: Option<&Arc<BoundPoint>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            install: Arc::clone(install),
            peers,
            composition,
            totals: Arc::default(),
            path: Step::first(install.identity.install, point),
            span: Some(0),
            waiting: Waiting::default(),
            time: RunTime::first(),
        })
    }

    /// The context of a run that belongs to the request of `self` and is driven as a task of its own: the one that
    /// brought it about may do something else meanwhile.
    pub(crate) fn apart(
        &self,
        install: &Arc<BoundInstall>,
        span: Option<u32>,
        time: Arc<RunTime>,
    ) -> Arc<Self> {
        Arc::new(Self {
            install: Arc::clone(install),
            peers: Arc::clone(&self.peers),
            composition: Arc::clone(&self.composition),
            totals: Arc::default(),
            path: self.path.further(install.identity.install, None),
            span,
            waiting: Waiting::default(),
            time,
        })
    }
}

/// What the sandboxes of one task that are not its own have used.
#[derive(Debug, Default)]
pub(crate) struct TaskTotals {
    fuel: AtomicU64,
    memory: AtomicU64,
}

impl TaskTotals {
    /// Counts a hook that ran within the task: its fuel, and the most memory that it held.
    pub(crate) fn add(&self, fuel: u64, memory_bytes: u64) {
        self.fuel.fetch_add(fuel, Ordering::Relaxed);
        self.memory.fetch_max(memory_bytes, Ordering::Relaxed);
    }

    /// The most memory that one of the hooks held that ran within the task.
    pub(crate) fn memory(&self) -> u64 {
        self.memory.load(Ordering::Relaxed)
    }

    /// Fuel of the hooks that ran within the task.
    pub(crate) fn fuel(&self) -> u64 {
        self.fuel.load(Ordering::Relaxed)
    }
}

/// One step of the path by which a run came about, the last one first.
pub(crate) struct Step {
    before: Option<Arc<Step>>,
    install: InstallId,
    /// The extension point that it fills.
    point: Option<Arc<BoundPoint>>,
    depth: u64,
}

impl Step {
    /// The first step: a request to an install, or an observer that is told of something at `point`.
    fn first(install: InstallId, point: Option<&Arc<BoundPoint>>) -> Arc<Self> {
        Arc::new(Self {
            before: None,
            install,
            point: point.map(Arc::clone),
            depth: 0,
        })
    }

    /// One step further.
    pub(crate) fn further(
        self: &Arc<Self>,
        install: InstallId,
        point: Option<&Arc<BoundPoint>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            before: Some(Arc::clone(self)),
            install,
            point: point.map(Arc::clone),
            depth: self.depth + 1,
        })
    }

    /// How many steps lie before this one.
    pub(crate) fn depth(&self) -> u64 {
        self.depth
    }

    /// The point that is asked at this step, as people write it.
    pub(crate) fn point(&self) -> Option<String> {
        self.point.as_ref().map(|point| point.path())
    }

    /// Whether the install runs on this path already.
    pub(crate) fn has_install(&self, install: InstallId) -> bool {
        self.any(|step| step.install == install)
    }

    /// Whether the point is being asked on this path already.
    pub(crate) fn has_point(&self, point: &Arc<BoundPoint>) -> bool {
        self.any(|step| {
            step.point
                .as_ref()
                .is_some_and(|asked| Arc::ptr_eq(asked, point))
        })
    }

    fn any(&self, mut matches: impl FnMut(&Self) -> bool) -> bool {
        let mut step = Some(self);
        while let Some(this) = step {
            if matches(this) {
                return true;
            }
            step = this.before.as_deref();
        }
        false
    }
}
