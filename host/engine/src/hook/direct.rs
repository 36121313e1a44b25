//! A call of a component's function by the host's own people and not by another app: an ISV who tests an extension
//! against calls that it knows. In a sandbox like every other, with the limits of hooks.

use std::{sync::Arc, time::Duration};

use cloudware_capability::Tape;
use cloudware_types::{Class, Dimension, Limits};
use serde_json::Value;

use super::{
    CallContext, Composition, Failure, Peers, deferred::apart, deferred::arguments, nested::Nested,
    value,
};
use crate::{BoundInstall, serve::RequestId, world::World};

/// One call.
#[derive(Clone, Debug)]
pub struct DirectCall<'a> {
    /// The interface that the component exports.
    pub interface: &'a str,
    /// The function.
    pub function: &'a str,
    /// The arguments by the names of the parameters.
    pub arguments: &'a Value,
    /// How long it may take.
    pub deadline: Duration,
    /// Time and chance.
    pub world: World,
    /// What it is given where it was recorded; as a hook with all that hooks may have otherwise.
    pub replay: Option<Replay>,
}

/// A call that was recorded and runs again.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Answers its host calls.
    pub tape: Arc<Tape>,
    /// Why it ran.
    pub class: Class,
    /// What it may use.
    pub limits: Arc<Limits>,
    /// Fuel that it was given.
    pub fuel: u64,
}

/// What a call came to.
#[derive(Clone, Debug, PartialEq)]
pub struct DirectAnswer {
    /// What the function returned, null where it returns nothing; or why it gave nothing.
    pub result: Result<Value, String>,
    /// The name of what stopped it, `trap` or a limit; `None` where it returned or did not run.
    pub stopped: Option<&'static str>,
    /// Fuel that it consumed: the same for the same component, arguments and answers of the host.
    pub fuel: u64,
    /// The largest memory of its sandbox, in bytes.
    pub memory_bytes: u64,
    /// Processor time in its sandbox, in nanoseconds.
    pub cpu_nanoseconds: u64,
}

impl BoundInstall {
    /// Calls a function that the component exports to other apps, in a fresh sandbox, with all the fuel that hooks
    /// may have.
    ///
    /// # Errors
    /// A function that is not exported, or arguments that are not of its types.
    pub async fn call(self: &Arc<Self>, call: DirectCall<'_>) -> Result<DirectAnswer, String> {
        let DirectCall {
            interface,
            function,
            arguments: members,
            deadline,
            world,
            replay,
        } = call;
        let ty = self
            .code
            .function_type(interface, function)
            .ok_or_else(|| format!("{} exports no {interface}.{function}", self.identity.app))?;
        let arguments = arguments(&ty, members)?;
        let peers = match self.peers.get().and_then(std::sync::Weak::upgrade) {
            Some(peers) => peers,
            None => Arc::new(Peers::alone()),
        };
        let name = format!("{interface}.{function}");
        let composition = Composition::begin(
            self,
            RequestId::default(),
            name.into(),
            (deadline, Class::Hook),
        );
        let context = CallContext::first(self, peers, Arc::clone(&composition), None);
        let (class, limits, fuel, tape) = match replay {
            Some(replay) => (replay.class, replay.limits, replay.fuel, Some(replay.tape)),
            None => {
                let limits = Arc::clone(&self.limits);
                let fuel = limits.get(Dimension::Fuel.of(Class::Hook));
                (Class::Hook, limits, fuel, None)
            }
        };
        let answers = tape.clone();
        let (interface, function) = (interface.to_owned(), function.to_owned());
        let usage = Arc::clone(&self.usage);
        let called = apart(
            self,
            Arc::clone(&context),
            &self.usage,
            deadline,
            move |caller| async move {
                let nested = Nested {
                    context,
                    caller: &caller,
                    interface: &interface,
                    function: &function,
                    ty: &ty,
                    class,
                    limits: &limits,
                    fuel,
                    own: None,
                    deadline,
                    ends_at: None,
                    shared: None,
                    usage: &usage,
                    world: Some(world),
                    tape,
                };
                nested.call(&arguments).await
            },
        );
        let result = match &answers {
            None => called.await,
            // A tape that has no answer ends the run where it stands.
            Some(tape) => tokio::select! {
                result = called => result,
                diverged = tape.divergence() => Err(Failure::Unfit(diverged.to_string())),
            },
        };
        let ended = composition.ended(0);
        let stopped = match &result {
            Err(failure @ Failure::Stopped(_)) => Some(failure.name()),
            _ => None,
        };
        Ok(DirectAnswer {
            result: match result {
                Ok(values) => Ok(values.first().map_or(Value::Null, value::to_json)),
                Err(failure) => Err(failure.to_string()),
            },
            stopped,
            fuel: ended.fuel,
            memory_bytes: ended.memory_bytes,
            cpu_nanoseconds: ended.cpu_nanoseconds,
        })
    }
}
