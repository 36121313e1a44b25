//! Releases: immutable versions of apps. A push checks the package, has the data plane compile it
//! and try its migrations, keeps the bytes, and only then makes it visible.

mod push;
mod shapes;

pub use push::{Pushed, may_push, push};
pub(crate) use shapes::Shapes;

use std::{fmt, str::FromStr};

use cloudware_packages::Manifest;
use cloudware_types::{AppId, Digest, Migration, ProviderId, ReleaseId, Slug};
use semver::Version;
use serde_json::json;

use crate::{
    App, Call, Control, Error, Page, PageRequest, Timestamp, app,
    audit::Draft,
    error::check_text,
    limits::REASON_CHARS_MAX,
    store::{self, Connection, StoreError},
};

/// Whether a release may be enabled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReleaseState {
    /// Yes.
    Published,
    /// Yes, by naming its version; it is not offered as the newest any more.
    Deprecated,
    /// No, and installs of it are not served any more.
    Yanked,
}

impl ReleaseState {
    /// The word in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Deprecated => "deprecated",
            Self::Yanked => "yanked",
        }
    }
}

impl fmt::Display for ReleaseState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ReleaseState {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "published" => Ok(Self::Published),
            "deprecated" => Ok(Self::Deprecated),
            "yanked" => Ok(Self::Yanked),
            _ => Err("a release is published, deprecated or yanked"),
        }
    }
}

/// A release.
#[derive(Clone, Debug)]
pub struct Release {
    /// Its id.
    pub id: ReleaseId,
    /// The app.
    pub app_id: AppId,
    /// The app's name.
    pub app: Slug,
    /// The provider that published it.
    pub provider_id: ProviderId,
    /// The provider's name.
    pub provider: Slug,
    /// Its version.
    pub version: Version,
    /// Digest of the archive.
    pub digest: Digest,
    /// Digest of the component.
    pub component: Digest,
    /// Bytes of the archive.
    pub size_bytes: u64,
    /// What it says about itself.
    pub manifest: Manifest,
    /// The capabilities that an install of it is granted, sorted.
    pub capabilities: Vec<String>,
    /// Whether it may be enabled.
    pub state: ReleaseState,
    /// Why it is deprecated or yanked.
    pub state_reason: Option<String>,
    /// When it was pushed.
    pub created_at: Timestamp,
}

impl Release {
    /// The schema that it works with; 0 without a database.
    #[must_use]
    pub fn schema(&self) -> u32 {
        self.manifest.database.as_ref().map_or(0, |db| db.schema)
    }

    /// The prefix of its tables, if it has any.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.manifest
            .database
            .as_ref()
            .map(|db| db.namespace.as_str())
    }

    /// The name as people write it, `app version`.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{} {}", self.app, self.version)
    }
}

/// An app's releases, newest push first.
///
/// # Errors
/// [`Error::NotFound`] for the app; [`Error::Invalid`] for a cursor of another list.
pub async fn list(
    control: &Control,
    call: &Call,
    app: &str,
    page: &PageRequest,
) -> Result<Page<Release>, Error> {
    let mut db = control.store.read().await?;
    let app = app::find(&mut db, call, app).await?;
    let rows = store::release::list(&mut db, app.id, page.cursor()?, page.rows()).await?;
    Ok(page.page(rows, |release| release.id.to_string()))
}

/// One release, by app and version.
///
/// # Errors
/// [`Error::NotFound`] for app or version.
pub async fn get(
    control: &Control,
    call: &Call,
    app: &str,
    version: &str,
) -> Result<Release, Error> {
    let mut db = control.store.read().await?;
    Ok(find(&mut db, call, app, version).await?.1)
}

/// Stops offering a release as the newest; its installs go on. For its provider and operators.
///
/// # Errors
/// [`Error::Conflict`] unless it is published; [`Error::NotFound`].
pub async fn deprecate(
    control: &Control,
    call: &Call,
    (app, version): (&str, &str),
    reason: &str,
) -> Result<Release, Error> {
    change_state(
        control,
        call,
        (app, version),
        ReleaseState::Deprecated,
        reason,
    )
    .await
}

/// Takes a release out of service for good: it is never enabled again, and its installs are not
/// served any more until they are moved to another release. For its provider and operators.
///
/// # Errors
/// [`Error::Conflict`] if it is yanked already; [`Error::NotFound`].
pub async fn yank(
    control: &Control,
    call: &Call,
    (app, version): (&str, &str),
    reason: &str,
) -> Result<Release, Error> {
    change_state(control, call, (app, version), ReleaseState::Yanked, reason).await
}

async fn change_state(
    control: &Control,
    call: &Call,
    (app, version): (&str, &str),
    state: ReleaseState,
    reason: &str,
) -> Result<Release, Error> {
    let mut db = control.store.write().await?;
    let (_, mut release) = find(&mut db, call, app, version).await?;
    if let crate::Caller::Tenant(_) = call.caller {
        return Err(Error::Forbidden(
            "only the provider of a release or an operator may change its state".to_owned(),
        ));
    }
    let reason = check_text("reason", reason, REASON_CHARS_MAX)?;
    let allowed = match state {
        ReleaseState::Deprecated => release.state == ReleaseState::Published,
        _ => release.state != ReleaseState::Yanked,
    };
    if !allowed {
        return Err(Error::conflict(
            "already-so",
            format!("{} is {} already", release.label(), release.state),
        ));
    }
    let action = match state {
        ReleaseState::Deprecated => "release.deprecate",
        _ => "release.yank",
    };
    store::release::update_state(&mut db, release.id, state, Some(&reason)).await?;
    Draft::new(call, action, release.id, release.label())
        .provider(release.provider_id)
        .before(json!({ "state": release.state.as_str() }))
        .after(json!({ "state": state.as_str() }))
        .reason(Some(&reason))
        .write(&mut db)
        .await?;
    let instances = store::release::instances(&mut db, release.id).await?;
    db.commit().await.map_err(StoreError::from)?;
    if state == ReleaseState::Yanked {
        control.apply_all(instances).await?;
    }
    release.state = state;
    release.state_reason = Some(reason);
    Ok(release)
}

/// By app and version, within a transaction.
pub(crate) async fn find(
    db: &mut Connection,
    call: &Call,
    app: &str,
    version: &str,
) -> Result<(App, Release), Error> {
    let app = app::find(db, call, app).await?;
    let found = match version.parse::<Version>() {
        Ok(version) => store::release::find(db, app.id, &version).await?,
        Err(_) => None,
    };
    match found {
        Some(release) => Ok((app, release)),
        None => Err(Error::not_found(
            "release",
            &format!("{} {version}", app.slug),
        )),
    }
}

/// The first step above `target` that cannot be undone, on the way down from `from`.
pub(crate) fn without_down(migrations: &[Migration], from: u32, target: u32) -> Option<&Migration> {
    migrations
        .iter()
        .find(|step| step.version > target && step.version <= from && step.down.is_none())
}
