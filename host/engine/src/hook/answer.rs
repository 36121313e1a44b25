//! What the hooks of an extension point say together, by the rules of its kind and each one's policy on failure.

use std::sync::Arc;

use cloudware_types::{OnFailure, PointKind};
use wasmtime::component::Val;

use super::{BoundHook, BoundPoint, Failure};

/// What the hooks of a point said together.
pub(super) struct Answered {
    pub(super) value: Val,
    /// The hook that ended the asking with its answer, where one did; not one that failed.
    pub(super) refused_by: Option<Arc<str>>,
}

/// What the hooks of a point have said together so far.
pub(super) struct Answer<'a> {
    kind: PointKind,
    own: &'a [Val],
    /// The arguments of the next hook, where those before changed them.
    changed: Option<Vec<Val>>,
    /// What ended the asking.
    ended: Option<Val>,
    /// Who ended it by an answer.
    ended_by: Option<Arc<str>>,
}

/// Whether further hooks are asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Asked,
    Settled,
}

impl<'a> Answer<'a> {
    pub(super) fn new(kind: PointKind, own: &'a [Val]) -> Self {
        Self {
            kind,
            own,
            changed: None,
            ended: None,
            ended_by: None,
        }
    }

    pub(super) fn arguments(&self) -> &[Val] {
        self.changed.as_deref().unwrap_or(self.own)
    }

    pub(super) fn take(
        &mut self,
        point: &BoundPoint,
        hook: &BoundHook,
        result: Result<Val, Failure>,
    ) -> Next {
        let failure = match result {
            Ok(value) => return self.accept(hook, value),
            Err(failure) => failure,
        };
        match hook.desired.on_failure {
            OnFailure::Refuse => {
                let message = format!(
                    "{} on {} failed, and nothing passes without it: {failure}",
                    hook.desired.name,
                    point.path()
                );
                self.ended = Some(Val::Result(Err(Some(Box::new(Val::String(message))))));
                Next::Settled
            }
            OnFailure::Default => Next::Settled,
            OnFailure::Skip | OnFailure::Retry => Next::Asked,
        }
    }

    fn accept(&mut self, hook: &BoundHook, value: Val) -> Next {
        match (self.kind, value) {
            (PointKind::Decide, Val::Option(None)) | (PointKind::Guard, Val::Result(Ok(_))) => {
                Next::Asked
            }
            (PointKind::Transform, Val::Result(Ok(Some(value)))) => {
                let next = self.changed.get_or_insert_with(|| self.own.to_vec());
                if let Some(first) = next.first_mut() {
                    *first = *value;
                }
                Next::Asked
            }
            (_, value) => {
                self.ended_by = Some(Arc::clone(&hook.desired.name));
                self.ended = Some(value);
                Next::Settled
            }
        }
    }

    pub(super) fn finish(self) -> Answered {
        let value = match self.ended {
            Some(value) => value,
            None => match self.kind {
                PointKind::Decide => Val::Option(None),
                PointKind::Transform => {
                    let first = self.arguments().first().cloned();
                    Val::Result(Ok(first.map(Box::new)))
                }
                PointKind::Guard | PointKind::Observe => Val::Result(Ok(None)),
            },
        };
        Answered {
            value,
            refused_by: self.ended_by,
        }
    }
}

/// Whether a hook's value is one that its kind knows.
pub(super) fn check(kind: PointKind, value: &Val) -> Result<(), Failure> {
    let fits = match kind {
        PointKind::Guard | PointKind::Transform => matches!(value, Val::Result(_)),
        PointKind::Decide => matches!(value, Val::Option(_)),
        PointKind::Observe => true,
    };
    if fits {
        return Ok(());
    }
    Err(Failure::Unfit(format!(
        "it returned what no {kind} returns"
    )))
}
