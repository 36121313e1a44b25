//! Hooks that come to be because an extension and an app that has a point for it are enabled in the same instance.

use cloudware_types::{HookId, HookMode};

use super::{Hook, HookFields, Target};
use crate::{
    Call, Error, Install, Timestamp,
    composition::NewHook,
    limits::HOOKS_PER_INSTANCE_MAX,
    store::{self, Connection},
};

/// Registers hooks at the ends of their points, as part of the transaction that changes `install`.
///
/// # Errors
/// [`Error::Conflict`] if the instance had too many, or a webhook has the name of an extension.
pub(crate) async fn register(
    db: &mut Connection,
    call: &Call,
    install: &Install,
    new: Vec<NewHook>,
) -> Result<Vec<Hook>, Error> {
    let mut hooks = Vec::with_capacity(new.len());
    for one in new {
        let mut hook = blank(install, one);
        place(db, &mut hook).await?;
        store::hook::insert(db, &hook, None).await?;
        let reason = format!("registered with {}", install.app);
        hook.draft(call, "hook.add")
            .after(hook.describe())
            .reason(Some(&reason))
            .write(db)
            .await?;
        hooks.push(hook);
    }
    Ok(hooks)
}

/// Removes hooks that were registered with a change which could not be put into service.
pub(crate) async fn take_back(
    db: &mut Connection,
    call: &Call,
    hooks: &[Hook],
) -> Result<(), Error> {
    for hook in hooks.iter().rev() {
        store::hook::delete(db, hook).await?;
        hook.draft(call, "hook.remove")
            .before(hook.describe())
            .reason(Some(
                "what it was registered with could not be put into service",
            ))
            .write(db)
            .await?;
    }
    Ok(())
}

/// Gives a hook its place behind the others on its point, if there is one.
pub(super) async fn place(db: &mut Connection, hook: &mut Hook) -> Result<(), Error> {
    if store::hook::count(db, hook.instance_id).await? >= HOOKS_PER_INSTANCE_MAX as u64 {
        return Err(Error::conflict(
            "too-many",
            format!(
                "{}/{} has {HOOKS_PER_INSTANCE_MAX} hooks already: remove those that are not used",
                hook.tenant, hook.instance
            ),
        ));
    }
    let name = format!("{}.{}.{}", hook.app, hook.point, hook.name);
    if store::hook::find(db, hook.instance_id, &name)
        .await?
        .is_some()
    {
        return Err(Error::conflict(
            "already-exists",
            format!(
                "there is a hook `{}` on {} already",
                hook.name,
                hook.point_path()
            ),
        ));
    }
    hook.position = store::hook::count_on(db, hook.app_install, &hook.point).await? + 1;
    Ok(())
}

fn blank(install: &Install, new: NewHook) -> Hook {
    Hook {
        id: HookId::generate(),
        instance_id: install.instance_id,
        instance: install.instance.clone(),
        tenant_id: install.tenant_id,
        tenant: install.tenant.clone(),
        app_install: new.app.0,
        app: new.app.1,
        point: new.point,
        name: new.extension.1,
        position: 0,
        target: Target::Extension(new.extension.0),
        is_enabled: true,
        mode: HookMode::Active,
        fields: HookFields::default(),
        created_at: Timestamp::now(),
        revision: 1,
    }
}
