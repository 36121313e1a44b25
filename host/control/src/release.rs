//! Releases: immutable versions of apps. A push checks the package, has the data plane compile it
//! and try its migrations, keeps the bytes, and only then makes it visible.

use std::{fmt, str::FromStr};

use bytes::Bytes;
use cloudware_packages::{Manifest, Package, Problem, Verified};
use cloudware_types::{AppId, Digest, Migration, ProviderId, ReleaseId, Slug};
use semver::Version;
use serde_json::json;

use crate::{
    App, Call, Control, Error, Page, PageRequest, PrepareError, Provider, ReleaseToPrepare,
    Timestamp, app,
    audit::Draft,
    error::check_text,
    limits::REASON_CHARS_MAX,
    product, provider,
    store::{self, Connection, StoreError, app::AppRow},
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

/// What a push came to.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// The release.
    pub release: Release,
    /// False if the same bytes had been pushed before.
    pub is_new: bool,
    /// What is odd about the package and does no harm.
    pub warnings: Vec<Problem>,
}

/// Whether the caller may push for this provider; asked before an upload is read.
///
/// # Errors
/// [`Error::Unauthenticated`], [`Error::Forbidden`], [`Error::NotFound`] for the provider.
pub async fn may_push(control: &Control, call: &Call, provider: Option<&str>) -> Result<(), Error> {
    let mut db = control.store.read().await?;
    provider::publishing(&mut db, call, provider)
        .await
        .map(drop)
}

/// Checks an archive and publishes it as a release of its provider's app: the caller's, or the one
/// that an operator names. Pushing the same bytes again succeeds and changes nothing.
///
/// # Errors
/// [`Error::Rejected`] with every problem of the package; [`Error::Conflict`] if the app or product
/// belongs to somebody else or the version exists with other bytes; as [`may_push`].
pub async fn push(
    control: &Control,
    call: &Call,
    provider: Option<&str>,
    archive: Bytes,
    declared: Option<Digest>,
) -> Result<Pushed, Error> {
    let mut db = control.store.read().await?;
    let provider = provider::publishing(&mut db, call, provider).await?;
    drop(db);
    let _turn = control
        .pushes
        .acquire()
        .await
        .map_err(|_| Error::Interrupted("the platform is shutting down".to_owned()))?;
    let size_bytes = archive.len() as u64;
    let (package, verified) = check(control, archive.clone(), declared).await?;
    let mut db = control.store.read().await?;
    if let Existing::Same(release) = existing(&mut db, &provider, &package).await? {
        restore(control, &package, archive).await?;
        return Ok(Pushed {
            release: *release,
            is_new: false,
            warnings: verified.warnings,
        });
    }
    drop(db);
    prepare(control, &package).await?;
    restore(control, &package, archive).await?;
    let warnings = verified.warnings.clone();
    let (release, is_new) =
        insert(control, call, &provider, (package, verified), size_bytes).await?;
    Ok(Pushed {
        release,
        is_new,
        warnings,
    })
}

/// An app's releases, newest push first.
///
/// # Errors
/// [`Error::NotFound`] for the app.
pub async fn list(
    control: &Control,
    call: &Call,
    app: &str,
    page: &PageRequest,
) -> Result<Page<Release>, Error> {
    let mut db = control.store.read().await?;
    let app = app::find(&mut db, call, app).await?;
    let rows = store::release::list(&mut db, app.id, page).await?;
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

/// Checking decompresses and walks megabytes of code, which belongs off the I/O threads.
async fn check(
    control: &Control,
    archive: Bytes,
    declared: Option<Digest>,
) -> Result<(Package, Verified), Error> {
    let interfaces = control.interfaces.clone();
    tokio::task::spawn_blocking(move || {
        cloudware_packages::accept(&archive, declared.as_ref(), &interfaces)
    })
    .await
    .map_err(|error| Error::Interrupted(format!("checking the package: {error}")))?
    .map_err(Error::Rejected)
}

async fn prepare(control: &Control, package: &Package) -> Result<(), Error> {
    let release = ReleaseToPrepare {
        component: package.component.clone(),
        component_digest: package.component_digest,
        migrations: package.migrations.clone(),
        namespace: package
            .manifest
            .database
            .as_ref()
            .map(|db| db.namespace.clone()),
    };
    match control.data_plane.prepare(release).await {
        Ok(()) => Ok(()),
        Err(PrepareError::Rejected(problems)) => Err(Error::Rejected(problems)),
        Err(PrepareError::Host(reason)) => Err(Error::Interrupted(reason)),
    }
}

/// Keeps the bytes; those that are there already are written again, which repairs a damaged store.
async fn restore(control: &Control, package: &Package, archive: Bytes) -> Result<(), Error> {
    let component = package.component.clone();
    let packages = &control.packages;
    packages
        .put_component(&package.component_digest, component)
        .await?;
    packages.put_archive(&package.digest, archive).await?;
    Ok(())
}

/// What is known of a version already.
enum Existing {
    Nothing(Option<App>),
    Same(Box<Release>),
}

async fn existing(
    db: &mut Connection,
    provider: &Provider,
    package: &Package,
) -> Result<Existing, Error> {
    let manifest = &package.manifest;
    let product = store::product::find(db, manifest.product.as_str()).await?;
    if product.is_some_and(|product| product.provider_id != provider.id) {
        return Err(product::taken(&manifest.product));
    }
    let Some(app) = store::app::find(db, manifest.name.as_str()).await? else {
        return Ok(Existing::Nothing(None));
    };
    if app.provider_id != provider.id {
        return Err(Error::conflict(
            "app-taken",
            format!(
                "the app `{}` belongs to another provider: choose another name in cloudware.toml: package.name",
                app.slug
            ),
        ));
    }
    match store::release::find(db, app.id, &manifest.version).await? {
        None => Ok(Existing::Nothing(Some(app))),
        Some(release) if release.digest == package.digest => Ok(Existing::Same(Box::new(release))),
        Some(release) => Err(Error::conflict(
            "version-exists",
            format!(
                "{} was published with other bytes ({}), and a release never changes: raise the version in cloudware.toml",
                release.label(),
                release.digest
            ),
        )),
    }
}

/// Makes the release visible. What was found before is looked up again, because other pushes may
/// have ended in between.
async fn insert(
    control: &Control,
    call: &Call,
    provider: &Provider,
    (package, verified): (Package, Verified),
    size_bytes: u64,
) -> Result<(Release, bool), Error> {
    let mut db = control.store.write().await?;
    let app = match existing(&mut db, provider, &package).await? {
        Existing::Same(release) => return Ok((*release, false)),
        Existing::Nothing(app) => app,
    };
    let app_id = match app {
        Some(app) => app.id,
        None => insert_app(&mut db, provider, &package.manifest).await?,
    };
    let release = Release {
        id: ReleaseId::generate(),
        app_id,
        app: package.manifest.name.clone(),
        provider_id: provider.id,
        provider: provider.slug.clone(),
        version: package.manifest.version.clone(),
        digest: package.digest,
        component: package.component_digest,
        size_bytes,
        manifest: package.manifest,
        capabilities: verified.capabilities,
        state: ReleaseState::Published,
        state_reason: None,
        created_at: Timestamp::now(),
    };
    store::release::insert(&mut db, &release, &package.migrations).await?;
    Draft::new(call, "release.push", release.id, release.label())
        .provider(provider.id)
        .after(json!({
            "version": release.version,
            "digest": release.digest,
            "state": release.state.as_str(),
        }))
        .write(&mut db)
        .await?;
    db.commit().await.map_err(StoreError::from)?;
    Ok((release, true))
}

async fn insert_app(
    db: &mut Connection,
    provider: &Provider,
    manifest: &Manifest,
) -> Result<AppId, Error> {
    product::claim(db, provider, &manifest.product).await?;
    let row = AppRow {
        id: AppId::generate(),
        provider: provider.id,
        product: manifest.product.as_str(),
        slug: manifest.name.as_str(),
        created_at: Timestamp::now(),
    };
    store::app::insert(db, &row).await?;
    Ok(row.id)
}

/// The first step above `target` that cannot be undone, on the way down from `from`.
pub(crate) fn without_down(migrations: &[Migration], from: u32, target: u32) -> Option<&Migration> {
    migrations
        .iter()
        .find(|step| step.version > target && step.version <= from && step.down.is_none())
}
