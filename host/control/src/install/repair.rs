//! Repairing at start what a crash interrupted between the migration and the switch of a release.

use serde_json::json;

use super::{change::run_migration, find_in};
use crate::{
    Call, Control, Error,
    audit::Draft,
    store::{self, StoreError, install::ReleaseChange},
};

/// Brings tables that a crash left between two schemas to the schema of the release that serves.
/// Called once, before anything is served.
pub(crate) async fn repair_interrupted(control: &Control) -> Result<(), Error> {
    let mut db = control.store.read().await?;
    let changes = store::install::changes(&mut db).await?;
    drop(db);
    for change in changes {
        repair(control, &change).await?;
    }
    Ok(())
}

async fn repair(control: &Control, change: &ReleaseChange) -> Result<(), Error> {
    let mut db = control.store.read().await?;
    let install = find_in(&mut db, change.instance, &change.install.to_string()).await?;
    let mut releases = Vec::new();
    for id in [change.from, change.to] {
        releases.extend(store::release::get(&mut db, id).await?);
    }
    let current = releases.iter().find(|release| release.id == change.current);
    let ahead = releases.iter().max_by_key(|release| release.schema());
    let outcome = match (current, ahead) {
        (Some(current), Some(ahead)) => {
            let migrations = store::release::migrations(&mut db, ahead.id).await?;
            drop(db);
            match current.namespace() {
                Some(namespace) => {
                    let target = current.schema();
                    run_migration(control, &install, namespace, &migrations, target).await
                }
                None => Ok(()),
            }
        }
        _ => Ok(()),
    };
    // Tables that cannot go back stay ahead of the release, as they were while it was upgraded.
    if let Err(error) = &outcome {
        tracing::warn!(install = %install.path(), %error, "an interrupted upgrade leaves tables ahead of the release");
    }
    let call = Call::host();
    let mut db = control.store.write().await?;
    store::install::change_end(&mut db, change.install).await?;
    Draft::new(
        &call,
        "install.change-interrupted",
        install.id,
        install.path(),
    )
    .tenant(install.tenant_id)
    .after(json!({
        "version": install.version,
        "repaired": outcome.is_ok(),
    }))
    .write(&mut db)
    .await?;
    Ok(db.commit().await.map_err(StoreError::from)?)
}
