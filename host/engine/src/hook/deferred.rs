//! Runs of hooks outside of any request: observers that are told what has been committed, and hooks that only
//! practise. Each is a task of its own, in the turns of its instance.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use cloudware_capability::Progress;
use cloudware_types::{Class, Dimension, HookId, HookTarget, Stop, StopCause};
use futures_util::future::poll_fn;
use serde_json::Value;
use tokio::sync::oneshot;
use wasmtime::component::{Val, types::ComponentFunc};

use super::{
    BoundHook, BoundPoint, CallContext, Composition, Failure, Peers, WebhookCall, WebhookFailed,
    breaker::Admittance,
    nested::{Nested, observed, told},
    value,
};
use crate::{
    BoundInstall, UsageMeter,
    clock::unix_coarse,
    limits::{PUT_OFF_LAGGING, PUT_OFF_MAX, PUT_OFF_MIN},
    serve::RequestId,
    stop,
    task::{Bounds, Interruption, Task},
    usage::WebhookReading,
};

/// Why an observer could not be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// The hook is not served at the moment, or at all.
    #[error("the hook is not served")]
    NotServed,
    /// It is tripped, or the host is full: nothing was tried.
    #[error("{reason}")]
    Later {
        /// Why.
        reason: String,
        /// When it may be tried again.
        after: Duration,
    },
    /// It was tried and failed.
    #[error("{0}")]
    Failed(String),
    /// It is a webhook, which was called and failed.
    #[error(transparent)]
    Webhook(#[from] WebhookFailed),
}

/// Runs a call of `install` as a task of its own. `work` is given the progress that it counts as its caller's, and meters
/// with `usage`.
pub(super) async fn apart<F, W>(
    install: &Arc<BoundInstall>,
    context: Arc<CallContext>,
    usage: &UsageMeter,
    deadline: Duration,
    work: F,
) -> Result<Vec<Val>, Failure>
where
    F: FnOnce(Arc<Progress>) -> W,
    W: Future<Output = Result<Vec<Val>, Failure>> + Send + 'static,
{
    let admission = Arc::clone(&install.admission);
    if let Err(exhausted) = admission.burn(0) {
        let stop = stop::stop(&install.identity, exhausted.cause, Instant::now());
        return Err(put_off(&stop, exhausted.resets_in));
    }
    let started = Instant::now();
    let progress = Arc::new(Progress::default());
    let bounds = Bounds {
        class: Class::Hook,
        // The call has a deadline of its own; this one ends what never gets a turn.
        deadline: deadline * 4 + Duration::from_secs(1),
        cpu: Duration::MAX,
    };
    let task = Task::new(
        Arc::clone(&progress),
        Arc::clone(&admission),
        Arc::clone(&install.queue),
        None,
        started,
        bounds,
    );
    let (answer, answered) = oneshot::channel();
    let call = work(progress);
    task.begin(Box::pin(async move {
        let _ = answer.send(call.await);
        Ok(())
    }));
    let driven = Driven(task);
    let ended = poll_fn(|cx| driven.0.poll(cx)).await;
    let rest = context
        .totals
        .fuel()
        .saturating_sub(driven.0.fuel_counted());
    let _ = admission.burn(rest);
    if let Ok(result) = answered.await {
        return result;
    }
    Err(match ended {
        Ok(()) => Failure::Overloaded,
        Err(Interruption::Stopped(stop)) => Failure::Stopped(stop),
        Err(Interruption::Ended { cause, resets_in }) => {
            let stopped = stop::stop(&install.identity, cause, started);
            match (&stopped.cause, resets_in) {
                (StopCause::Limit { .. }, Some(resets_in)) => {
                    let stopped = told(&context, usage, stopped, (Class::Hook, None));
                    put_off(&stopped, resets_in)
                }
                // It never had a turn.
                (StopCause::Limit { .. }, None) => put_off(&stopped, PUT_OFF_MIN),
                // A host function failed, which took the call with it.
                _ => Failure::Stopped(observed(&context, usage, stopped, (Class::Hook, None))),
            }
        }
    })
}

/// What is put off until a limit of the whole instance leaves room: its fuel is burned, or others had all the time.
fn put_off(stop: &Stop, resets_in: Duration) -> Failure {
    let StopCause::Limit { limit, .. } = stop.cause else {
        return Failure::Overloaded;
    };
    Failure::PutOff {
        reason: stop.explanation(),
        limit,
        // Whoever raises the limit does not have to wait until it would have been reset.
        after: resets_in.clamp(PUT_OFF_MIN, PUT_OFF_MAX),
    }
}

/// A task that ends with whoever waits for it.
struct Driven(Arc<Task>);

impl Drop for Driven {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Something that one observer is to be told.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The hook that is told.
    pub hook: HookId,
    /// The function of the point's interface.
    pub function: &'a str,
    /// The arguments by the names of the parameters.
    pub arguments: &'a Value,
    /// The same each time that it is tried.
    pub id: &'a str,
    /// The request in which it happened; may be empty.
    pub request_id: &'a str,
    /// When it happened, in milliseconds since the Unix epoch.
    pub called_ms: u64,
}

impl Peers {
    /// Tells one observer.
    pub(crate) async fn deliver(
        self: &Arc<Self>,
        delivery: Delivery<'_>,
    ) -> Result<(), DeliveryError> {
        let (owner, point, hook) = self.hook(delivery.hook).ok_or(DeliveryError::NotServed)?;
        match hook.breaker.admit(Instant::now()) {
            Admittance::Tripped(rest) => {
                return Err(DeliveryError::Later {
                    reason: "it has failed too often".to_owned(),
                    after: rest.max(PUT_OFF_MIN),
                });
            }
            Admittance::Call(None) => {}
            Admittance::Call(Some(change)) => self.hooks.tell(owner, point, hook, change),
        }
        let mut webhook_failed = None;
        let told = match &hook.desired.target {
            HookTarget::Install(_) => self.tell_install(point, hook, &delivery).await,
            HookTarget::Webhook(webhook) => {
                let call = WebhookCall {
                    instance: owner.identity.instance,
                    webhook: Arc::clone(webhook),
                    id: delivery.id.to_owned(),
                    event: format!("{}.{}", point.path(), delivery.function),
                    arguments: delivery.arguments.clone(),
                    called_ms: delivery.called_ms,
                    deadline: Duration::from_millis(hook.desired.deadline_ms),
                };
                let reading = WebhookReading::begin(&hook.usage);
                let told = self.hooks.webhooks.tell(call).await;
                if told.is_ok() {
                    reading.succeeded();
                }
                told.map_err(|failed| {
                    let failure = Failure::of_webhook(&failed);
                    webhook_failed = Some(failed);
                    failure
                })
            }
        };
        let failed = match &told {
            Ok(()) => false,
            Err(failure) if failure.is_its_own() => true,
            Err(failure) => {
                hook.breaker.cancel();
                let after = match failure {
                    Failure::PutOff { after, .. } => *after,
                    _ => PUT_OFF_MIN,
                };
                return Err(DeliveryError::Later {
                    reason: failure.to_string(),
                    after,
                });
            }
        };
        if let Some(change) = hook.breaker.note(failed, Instant::now()) {
            self.hooks.tell(owner, point, hook, change);
        }
        told.map_err(|failure| match webhook_failed {
            Some(failed) => failed.into(),
            None => DeliveryError::Failed(failure.to_string()),
        })
    }

    async fn tell_install(
        self: &Arc<Self>,
        point: &Arc<BoundPoint>,
        hook: &BoundHook,
        delivery: &Delivery<'_>,
    ) -> Result<(), Failure> {
        let HookTarget::Install(id) = hook.desired.target else {
            return Err(Failure::Unfit("it is no component".to_owned()));
        };
        let peer = self.get(id);
        let install = peer.map(|peer| Arc::clone(&peer.install));
        let install = install.ok_or_else(|| Failure::Unfit("it is not served".to_owned()))?;
        let waited = unix_coarse().saturating_sub(Duration::from_millis(delivery.called_ms));
        if waited < PUT_OFF_MAX
            && let Some(lag) = install.admission.gives_way()
        {
            return Err(Failure::PutOff {
                reason: format!(
                    "the host has more to do than it can: what is ready waits for {lag} ms, more than half of the instance's \
                     queue-time; it is tried in any case when it has waited for {} s",
                    PUT_OFF_MAX.as_secs()
                ),
                limit: Dimension::QueueTime.into(),
                after: PUT_OFF_LAGGING,
            });
        }
        let interface = point.interface();
        let unfit = |reason: String| Failure::Unfit(format!("{}: {reason}", hook.desired.name));
        let ty = install
            .code
            .function_type(interface, delivery.function)
            .ok_or_else(|| unfit(format!("does not export {interface}.{}", delivery.function)))?;
        let arguments = arguments(&ty, delivery.arguments).map_err(unfit)?;
        let limits = Arc::clone(hook.limits(&install));
        let deadline = Duration::from_millis(hook.deadline_ms(&install));
        let items = value::items(&arguments);
        let (fuel, own) = (hook.fuel(&install, items), hook.own(items));
        let budget = Duration::from_millis(limits.get(Dimension::ExtensionTime.of(Class::Hook)));
        let call = format!("{}.{}", point.path(), delivery.function);
        let composition = Composition::begin(
            &install,
            RequestId::new(delivery.request_id),
            call.into(),
            (budget, Class::Hook),
        );
        // What has been committed runs no more: an observer may call the app that told it.
        let context = CallContext::first(&install, Arc::clone(self), composition, Some(point));
        let (interface, function) = (interface.to_owned(), delivery.function.to_owned());
        let usage = Arc::clone(&hook.usage);
        apart(
            &install,
            Arc::clone(&context),
            &hook.usage,
            deadline,
            move |caller| async move {
                let nested = Nested {
                    context,
                    caller: &caller,
                    interface: &interface,
                    function: &function,
                    ty: &ty,
                    class: Class::Hook,
                    limits: &limits,
                    fuel,
                    own: Some(own),
                    deadline,
                    ends_at: None,
                    shared: None,
                    usage: &usage,
                    world: None,
                    tape: None,
                };
                nested.call(&arguments).await
            },
        )
        .await
        .map(drop)
    }
}

/// The arguments of a function from a JSON object with a member for each parameter.
pub(super) fn arguments(ty: &ComponentFunc, members: &Value) -> Result<Vec<Val>, String> {
    ty.params()
        .map(|(name, ty)| {
            let value = members.get(name).unwrap_or(&Value::Null);
            value::from_json(&ty, value, &format!("$.{name}")).map_err(|error| error.to_string())
        })
        .collect()
}
