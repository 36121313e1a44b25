//! Hooks that only practise: they run beside the others on the same arguments, after those have answered and as a
//! task of their own, so that the request waits for nothing; what they say is compared and told.

use std::{sync::Arc, time::Duration};

use cloudware_types::{Class, HookTarget};
use wasmtime::component::Val;

use super::{
    BoundHook, BoundPoint, Failure, ShadowCompared, deferred::apart, dispatch::Ask, nested::Nested,
    time::RunTime, value,
};

/// Begins a run that is compared with `expected`. Where the host runs as many as it may, has no sandbox for one more, or
/// lags, or where the instance has burned its fuel, this one is left out.
pub(super) fn run(
    ask: &Ask<'_>,
    point: &Arc<BoundPoint>,
    hook: &BoundHook,
    arguments: &[Val],
    expected: &Val,
) {
    // A webhook's endpoint can't know that nothing comes of its answer.
    let HookTarget::Install(id) = &hook.desired.target else {
        return;
    };
    let Some(peer) = ask.context.peers.get(*id) else {
        return;
    };
    let Ok(permit) = Arc::clone(&ask.hooks().shadows).try_acquire_owned() else {
        return;
    };
    let install = Arc::clone(&peer.install);
    let admission = &install.admission;
    if admission.gives_way().is_some() || admission.burn(0).is_err() {
        return;
    }
    let limits = Arc::clone(hook.limits(&install));
    let deadline = Duration::from_millis(hook.deadline_ms(&install));
    let items = value::items(arguments);
    let (fuel, own) = (hook.fuel(&install, items), hook.own(items));
    let span = ask.span(point, hook, true);
    let context = ask.context.apart(&install, span, RunTime::of_practice());
    let (import, ty) = (ask.import.clone(), ask.ty.clone());
    let (arguments, expected) = (arguments.to_vec(), expected.clone());
    let usage = Arc::clone(&hook.usage);
    let metered = Arc::clone(&usage);
    let owner = Arc::clone(&ask.context.install);
    let compared = ShadowCompared {
        hook: hook.desired.id,
        call: format!("{}.{}", point.path(), import.function),
        same: false,
        arguments: value::arguments(ty.params(), &arguments),
        expected: value::to_json(&expected),
        got: serde_json::Value::Null,
    };
    tokio::spawn(async move {
        let called = apart(
            &install,
            Arc::clone(&context),
            &metered,
            deadline,
            move |caller| async move {
                let nested = Nested {
                    context,
                    caller: &caller,
                    interface: &import.interface,
                    function: &import.function,
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
        );
        let result = called.await;
        drop(permit);
        let got = result.map(|mut values| values.pop());
        let compared = match got {
            Ok(Some(value)) => ShadowCompared {
                same: value == expected,
                got: value::to_json(&value),
                ..compared
            },
            Ok(None) => compared,
            // It did not run.
            Err(Failure::Overloaded) => return,
            Err(failure) => ShadowCompared {
                got: serde_json::json!({ "failed": failure.to_string() }),
                ..compared
            },
        };
        owner.observer.shadow_compared(&owner.identity, compared);
    });
}
