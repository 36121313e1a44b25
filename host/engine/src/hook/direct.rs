//! A call of a component's function by the host's own people and not by another app: an ISV who tests an extension
//! against calls that it knows. In a sandbox like every other, with the limits of hooks.

use std::{sync::Arc, time::Duration};

use cloudware_types::{Class, Dimension};
use serde_json::Value;

use super::{
    CallContext, Composition, Peers, Step, deferred::apart, deferred::arguments, nested::Nested,
    value,
};
use crate::{BoundInstall, serve::RequestId, world::World};

/// One call.
#[derive(Clone, Copy, Debug)]
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
}

/// What a call came to.
#[derive(Clone, Debug, PartialEq)]
pub struct DirectAnswer {
    /// What the function returned, null where it returns nothing; or why it gave nothing.
    pub result: Result<Value, String>,
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
        let composition = Composition::begin(self, RequestId::default(), name.into(), deadline);
        let context = Arc::new(CallContext {
            install: Arc::clone(self),
            peers,
            composition: Arc::clone(&composition),
            totals: Arc::default(),
            path: Step::first(self.identity.install, None),
            span: Some(0),
        });
        let limits = Arc::clone(&self.limits);
        let fuel = limits.get(Dimension::Fuel.of(Class::Hook));
        let (interface, function) = (interface.to_owned(), function.to_owned());
        let usage = Arc::clone(&self.usage);
        let called = apart(
            self,
            Arc::clone(&context),
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
                    deadline,
                    usage: &usage,
                    world: Some(world),
                };
                nested.call(&arguments).await
            },
        );
        let result = called.await;
        let ended = composition.ended(0);
        Ok(DirectAnswer {
            result: match result {
                Ok(values) => Ok(values.first().map_or(Value::Null, value::to_json)),
                Err(failure) => Err(failure.to_string()),
            },
            fuel: ended.fuel,
            memory_bytes: ended.memory_bytes,
            cpu_nanoseconds: ended.cpu_nanoseconds,
        })
    }
}
