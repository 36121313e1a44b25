//! Installs: apps enabled in instances, each at a release, with a mount, a configuration and the
//! capabilities that the tenant consented to.

mod change;
mod connect;
mod enable;
mod plan;
mod repair;

pub(crate) use change::{Fallen, fall_back};
pub use change::{rollback, upgrade};
pub use enable::{EnableRequest, enable};
pub(crate) use repair::repair_interrupted;

use std::{collections::BTreeMap, fmt, str::FromStr};

use cloudware_types::{AppId, InstallId, InstanceId, ReleaseId, Slug, TenantId};
use semver::Version;
use serde_json::{Value, json};

use crate::{
    Call, Control, Error, Hook, Page, PageRequest, ReleaseState, Timestamp,
    audit::Draft,
    instance,
    limits::NAME_BYTES_MAX,
    store::{self, Connection, StoreError},
};

/// Whether an install is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InstallState {
    /// It is, unless its release is yanked or its instance or tenant suspended.
    Enabled,
    /// It is not; its data stays.
    Disabled,
}

impl InstallState {
    /// The word in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
        }
    }
}

impl fmt::Display for InstallState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for InstallState {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "enabled" => Ok(Self::Enabled),
            "disabled" => Ok(Self::Disabled),
            _ => Err("an install is enabled or disabled"),
        }
    }
}

/// An install.
#[derive(Clone, Debug)]
pub struct Install {
    /// Its id.
    pub id: InstallId,
    /// The instance.
    pub instance_id: InstanceId,
    /// The instance's name.
    pub instance: Slug,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The tenant's name.
    pub tenant: Slug,
    /// The app.
    pub app_id: AppId,
    /// The app's name.
    pub app: Slug,
    /// The release.
    pub release_id: ReleaseId,
    /// The release's version.
    pub version: Version,
    /// The release's state; an install of a yanked release is not served.
    pub release_state: ReleaseState,
    /// The release before, to which a rollback leads.
    pub previous_release_id: Option<ReleaseId>,
    /// The version of the release before.
    pub previous: Option<Version>,
    /// Whether it is served.
    pub state: InstallState,
    /// Its path prefix in the site, if it answers HTTP.
    pub mount: Option<String>,
    /// The prefix of its tables in the private database, if it has any.
    pub namespace: Option<String>,
    /// Configuration values that differ from the manifest's.
    pub config: BTreeMap<String, String>,
    /// Capabilities that the tenant consented to by enabling it.
    pub grants: Vec<String>,
    /// When it was first enabled.
    pub created_at: Timestamp,
    /// Counts its changes.
    pub revision: u64,
}

/// What a change of an install came to.
#[derive(Clone, Debug)]
pub struct InstallChanged {
    /// The install.
    pub install: Install,
    /// Hooks that were registered with it.
    pub hooks: Vec<Hook>,
    /// What is worth knowing, for people.
    pub notes: Vec<String>,
}

impl Install {
    /// The name as people write it, `tenant/instance/app`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/{}/{}", self.tenant, self.instance, self.app)
    }

    /// What the audit trail says about its state.
    fn describe(&self) -> Value {
        json!({
            "version": self.version,
            "state": self.state.as_str(),
            "mount": self.mount,
            "config": self.config,
            "grants": self.grants,
        })
    }
}

/// An instance's installs, disabled ones included, in order of app names.
///
/// # Errors
/// [`Error::NotFound`] for tenant or instance.
pub async fn list(
    control: &Control,
    call: &Call,
    (tenant, instance): (&str, &str),
    page: &PageRequest,
) -> Result<Page<Install>, Error> {
    let mut db = control.store.read().await?;
    let (_, instance) = instance::find(&mut db, call, tenant, instance).await?;
    let rows = store::install::list(&mut db, instance.id, page).await?;
    Ok(page.page(rows, |install| install.app.to_string()))
}

/// One install, by app name or install id.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn get(
    control: &Control,
    call: &Call,
    (tenant, instance): (&str, &str),
    app: &str,
) -> Result<Install, Error> {
    let mut db = control.store.read().await?;
    let (_, instance) = instance::find(&mut db, call, tenant, instance).await?;
    find_in(&mut db, instance.id, app).await
}

/// Stops serving an install; its data, configuration, quotas and hooks stay for when it is enabled again. Hooks on
/// its points and hooks that call it are not called meanwhile.
///
/// # Errors
/// [`Error::Conflict`] if it is disabled already or in change, or other apps need it (`needed-by`);
/// [`Error::NotFound`]; [`Error::RevisionChanged`].
pub async fn disable(
    control: &Control,
    call: &Call,
    (tenant, instance): (&str, &str),
    app: &str,
) -> Result<Install, Error> {
    let found = get(control, call, (tenant, instance), app).await?;
    let _mark = control.mark_install((found.instance_id, found.app_id), || found.path())?;
    let mut db = control.store.write().await?;
    let (tenant, _) = instance::find(&mut db, call, tenant, instance).await?;
    call.may_change(&tenant)?;
    let mut install = find_in(&mut db, found.instance_id, app).await?;
    call.revision_matches(install.revision)?;
    if install.state == InstallState::Disabled {
        return Err(Error::conflict(
            "already-so",
            format!("{} is disabled already", install.path()),
        ));
    }
    connect::refuse_needed(&mut db, &install).await?;
    let before = install.describe();
    install.state = InstallState::Disabled;
    save(&mut db, call, "install.disable", &mut install, Some(before)).await?;
    db.commit().await.map_err(StoreError::from)?;
    control.apply_in_turn(install.instance_id).await?;
    Ok(install)
}

/// By app name or install id, within an instance that the caller may see.
pub(crate) async fn find_in(
    db: &mut Connection,
    instance: InstanceId,
    app: &str,
) -> Result<Install, Error> {
    let found = match app.len() {
        0..=NAME_BYTES_MAX => store::install::find(db, instance, app).await?,
        _ => None,
    };
    found.ok_or_else(|| Error::not_found("install", app))
}

/// Writes a changed install with its audit entry, as part of the caller's transaction. An install
/// that is new has no state before.
async fn save(
    db: &mut Connection,
    call: &Call,
    action: &str,
    install: &mut Install,
    before: Option<Value>,
) -> Result<(), Error> {
    install.revision += 1;
    let draft = Draft::new(call, action, install.id, install.path())
        .tenant(install.tenant_id)
        .after(install.describe());
    match before {
        Some(before) => {
            store::install::update(db, install).await?;
            draft.before(before).write(db).await
        }
        None => {
            store::install::insert(db, install).await?;
            draft.write(db).await
        }
    }
}
