//! What a change of an install means for the others of its instance. Asked before anything is done, so that tables
//! are not migrated in vain, and again within the transaction of the change, because others may have changed while
//! they were.

use super::Install;
use crate::{
    Error, Release,
    composition::{Composition, Connections, Member, examine, refuse_catalog_cycle},
    store::{self, Connection},
};

/// What it means that an install is enabled at a release. Called before that is written.
///
/// # Errors
/// [`Error::Conflict`] if it, others or hooks would not work any more.
pub(super) async fn connections(
    db: &mut Connection,
    install: &Install,
    release: &Release,
) -> Result<Connections, Error> {
    let before = Composition::read(db, install.instance_id).await?;
    let shapes = store::release::shapes(db, release.id).await?;
    let after = before.with(Member::of(install, release, shapes));
    let outcome = examine(&before, &after, install.id, &place(install));
    if let Err(Error::Conflict {
        code: "needs-app", ..
    }) = outcome
    {
        refuse_catalog_cycle(db, &before, (&install.app, &release.manifest)).await?;
    }
    outcome
}

/// Refuses to disable an install that others need. Called before that is written.
///
/// # Errors
/// [`Error::Conflict`] that names them.
pub(super) async fn refuse_needed(db: &mut Connection, install: &Install) -> Result<(), Error> {
    let before = Composition::read(db, install.instance_id).await?;
    let after = before.without(install.id);
    examine(&before, &after, install.id, &place(install)).map(drop)
}

fn place(install: &Install) -> String {
    format!("{}/{}", install.tenant, install.instance)
}
