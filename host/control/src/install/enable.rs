//! Enabling an app in an instance, for the first time or again.

use std::collections::BTreeMap;

use cloudware_types::Slug;
use semver::Version;

use super::{
    Install, InstallChanged, InstallState,
    change::{refuse_one_way, run_migration},
    connect::connections,
    plan::{Plan, plan},
    save,
};
use crate::{
    Call, Control, Error, Release, app,
    control::InstanceLock,
    hook, instance,
    store::{self, StoreError},
};

/// What is to be enabled, and how.
#[derive(Clone, Debug)]
pub struct EnableRequest {
    /// The app, by id or name.
    pub app: String,
    /// The version; the newest published one if absent, and for a disabled install the one that it
    /// had.
    pub version: Option<Version>,
    /// Values for keys that the manifest declares; `None` goes back to the manifest's default. Keys that are absent stay
    /// as they are.
    pub config: BTreeMap<String, Option<String>>,
    /// Another path prefix than the manifest's.
    pub mount: Option<String>,
}

/// Enables an app, or changes configuration and mount of one that is enabled, which holds from the next invocation on.
/// Configuration that was chosen before stays where it is neither chosen anew nor given up. Enabling brings its tables to
/// the release's schema, registers the hooks that it brings together with what is enabled already, then serves it. By
/// enabling it, the tenant consents to the capabilities that the release asks for, and that it fills the extension points
/// that it implements.
///
/// # Errors
/// [`Error::NotFound`] for instance, app or version; [`Error::Conflict`] if it is enabled already and nothing is to
/// change, in change, its mount or namespace is taken, the release is yanked, it needs what is not there, or an
/// extension does not fit a point (`point-mismatch`); [`Error::Invalid`] for configuration and mount;
/// [`Error::Migration`], [`Error::TakenBack`] with everything as before.
pub async fn enable(
    control: &Control,
    call: &Call,
    (tenant, name): (&str, &str),
    request: EnableRequest,
) -> Result<InstallChanged, Error> {
    let instance = instance::get(control, call, tenant, name).await?;
    let mut db = control.store.read().await?;
    let app = app::find(&mut db, call, &request.app).await?;
    drop(db);
    let label = || format!("{}/{}", instance.path(), app.slug);
    let _mark = control.mark_install((instance.id, app.id), label)?;
    let _turn = control.install_turn(instance.id).await;
    let mut db = control.store.read().await?;
    let (tenant, instance) = instance::find(&mut db, call, tenant, name).await?;
    call.may_change(&tenant)?;
    let Plan {
        mut install,
        release,
        before,
    } = plan(&mut db, call, &instance, request).await?;
    drop(db);
    migrate(control, &install, &release, before.as_ref()).await?;

    let lock = control.lock(instance.id).await;
    let mut db = control.store.write().await?;
    let connections = connections(&mut db, &install, &release).await?;
    let described = before.as_ref().map(|(install, _)| install.describe());
    let enabled_before = before.map(|(install, _)| install);
    let enabled_before = enabled_before.filter(|install| install.state == InstallState::Enabled);
    let action = match enabled_before {
        Some(_) => "install.configure",
        None => "install.enable",
    };
    save(&mut db, call, action, &mut install, described).await?;
    // What hooks did with another configuration does not count any more; the data plane forgets it, too.
    let is_anew = |before: &Install| before.config != install.config;
    if enabled_before.as_ref().is_none_or(is_anew) {
        store::hook_observation::reset_of_extension(&mut db, install.id).await?;
    }
    let changed = InstallChanged {
        hooks: hook::register(&mut db, call, &install, connections.new).await?,
        install,
        notes: connections.notes,
    };
    db.commit().await.map_err(StoreError::from)?;
    if let Err(error) = control.apply(&lock).await {
        return Err(take_back(control, call, &lock, (changed, enabled_before), error).await);
    }
    Ok(changed)
}

/// Tables that a disabled app left behind may be ahead of the release that is enabled now.
async fn migrate(
    control: &Control,
    install: &Install,
    release: &Release,
    before: Option<&(Install, Release)>,
) -> Result<(), Error> {
    let Some(namespace) = release.namespace() else {
        return Ok(());
    };
    let ahead = before
        .map(|(_, old)| old)
        .filter(|old| old.schema() > release.schema());
    let mut db = control.store.read().await?;
    let source = ahead.unwrap_or(release);
    let migrations = store::release::migrations(&mut db, source.id).await?;
    drop(db);
    refuse_one_way(&migrations, source, release)?;
    run_migration(control, install, namespace, &migrations, release.schema()).await
}

/// Disables what could not be put into service, without the hooks that came with it; what was enabled before is as it
/// was. Tables stay: they are in the state that the next attempt needs.
async fn take_back(
    control: &Control,
    call: &Call,
    lock: &InstanceLock<'_>,
    (changed, enabled_before): (InstallChanged, Option<Install>),
    error: Error,
) -> Error {
    let Error::Apply(source) = error else {
        return error;
    };
    let InstallChanged {
        mut install, hooks, ..
    } = changed;
    let undone = async {
        let mut db = control.store.write().await?;
        hook::take_back(&mut db, call, &hooks).await?;
        let before = install.describe();
        match enabled_before {
            Some(before) => {
                let revision = install.revision;
                install = Install { revision, ..before };
            }
            None => install.state = InstallState::Disabled,
        }
        save(
            &mut db,
            call,
            "install.enable-failed",
            &mut install,
            Some(before),
        )
        .await?;
        db.commit().await.map_err(StoreError::from)?;
        control.apply(lock).await
    };
    if let Err(error) = undone.await {
        tracing::error!(install = %install.id, %error, "an install that could not be enabled could not be disabled either");
    }
    Error::TakenBack {
        what: label(&install.app, &install.version),
        source,
    }
}

/// `app version`.
pub(super) fn label(app: &Slug, version: &Version) -> String {
    format!("{app} {version}")
}
