//! Moving an install to another release and back.
//!
//! The order keeps a release from ever meeting a schema older than its own: on the way up tables
//! are migrated before the new release serves, on the way down the old release serves before tables
//! are migrated. A journal row makes the next start repair what a crash interrupted.

use cloudware_types::{HookId, InstallId, Migration};
use semver::Version;
use serde_json::json;

use super::{
    Install, InstallChanged, InstallState,
    connect::connections,
    enable::label,
    find_in,
    plan::{check_collisions, refuse_yanked, set_release},
    save,
};
use crate::{
    Call, Control, Error, Hook, Release,
    audit::Draft,
    control::InstanceLock,
    hook, instance,
    release::without_down,
    store::{self, Connection, StoreError},
};

/// Moves an enabled install to another version, newer or older. Invocations that run end on the
/// release that they began with. The tenant consents to what the release asks for.
///
/// # Errors
/// [`Error::NotFound`] for install or version; [`Error::Conflict`] if it is disabled, in change or at
/// this version already, the release is yanked, its tables cannot go back, it or other apps would miss what they
/// need, or hooks would not fit any more (`point-mismatch`); [`Error::Migration`], [`Error::TakenBack`] with
/// everything as before; [`Error::RevisionChanged`].
pub async fn upgrade(
    control: &Control,
    call: &Call,
    place: (&str, &str),
    app: &str,
    version: Option<Version>,
) -> Result<InstallChanged, Error> {
    change(control, call, place, app, Aim::Version(version)).await
}

/// Moves an install back to the release that it had before.
///
/// # Errors
/// [`Error::Conflict`] if there is none; otherwise as [`upgrade`].
pub async fn rollback(
    control: &Control,
    call: &Call,
    place: (&str, &str),
    app: &str,
) -> Result<InstallChanged, Error> {
    change(control, call, place, app, Aim::Previous).await
}

/// As [`rollback`], because a hook that calls the install was tripped; the audit trail says so.
pub(crate) async fn fall_back(
    control: &Control,
    call: &Call,
    place: (&str, &str),
    install: InstallId,
    fallen: Fallen,
) -> Result<InstallChanged, Error> {
    let app = install.to_string();
    change(control, call, place, &app, Aim::FallBack(fallen)).await
}

/// Where a change leads.
enum Aim {
    /// A version, or the newest published one.
    Version(Option<Version>),
    /// The release before.
    Previous,
    /// The release before, because of a hook.
    FallBack(Fallen),
}

/// A hook because of which an extension goes back to the release before.
pub(crate) struct Fallen {
    pub hook: HookId,
    /// As people call it.
    pub path: String,
    /// Why, for people.
    pub reason: String,
}

/// A change of release with everything that it needs.
struct Change<'a> {
    control: &'a Control,
    call: &'a Call,
    action: &'static str,
    /// The hook because of which the platform does it by itself.
    fallen: Option<Fallen>,
    /// The install as it is.
    old: Install,
    /// The install as it will be.
    new: Install,
    from: Release,
    to: Release,
    /// Those of the release with the higher schema: they lead both ways.
    migrations: Vec<Migration>,
}

async fn change(
    control: &Control,
    call: &Call,
    (tenant, name): (&str, &str),
    app: &str,
    aim: Aim,
) -> Result<InstallChanged, Error> {
    let found = super::get(control, call, (tenant, name), app).await?;
    let _mark = control.mark_install((found.instance_id, found.app_id), || found.path())?;
    let _turn = control.install_turn(found.instance_id).await;
    let mut db = control.store.read().await?;
    let (tenant, instance) = instance::find(&mut db, call, tenant, name).await?;
    call.may_change(&tenant)?;
    let old = find_in(&mut db, instance.id, app).await?;
    call.revision_matches(old.revision)?;
    let action = match aim {
        Aim::Version(_) => "install.upgrade",
        Aim::Previous | Aim::FallBack(_) => "install.rollback",
    };
    let (from, to) = releases(&mut db, &old, &aim).await?;
    let fallen = match aim {
        Aim::FallBack(fallen) => Some(fallen),
        Aim::Version(_) | Aim::Previous => None,
    };
    let mut new = old.clone();
    set_release(&mut new, &to)?;
    new.mount = match (&to.manifest.http, &old.mount) {
        (None, _) => None,
        (Some(_), Some(mount)) => Some(mount.clone()),
        (Some(http), None) => Some(http.mount.clone()),
    };
    let mut others = store::install::of_instance(&mut db, instance.id).await?;
    others.retain(|other| other.id != old.id);
    check_collisions(&others, new.mount.as_deref(), to.namespace())?;
    connections(&mut db, &new, &to).await?;
    let ahead = if from.schema() > to.schema() {
        &from
    } else {
        &to
    };
    let migrations = store::release::migrations(&mut db, ahead.id).await?;
    refuse_one_way(&migrations, &from, &to)?;
    drop(db);
    let change = Change {
        control,
        call,
        action,
        fallen,
        old,
        new,
        from,
        to,
        migrations,
    };
    change.begin().await?;
    let outcome = if change.from.schema() > change.to.schema() {
        change.down().await
    } else {
        change.up().await
    };
    // A note that stays is harmless: the next start finds tables and release in agreement.
    if let Err(error) = change.end().await {
        tracing::warn!(install = %change.old.id, %error, "the end of a release change could not be noted");
    }
    outcome
}

/// The release that is installed and the one that is aimed at.
async fn releases(
    db: &mut Connection,
    install: &Install,
    aim: &Aim,
) -> Result<(Release, Release), Error> {
    if install.state == InstallState::Disabled {
        return Err(Error::conflict(
            "disabled",
            format!(
                "{} is disabled: enable it, with the version that you want",
                install.path()
            ),
        ));
    }
    let from = store::release::get(db, install.release_id).await?;
    let backward = !matches!(aim, Aim::Version(_));
    let to = match aim {
        Aim::Previous | Aim::FallBack(_) => match install.previous_release_id {
            Some(id) => store::release::get(db, id).await?,
            None => {
                return Err(Error::conflict(
                    "no-previous",
                    format!("{} has had no other release", install.path()),
                ));
            }
        },
        Aim::Version(Some(version)) => store::release::find(db, install.app_id, version)
            .await?
            .ok_or_else(|| Error::not_found("release", &label(&install.app, version)))
            .map(Some)?,
        Aim::Version(None) => {
            let app = store::app::find(db, &install.app_id.to_string()).await?;
            match app.and_then(|app| app.latest) {
                Some(version) => store::release::find(db, install.app_id, &version).await?,
                None => None,
            }
        }
    };
    let (Some(from), Some(to)) = (from, to) else {
        return Err(Error::not_found("release", install.app.as_str()));
    };
    if from.id == to.id {
        return Err(Error::conflict(
            "already-so",
            format!("{} is at {} already", install.path(), to.version),
        ));
    }
    // The release before a rollback is the one that was left: a second rollback must not bring it back.
    if backward && to.version > from.version {
        return Err(Error::conflict(
            "rolled-back",
            format!(
                "{} was rolled back from {} already: `install upgrade` goes up again",
                install.path(),
                to.version
            ),
        ));
    }
    refuse_yanked(&to)?;
    Ok((from, to))
}

/// Refuses to go down where a step has no way back.
pub(super) fn refuse_one_way(
    migrations: &[Migration],
    from: &Release,
    to: &Release,
) -> Result<(), Error> {
    match without_down(migrations, from.schema(), to.schema()) {
        None => Ok(()),
        Some(step) => Err(Error::conflict(
            "no-way-back",
            format!(
                "{} cannot be left for {}: its migration {:04} ({}) has no down.sql",
                from.label(),
                to.label(),
                step.version,
                step.name
            ),
        )),
    }
}

/// Brings an install's tables to a schema.
pub(super) async fn run_migration(
    control: &Control,
    install: &Install,
    namespace: &str,
    migrations: &[Migration],
    target: u32,
) -> Result<(), Error> {
    control
        .data_plane
        .migrate(install.instance_id, namespace, migrations, target)
        .await
        .map_err(|source| Error::Migration {
            app: install.app.to_string(),
            target,
            source,
        })
}

impl Change<'_> {
    /// Notes in the journal that it begins.
    async fn begin(&self) -> Result<(), Error> {
        let mut db = self.control.store.write().await?;
        store::install::change_begin(&mut db, self.old.id, self.from.id, self.to.id).await?;
        Ok(db.commit().await.map_err(StoreError::from)?)
    }

    /// Notes in the journal that it has ended.
    async fn end(&self) -> Result<(), Error> {
        let mut db = self.control.store.write().await?;
        store::install::change_end(&mut db, self.old.id).await?;
        Ok(db.commit().await.map_err(StoreError::from)?)
    }

    /// Tables first, then the release. If the release is not taken over, the tables go back.
    async fn up(&self) -> Result<InstallChanged, Error> {
        self.migrate(&self.to).await?;
        match self.put_into_service().await {
            Ok(changed) => Ok(changed),
            Err(error) => {
                if without_down(&self.migrations, self.to.schema(), self.from.schema()).is_none()
                    && let Err(error) = self.migrate(&self.from).await
                {
                    tracing::error!(install = %self.old.id, %error, "tables stay ahead of the release");
                }
                Err(error)
            }
        }
    }

    /// The release first, then the tables. If the tables cannot go back, neither does the release.
    async fn down(&self) -> Result<InstallChanged, Error> {
        let changed = self.put_into_service().await?;
        match self.migrate(&self.to).await {
            Ok(()) => Ok(changed),
            Err(error) => {
                let lock = self.control.lock(self.old.instance_id).await;
                self.restore(&lock, &changed.hooks).await;
                Err(error)
            }
        }
    }

    async fn migrate(&self, release: &Release) -> Result<(), Error> {
        let namespace = self.to.namespace().or(self.from.namespace());
        match namespace {
            // A release without tables leaves those of the other alone.
            Some(namespace) if release.namespace().is_some() => {
                let target = release.schema();
                run_migration(self.control, &self.old, namespace, &self.migrations, target).await
            }
            _ => Ok(()),
        }
    }

    /// The new release, or the old one again where the data plane refuses the new one. Under one lock, so
    /// that nobody else meets the refused state.
    async fn put_into_service(&self) -> Result<InstallChanged, Error> {
        let lock = self.control.lock(self.old.instance_id).await;
        let changed = self.record().await?;
        match self.control.apply(&lock).await {
            Err(Error::Apply(source)) => {
                self.restore(&lock, &changed.hooks).await;
                Err(Error::TakenBack {
                    what: self.to.label(),
                    source,
                })
            }
            outcome => outcome.map(|()| changed),
        }
    }

    /// Records the install's new state, with the hooks that come to be by it.
    async fn record(&self) -> Result<InstallChanged, Error> {
        let mut db = self.control.store.write().await?;
        let connections = connections(&mut db, &self.new, &self.to).await?;
        let install = self
            .switch(&mut db, self.action, &self.old, &self.new)
            .await?;
        let hooks = hook::register(&mut db, self.call, &install, connections.new).await?;
        if let Some(fallen) = &self.fallen {
            Draft::new(self.call, "hook.fall-back", fallen.hook, &fallen.path)
                .tenant(install.tenant_id)
                .before(json!({ "version": self.old.version }))
                .after(json!({ "version": install.version }))
                .reason(Some(&fallen.reason))
                .write(&mut db)
                .await?;
        }
        db.commit().await.map_err(StoreError::from)?;
        Ok(InstallChanged {
            install,
            hooks,
            notes: connections.notes,
        })
    }

    /// Writes another state of the install, as part of a transaction.
    async fn switch(
        &self,
        db: &mut Connection,
        action: &str,
        old: &Install,
        new: &Install,
    ) -> Result<Install, Error> {
        let mut install = new.clone();
        install.revision = find_in(db, old.instance_id, &old.id.to_string())
            .await?
            .revision;
        let before = Some(old.describe());
        save(db, self.call, action, &mut install, before).await?;
        store::hook_observation::reset_of_extension(db, install.id).await?;
        Ok(install)
    }

    /// Puts the release before into service again, without the hooks that came with the new one.
    async fn restore(&self, lock: &InstanceLock<'_>, hooks: &[Hook]) {
        let action = format!("{}-failed", self.action);
        let restored = async {
            let mut db = self.control.store.write().await?;
            hook::take_back(&mut db, self.call, hooks).await?;
            self.switch(&mut db, &action, &self.new, &self.old).await?;
            db.commit().await.map_err(StoreError::from)?;
            self.control.apply(lock).await
        };
        if let Err(error) = restored.await {
            tracing::error!(install = %self.old.id, %error, "the release before could not be put into service again");
        }
    }
}
