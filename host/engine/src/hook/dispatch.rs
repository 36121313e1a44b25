//! Calls of apps to each other, from the caller's side: what stands behind an imported function is asked, by the
//! rules of the extension point's kind.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cloudware_capability::{Invocation, Progress};
use cloudware_types::{
    Class, Dimension, HookMode, HookOutcome, HookTarget, PointKind, RunChain, Stop, Webhook,
};
use serde_json::{Value, json};
use tokio::time::timeout_at;
use wasmtime::{
    StoreContextMut,
    component::{Type, Val, types::ComponentFunc},
};

use super::{
    BoundHook, BoundPoint, Failure, HookFailed, Observed, WebhookCall,
    answer::{Answer, Answered, Next, check},
    breaker::Admittance,
    composition::{CallContext, Ended, SpanStart, Who},
    link::Import,
    nested::{self, Nested},
    peers::Callee,
    shadow,
    time::{End, EndOf, RunTime},
    value,
};
use crate::{BoundInstall, clock, usage::WebhookReading};

/// A guest calls a function of another app's. What others answer is noted where the run is recorded, and taken from
/// the tape where it runs again.
pub(super) async fn call(
    mut store: StoreContextMut<'_, Invocation>,
    import: &Import,
    ty: ComponentFunc,
    arguments: &[Val],
    results: &mut [Val],
) -> wasmtime::Result<()> {
    let Some(tape) = store.data().tape().cloned() else {
        return ask(store, import, ty, arguments, results).await;
    };
    let asked = json!({
        "interface": &*import.interface,
        "function": &*import.function,
        "arguments": value::arguments(ty.params(), arguments),
    });
    if tape.replays() {
        store.data_mut().enter(Stop::APP_CALL)?;
        let answered = tape.play(TAPED, asked)?;
        take(&answered, &ty, results)?;
        store.data_mut().leave();
        return Ok(());
    }
    let number = tape.begin(TAPED, asked);
    let outcome = ask(store, import, ty, arguments, results).await;
    tape.note(
        number,
        match &outcome {
            Ok(()) => json!({ "ok": results.iter().map(value::to_json).collect::<Vec<_>>() }),
            Err(_) => json!({ "failed": true }),
        },
    );
    outcome
}

/// What a call of others is on a tape.
const TAPED: &str = "app.call";

/// Takes the results of a call from what a tape says of it.
fn take(answered: &Value, ty: &ComponentFunc, results: &mut [Val]) -> wasmtime::Result<()> {
    let Some(values) = answered["ok"].as_array() else {
        wasmtime::bail!("the call failed when it was recorded");
    };
    for ((result, ty), json) in results.iter_mut().zip(ty.results()).zip(values) {
        *result = value::from_json(&ty, json, "$.ok")?;
    }
    Ok(())
}

async fn ask(
    mut store: StoreContextMut<'_, Invocation>,
    import: &Import,
    ty: ComponentFunc,
    arguments: &[Val],
    results: &mut [Val],
) -> wasmtime::Result<()> {
    let invocation = store.data_mut();
    let Some(context) = invocation.context::<CallContext>() else {
        wasmtime::bail!("{} leads nowhere in this run", import.interface);
    };
    let ask = Ask {
        caller: Arc::clone(invocation.progress()),
        chain: invocation.chain(),
        class: invocation.class(),
        depth_max: invocation.limit(Dimension::Recursion),
        context: Arc::clone(&context),
        import,
        ty: &ty,
        rule: None,
    };
    let install = context.install.identity.install;
    let callee = context
        .peers
        .get(install)
        .and_then(|peer| peer.callee(&context.peers, &import.interface));
    match callee {
        None => wasmtime::bail!(
            "nothing in this instance stands behind {}.{}",
            import.interface,
            import.function
        ),
        Some(Callee::Install(callee)) => {
            invocation.enter(Stop::APP_CALL)?;
            let values = ask.service(callee, arguments).await?;
            for (result, value) in results.iter_mut().zip(values) {
                *result = value;
            }
        }
        Some(Callee::Point(point)) if point.kind == PointKind::Observe => {
            invocation.enter(Stop::OBSERVE_CALL)?;
            let worked = ask.observe(point, arguments).await?;
            store.data_mut().charge_sql_time(worked)?;
        }
        Some(Callee::Point(point)) => {
            invocation.enter(Stop::HOOK_CALL)?;
            let answered = ask.point(point, arguments).await;
            if let Some(result) = results.first_mut() {
                *result = answered.value;
            }
        }
    }
    store.data_mut().leave();
    Ok(())
}

/// One call as it is asked on.
pub(super) struct Ask<'a> {
    pub(super) caller: Arc<Progress>,
    /// The run that calls, and those that wait for it.
    pub(super) chain: RunChain,
    /// Why the run that asks runs.
    pub(super) class: Class,
    pub(super) depth_max: u64,
    pub(super) context: Arc<CallContext>,
    pub(super) import: &'a Import,
    pub(super) ty: &'a ComponentFunc,
    /// What an answer is held to beyond its type and the kind of the point.
    pub(super) rule: Option<&'a Rule>,
}

/// Says of an answer what is wrong with it, by the arguments that it was given to.
pub(super) type Rule = dyn Fn(&[Val], &Val) -> Result<(), String> + Sync;

impl Ask<'_> {
    /// Asks the hooks of a point, in order.
    pub(super) async fn point(&self, point: &Arc<BoundPoint>, arguments: &[Val]) -> Answered {
        let mut answer = Answer::new(point.kind, arguments);
        let active = |hook: &&BoundHook| hook.desired.mode == HookMode::Active;
        for hook in point.hooks.iter().filter(active) {
            let result = self.hook(point, hook, answer.arguments()).await;
            if answer.take(point, hook, result) == Next::Settled {
                break;
            }
        }
        let answered = answer.finish();
        let shadows = point
            .hooks
            .iter()
            .filter(|hook| hook.desired.mode == HookMode::Shadow);
        for hook in shadows {
            shadow::run(self, point, hook, arguments, &answered.value);
        }
        answered
    }

    /// Asks one hook: whether it may be asked at all, its answer, and what is noted of it.
    pub(super) async fn hook(
        &self,
        point: &Arc<BoundPoint>,
        hook: &BoundHook,
        arguments: &[Val],
    ) -> Result<Val, Failure> {
        let result = match self.admit(point, hook) {
            Err(failure) => {
                let span = self.span(point, hook, false);
                let ended = Ended {
                    outcome: failure.name().into(),
                    ..Ended::default()
                };
                self.context.composition.end(span, ended);
                Err(failure)
            }
            Ok(end) => {
                let call = hook.breaker.call();
                let result = self.ask(point, hook, end, arguments).await;
                call.ended();
                self.note(point, hook, &result);
                result
            }
        };
        if let Err(failure) = &result {
            self.report(point, hook, failure);
        }
        result
    }

    /// Decides whether a hook is asked; gives when it ends at the latest.
    fn admit(&self, point: &Arc<BoundPoint>, hook: &BoundHook) -> Result<End, Failure> {
        self.check_path(point)?;
        let end = self.end(hook)?;
        match hook.breaker.admit(Instant::now()) {
            Admittance::Tripped(rest) => return Err(Failure::Tripped(rest)),
            Admittance::Call(None) => {}
            Admittance::Call(Some(change)) => {
                self.hooks()
                    .tell(&self.context.install, point, hook, change)
            }
        }
        Ok(end)
    }

    /// The first of a hook's deadline, the end of the request's budget, and the end of the hook that waits for it.
    fn end(&self, hook: &BoundHook) -> Result<End, Failure> {
        let (composition, time) = (&self.context.composition, &self.context.time);
        let peer = match &hook.desired.target {
            HookTarget::Install(id) => self.context.peers.get(*id),
            HookTarget::Webhook(_) => None,
        };
        let millis = peer.map_or(hook.desired.deadline_ms, |peer| {
            hook.deadline_ms(&peer.install)
        });
        let now = Instant::now();
        let mut end = End {
            at: now + Duration::from_millis(millis),
            limit: Dimension::Deadline.of(Class::Hook),
            max: millis,
            whose: EndOf::Hook(hook.desired.id, Arc::clone(&hook.desired.name)),
        };
        if time.counts() {
            let left = composition.budget_left();
            if left.is_zero() {
                return Err(Failure::Budget {
                    spenders: composition.spenders(),
                    limit: composition.budget_limit(),
                });
            }
            if now + left < end.at {
                end = composition.budget_end(now + left);
            }
        }
        Ok(match time.end() {
            Some(callers) if callers.at < end.at => callers.clone(),
            _ => end,
        })
    }

    /// Counts the time that a hook has had since it was asked. Where its time ended, the failure says whose time
    /// that was, whatever it looks like from nearby.
    fn spend<T>(
        &self,
        hook: &BoundHook,
        asked: Instant,
        (end, time): (&End, &RunTime),
        result: Result<T, Failure>,
    ) -> Result<T, Failure> {
        let (composition, elapsed) = (&self.context.composition, asked.elapsed());
        let own = time.own(elapsed);
        self.context.time.add_others(elapsed);
        if time.counts() {
            composition.spend(hook.desired.id, &hook.desired.name, own);
        }
        let failure = match result {
            Err(failure) if end.ended(&failure) => failure,
            result => return result,
        };
        let (reason, is_its_own) = match &end.whose {
            EndOf::Budget => (
                composition.spenders(),
                composition.has_spent_most(hook.desired.id),
            ),
            EndOf::Hook(id, name) if *id != hook.desired.id => (
                format!("{name}, which asked it, had to end: {failure}"),
                self.context.time.is_mostly(own),
            ),
            EndOf::Hook(..) if own < elapsed / 2 => (
                format!("{failure}; the hooks that it asked had most of that time"),
                false,
            ),
            EndOf::Hook(..) => return Err(failure),
        };
        Err(Failure::CutOff {
            reason,
            limit: end.limit,
            is_its_own,
        })
    }

    fn check_path(&self, point: &Arc<BoundPoint>) -> Result<(), Failure> {
        let path = &self.context.path;
        if path.has_point(point) {
            return Err(Failure::Circle(format!(
                "{} is being asked already: a hook on it called back",
                point.path()
            )));
        }
        self.check_depth()
    }

    fn check_depth(&self) -> Result<(), Failure> {
        if self.context.path.depth() < self.depth_max {
            return Ok(());
        }
        self.context.too_deep(self.class, self.depth_max);
        Err(Failure::Circle(format!(
            "apps and hooks call each other {} deep, which is the limit {}",
            self.depth_max,
            Dimension::Recursion.of(self.class)
        )))
    }

    async fn ask(
        &self,
        point: &Arc<BoundPoint>,
        hook: &BoundHook,
        end: End,
        arguments: &[Val],
    ) -> Result<Val, Failure> {
        let value = match &hook.desired.target {
            HookTarget::Install(id) => {
                let Some(peer) = self.context.peers.get(*id) else {
                    return Err(Failure::Unfit(format!(
                        "{} is not served",
                        hook.desired.name
                    )));
                };
                let install = &peer.install;
                let time = self.context.time.of_hook(end.clone());
                let span = self.span(point, hook, false);
                let items = value::items(arguments);
                let nested = Nested {
                    context: self.nested_context(install, Some(point), span, Arc::clone(&time)),
                    caller: &self.caller,
                    interface: &self.import.interface,
                    function: &self.import.function,
                    ty: self.ty,
                    class: Class::Hook,
                    limits: hook.limits(install),
                    fuel: hook.fuel(install, items),
                    own: Some(hook.own(items)),
                    deadline: Duration::from_millis(end.max),
                    ends_at: Some(end.at),
                    shared: end.reached_instead(hook.desired.id),
                    usage: &hook.usage,
                    world: None,
                    tape: None,
                };
                let asked = Instant::now();
                let called = nested.call(arguments).await;
                self.spend(hook, asked, (&end, &time), called)?.pop()
            }
            HookTarget::Webhook(webhook) => {
                Some(self.webhook(point, hook, webhook, end, arguments).await?)
            }
        };
        let value = value.ok_or_else(|| Failure::Unfit("it returned nothing".to_owned()))?;
        check(point.kind, &value)?;
        if let Some(rule) = self.rule {
            let judged = rule(arguments, &value);
            judged.map_err(|reason| Failure::Unfit(format!("{}: {reason}", hook.desired.name)))?;
        }
        Ok(value)
    }

    async fn webhook(
        &self,
        point: &Arc<BoundPoint>,
        hook: &BoundHook,
        webhook: &Arc<Webhook>,
        end: End,
        arguments: &[Val],
    ) -> Result<Val, Failure> {
        let span = self.span(point, hook, false);
        let asked = Instant::now();
        let time = self.context.time.of_hook(end.clone());
        let call = WebhookCall {
            instance: self.context.install.identity.instance,
            webhook: Arc::clone(webhook),
            id: format!("msg_{}", uuid::Uuid::now_v7().as_simple()),
            event: format!("{}.{}", point.path(), self.import.function),
            arguments: value::arguments(self.ty.params(), arguments),
            called_ms: u64::try_from(clock::unix_coarse().as_millis()).unwrap_or(u64::MAX),
            deadline: end.left(),
        };
        let reading = WebhookReading::begin(&hook.usage);
        // What it takes to write the message is the hook's time as well: whoever waits for it ends no earlier.
        let answered = timeout_at(end.at.into(), self.hooks().webhooks.ask(call)).await;
        let late =
            |_| Failure::Webhook(format!("the endpoint did not answer within {} ms", end.max));
        let result = answered
            .map_err(late)
            .and_then(|answered| answered.map_err(|failed| Failure::of_webhook(&failed)))
            .and_then(|json| {
                let ty = self.ty.results().next().unwrap_or(Type::Bool);
                value::from_json(&ty, &json, "$.result").map_err(|error| {
                    Failure::Webhook(format!(
                        "{} answered with an invalid value: {error}",
                        hook.desired.name
                    ))
                })
            });
        let result = self.spend(hook, asked, (&end, &time), result);
        let outcome = match &result {
            Ok(answer) => {
                reading.succeeded();
                nested::outcome(Some(answer))
            }
            Err(failure) => failure.name().into(),
        };
        let ended = Ended {
            outcome,
            wall: asked.elapsed(),
            ..Ended::default()
        };
        self.context.composition.end(span, ended);
        result
    }

    /// Counts how a call went for the breaker.
    fn note(&self, point: &Arc<BoundPoint>, hook: &BoundHook, result: &Result<Val, Failure>) {
        let failed = match result {
            Ok(_) => false,
            Err(failure) if failure.is_its_own() => true,
            Err(_) => return hook.breaker.cancel(),
        };
        if let Some(change) = hook.breaker.note(failed, Instant::now()) {
            self.hooks()
                .tell(&self.context.install, point, hook, change);
        }
    }

    /// Tells that a hook gave no answer.
    fn report(&self, point: &Arc<BoundPoint>, hook: &BoundHook, failure: &Failure) {
        let outcome = match failure {
            Failure::Tripped(_) | Failure::Budget { .. } | Failure::Overloaded => {
                HookOutcome::NotCalled
            }
            _ => HookOutcome::Failed,
        };
        self.context.install.observer.hook_failed(
            &self.context.install.identity,
            &HookFailed {
                hook: hook.desired.id,
                name: Arc::clone(&hook.desired.name),
                point: point.path(),
                outcome,
                is_gone: matches!(failure, Failure::Gone(_)),
                reason: failure.to_string(),
            },
        );
    }

    /// Keeps an event for the hooks of a point, which are told when what the app is about to commit is committed.
    /// Gives how long the database worked for it.
    async fn observe(
        &self,
        point: &Arc<BoundPoint>,
        arguments: &[Val],
    ) -> wasmtime::Result<Duration> {
        let active = |hook: &&BoundHook| hook.desired.mode == HookMode::Active;
        let hooks = point.hooks.iter().filter(active);
        let hooks: Vec<_> = hooks.map(|hook| hook.desired.clone()).collect();
        if hooks.is_empty() {
            return Ok(Duration::ZERO);
        }
        let install = &self.context.install;
        let event = Observed {
            instance: install.identity.instance,
            invocation: self.chain.clone(),
            app: install.identity.app.clone(),
            point: point.name.clone(),
            interface: Arc::clone(&self.import.interface),
            function: self.import.function.to_string(),
            arguments: value::arguments(self.ty.params(), arguments),
            items: value::items(arguments),
            request_id: self.context.composition.request_id().as_str().to_owned(),
            hooks,
            storage_bytes_max: install.limits.get(Dimension::Storage),
            weight: install.limits.get(Dimension::CpuWeight),
        };
        let kept = self.hooks().outbox.keep(event).await;
        kept.map_err(|reason| {
            wasmtime::format_err!(
                "{} can't be told of {}: {reason}",
                point.path(),
                self.import.function
            )
        })
    }

    /// Calls an interface that another app offers. Its failure is the caller's.
    async fn service(
        &self,
        callee: &Arc<BoundInstall>,
        arguments: &[Val],
    ) -> wasmtime::Result<Vec<Val>> {
        let called = async {
            if self.context.path.has_install(callee.identity.install) {
                return Err(Failure::Circle(
                    "it runs for this request already".to_owned(),
                ));
            }
            self.check_depth()?;
            let span = self.context.composition.span(SpanStart {
                parent: self.context.span,
                who: Who::Install(Arc::clone(callee)),
                point: None,
                call: format!("{}.{}", self.import.interface, self.import.function).into(),
                shadow: false,
            });
            let limits = &callee.limits;
            let nested = Nested {
                context: self.nested_context(callee, None, span, Arc::clone(&self.context.time)),
                caller: &self.caller,
                interface: &self.import.interface,
                function: &self.import.function,
                ty: self.ty,
                class: Class::Request,
                limits,
                fuel: limits.get(Dimension::Fuel),
                own: None,
                deadline: Duration::from_millis(limits.get(Dimension::Deadline)),
                ends_at: None,
                shared: None,
                usage: &callee.usage,
                world: None,
                tape: None,
            };
            nested.call(arguments).await
        };
        called.await.map_err(|failure| {
            wasmtime::format_err!(
                "{} {}, called for {}.{}, failed: {failure}",
                callee.identity.app,
                callee.identity.version,
                self.import.interface,
                self.import.function
            )
        })
    }

    fn nested_context(
        &self,
        install: &Arc<BoundInstall>,
        point: Option<&Arc<BoundPoint>>,
        span: Option<u32>,
        time: Arc<RunTime>,
    ) -> Arc<CallContext> {
        Arc::new(CallContext {
            install: Arc::clone(install),
            peers: Arc::clone(&self.context.peers),
            composition: Arc::clone(&self.context.composition),
            totals: Arc::clone(&self.context.totals),
            path: self.context.path.further(install.identity.install, point),
            span,
            waiting: self.chain.waiting_too(),
            time,
        })
    }

    pub(super) fn span(
        &self,
        point: &Arc<BoundPoint>,
        hook: &BoundHook,
        shadow: bool,
    ) -> Option<u32> {
        let who = match &hook.desired.target {
            HookTarget::Install(id) => match self.context.peers.get(*id) {
                Some(peer) => Who::Install(Arc::clone(&peer.install)),
                None => Who::Webhook(Arc::clone(&hook.desired.name)),
            },
            HookTarget::Webhook(_) => Who::Webhook(Arc::clone(&hook.desired.name)),
        };
        self.context.composition.span(SpanStart {
            parent: self.context.span,
            who,
            point: Some(Arc::clone(point)),
            call: self.import.function.to_string().into(),
            shadow,
        })
    }

    pub(super) fn hooks(&self) -> &Arc<super::Hooks> {
        &self.context.peers.hooks
    }
}
