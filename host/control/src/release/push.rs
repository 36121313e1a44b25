//! Pushing: a package becomes a release once it was checked, compiled and kept, in this order, and not
//! before.

use bytes::Bytes;
use cloudware_packages::{Manifest, Package, Problem, Verified};
use cloudware_types::{AppId, Digest, ReleaseId};
use serde_json::json;

use super::{Release, ReleaseState, Shapes};
use crate::{
    App, Call, Control, Error, PrepareError, Provider, ReleaseToPrepare, Timestamp,
    audit::Draft,
    product, provider,
    store::{self, Connection, StoreError, app::AppRow},
};

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

/// The provider for which the caller may push; asked before an upload is read.
///
/// # Errors
/// [`Error::Unauthenticated`], [`Error::Forbidden`], [`Error::NotFound`] for the provider.
pub async fn may_push(
    control: &Control,
    call: &Call,
    provider: Option<&str>,
) -> Result<Provider, Error> {
    let mut db = control.store.read().await?;
    provider::publishing(&mut db, call, provider).await
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
        declared: package.manifest.access.keys().cloned().collect(),
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
        capabilities: verified.capabilities.clone(),
        state: ReleaseState::Published,
        state_reason: None,
        created_at: Timestamp::now(),
    };
    let shapes = Shapes::of(&verified);
    store::release::insert(&mut db, &release, &package.migrations, &shapes).await?;
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
