//! Falling back: an extension whose hook was tripped goes back to the release that it had before, by itself, and says
//! so.

use cloudware_types::{BreakerState, HookId, HookMode};

use super::{Hook, Observed};
use crate::{
    Call, Control, Error, InstallChanged,
    install::{self, Fallen},
    store,
};

/// What falling back came to.
#[derive(Clone, Debug)]
pub enum FallBack {
    /// The extension is at the release before.
    Done(Box<InstallChanged>),
    /// Everything is as it was, for this reason.
    Kept(String),
}

/// Moves the extension of a hook that was tripped back to the release before, if it has one that may be served and
/// fits. Called by the platform itself when it hears that a hook was tripped, after that was recorded; calling it
/// again changes nothing, because the hook begins anew with the release.
///
/// # Errors
/// As [`install::rollback`], conflicts excepted: those are reasons to keep the release.
pub async fn fall_back(control: &Control, hook: HookId) -> Result<FallBack, Error> {
    let mut db = control.store.read().await?;
    let Some(hook) = store::hook::get(&mut db, hook).await? else {
        return Ok(FallBack::Kept("the hook is gone".to_owned()));
    };
    let observed = store::hook_observation::get(&mut db, hook.id).await?;
    drop(db);
    if let Some(reason) = reason_to_keep(&hook, &observed) {
        return Ok(FallBack::Kept(reason.to_owned()));
    }
    let Some(extension) = hook.extension() else {
        return Ok(FallBack::Kept(
            "it calls a webhook, of which there is no release before".to_owned(),
        ));
    };
    let (tenant, instance) = (hook.tenant_id.to_string(), hook.instance_id.to_string());
    let fallen = Fallen {
        hook: hook.id,
        path: hook.path(),
        reason: reason(&observed),
    };
    let place = (tenant.as_str(), instance.as_str());
    let call = Call::host();
    match install::fall_back(control, &call, place, extension, fallen).await {
        Ok(changed) => Ok(FallBack::Done(Box::new(changed))),
        Err(Error::Conflict { message, .. }) => Ok(FallBack::Kept(message)),
        Err(error) => Err(error),
    }
}

fn reason_to_keep(hook: &Hook, observed: &Observed) -> Option<&'static str> {
    if observed.state != BreakerState::Tripped {
        return Some("it is not tripped, or not any more");
    }
    match (hook.is_enabled, hook.mode) {
        (false, _) => Some("it is disabled"),
        (true, HookMode::Shadow) => Some("it only practises"),
        (true, HookMode::Active) => None,
    }
}

/// Why, for the audit trail.
fn reason(observed: &Observed) -> String {
    let count = format!("{} of its last 100 calls failed", observed.failures_of_last);
    match &observed.last_failure {
        Some((_, last)) => format!("{count}, the last one: {last}"),
        None => count,
    }
}
